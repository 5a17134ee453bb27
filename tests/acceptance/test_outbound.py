"""Operators call outside on a real Asterisk: what is allowed, what is on record, what survives."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.network import (
    CITIZEN,
    DENIED,
    OFFICE,
    US,
    Outside,
    outside_case,
    outside_stage,
)
from tests.acceptance.phone import answers, only_rings, refuses
from tests.acceptance.stage import PROMPTS, Stage, kinds
from tests.acceptance.transfer_cases import (
    engine_dead,
    handed_over,
    has_him,
    hears_each_other,
    talk,
    talks,
)
from tests.acceptance.trials import now

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

NEAR_S = 0.25
"""How far our phones' clocks and the record may lie apart: a busy machine's wake-up."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outside(
    install: Install, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Outside]:
    async with outside_stage(tmp_path_factory.mktemp("outbound"), install) as outside:
        yield outside


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(outside: Outside) -> AsyncIterator[None]:
    async with outside_case(outside):
        yield


def us(text: str) -> float:
    """Return the seconds since the epoch of a record's time."""
    return datetime.fromisoformat(text).timestamp()


async def out_of(outside: Outside, disposition: str) -> Row:
    """Return the case's one record of a call out, which must have ended so."""
    story = await outside.stage.last()
    assert (story["direction"], story["initiation"]) == ("out", "outbound")
    assert story["disposition"] == disposition, story
    assert story["queue"] is None
    assert story["first_queued"] is None
    assert story["agent_id"] == "anna"
    return story


async def test_a_call_is_on_record_to_the_second(outside: Outside) -> None:
    stage = outside.stage
    await stage.city.login("anna")
    began = now()
    mine, theirs = await outside.talk("84950000042")
    answered = now()
    assert US in theirs._invite["from"]
    row = await stage.city.agent_is("anna", "talk")
    assert row["contact_id"]
    await mine.hold()
    await stage.city.agent_is("anna", "hold")
    await mine.hold(on=False)
    await stage.city.agent_is("anna", "talk")
    await theirs.bye()
    ended = now()
    await stage.city.agent_is("anna", "ready")  # after a rest of 1 s, which stands on record
    story = await out_of(outside, "answered")
    assert kinds(story) == ["ring", "talk", "hold", "talk"]
    assert story["end_party"] == "citizen"
    assert abs(us(story["started"]) - began) < NEAR_S
    assert us(story["answered"]) <= answered
    assert abs(us(story["ended"]) - ended) < NEAR_S
    assert story["talk_s"] + story["hold_s"] == pytest.approx(
        us(story["ended"]) - us(story["answered"]), abs=0.01
    )
    await until(lambda: _wrapped_up(stage, story), "the wrap-up is on record", 20)
    (shown,) = await stage.city.ask("contact.list", direction="out", limit=1)
    assert shown["contact_id"] == story["contact_id"]
    (revealed,) = await stage.city.ask("contact.show", contact=story["contact_id"], reveal=True)
    assert revealed["citizen_number"] == OFFICE
    assert OFFICE not in str(story)
    (recording,) = story["recordings"]
    assert recording == {"path": story["recording_refs"], "missing": False}
    assert recording["path"].endswith(f"{story['contact_id']}-out.wav")
    sound = await asyncio.to_thread(
        (stage.city.city.state / "recordings" / recording["path"]).read_bytes
    )
    assert len(sound) > 44 + 8000 * story["talk_s"], "most of the talk is in it"


async def test_nobody_answers_busy_declined_and_given_up(outside: Outside) -> None:
    stage = outside.stage
    await stage.city.login("anna")
    ends: list[tuple[str, str]] = []
    for on_call in (refuses(486, ringing=True), refuses(603, ringing=True), only_rings):
        outside.network.on_call = on_call
        mine = await stage.phone(101).dial(OFFICE)
        await asyncio.wait_for(mine.ended.wait(), 20)
        await stage.city.agent_is("anna", "ready")
    mine = await stage.phone(101).dial(OFFICE)
    await asyncio.wait_for(mine.ringing.wait(), 20)
    await mine.bye()
    await stage.city.agent_is("anna", "ready")
    for story in await stage.over(4):
        ends.append((story["disposition"], story["end_party"]))
        assert kinds(story) == ["ring"]
        assert story["recordings"] == []
    assert ends == [
        ("busy", "citizen"),
        ("declined", "citizen"),
        ("no_answer", "system"),
        ("cancelled", "agent"),
    ]


@pytest.mark.parametrize(
    ("number", "reason", "prompt"),
    [
        (DENIED, "not_allowed", "outbound-not-allowed"),
        ("+12025550142", "not_allowed", "outbound-not-allowed"),
        ("5550142", "no_number", "outbound-not-allowed"),
        (CITIZEN, "night", "outbound-night"),
    ],
)
async def test_refused_numbers(outside: Outside, number: str, reason: str, prompt: str) -> None:
    await outside.stage.city.login("anna")
    mine = await outside.stage.phone(101).dial(number)
    await asyncio.wait_for(mine.ended.wait(), 20)
    assert mine.heard(PROMPTS / f"{prompt}.alaw", for_s=0.5)
    story = await out_of(outside, "barred")
    assert story["reason"] == reason
    assert outside.network.calls == [], "nothing was dialled"


async def test_caps_of_the_center_and_of_the_operator(outside: Outside) -> None:
    stage = outside.stage
    await stage.city.login("anna", "boris")
    await outside.talk()
    other = await stage.phone(102).dial(OFFICE)
    await asyncio.wait_for(other.ended.wait(), 20)
    await stage.phone(101).calls[-1].bye()
    rows = {r["agent_id"]: r for r in await stage.over(2)}
    assert (rows["boris"]["disposition"], rows["boris"]["reason"]) == ("barred", "center_cap")
    assert rows["anna"]["disposition"] == "answered"
    assert rows["anna"]["end_party"] == "agent"


async def test_for_a_citizen_on_hold(outside: Outside) -> None:
    stage = outside.stage
    leg, mine = await talk(stage, others=())
    await mine.hold()
    await stage.city.agent_is("anna", "hold")
    outside.network.on_call = answers
    second = await stage.phone(101).dial(OFFICE)
    await asyncio.wait_for(second.answered.wait(), 20)
    await second.bye()
    await mine.hold(on=False)
    await until(lambda: _taken_back(stage), "that she has him back is on record", 20)
    await leg.bye()
    stories = {s["direction"]: s for s in await stage.over(2)}
    assert stories["out"]["related_contact_id"] == stories["in"]["contact_id"]
    assert stories["out"]["disposition"] == "answered"
    assert kinds(stories["in"])[-3:] == ["talk", "hold", "talk"]


async def test_a_citizen_is_put_through_to_an_office(outside: Outside) -> None:
    stage = outside.stage
    leg, mine = await talk(stage, others=())
    await mine.hold()
    await stage.city.agent_is("anna", "hold")
    outside.network.on_call = answers
    second = await stage.phone(101).dial(OFFICE)
    theirs = await outside.rings(OFFICE)
    await asyncio.wait_for(second.answered.wait(), 20)
    assert await mine.refer(OFFICE, second) == 202
    await hears_each_other(leg, theirs)
    await stage.city.agent_is("anna", "ready")
    await theirs.bye()
    await asyncio.wait_for(leg.ended.wait(), 20)
    stories = {s["direction"]: s for s in await stage.over(2)}
    assert stories["in"]["end_party"] == "outside"
    (external,) = [s for s in stories["in"]["segments"] if s["kind"] == "external"]
    assert external["citizen_id"] == stories["out"]["citizen_id"]
    assert "hold" in kinds(stories["in"])
    assert handed_over(stories["in"]) == ["attended"]
    assert stories["out"]["disposition"] == "answered"
    assert stories["out"]["related_contact_id"] == stories["in"]["contact_id"]


async def test_the_called_party_is_put_through_to_a_colleague(outside: Outside) -> None:
    stage = outside.stage
    await stage.city.login("anna", "dina")
    mine, theirs = await outside.talk()
    dina = stage.phone(105, answers)
    second = await stage.phone(101).dial("105")  # 102 is the police here
    await asyncio.wait_for(second.answered.wait(), 20)
    his = await dina.next_call()
    await hears_each_other(second, his)
    assert await mine.refer("105", second) == 202
    await hears_each_other(his, theirs)
    await has_him(stage, "dina")  # it is his contact now
    await his.bye()
    await stage.city.agent_is("dina", "ready")
    story = await out_of(outside, "answered")
    assert talks(story) == ["anna", "dina"]
    assert handed_over(story) == ["attended"]


@pytest.mark.parametrize("ends", ["with an engine", "without"])
async def test_a_killed_engine_leaves_the_talk_alone(outside: Outside, ends: str) -> None:
    stage = outside.stage
    await stage.city.login("anna")
    mine, theirs = await outside.talk()
    ended = 0.0
    async with engine_dead(stage):
        await hears_each_other(mine, theirs)
        if ends == "without":
            await theirs.bye()
            ended = now()
    if ends == "with an engine":
        await stage.city.agent_is("anna", "talk")
        await hears_each_other(mine, theirs)
        await theirs.bye()
        ended = now()
    story = await out_of(outside, "answered")
    assert abs(us(story["ended"]) - ended) < NEAR_S
    assert story["end_party"] == "citizen"
    await stage.city.agent_is("anna", "ready")


async def test_answered_while_the_engine_is_dead(outside: Outside) -> None:
    stage = outside.stage
    await stage.city.login("anna")
    outside.network.on_call = only_rings
    mine = await stage.phone(101).dial(OFFICE)
    theirs = await outside.rings(OFFICE)
    await asyncio.wait_for(mine.ringing.wait(), 20)
    async with engine_dead(stage):
        await theirs.answer()
        answered = now()
        await hears_each_other(mine, theirs)
    await until(lambda: _answered(stage), "the answer is on record", 20)
    await mine.bye()
    story = await out_of(outside, "answered")
    assert abs(us(story["answered"]) - answered) < NEAR_S
    assert story["end_party"] == "agent"


async def _wrapped_up(stage: Stage, story: Row) -> bool:
    segments = (await stage.city.story(story["contact_id"]))["segments"]
    return [s["agent_id"] for s in segments if s["kind"] == "wrap_up"] == ["anna"]


async def _taken_back(stage: Stage) -> bool:
    (row,) = [row for row in await stage.new() if row["direction"] == "in"]
    return kinds(await stage.city.story(row["contact_id"]))[-1:] == ["hold"]


async def _answered(stage: Stage) -> bool:
    return all(row["answered"] is not None for row in await stage.new())


async def test_without_an_engine_only_112_leads_out(outside: Outside) -> None:
    stage = outside.stage
    outside.network.on_call = answers
    async with engine_dead(stage):
        refused = await stage.phone(101).dial(OFFICE)
        await asyncio.wait_for(refused.ended.wait(), 20)
        assert refused.heard(PROMPTS / "outbound-unavailable.alaw", for_s=0.5)
        assert outside.network.calls == []
        saved = await stage.phone(101).dial("112")
        await asyncio.wait_for(saved.answered.wait(), 20)
        await outside.rings("112")
        await saved.bye()
    pid = await asyncio.to_thread(lambda: stage.city.city.engine_pid)
    outside.network.calls.clear()
    os.kill(pid, signal.SIGSTOP)
    try:
        hung = await stage.phone(101).dial(OFFICE)  # its heartbeat is fresh: the lease tells
        await asyncio.wait_for(hung.ended.wait(), 20)
        assert hung.heard(PROMPTS / "outbound-unavailable.alaw", for_s=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert outside.network.calls == []


@pytest.mark.parametrize(
    "crafted",
    [
        "%24%7bEXTEN%7d",
        "84950000042%26PJSIP%2f1%40network",
        "84950000042,60,T",
        "84950000042%7cS",
        "8495000004%32%40network",
        "*4584950000042",
        "gkc-outbound",
        "_X.",
    ],
)
async def test_crafted_numbers_lead_nowhere(outside: Outside, crafted: str) -> None:
    stage = outside.stage
    await stage.city.login("anna")
    mine = await stage.phone(101).dial(crafted)
    await asyncio.wait_for(mine.ended.wait(), 20)
    assert outside.network.calls == []
    assert await stage.new() == []


async def test_a_refer_does_not_lead_the_called_party_anywhere(outside: Outside) -> None:
    stage = outside.stage
    await stage.city.login("anna", "boris")
    mine, theirs = await outside.talk()
    await mine.refer("102")

    async def told() -> bool:
        return any("404" in body for body in mine.notified)

    await until(told, "the REFER is refused", 20)
    await hears_each_other(mine, theirs)
    await mine.bye()
    await out_of(outside, "answered")
