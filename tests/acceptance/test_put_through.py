"""A citizen is put through blindly to a number outside, on a real Asterisk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.network import CITIZEN, OFFICE, US, Outside, outside_case, outside_stage
from tests.acceptance.phone import Leg, answers, only_rings, refuses
from tests.acceptance.stage import Stage, kinds
from tests.acceptance.transfer_cases import (
    asked_for_a_number,
    engine_dead,
    handed_over,
    has_him,
    hears_each_other,
    rings,
    talk,
    talks,
)

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outside(
    install: Install, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Outside]:
    async with outside_stage(tmp_path_factory.mktemp("put_through"), install) as outside:
        yield outside


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(outside: Outside) -> AsyncIterator[None]:
    async with outside_case(outside):
        yield


async def put_through(outside: Outside, number: str = OFFICE) -> tuple[Leg, Leg, Leg]:
    """Let Anna put her citizen through; return his leg, hers and that of the network."""
    leg, mine = await talk(outside.stage)
    assert await mine.refer(number) == 202
    return leg, mine, await outside.rings(OFFICE)


def parts(story: Row) -> list[str]:
    """Return what he has been through since his first operator answered."""
    every = kinds(story)
    return every[every.index("talk") :]


async def _answered(stage: Stage) -> bool:
    (row,) = await stage.new()
    return parts(await stage.city.story(row["contact_id"]))[-1:] == ["ring"]


async def test_he_talks_with_the_office_until_it_hangs_up(outside: Outside) -> None:
    stage = outside.stage
    outside.network.on_call = answers
    leg, _, theirs = await put_through(outside)
    await hears_each_other(leg, theirs)
    assert US in theirs._invite["from"]
    await stage.city.agent_is("anna", "ready")
    await theirs.bye()
    await asyncio.wait_for(leg.ended.wait(), 20)
    story = await stage.last()
    assert parts(story)[:3] == ["talk", "ring", "external"], parts(story)
    assert handed_over(story) == ["blind"]
    assert (story["disposition"], story["end_party"]) == ("answered", "outside")
    (external,) = [s for s in story["segments"] if s["kind"] == "external"]
    (ring,) = [s for s in story["segments"] if s["kind"] == "ring" and s["citizen_id"]]
    assert external["citizen_id"] == ring["citizen_id"] != story["citizen_id"]
    assert OFFICE not in str(story)
    (shown,) = await stage.city.ask("contact.show", contact=story["contact_id"], reveal=True)
    assert [s["citizen_number"] for s in shown["segments"] if s["kind"] == "external"] == [OFFICE]


async def test_by_the_feature_code_and_he_hangs_up(outside: Outside) -> None:
    stage = outside.stage
    outside.network.on_call = answers
    leg, mine = await talk(stage)
    await mine.press("##")
    await asked_for_a_number(mine)
    await mine.press("84950000042")
    theirs = await outside.rings(OFFICE)
    await hears_each_other(leg, theirs)
    await until(lambda: _answered(stage), "that the office has answered is on record", 20)
    await leg.bye()
    story = await stage.last()
    assert parts(story)[-2:] == ["ring", "external"]
    assert story["end_party"] == "citizen"


async def test_an_office_that_is_busy_brings_him_back_to_his_queue(outside: Outside) -> None:
    stage = outside.stage
    outside.network.on_call = refuses(486, ringing=False)
    leg, _, _ = await put_through(outside)
    boris = await rings(stage, 102)
    await boris.answer()
    await hears_each_other(leg, boris)
    await leg.bye()
    story = await stage.last()
    assert talks(story) == ["anna", "boris"]
    (out,) = [s for s in story["segments"] if s["kind"] == "ring" and s["citizen_id"]]
    assert (out["outcome"], out["end_reason"]) == ("returned", "busy")


async def test_a_number_that_is_not_allowed_now_brings_him_back_to_her(outside: Outside) -> None:
    stage = outside.stage
    leg, mine = await talk(stage)
    phone = stage.phone(101, only_rings)
    assert await mine.refer(CITIZEN) == 202
    again = await phone.next_call()
    await again.answer()
    assert "Ночью не соединяем" in again._invite["from"]
    await hears_each_other(leg, again)
    assert outside.network.calls == []
    await again.bye()
    story = await stage.last()
    assert talks(story) == ["anna"]
    assert [s["end_reason"] for s in story["segments"] if s["transfer_kind"]] == ["night"]


async def test_a_number_of_no_allowed_prefix_leaves_him_where_he_is(outside: Outside) -> None:
    leg, mine = await talk(outside.stage)
    await mine.refer("+12025550142")

    async def told() -> bool:
        return any("404" in body for body in mine.notified)

    await until(told, "the REFER is refused", 20)
    await hears_each_other(leg, mine)
    await leg.bye()
    assert handed_over(await outside.stage.last()) == []


async def test_a_killed_engine_leaves_their_talk_alone(outside: Outside) -> None:
    stage = outside.stage
    outside.network.on_call = answers
    leg, _, theirs = await put_through(outside)
    await hears_each_other(leg, theirs)
    async with engine_dead(stage):
        await hears_each_other(leg, theirs)
        await theirs.bye()
        await asyncio.wait_for(leg.ended.wait(), 20)
    story = await stage.last()
    assert parts(story)[:3] == ["talk", "ring", "external"]
    assert (story["disposition"], story["end_party"]) == ("answered", "outside")


@pytest.mark.parametrize("then", ["answers", "is busy"])
async def test_an_engine_that_dies_while_the_office_rings(outside: Outside, then: str) -> None:
    stage = outside.stage
    outside.network.on_call = only_rings
    leg, _, theirs = await put_through(outside)
    stage.phone(101, refuses(486, ringing=False))  # Asterisk's own queue may ask her again
    async with engine_dead(stage):
        if then == "answers":
            await theirs.answer()
            await hears_each_other(leg, theirs)
        else:
            theirs.refuse(486)
            boris = await rings(stage, 102)
            await boris.answer()
            await hears_each_other(leg, boris)
    if then == "is busy":
        await has_him(stage, "boris")
    await leg.bye()
    story = await stage.last()
    assert story["disposition"] == "answered"
    assert story["end_party"] == "citizen"
    if then == "answers":
        assert parts(story) == ["talk", "ring", "external"]
    else:
        assert talks(story) == ["anna", "boris"]


async def test_without_an_engine_nobody_is_put_through(outside: Outside) -> None:
    stage = outside.stage
    leg, mine = await talk(stage)
    stage.phone(101, refuses(486, ringing=False))
    async with engine_dead(stage):
        assert await mine.refer(OFFICE) == 202
        boris = await rings(stage, 102)
        await boris.answer()
        await hears_each_other(leg, boris)
    assert outside.network.calls == []
    await has_him(stage, "boris")
    await leg.bye()
    assert talks(await stage.last()) == ["anna", "boris"]
