"""Operators' own calls and hold, also when the engine dies meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import until
from tests.acceptance.phone import Leg, answers
from tests.acceptance.stage import PASSPORT, Stage, kinds
from tests.acceptance.transfer_cases import (
    end,
    engine_dead,
    has_him,
    hears_each_other,
    hears_music,
    rings,
    talk,
    talks,
    transfer_case,
    transfer_stage,
)

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with transfer_stage(tmp_path_factory.mktemp("transfers"), install) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with transfer_case(stage):
        yield


async def boris_is_called(stage: Stage) -> tuple[Leg, Leg]:
    """Let Anna, without a citizen, call Boris; return her leg and his, which rings."""
    await stage.city.login("anna", "boris")
    mine = await stage.phone(101).dial("102")
    his = await rings(stage, 102)
    for agent in ("anna", "boris"):
        await stage.city.agent_is(agent, "talk")
    return mine, his


async def both_are_free(stage: Stage) -> None:
    """A new citizen is rung for at once: neither is thought busy any more."""
    for agent in ("anna", "boris"):
        await stage.city.agent_is(agent, "ready")
    for user in (101, 102):
        stage.phone(user, answers)
    _, leg = await stage.call(PASSPORT)
    await stage.waits("talk")
    assert len(talks(await end(stage, leg))) == 1


async def test_own_call(stage: Stage) -> None:
    mine, his = await boris_is_called(stage)
    _, waiting = await stage.call(PASSPORT)
    await stage.waits("waiting")  # neither is disturbed
    await his.answer()
    await hears_each_other(mine, his)
    stage.phone(101, answers)
    stage.phone(102, answers)
    await mine.bye()
    await stage.waits("talk")
    story = await end(stage, waiting)
    assert len(talks(story)) == 1, "no contact but the citizen's"


async def test_own_call_to_a_queue(stage: Stage) -> None:
    await stage.city.login("anna", "vera")
    mine = await stage.phone(101).dial("+74951112244")
    hers = await rings(stage, 103)
    await hers.answer()
    await hears_each_other(mine, hers)
    await mine.bye()
    for agent in ("anna", "vera"):
        await stage.city.agent_is(agent, "ready")
    assert await stage.new() == [], "an operator's own call is no contact"


async def test_own_call_that_rings_without_an_engine(stage: Stage) -> None:
    mine, his = await boris_is_called(stage)
    async with engine_dead(stage):
        await his.answer()
        await hears_each_other(mine, his)
    for agent in ("anna", "boris"):
        await stage.city.agent_is(agent, "talk")
    await hears_each_other(mine, his)
    await mine.bye()
    await both_are_free(stage)


async def test_own_call_that_ends_without_an_engine(stage: Stage) -> None:
    mine, his = await boris_is_called(stage)
    await his.answer()
    await hears_each_other(mine, his)
    async with engine_dead(stage):
        await his.bye()
    await both_are_free(stage)


async def test_own_call_begun_without_an_engine(stage: Stage) -> None:
    await stage.city.login("anna", "boris")
    async with engine_dead(stage):
        mine = await stage.phone(101).dial("102")
        his = await rings(stage, 102)
        await his.answer()
        await hears_each_other(mine, his)
    await stage.city.agent_is("boris", "not_ready")
    await mine.bye()
    await both_are_free(stage)


async def test_hold(stage: Stage) -> None:
    leg, mine = await talk(stage)
    await mine.hold()
    await stage.city.agent_is("anna", "hold")
    await hears_music(leg)
    await mine.hold(on=False)
    await stage.city.agent_is("anna", "talk")
    await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]


async def on_record(stage: Stage) -> None:
    """Wait until the hold is in the ledger: a kill in the millisecond before may lose it."""

    async def look() -> bool:
        (row,) = await stage.new()
        return kinds(await stage.city.story(row["contact_id"]))[-1:] == ["talk"]

    await until(look, "the talk before the hold is on record", 15)


async def test_hold_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    await mine.hold()
    await on_record(stage)
    async with engine_dead(stage):
        await hears_music(leg)
    await stage.city.agent_is("anna", "hold")
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    await has_him(stage, "anna")
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]
    assert story["disposition"] == "answered"


async def test_taken_back_from_hold_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    await mine.hold()
    await on_record(stage)
    async with engine_dead(stage):
        await mine.hold(on=False)
        await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert story["disposition"] == "answered"
