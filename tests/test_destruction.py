"""The night's run: once a day, at its time, whatever the clock does; in the writer's thread."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from gkc_engine import destruction
from gkc_engine.config.loader import load_config
from gkc_engine.destruction import Destruction, Nights, retention_of
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.ledger import Ledger
from tests.recorder.support import START

BERLIN = ZoneInfo("Europe/Berlin")
SAMPLE = Path(__file__).parents[1] / "config"


def at(text: str) -> Instant:
    return Instant(int(datetime.fromisoformat(text).timestamp()) * SECOND)


def runs(begin: str, minutes: int, minute: int) -> list[str]:
    """When, within so many minutes, the run begins, by the clock on the wall."""
    now = at(begin)
    nights = Nights(now, minute, BERLIN)
    found = []
    for _ in range(minutes):
        now = Instant(now + 60 * SECOND)
        if nights.begun(now, minute, BERLIN):
            found.append(f"{datetime.fromtimestamp(now / SECOND, BERLIN):%d %H:%M}")
    return found


def test_it_begins_once_each_night() -> None:
    assert runs("2026-11-20T12:00+01:00", 3 * 1440, 220) == ["21 03:40", "22 03:40", "23 03:40"]


def test_who_starts_after_the_time_waits_for_the_next_night() -> None:
    assert runs("2026-11-20T03:40+01:00", 1500, 220) == ["21 03:40"]
    assert runs("2026-11-20T03:39+01:00", 1000, 220) == ["20 03:40"]


def test_an_hour_that_is_missing_or_there_twice_changes_nothing() -> None:
    # 29 March 2026: 02:00 is followed by 03:00. 25 October: 02:59 by 02:00.
    assert runs("2026-03-28T12:00+01:00", 2 * 1440, 150) == ["29 03:00", "30 02:30"]
    assert runs("2026-10-24T12:00+02:00", 2 * 1440, 150) == ["25 02:30", "26 02:30"]


def test_a_clock_that_is_set_back_brings_no_second_run() -> None:
    nights = Nights(at("2026-11-20T01:00+01:00"), 220, BERLIN)
    assert nights.begun(at("2026-11-20T04:00+01:00"), 220, BERLIN)
    assert not nights.begun(at("2026-11-20T03:00+01:00"), 220, BERLIN)
    assert not nights.begun(at("2026-11-20T03:45+01:00"), 220, BERLIN)
    assert nights.begun(at("2026-11-21T03:45+01:00"), 220, BERLIN)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for file in SAMPLE.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "prompts").symlink_to(SAMPLE / "prompts")
    text = 'retention: {at: "02:15", citizens: 365d, recordings: 90d}\n'
    (tmp_path / "retention.yaml").write_text(f"---\n{text}...\n")
    return tmp_path


async def test_the_run_writes_in_the_ledgers_thread_and_survives_a_failure(
    kept: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(kept)
    ledger = Ledger(store_url, "centr")
    await ledger.open()
    citizens = Citizens(ledger.store.engine, kept / "citizen.key")
    ledger.store.along(citizens.write)
    key = citizens.remember("+79000000001", now=START)
    threads: list[str] = []
    forget = citizens.forget

    def forgotten(keys: Sequence[str]) -> int:
        threads.append(threading.current_thread().name)
        return forget(keys)

    monkeypatch.setattr(citizens, "forget", forgotten)
    reading = schema.make_engine(store_url, read_only=True)
    destroyer = Destruction(
        lambda: config,
        lambda write: retention_of(config, kept, kept / "state", reading, citizens, write),
        ledger,
    )
    await ledger.append([])
    assert citizens.reveal(key) is not None
    now = Instant(START + 366 * 86_400 * SECOND)
    await destroyer.run(Instant(START + 364 * 86_400 * SECOND))
    assert citizens.reveal(key) is not None
    await destroyer.run(now)
    assert citizens.reveal(key) is None
    assert threads
    assert all(name.startswith("ledger") for name in threads)
    (act,) = (kept / "state" / "acts").glob("*.txt")
    assert destruction.ACTOR in act.read_text()

    def broken(_write: object) -> object:
        raise RuntimeError("planted")

    failing = Destruction(lambda: config, cast(Any, broken), ledger)
    await failing.run(now)  # Logged; the engine goes on.
    await ledger.close()
    reading.dispose()
