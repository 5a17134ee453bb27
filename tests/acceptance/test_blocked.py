"""The block list on a real Asterisk: refused from the next call on, also after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import until
from tests.acceptance.phone import Leg
from tests.acceptance.shell import Shell
from tests.acceptance.stage import PASSPORT, Stage, hears, open_stage

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

CALLER = "+79001234568"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("blocked"), install, lambda o: o) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        yield


async def refused(leg: Leg) -> str:
    """Wait until the call has ended without an answer; return the final status."""
    async with asyncio.timeout(40):
        await leg.ended.wait()
    assert not leg.answered.is_set(), "nobody pays for being turned away"
    return leg.how


async def test_from_his_next_call_on_over_a_restart_until_he_is_taken_off(stage: Stage) -> None:
    shell = Shell(stage.city)
    phone, waiting = await stage.call(user=CALLER)
    await stage.waits("waiting")
    (row,) = await shell.rows("citizen", "block", "8 900 123-45-68", "--reason", "ложные вызовы")
    key = row["citizen"]
    again = await phone.dial(PASSPORT)
    await hears(again, "blocked")
    assert await refused(again) == "403"
    assert not waiting.ended.is_set(), "who waits already is not touched"

    async def on_record() -> bool:
        return any(one["disposition"] == "blocked" for one in await stage.new())

    await until(on_record, "his end is on record", 20)
    stage.city.city.kill_engine()
    await stage.city.city.start_engine()
    once_more = await phone.dial(PASSPORT)
    await hears(once_more, "blocked")
    assert await refused(once_more) == "403"
    (listed,) = await shell.rows("citizen", "blocked")
    assert (listed["citizen"], listed["reason"], listed["refused"]) == (key, "ложные вызовы", 1)
    await stage.waits("waiting")
    await waiting.bye()
    first, *others = await stage.over(3)
    assert first["disposition"] in ("abandoned", "failed_open")
    assert {one["disposition"] for one in others} == {"blocked"}
    for one in others:
        assert (one["queue"], one["first_queued"], one["citizen_id"]) == (None, None, key)
        told = await shell.table("contact", "show", one["contact_id"])
        assert "is on the block list" in told
        assert "ends: blocked, by the system" in told
    assert CALLER[2:] not in await shell.table("citizen", "blocked")
    await shell.rows("citizen", "unblock", CALLER)
    last = await phone.dial(PASSPORT)
    async with asyncio.timeout(20):
        await last.answered.wait()
    await last.bye()


async def test_a_dead_engine_refuses_nobody(stage: Stage) -> None:
    """He is told so once more when it is back only if he was told before it died."""
    shell = Shell(stage.city)
    await shell.rows("citizen", "block", CALLER, "--for", "1h", "--reason", "ложные вызовы")
    phone, told = await stage.call(user=CALLER)
    await hears(told, "blocked")
    stage.city.city.kill_engine()
    async with asyncio.timeout(30):
        await told.answered.wait()  # by the native queue: the lease on him ran out
    fresh = await phone.dial(PASSPORT)
    async with asyncio.timeout(30):
        await fresh.answered.wait()
    await stage.city.city.start_engine()
    async with asyncio.timeout(30):
        await told.ended.wait()
    await stage.waits("waiting")
    assert not fresh.ended.is_set()
    await fresh.bye()
    first, second = await stage.over(2)
    assert first["disposition"] == "blocked"
    assert second["disposition"] in ("abandoned", "failed_open")
    await shell.rows("citizen", "unblock", CALLER)
