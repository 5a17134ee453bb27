"""The engine's disk is full: first the ledger cannot grow, then not a byte can be written.

``RLIMIT_FSIZE`` of the engine's process stands for the disk: each write beyond it fails, with no
rights needed, and the space is back when it is lifted.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import Leg, answers
from tests.acceptance.stage import Stage, open_stage
from tests.acceptance.trials import now

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("disk"), install, lambda o: o) as stage:
        yield stage


JOURNAL_USED_MAX = 96 * 1024
"""Bytes; what this test's calls make of it is much less."""


class Disk:
    """How far the engine may write into any file."""

    def __init__(self, stage: Stage, pid: int) -> None:
        self._stage = stage
        self._pid = pid

    def room(self, size: int = resource.RLIM_INFINITY) -> None:
        """Let writes up to ``size`` bytes into a file succeed."""
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def ledger_is_full(self) -> None:
        """Nothing more goes into the ledger; the journal has its place and is far from its end."""
        wal = self._stage.city.city.state / "gkc.sqlite-wal"

        async def long_enough() -> bool:
            for act in ("agent.pause", "agent.ready"):
                await self._stage.city.ask(act, agent="dina")
            return wal.exists() and wal.stat().st_size > JOURNAL_USED_MAX

        await until(long_enough, "the ledger is longer than the journal will be", 20)
        self.room(wal.stat().st_size)

    async def health(self) -> Row:
        """Return what the engine says of itself."""
        return (await self._stage.city.ask("engine.show"))[0]

    async def mode(self, mode: str, *, accepting: bool) -> None:
        """Wait until the engine writes there."""

        async def look() -> bool:
            health = await self.health()
            return (health["record_mode"], health["accepting"]) == (mode, accepting)

        await until(look, f"records go to {mode}", 30)


@pytest_asyncio.fixture(loop_scope="module")
async def disk(stage: Stage) -> AsyncIterator[Disk]:
    made = Disk(stage, await asyncio.to_thread(lambda: stage.city.city.engine_pid))
    async with stage.case():
        yield made
        made.room()


async def _hears(leg: Leg, *signatures: int) -> bool:
    heard = leg.hears()
    return any(heard[signature] > 5 for signature in signatures)


async def test_on_a_full_disk_calls_go_on_and_all_of_it_is_on_record_afterwards(
    stage: Stage, disk: Disk
) -> None:
    for user in (101, 105):
        stage.phone(user, answers)
    await stage.city.login("anna", "dina")
    await disk.ledger_is_full()
    _, first = await stage.call(user="+79000000001")
    await stage.city.agent_is("anna", "talk")
    await disk.mode("journal", accepting=True)

    _, second = await stage.call(user="+79000000002")
    await stage.waits("waiting")

    disk.room(0)
    left = now()
    await first.bye()
    gone = now()
    await disk.mode("full", accepting=False)
    await stage.city.agent_is("anna", "talk")  # with the second: who is in hand goes on
    await until(lambda: _hears(second, 0x21), "the second hears her", 20)
    _, third = await stage.call(user="+79000000003")
    ring = await stage.desk.phones["105"].next_call()
    assert "+79000000003" in ring.caller, "the native queue rings for whom the engine refuses"
    async with asyncio.timeout(20):
        await third.answered.wait()
        await ring.answered.wait()

    disk.room()
    await disk.mode("ledger", accepting=True)
    for leg in (second, third):
        assert not leg.ended.is_set()
        await leg.bye()
    _, fourth = await stage.call(user="+79000000004")
    # The talks of the others may still be on their way out: only he can tell that he is served.
    await until(lambda: _hears(fourth, 0x21, 0x25), "the fourth hears one of them", 20)
    await fourth.bye()
    stories = sorted(await stage.over(4), key=lambda s: str(s["answered"]))
    assert [s["disposition"] for s in stories] == ["answered"] * 4
    assert [s["via"] for s in stories] == ["engine", "engine", "fallback", "engine"]
    assert [s["agent_id"] for s in stories[:3]] == ["anna", "anna", "dina"]
    ended = datetime.fromisoformat(stories[0]["ended"]).timestamp()
    assert left - 2 < ended < gone + 2, "what was in memory alone has its own time"
