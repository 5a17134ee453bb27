"""Transfers by feature codes: ``*2`` asks a colleague, ``*3`` joins all three, ``##`` lets go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import until
from tests.acceptance.phone import Leg, answers, refuses
from tests.acceptance.stage import PASSPORT, Stage, kinds, outcomes
from tests.acceptance.transfer_cases import (
    ask_by_code,
    asked_for_a_number,
    boris_rings,
    end,
    engine_dead,
    has_him,
    hears_each_other,
    hears_music,
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


async def test_attended(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await hears_music(leg)
    await his.answer()
    await hears_each_other(mine, his)
    await mine.bye()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await stage.city.agent_is("anna", "ready")
    await his.bye()
    story = await stage.last()
    assert talks(story) == ["anna", "boris"]
    assert outcomes(story) == [("anna", "accepted")]
    assert (story["disposition"], story["end_party"]) == ("answered", "agent")
    await stage.city.agent_is("boris", "ready")


async def test_the_colleague_declines(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    his.refuse(486)
    await hears_each_other(leg, mine)
    await stage.city.agent_is("anna", "talk")
    await stage.city.agent_is("boris", "ready")
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]


async def test_she_takes_the_citizen_back(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await his.answer()
    await hears_each_other(mine, his)
    await mine.press("*1")
    await hears_each_other(leg, mine)
    await stage.city.agent_is("anna", "talk")
    await stage.city.agent_is("boris", "ready")
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]


async def test_a_busy_colleague_is_not_disturbed(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    _, other = await stage.call(PASSPORT, user="+79007654321")
    await boris.next_call()
    await has_him(stage, "boris")
    await ask_by_code(stage, mine)
    await hears_each_other(leg, mine)
    assert boris.rang.empty()
    await other.bye()
    await leg.bye()
    assert all(len(talks(story)) == 1 for story in await stage.over(2))


async def test_she_hangs_up_while_he_rings(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await mine.bye()
    await stage.city.agent_is("boris", "ringing")
    await stage.city.agent_is("anna", "ready")
    await his.answer()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await his.bye()
    story = await stage.last()
    assert talks(story) == ["anna", "boris"]
    assert outcomes(story) == [("anna", "accepted"), ("boris", "accepted")]
    assert story["end_party"] == "agent"


@pytest.mark.parametrize("how", ["refused", "no_answer"])
async def test_she_hangs_up_and_he_is_not_to_be_had(stage: Stage, how: str) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await stage.city.ask("agent.logout", agent="anna")
    await mine.bye()
    await stage.city.agent_is("boris", "ringing")
    if how == "refused":
        his.refuse(486)
    await stage.waits("waiting")
    await hears_music(leg)
    story = await end(stage, leg)
    assert stage.phone(101).rang.empty(), "nobody rings her past the engine"
    assert outcomes(story) == [("anna", "accepted"), ("boris", how)]
    assert kinds(story)[-3:] == ["queue", "ring", "queue"]


async def three_talk(stage: Stage) -> tuple[Leg, Leg, Leg]:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await his.answer()
    await hears_each_other(mine, his)
    await mine.press("*3")
    await stage.city.agent_is("anna", "talk")
    for one in (leg, mine, his):
        await hears_the_others(one)
    return leg, mine, his


async def hears_the_others(one: Leg) -> None:
    """Wait until a phone hears neither silence, nor music, nor one voice alone: a mix of two."""

    async def look() -> bool:
        (most, count), *_ = one.hears(0.5).most_common(1) or [(0, 0)]
        alone = {0x21, 0x22, 0x55, 0xD5}
        return count > 20 and most not in alone

    await until(look, f"{one.phone.user} hears two voices", 15)


async def test_three_and_she_leaves(stage: Stage) -> None:
    leg, mine, his = await three_talk(stage)
    await mine.bye()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await stage.city.agent_is("anna", "ready")
    await his.bye()
    story = await stage.last()
    assert talks(story) == ["anna", "boris"]
    assert story["end_party"] == "agent"
    await stage.city.agent_is("boris", "ready")


async def test_three_and_he_leaves(stage: Stage) -> None:
    leg, mine, his = await three_talk(stage)
    assert (await stage.city.agent_is("boris", "talk"))["reason"] == "consulted"
    await his.bye()
    await stage.city.agent_is("boris", "ready")
    await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]


# --- the engine dies -------------------------------------------------------------------------


async def test_blind_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    async with engine_dead(stage):
        await mine.press("##")
        await asked_for_a_number(mine)
        await mine.press("102")
        his = await boris.next_call()
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_attended_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await his.answer()
    await hears_each_other(mine, his)
    async with engine_dead(stage):
        await mine.bye()
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await hears_each_other(leg, his)
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_restarted_while_she_asks(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    await his.answer()
    await hears_each_other(mine, his)
    async with engine_dead(stage):
        pass
    assert (await stage.city.agent_is("boris", "talk"))["reason"] == "consulted"
    await stage.city.agent_is("anna", "hold")
    await mine.bye()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


@pytest.mark.parametrize("answers_first", [True, False])
async def test_asked_without_an_engine_and_handed_over_with_one(
    stage: Stage, answers_first: bool
) -> None:
    leg, mine = await talk(stage)
    async with engine_dead(stage):
        await mine.press("*2")
        await asked_for_a_number(mine)
        await mine.press("102")
        his = await stage.phone(102).next_call()
        his.ring()
        if answers_first:
            await his.answer()
            await hears_each_other(mine, his)
    await stage.city.in_state("talk", 1)
    if not answers_first:
        await his.answer()
        await hears_each_other(mine, his)
    await mine.bye()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_the_colleague_declines_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    async with engine_dead(stage):
        his.refuse(486)
        await hears_each_other(leg, mine)
    await stage.city.agent_is("boris", "ready")
    await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]


async def test_she_hangs_up_while_he_rings_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    his = await boris_rings(stage, mine)
    async with engine_dead(stage):
        await mine.bye()
        await his.answer()
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_she_hangs_up_and_he_declines_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage, others=("boris", "vera"))
    his = await boris_rings(stage, mine)
    stage.phone(101, refuses(486, ringing=False))  # the native queue may ask her first
    async with engine_dead(stage):
        await mine.bye()
        his.refuse(486)
        again = await stage.phone(102, answers).next_call()
        await hears_each_other(leg, again)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]
    assert story["disposition"] == "answered"


async def test_three_without_an_engine(stage: Stage) -> None:
    leg, mine, his = await three_talk(stage)
    async with engine_dead(stage):
        await mine.bye()
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_three_and_a_restart(stage: Stage) -> None:
    leg, mine, his = await three_talk(stage)
    async with engine_dead(stage):
        await hears_the_others(leg)
    await stage.city.agent_is("anna", "talk")
    await mine.bye()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]
