"""An operator asks a queue for a colleague, by a second call of his phone's or by ``*2``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import Leg
from tests.acceptance.stage import Stage, kinds, outcomes
from tests.acceptance.transfer_cases import (
    HOUSING,
    KEYED,
    advice,
    ask_by_code,
    end,
    engine_dead,
    hears_each_other,
    hears_music,
    rings,
    talk,
    talks,
    transfer_case,
    transfer_stage,
)

both = pytest.mark.parametrize("how", ["refer", "code"])
pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with transfer_stage(tmp_path_factory.mktemp("transfers"), install) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with transfer_case(stage):
        yield


@dataclass(slots=True)
class Asked:
    """Anna has her citizen on hold and has asked housing for a colleague."""

    leg: Leg
    mine: Leg
    second: Leg | None
    """Her second call; without it she has used ``*2``."""

    @property
    def at_hers(self) -> Leg:
        """Where she hears the colleague."""
        return self.second or self.mine

    async def hand_over(self) -> None:
        """Complete the transfer, and be free."""
        if self.second is None:
            await self.mine.bye()
        else:
            assert await self.mine.refer(HOUSING, self.second) == 202


async def ask(stage: Stage, how: str, *at_work: str) -> Asked:
    leg, mine = await talk(stage, others=at_work)
    second = None
    if how == "refer":
        await mine.hold()
        await stage.city.agent_is("anna", "hold")
        second = await mine.phone.dial(HOUSING)
        async with asyncio.timeout(20):
            await second.answered.wait()
    else:
        await ask_by_code(stage, mine, KEYED)
    return Asked(leg, mine, second)


async def citizen_is(stage: Stage, state: str) -> Row:
    """Wait until the core says so of the citizen himself; return the row."""

    async def look() -> Row | None:
        known = {row["contact_id"] for row in await stage.new()}
        rows = await stage.city.ask("queue.waiting")
        found = [r for r in rows if r["contact_id"] in known and r["state"] == state]
        return found[0] if found else None

    return await until(look, f"the citizen is {state}", 20)


async def in_native_queue(stage: Stage) -> None:
    """Wait until the citizen stands in housing's native queue."""

    async def look() -> bool:
        return "PJSIP/gkc-trunk" in await stage.city.city.asterisk.cli("queue show gkc-housing")

    await until(look, "the native queue has him", 15)


def served_by_vera(story: Row) -> None:
    assert talks(story) == ["anna", "vera"]
    assert story["queue"] == "housing"
    assert [s["queue"] for s in story["segments"] if s["agent_id"] == "vera"][-1] == "housing"
    queued = next(s["start"] for s in story["segments"] if s["kind"] == "queue")
    assert story["first_queued"] == queued, "his enqueue time is that of his first queue"


@both
async def test_whom_the_queue_finds_takes_him_over(stage: Stage, how: str) -> None:
    it = await ask(stage, how, "vera")
    hers = await rings(stage, 103)
    await hears_music(it.leg)
    await hers.answer()
    await hears_each_other(it.at_hers, hers)
    await it.hand_over()
    await hears_each_other(it.leg, hers)
    await citizen_is(stage, "talk")
    await stage.city.agent_is("anna", "ready")
    await hers.bye()
    story = await stage.last()
    served_by_vera(story)
    assert (story["disposition"], story["end_party"]) == ("answered", "agent")
    assert advice(story) == [("anna", "consult"), ("vera", "consulted")]
    await stage.city.agent_is("vera", "ready")


@both
async def test_advice_and_no_transfer(stage: Stage, how: str) -> None:
    it = await ask(stage, how, "vera")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(it.at_hers, hers)
    await hers.bye()
    await stage.city.agent_is("vera", "ready")
    if it.second is not None:
        await it.mine.hold(on=False)
    await hears_each_other(it.leg, it.mine)
    story = await end(stage, it.leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]
    assert advice(story) == [("anna", "consult"), ("vera", "consulted")]


@both
async def test_handed_over_while_nobody_is_free(stage: Stage, how: str) -> None:
    it = await ask(stage, how)
    await hears_music(it.at_hers)
    await it.hand_over()
    row = await citizen_is(stage, "waiting")
    assert row["queue"] == "housing"
    await stage.city.agent_is("anna", "ready")
    await hears_music(it.leg)
    await stage.comes("vera")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(it.leg, hers)
    story = await end(stage, it.leg)
    served_by_vera(story)
    assert outcomes(story) == [("anna", "accepted"), ("vera", "accepted")]


@both
async def test_handed_over_while_her_phone_rings(stage: Stage, how: str) -> None:
    it = await ask(stage, how, "vera")
    await rings(stage, 103)
    await stage.city.agent_is("vera", "ringing")
    await it.hand_over()
    hers = await rings(stage, 103)
    await citizen_is(stage, "offered")
    await hers.answer()
    await hears_each_other(it.leg, hers)
    story = await end(stage, it.leg)
    served_by_vera(story)
    assert outcomes(story) == [("anna", "accepted"), ("vera", "accepted")]


@both
async def test_the_citizen_leaves_while_she_asks(stage: Stage, how: str) -> None:
    it = await ask(stage, how)
    await it.leg.bye()
    story = await stage.last()
    assert talks(story) == ["anna"]
    await it.at_hers.bye()
    await stage.city.agent_is("anna", "ready")

    async def nobody() -> bool:
        return not await stage.city.ask("queue.waiting")

    await until(nobody, "nobody waits", 15)


# --- the engine dies -------------------------------------------------------------------------


@both
async def test_found_and_handed_over_without_an_engine(stage: Stage, how: str) -> None:
    it = await ask(stage, how, "vera")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(it.at_hers, hers)
    async with engine_dead(stage):
        await it.hand_over()
        await hears_each_other(it.leg, hers)
    await citizen_is(stage, "talk")
    await hears_each_other(it.leg, hers)
    story = await end(stage, it.leg)
    assert talks(story) == ["anna", "vera"]


@both
async def test_restarted_between_the_answer_and_the_transfer(stage: Stage, how: str) -> None:
    it = await ask(stage, how, "vera")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(it.at_hers, hers)
    async with engine_dead(stage):
        pass
    await stage.city.agent_is("anna", "hold")
    await it.hand_over()
    await hears_each_other(it.leg, hers)
    await stage.city.agent_is("anna", "ready")
    story = await end(stage, it.leg)
    assert talks(story) == ["anna", "vera"]


@both
async def test_handed_over_while_nobody_is_free_without_an_engine(stage: Stage, how: str) -> None:
    it = await ask(stage, how)
    async with engine_dead(stage):
        await hears_music(it.at_hers)
        await it.hand_over()
        await hears_music(it.leg)
    row = await citizen_is(stage, "waiting")
    assert row["queue"] == "housing"
    await hears_music(it.leg)
    await stage.comes("vera")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(it.leg, hers)
    served_by_vera(await end(stage, it.leg))


@both
async def test_killed_after_he_took_the_place(stage: Stage, how: str) -> None:
    it = await ask(stage, how)
    await it.hand_over()
    await citizen_is(stage, "waiting")
    await hears_music(it.leg)
    async with engine_dead(stage):
        await in_native_queue(stage)
        await hears_music(it.leg)
    await citizen_is(stage, "waiting")
    await stage.comes("vera")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(it.leg, hers)
    served_by_vera(await end(stage, it.leg))
