"""Transfers by a phone's own keys keep one contact, also when the engine dies before their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import until
from tests.acceptance.phone import answers, only_rings, refuses
from tests.acceptance.stage import PASSPORT, Stage, kinds, outcomes
from tests.acceptance.transfer_cases import (
    HOUSING,
    advice,
    ask_boris,
    asked_for_a_number,
    end,
    engine_dead,
    handed_over,
    has_him,
    hears_each_other,
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


# --- blind -----------------------------------------------------------------------------------


async def test_blind_to_a_colleague(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    assert await mine.refer("102") == 202
    his = await boris.next_call()
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await stage.city.agent_is("anna", "ready")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]
    assert outcomes(story) == [("anna", "accepted"), ("boris", "accepted")]
    assert story["disposition"] == "answered"
    assert handed_over(story) == ["blind"]
    assert advice(story) == []


async def test_blind_to_a_queue(stage: Stage) -> None:
    leg, mine = await talk(stage, others=("boris", "vera"))
    vera = stage.phone(103, answers)
    assert await mine.refer(HOUSING) == 202
    await hears_each_other(leg, await vera.next_call())
    story = await end(stage, leg)
    assert talks(story) == ["anna", "vera"]
    assert story["queue"] == "housing"
    assert handed_over(story) == ["blind"]


async def test_blind_by_code(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    await mine.press("##")
    await asked_for_a_number(mine)
    await mine.press("102")
    his = await boris.next_call()
    await hears_each_other(leg, his)
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]
    assert outcomes(story) == [("anna", "accepted"), ("boris", "accepted")]


async def test_the_citizen_can_not_transfer_himself(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    await leg.press("##")
    await asyncio.sleep(0.5)
    await leg.press("102")
    await hears_each_other(leg, mine)
    assert boris.rang.empty()
    story = await end(stage, leg)
    assert talks(story) == ["anna"]


@pytest.mark.parametrize("how", ["busy", "no_answer"])
async def test_blind_to_one_who_is_not_to_be_had(stage: Stage, how: str) -> None:
    leg, mine = await talk(stage)
    stage.phone(102, refuses(486, ringing=False) if how == "busy" else only_rings)
    assert await mine.refer("102") == 202
    await stage.city.ask("agent.logout", agent="anna")
    await stage.waits("waiting")
    story = (await stage.new())[0]
    shown = await stage.city.story(story["contact_id"])
    await leg.bye()
    story = await stage.last()
    assert outcomes(story) == [("anna", "accepted"), ("boris", how)]
    assert kinds(story)[-3:] == ["queue", "ring", "queue"]
    assert story["first_queued"] == shown["first_queued"]


async def test_nobody_can_be_sent_out_of_the_center(stage: Stage) -> None:
    leg, mine = await talk(stage)
    await mine.refer("+79161234567")

    async def told() -> bool:
        return any("404" in body for body in mine.notified)

    await until(told, "NOTIFY 404", 15)
    await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]


# --- with a word to the colleague first --------------------------------------------------------


async def test_attended(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await his.answer()
    await hears_each_other(second, his)
    assert await mine.refer("102", second) == 202
    await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await stage.city.agent_is("anna", "ready")
    await his.bye()
    async with asyncio.timeout(20):
        await leg.ended.wait()
    story = await stage.last()
    assert talks(story) == ["anna", "boris"]
    assert (story["disposition"], story["end_party"]) == ("answered", "agent")
    assert "hold" in kinds(story)
    assert handed_over(story) == ["attended"]
    assert advice(story) == [("anna", "consult"), ("boris", "consulted")]
    await stage.city.agent_is("boris", "ready")


async def test_attended_while_the_colleague_rings(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await asyncio.sleep(0.3)
    assert await mine.refer("102", second) == 202
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


async def test_attended_to_one_who_then_declines(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await asyncio.sleep(0.3)
    await stage.city.ask("agent.logout", agent="anna")
    assert await mine.refer("102", second) == 202
    await stage.city.agent_is("boris", "ringing")
    his.refuse(486)
    await stage.waits("waiting")
    story = await end(stage, leg)
    assert outcomes(story) == [("anna", "accepted"), ("boris", "refused")]
    assert kinds(story)[-3:] == ["queue", "ring", "queue"]


async def test_a_consultation_without_a_transfer(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await his.answer()
    await hears_each_other(second, his)
    await second.bye()
    await stage.city.agent_is("boris", "ready")
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]
    assert handed_over(story) == []
    assert advice(story) == [("anna", "consult"), ("boris", "consulted")]


async def test_three_at_one_phone(stage: Stage) -> None:
    """A phone that mixes by itself: two calls of Anna's, both talking."""
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await his.answer()
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    await hears_each_other(second, his)
    await stage.city.agent_is("anna", "talk")
    await second.bye()
    story = await end(stage, leg)
    assert talks(story) == ["anna"]


async def test_a_busy_colleague_is_not_disturbed(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    _, other = await stage.call(PASSPORT, user="+79007654321")
    await boris.next_call()
    await has_him(stage, "boris")
    second = await mine.phone.dial("102")
    async with asyncio.timeout(20):
        await second.ended.wait()
    assert second.how == "486"
    assert boris.rang.empty()
    await other.bye()
    await leg.bye()
    await stage.over(2)


# --- the engine dies -------------------------------------------------------------------------


async def test_blind_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    async with engine_dead(stage):
        assert await mine.refer("102") == 202
        his = await boris.next_call()
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await hears_each_other(leg, his)
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]
    assert story["disposition"] == "answered"


async def test_attended_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await his.answer()
    await hears_each_other(second, his)
    async with engine_dead(stage):
        assert await mine.refer("102", second) == 202
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    await hears_each_other(leg, his)
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_attended_while_it_rings_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    async with engine_dead(stage):
        await asyncio.sleep(0.2)
        assert await mine.refer("102", second) == 202
        await his.answer()
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]


async def test_three_at_one_phone_without_an_engine(stage: Stage) -> None:
    leg, mine = await talk(stage)
    second, his, _ = await ask_boris(stage, mine)
    his.ring()
    await his.answer()
    async with asyncio.timeout(20):
        await second.answered.wait()
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    async with engine_dead(stage):
        await hears_each_other(leg, mine)
        assert await mine.refer("102", second) == 202  # she leaves the two alone
        await hears_each_other(leg, his)
    await has_him(stage, "boris")
    story = await end(stage, leg)
    assert talks(story) == ["anna", "boris"]
