"""Transfers of every kind keep one contact, also when the engine dies before they are completed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import Leg, Phone, answers, only_rings, refuses
from tests.acceptance.stage import PASSPORT, Stage, kinds, open_stage, outcomes

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

HOUSING = "+74951112244"


def _tune(document: Document) -> None:
    queues = document.get("queues")
    if queues is not None:
        queues["passport"] |= {"timeout": "3s", "same_agent_after": "60s", "transfer_codes": True}
        queues["housing"] |= {"record": "never", "wrapuptime": "0s"}
        del queues["housing"]["record_notice"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    def options(base: CityOptions) -> CityOptions:
        return dataclasses.replace(base, tune=_tune)

    async with open_stage(tmp_path_factory.mktemp("transfers"), install, options) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        yield


async def talk(stage: Stage, *, others: tuple[str, ...] = ("boris",)) -> tuple[Leg, Leg]:
    """Let a citizen talk with Anna; ``others`` are at work too. Returns his leg and hers."""
    anna = stage.phone(101, answers)
    await stage.city.login("anna")
    _, leg = await stage.call(PASSPORT)
    mine = await anna.next_call()
    await stage.waits("talk")
    if others:
        await stage.city.login(*others)
    return leg, mine


async def hears_each_other(one: Leg, other: Leg) -> None:
    """Wait until each of two phones hears the other's signature."""

    async def look() -> bool:
        here = other.phone.signature in one.hears(0.2)
        return here and one.phone.signature in other.hears(0.2)

    await until(look, "they hear each other", 5)


async def has_him(stage: Stage, agent: str) -> None:
    """Wait until the core says that ``agent`` talks with a citizen."""

    async def look() -> bool:
        row = (await stage.city.ask("agent.show", agent=agent))[0]
        return row["state"] == "talk" and row["contact_id"] is not None

    await until(look, f"{agent} has the citizen", 10)


async def end(stage: Stage, leg: Leg) -> Row:
    await leg.bye()
    return await stage.last()


def talks(story: Row) -> list[str]:
    """Return with whom he talked, in order."""
    found: list[str] = []
    for segment in story["segments"]:
        if segment["kind"] in ("talk", "hold") and found[-1:] != [segment["agent_id"]]:
            found.append(segment["agent_id"])
    return found


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


async def test_blind_to_a_queue(stage: Stage) -> None:
    leg, mine = await talk(stage, others=("boris", "vera"))
    vera = stage.phone(103, answers)
    assert await mine.refer(HOUSING) == 202
    await hears_each_other(leg, await vera.next_call())
    story = await end(stage, leg)
    assert talks(story) == ["anna", "vera"]
    assert story["queue"] == "housing"


async def test_blind_by_code(stage: Stage) -> None:
    leg, mine = await talk(stage)
    boris = stage.phone(102, answers)
    await mine.press("##")
    await asyncio.sleep(1)
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

    await until(told, "NOTIFY 404", 5)
    await hears_each_other(leg, mine)
    story = await end(stage, leg)
    assert talks(story) == ["anna"]


# --- with a word to the colleague first --------------------------------------------------------


async def ask_boris(stage: Stage, mine: Leg) -> tuple[Leg, Leg, Phone]:
    """Put the citizen on hold and ring Boris, who is reserved by that."""
    boris = stage.phone(102)
    await mine.hold()
    await stage.city.agent_is("anna", "hold")
    second = await mine.phone.dial("102")
    his = await boris.next_call()
    row = await stage.city.agent_is("boris", "talk")
    assert (row["reason"], row["contact_id"]) == ("consulted", None)
    return second, his, boris


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
    async with asyncio.timeout(3):
        await leg.ended.wait()
    story = await stage.last()
    assert talks(story) == ["anna", "boris"]
    assert (story["disposition"], story["end_party"]) == ("answered", "agent")
    assert "hold" in kinds(story)
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
    async with asyncio.timeout(10):
        await second.ended.wait()
    assert second.how == "486"
    assert boris.rang.empty()
    await other.bye()
    await leg.bye()
    await stage.over(2)


# --- the engine dies -------------------------------------------------------------------------


@asynccontextmanager
async def engine_dead(stage: Stage) -> AsyncIterator[None]:
    """Kill the engine, and start it again afterwards."""
    stage.city.city.kill_engine()
    yield
    await stage.city.city.start_engine()


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
