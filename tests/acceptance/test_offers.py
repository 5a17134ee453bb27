"""Every way in which an offer can go, on a real Asterisk with phones that we play by hand."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.phone import Leg, OnCall, answers, only_rings, refuses
from tests.acceptance.stage import Stage, hears, kinds, open_stage, outcomes

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

RTP_TIMEOUT_S = 4
"""Longer than this process may stand still: its phones send nothing meanwhile."""
ALL_RING = "+74951112255"
ARTICLE = "meters"
"""9 s of speech: it goes on until he hangs up."""


def _tune(document: Document) -> None:
    """Let one number be answered by the operator only; in its queue all are rung, for long."""
    queues = document.get("queues")
    if queues is not None:
        # Longer than the rest of 2 s: who has declined is free when another comes late.
        queues["passport"] |= {"timeout": "3s", "same_agent_after": "6s"}
        # It rings until the test acts.
        queues["operator"] |= {"timeout": "20s", "ring": "all"}
    numbers = document.get("numbers")
    if numbers is not None:
        numbers["+74951112255"]["answer"] = "operator"
    menus = document.get("ivr")
    if menus is not None:
        menus["main"]["choices"]["3"]["article"] = ARTICLE


def _options(options: CityOptions) -> CityOptions:
    return dataclasses.replace(
        options,
        tune=_tune,
        adjust=lambda plan: dataclasses.replace(plan, rtp_timeout_s=RTP_TIMEOUT_S),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("offers"), install, _options) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    """Leave nobody at work and nothing on the line."""
    async with stage.case():
        yield


Case = tuple[OnCall, str]


@pytest.mark.parametrize(
    ("behaves", "outcome"),
    [
        pytest.param(refuses(486, ringing=False), "busy", id="486-at-once"),
        pytest.param(refuses(486, ringing=True), "refused", id="486-after-ringing"),
        pytest.param(refuses(603, ringing=True), "refused", id="603"),
        pytest.param(refuses(603, ringing=False), "refused", id="603-at-once"),
        pytest.param(refuses(480, ringing=False), "unreachable", id="480"),
        pytest.param(refuses(404, ringing=False), "unreachable", id="404"),
        pytest.param(refuses(500, ringing=False), "unreachable", id="500"),
        pytest.param(
            refuses(302, ringing=False, extra="Contact: <sip:106@127.0.0.1:9>\r\n"),
            "refused",
            id="302",
        ),
    ],
)
async def test_a_phone_that_declines_leaves_the_call_to_the_next(
    stage: Stage, behaves: OnCall, outcome: str
) -> None:
    stage.phone(101, behaves)
    stage.phone(102, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    await stage.desk.phones["101"].next_call()
    await stage.comes("boris")
    await stage.waits("talk")
    (boris,) = stage.desk.phones["102"].calls
    await leg.bye()
    story = await stage.last()
    assert outcomes(story) == [("anna", outcome), ("boris", "accepted")]
    assert (story["disposition"], story["agent_id"]) == ("answered", "boris")
    assert '"Паспорта" <sip:+79001234567@' in boris.caller
    assert not stage.desk.phones["106"].calls, "a forwarding was followed"


async def test_of_two_who_are_rung_the_one_who_declines_is_out_at_once(stage: Stage) -> None:
    stage.phone(105, refuses(486, ringing=True))
    egor = stage.phone(106, only_rings)
    await stage.city.login("dina", "egor")
    _, leg = await stage.call(ALL_RING)
    ring = await egor.next_call()
    await stage.waits("offered")

    await stage.city.agent_is("dina", "ready", 10)  # it rings for 20 s
    assert not ring.ended.is_set()
    assert (await stage.city.ask("agent.show", agent="egor"))[0]["state"] == "ringing"
    await ring.answer()
    await stage.waits("talk")
    await leg.bye()
    story = await stage.last()
    assert sorted(outcomes(story)) == [("dina", "refused"), ("egor", "accepted")]
    assert (story["disposition"], story["agent_id"]) == ("answered", "egor")


async def test_who_does_not_answer_is_asked_twice_and_then_not_ready_for_a_while(
    stage: Stage,
) -> None:
    stage.phone(101, only_rings)
    await stage.city.login("anna")
    _, leg = await stage.call()
    row = await stage.city.agent_is("anna", "not_ready", 40)
    stage.phone(102, answers)
    await stage.comes("boris")
    await stage.waits("talk")
    await leg.bye()
    story = await stage.last()
    assert outcomes(story) == [("anna", "no_answer")] * 2 + [("boris", "accepted")]
    assert row["reason"]
    assert row["until"]


async def test_a_phone_that_is_not_there_costs_under_two_seconds(stage: Stage) -> None:
    async def silent(leg: Leg) -> None:
        del leg

    anna = stage.phone(101, silent)
    boris = stage.phone(102, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    await anna.next_call()
    started = time.monotonic()
    await stage.comes("boris")
    await boris.next_call()
    took = time.monotonic() - started
    await stage.waits("talk")
    await leg.bye()
    story = await stage.last()
    assert outcomes(story) == [("anna", "unreachable"), ("boris", "accepted")]
    assert took < 2.5, "the ring of 3 s was waited for"


async def test_the_citizen_leaves_while_it_rings(stage: Stage) -> None:
    anna = stage.phone(101, only_rings)
    await stage.city.login("anna", "boris")
    _, leg = await stage.call()
    ring = await anna.next_call()
    await stage.waits("offered")
    left = time.monotonic()
    await leg.bye()
    async with asyncio.timeout(15):
        await ring.ended.wait()
    _, leg = await stage.call()
    await anna.next_call()  # blameless: still the one who is idle longest
    await leg.bye()
    story, again = await stage.over(2)
    assert ring.how == "CANCEL"
    assert ring.ended_at - left < 2.0
    assert outcomes(story) == outcomes(again) == [("anna", "withdrawn")]
    assert story["disposition"] == "abandoned_short"


async def test_an_answer_that_crosses_the_cancel_ends_with_the_call(stage: Stage) -> None:
    async def late(leg: Leg) -> None:
        leg.ring()
        leg.deaf = True

    anna = stage.phone(101, late)
    await stage.city.login("anna")
    _, leg = await stage.call()
    ring = await anna.next_call()
    await stage.waits("offered")
    await leg.bye()
    await ring.cancelled.wait()
    await ring.answer()
    async with asyncio.timeout(15):
        await ring.ended.wait()
    story = await stage.last()
    await stage.city.agent_is("anna", "ready")
    assert ring.how == "BYE"
    assert outcomes(story) == [("anna", "withdrawn")]


@pytest.mark.parametrize("first", ["operator", "citizen"])
async def test_whoever_hangs_up_first_releases_the_other(stage: Stage, first: str) -> None:
    anna = stage.phone(101, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    operator = await anna.next_call()
    await stage.waits("talk")
    ends, other = (operator, leg) if first == "operator" else (leg, operator)
    await ends.bye()
    async with asyncio.timeout(15):
        await other.ended.wait()
    story = await stage.last()
    assert other.how == "BYE"
    assert story["disposition"] == "answered"
    assert story["end_party"] == {"operator": "agent", "citizen": "citizen"}[first]


async def test_lost_media_bring_the_citizen_back_to_the_head_of_the_line(stage: Stage) -> None:
    anna = stage.phone(101, answers)
    boris = stage.phone(102, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    operator = await anna.next_call()
    await stage.waits("talk")
    await stage.city.ask("agent.logout", agent="anna")  # after this talk
    operator.mute()
    await stage.waits("waiting")
    _, second = await stage.call(user="+79007654321")
    await stage.city.in_state("waiting", 2)

    await hears(leg, "media-lost")
    await stage.comes("boris")
    await boris.next_call()
    await stage.waits("talk")
    second.cancel() if not second.answered.is_set() else await second.bye()
    await leg.bye()
    story, _ = await stage.over(2)
    assert outcomes(story) == [("anna", "accepted"), ("boris", "accepted")]
    assert kinds(story) == ["menu", "queue", "ring", "talk", "queue", "ring", "talk"]
    assert story["segments"][3]["outcome"] == "media_lost"


async def test_hold_is_a_segment_of_its_own(stage: Stage) -> None:
    anna = stage.phone(101, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    operator = await anna.next_call()
    await stage.waits("talk")
    await operator.hold()
    await stage.city.agent_is("anna", "hold")
    await operator.hold(on=False)
    await stage.city.agent_is("anna", "talk")
    await leg.bye()
    story = await stage.last()
    assert kinds(story)[-3:] == ["talk", "hold", "talk"]
    assert story["hold_s"] > 0


Step = Callable[[Stage], Awaitable[tuple[Leg, str]]]


async def _before_answer(stage: Stage) -> tuple[Leg, str]:
    anna = stage.phone(101, only_rings)
    await stage.city.login("anna")
    _, leg = await stage.call("+74951112255")
    await anna.next_call()
    await stage.waits("offered")
    assert not leg.answered.is_set(), "he pays while only the operator's phone rings"
    return leg, "abandoned_short"


async def _menu(stage: Stage) -> tuple[Leg, str]:
    _, leg = await stage.call("+74957777777")
    await leg.answered.wait()
    return leg, "abandoned_menu"


async def _article(stage: Stage) -> tuple[Leg, str]:
    _, leg = await stage.call("+74957777777")
    await hears(leg, "hold-please")
    await leg.press("3")
    await hears(leg, ARTICLE)
    return leg, "abandoned_menu"


async def _waiting(stage: Stage) -> tuple[Leg, str]:
    _, leg = await stage.call()
    await leg.answered.wait()
    await stage.waits("waiting")
    return leg, "abandoned_short"


async def _ringing(stage: Stage) -> tuple[Leg, str]:
    stage.phone(101, only_rings)
    await stage.city.login("anna")
    _, leg = await stage.call()
    await stage.desk.phones["101"].next_call()
    await stage.waits("offered")
    return leg, "abandoned_short"


async def _talk(stage: Stage) -> tuple[Leg, str]:
    stage.phone(101, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    await stage.waits("talk")
    return leg, "answered"


@pytest.mark.parametrize("step", [_before_answer, _menu, _article, _waiting, _ringing, _talk])
async def test_hanging_up_at_any_step_leaves_one_record(stage: Stage, step: Step) -> None:
    leg, disposition = await step(stage)
    if leg.answered.is_set():
        await leg.bye()
    else:
        leg.cancel()
    story = await stage.last()
    assert story["disposition"] == disposition
    assert story["end_party"] == "citizen"


async def test_media_lost_in_a_talk_that_outlived_the_engine_bring_him_back(stage: Stage) -> None:
    anna = stage.phone(101, answers)
    boris = stage.phone(102, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    operator = await anna.next_call()
    await stage.waits("talk")
    await stage.city.city.stop_engine()
    await stage.city.city.start_engine()
    await stage.city.city.wait_ready()
    await stage.waits("talk")
    await stage.city.ask("agent.logout", agent="anna")  # after this talk
    operator.mute()
    await hears(leg, "media-lost")
    await stage.comes("boris")
    await boris.next_call()
    await stage.waits("talk")
    await leg.bye()
    story = await stage.last()
    assert outcomes(story) == [("anna", "accepted"), ("boris", "accepted")]
    assert kinds(story)[-4:] == ["talk", "queue", "ring", "talk"]


async def test_a_ring_that_is_recalled_goes_to_the_next_and_costs_nobody(stage: Stage) -> None:
    anna = stage.phone(101, only_rings)
    stage.phone(102, answers)
    await stage.city.login("anna")
    _, leg = await stage.call()
    ring = await anna.next_call()
    await stage.waits("offered")
    await stage.city.ask("agent.logout", agent="anna")
    async with asyncio.timeout(15):
        await ring.ended.wait()
    assert ring.how == "CANCEL"
    await stage.waits("waiting")
    await stage.comes("anna")  # no miss, no rest: he is rung at once
    again = await anna.next_call()
    told = time.monotonic()
    await stage.city.ask("agent.logout", agent="anna")
    async with asyncio.timeout(15):
        await again.ended.wait()
    assert (again.how, time.monotonic() - told < 1) == ("CANCEL", True)
    await stage.comes("boris")
    await stage.waits("talk")
    (row,) = await stage.city.ask("agent.show", agent="anna")
    assert (row["state"], row["reason"]) == ("offline", None)
    await leg.bye()
    story = await stage.last()
    assert outcomes(story) == [("anna", "rescinded")] * 2 + [("boris", "accepted")]
