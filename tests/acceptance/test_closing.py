"""`gkc queue close` on a real Asterisk: who waits hears why and is led on; a restart keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import until
from tests.acceptance.phone import answers
from tests.acceptance.shell import Shell
from tests.acceptance.stage import PASSPORT, Stage, hears, open_stage, outcomes

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("closing"), install, lambda o: o) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        yield


async def test_who_waits_hears_why_and_so_does_who_comes_after_a_restart(stage: Stage) -> None:
    shell = Shell(stage.city)
    _, waiting = await stage.call()
    await stage.waits("waiting")
    (row,) = await shell.rows("queue", "close", "passport", "--reason", "дым в здании")
    assert (row["closed"], row["closed_reason"], row["led_on"]) == ("emergency", "дым в здании", 1)
    await hears(waiting, "emergency-closed")
    async with asyncio.timeout(20):
        await waiting.ended.wait()
    stage.city.city.kill_engine()
    await stage.city.city.start_engine()
    shown = await shell.table("queue", "show")
    assert "passport: closed in an emergency (дым в здании)" in shown
    _, late = await stage.call()
    await hears(late, "emergency-closed")
    async with asyncio.timeout(20):
        await late.ended.wait()
    assert not late.answered.is_set(), "nobody pays for being turned away"
    assert [story["disposition"] for story in await stage.over(2)] == ["closed", "closed"]
    await shell.rows("queue", "open", "passport")


async def test_who_is_led_on_is_answered_in_the_other_queue_with_his_old_wait(
    stage: Stage,
) -> None:
    shell = Shell(stage.city)
    _, waiting = await stage.call()
    await stage.waits("waiting")
    stage.phone(105, answers)
    await stage.comes("dina")  # has no skill: serves `operator`, not `passport`
    await stage.city.agent_is("dina", "ready")
    await shell.rows("queue", "close", "passport", "--to", "operator")
    await hears(waiting, "emergency-moved")
    await stage.city.agent_is("dina", "talk", 30)
    (row,) = await stage.new()
    assert (row["queue"], row["agent_id"]) == ("operator", "dina")
    assert row["wait_s"] > 5, "from the first queue on, the announcement included"
    await waiting.bye()
    story = await stage.last()
    assert (story["disposition"], outcomes(story)) == ("answered", [("dina", "accepted")])
    await shell.rows("queue", "open", "passport")


async def test_whose_last_words_the_engine_did_not_finish_hears_them_from_the_next(
    stage: Stage,
) -> None:
    shell = Shell(stage.city)
    _, waiting = await stage.call()
    await stage.waits("waiting")
    await shell.rows("queue", "close", "passport")
    await hears(waiting, "emergency-closed")
    stage.city.city.kill_engine()
    assert not waiting.ended.is_set(), "he had not heard all of it"
    await stage.city.city.start_engine()
    async with asyncio.timeout(60):
        await waiting.ended.wait()
    assert (await stage.last())["disposition"] == "closed"
    await shell.rows("queue", "open", "passport")


async def test_the_whole_center_is_closed_and_opened(stage: Stage) -> None:
    shell = Shell(stage.city)
    await shell.rows("queue", "close", "--all", "--reason", "эвакуация")
    _, leg = await stage.call("+74951112244")
    await hears(leg, "emergency-closed")
    await shell.rows("queue", "open", "--all")
    _, leg = await stage.call(PASSPORT)
    await stage.waits("waiting")
    await leg.bye()

    async def gone() -> bool:
        return all(row["ended"] is not None for row in await stage.new())

    await until(gone, "both have left", 20)
