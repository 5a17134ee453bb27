"""That the city's tables stand still is said where people look: a command, and a metric."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import city
from gkc_engine.federation.settings import CollectorSettings
from gkc_engine.recorder.queries import iso
from gkc_engine.recorder.store import LedgerError
from gkc_engine.shipping import collector as collecting
from gkc_engine.shipping.city_store import CityStore
from gkc_engine.shipping.collector import Collector
from gkc_engine.shipping.metrics import CollectorMetrics
from gkc_engine.shipping.standstill import NOTE, Standstill
from tests.federation.centers import until

BEGAN = 1_795_478_000_000_000
LATER = BEGAN + 90_000_000


class Ground:
    """A collector without a hub, and what becomes of its tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fails: Exception | None = None
        self.settled = 0
        self.now = BEGAN

    def settle(self) -> None:
        self.settled += 1
        if self.fails is not None:
            raise self.fails

    @asynccontextmanager
    async def collecting(self, patch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
        path = str(self.folder / "city.sqlite")
        settings = CollectorSettings(buses={}, store=path, timezone="Europe/Moscow")
        collector = Collector(settings, self.folder, self.folder)
        patch.setattr(collector, "now", lambda: self.now)
        patch.setattr(collector.store, "settle", self.settle)
        running = asyncio.get_running_loop().create_task(collector.run())
        try:
            yield collector
        finally:
            collector.request_stop()
            await running

    async def looked(self) -> None:
        """Wait for a whole look at the tables, and what was made of it."""
        begun = self.settled
        await until(lambda: self.settled >= begun + 2)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setattr(collecting, "SETTLE_S", 0.01)
    monkeypatch.setattr("time.time_ns", lambda: LATER * 1_000)
    monkeypatch.setenv("GKC_CITY_STATE", str(tmp_path))
    store = CityStore(f"sqlite:///{tmp_path / 'city.sqlite'}")
    store.open(["sever", "yug"])
    store.close()
    return Ground(tmp_path)


def show(*words: str) -> str:
    done = CliRunner().invoke(city.app, ["show", *words])
    assert done.exit_code == 0, done.output
    return done.output


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(show("--json"))
    assert [row["center"] for row in found] == ["sever", "yug"]
    return found


def still_s(collector: Collector) -> float:
    families = {one.name: one for one in CollectorMetrics(collector).collect()}
    return float(families["gkc_city_tables_still_seconds"].samples[0].value)


async def test_since_when_the_tables_stand_still_and_why(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground.collecting(monkeypatch) as collector:
        await ground.looked()
        assert "stand still" not in show()
        assert {(row["tables_still_since"], row["tables_problem"]) for row in rows()} == {
            (None, None)
        }
        assert still_s(collector) == 0
        ground.fails = OverflowError("Python int too large\n to convert")
        await ground.looked()
        ground.now = LATER
        why = "OverflowError: Python int too large to convert"
        await ground.looked()
        said = f"the tables of the whole city stand still since {iso(BEGAN)}: {why}"
        assert show().splitlines()[0] == said
        assert {(row["tables_still_since"], row["tables_problem"]) for row in rows()} == {
            (iso(BEGAN), why)
        }
        assert still_s(collector) == 90
        ground.fails = LedgerError("no space")  # Another reason; they stand as long as before.
        await ground.looked()
        assert show().splitlines()[0].endswith(f"since {iso(BEGAN)}: no space")
        ground.fails = None
        await ground.looked()
        assert "stand still" not in show()
        assert still_s(collector) == 0


async def test_a_collector_that_is_started_anew_knows_since_when(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.fails = LedgerError("no space")
    async with ground.collecting(monkeypatch):
        await ground.looked()
    assert "stand still" in show()
    ground.now = LATER
    async with ground.collecting(monkeypatch) as second:
        await ground.looked()
        assert second.standstill == Standstill(since_us=BEGAN, why="no space")
        ground.fails = None
        await ground.looked()
        assert second.standstill is None
    assert "stand still" not in show()


def test_half_a_note_stops_nobody(ground: Ground) -> None:
    settings = CollectorSettings(buses={}, store="x", timezone="Europe/Moscow")
    (ground.folder / NOTE).write_text('{"since_us":1')
    assert Collector(settings, ground.folder, ground.folder).standstill is None
