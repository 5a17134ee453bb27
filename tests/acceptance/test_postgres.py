"""A city on a real Asterisk with its records in a real PostgreSQL: kills of either cost nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from gkc_engine.recorder import schema
from gkc_engine.recorder.copying import copy_rows
from gkc_engine.recorder.store import LedgerStore
from tests.acceptance.harness import Scene, scene, until
from tests.acceptance.oracle import compare
from tests.acceptance.shell import Shell
from tests.acceptance.sipp import Sipp, SippBench
from tests.acceptance.trials import Trials
from tests.postgres import Server

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300), pytest.mark.usefixtures("sipp")]

PASSPORT = "+74951112233"
KILLS = 3
CALLS = 3
"""Citizens that dial before each kill; two operators, so one of them waits."""


async def _phones(bench: SippBench) -> Mapping[str, int]:
    return {"": (await bench.phones(ring_ms=200, talk_ms=1500)).port}


def _copied(url: str, to: Path) -> None:
    """Bring the records where the oracle looks for them: an SQLite file."""
    reading = schema.make_engine(url, read_only=True)
    target = LedgerStore(schema.sqlite_url(str(to)))
    with reading.connect() as connection:
        copy_rows(connection, target, lambda _: None)
    reading.dispose()
    target.close()


async def _every_contact_ended(city: Scene, count: int) -> None:
    async def look() -> bool:
        rows = await city.contacts()
        return len(rows) >= count and all(row["ended"] is not None for row in rows)

    await until(look, f"{count} contacts have ended", 60.0)


async def test_nothing_is_lost_or_doubled_when_engine_and_server_are_killed(
    tmp_path: Path, install: Install, server: Server
) -> None:
    url = server.schema()

    def in_postgres(options: CityOptions) -> CityOptions:
        def tune(document: Document) -> None:
            if "pbx" in document:
                document["store"] = {"url": url}

        return dataclasses.replace(options, tune=tune)

    async with scene(tmp_path, install, phones=_phones, options=in_postgres) as city:
        trials = Trials(city, random.Random(4))
        await city.login("anna", "boris")
        calls: list[Sipp] = []
        for n in range(KILLS):
            trials.begin("killed")
            calls.append(await trials.dial(PASSPORT, CALLS, tag="k"))
            await asyncio.sleep(0.4 * n)  # waiting, ringing, talking
            await trials.kill()
            await city.city.start_engine()
        trials.begin("server")
        calls.append(await trials.dial(PASSPORT, CALLS, tag="s"))
        await asyncio.to_thread(server.stop, signal.SIGQUIT)
        calls.append(await trials.dial(PASSPORT, CALLS, tag="t"))
        await asyncio.to_thread(server.start)
        for call in calls:
            await call.finished(60.0)
        await _every_contact_ended(city, CALLS * len(calls))
        log = city.city.log.read_text(encoding="utf-8")
        assert '"ledger_behind"' in log
        assert '"ledger_caught_up"' in log
        code, _, said = await Shell(city).run("records", "rebuild", "--check")
        assert code == 0, said
        await asyncio.to_thread(_copied, url, city.city.state / "gkc.sqlite")
        verdict = compare(city)
        assert verdict.calls == CALLS * (KILLS + 2)
        assert verdict.clean(), verdict
