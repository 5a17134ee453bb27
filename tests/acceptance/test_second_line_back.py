"""A specialist of the city gives a citizen back whose own center's engine is dead.

Asterisk alone has him then: he waits in the native queue of his first line, and is lost to nobody.
"""

from __future__ import annotations

import asyncio

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import SECOND, AgentId, ContactId
from gkc_engine.numbers import HAND_BACK_CODE
from tests.acceptance.harness import until
from tests.acceptance.phone import Leg
from tests.acceptance.second_line import (
    EXPERTS,
    Two,
    asks,
    handed_on,
    is_over,
    put_through_by_code,
    talks,
    tile,
)
from tests.acceptance.transfer_cases import hears_each_other, hears_music

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

Handed = tuple[ContactId, Leg, Leg]
"""The contact, his leg and the specialist's."""


async def _asked_first(two: Two) -> Handed:
    contact_id, leg, mine, second, hers = await asks(two)
    assert await mine.refer(EXPERTS, replaces=second) == 202
    await hears_each_other(leg, hers)
    return contact_id, leg, hers


async def _while_it_rang(two: Two) -> Handed:
    contact_id, leg, mine = await two.talk()
    await mine.hold()
    second = await mine.phone.dial(EXPERTS)
    first = await two.rings(two.donor, "105")
    assert await mine.refer(EXPERTS, replaces=second) == 202
    async with asyncio.timeout(20):
        await first.ended.wait()
    hers = await two.rings(two.donor, "105")
    await hers.answer()
    await hears_each_other(leg, hers)
    return contact_id, leg, hers


_WAYS = {
    "blind": handed_on,
    "asked first": _asked_first,
    "while it rang": _while_it_rang,
    "by *2": put_through_by_code,
}


async def handed(two: Two, way: str) -> Handed:
    """Let anna hand her citizen to the city's dina in one of the ways; they talk."""
    await two.experts("dina")
    contact_id, leg, hers = await _WAYS[way](two)
    await two.with_dina(contact_id)
    return contact_id, leg, hers


async def in_native_queue(two: Two) -> None:
    """Wait until he stands in the native queue of those who sent him."""

    async def look() -> bool:
        return "PJSIP/gkc-trunk" in await two.home.asterisk.cli("queue show gkc-passport")

    await until(look, "the native queue has him", 15)


async def whole(two: Two, contact_id: ContactId, count: int, *last: str) -> None:
    """One contact, answered, in one piece; who talked with him last; nobody else has come."""
    row = await two.home.ended(contact_id)
    assert row.disposition is Disposition.ANSWERED
    assert talks(two.home, contact_id)[-len(last) :] == list(last)
    tile(two.home, contact_id)
    assert two.home.count() == count + 1, "no second contact"


@pytest.mark.parametrize("way", _WAYS)
async def test_his_own_operator_answers_him_without_an_engine(two: Two, way: str) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, way)
    await two.home.die()
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await two.home.revive()
    view = await two.home.contact_is(contact_id, "talk")
    assert view.agent_id == "anna"
    await leg.bye()
    await whole(two, contact_id, count, "centr:dina", "anna")
    guest = await two.guest(contact_id)
    assert (await two.donor.ended(guest)).disposition is Disposition.ANSWERED
    tile(two.donor, guest)


@pytest.mark.parametrize("way", _WAYS)
async def test_he_waits_with_music_until_the_engine_is_back(two: Two, way: str) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, way)
    two.home.engine.submit(ev.AgentLoggedOut(agent_id=AgentId("anna")))
    await two.home.agent_is("anna", "offline")
    await two.home.die()
    assert await hers.refer(HAND_BACK_CODE) == 202
    await in_native_queue(two)
    await hears_music(leg)
    await two.home.revive()
    view = await two.home.contact_is(contact_id, "waiting")
    assert view.queue == "passport"
    two.home.engine.submit(ev.AgentLoggedIn(agent_id=AgentId("boris")))
    his = await two.rings(two.home, "102")
    await his.answer()
    await hears_each_other(leg, his)
    await leg.bye()
    await whole(two, contact_id, count, "centr:dina", "boris")


@pytest.mark.parametrize("way", _WAYS)
async def test_the_engine_is_back_before_he_is_given_back(two: Two, way: str) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, way)
    await two.home.die()
    await hears_each_other(leg, hers)
    await two.home.revive()
    await two.home.contact_is(contact_id, "talk")
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await two.home.contact_is(contact_id, "talk")
    await leg.bye()
    await whole(two, contact_id, count, "centr:dina", "anna")


async def test_the_engine_died_before_the_answer_was_on_record(two: Two) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, "blind")
    while not isinstance(two.home.disk.steps.pop().event, ev.OfferAccepted):
        pass
    await two.home.die()

    async def talked() -> bool:
        return hers.frames > 75  # 1.5 s: a shorter one counts as one of before the offer

    await until(talked, "they have talked a while", 15)
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await two.home.revive()
    await two.home.contact_is(contact_id, "talk")
    await leg.bye()
    await whole(two, contact_id, count, "anna", "centr:dina", "anna")


async def test_both_engines_are_dead(two: Two) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, "blind")
    await two.donor.die()
    await two.home.die()
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await two.donor.revive()
    await two.home.revive()
    await two.home.contact_is(contact_id, "talk")
    await leg.bye()
    await whole(two, contact_id, count, "anna", "centr:dina", "anna")


# --- all other ends are as they were --------------------------------------------------------------


@pytest.mark.parametrize("way", _WAYS)
async def test_she_has_hung_up_and_so_it_is_over(two: Two, way: str) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, way)
    await two.home.die()
    await hers.bye()
    await is_over(leg)
    await two.home.revive()
    await whole(two, contact_id, count, "centr:dina")


async def test_it_is_over_while_another_citizen_talks_there(two: Two) -> None:
    """That one's leg is there, and tells nothing: it is not waited for for long."""
    count = two.home.count()
    contact_id, leg, hers = await handed(two, "blind")
    await two.donor.login("egor")
    other_id, other, mine = await two.talk()
    assert await mine.refer(EXPERTS) == 202
    his = await two.rings(two.donor, "106")
    await his.answer()
    await hears_each_other(other, his)
    await two.home.engine.drain()
    await two.home.die()
    await hers.bye()
    await is_over(leg)
    await hears_each_other(other, his)
    assert await his.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(other, again)
    await two.home.revive()
    await other.bye()
    await two.home.ended(other_id)
    await two.home.ended(contact_id)
    assert talks(two.home, other_id) == ["anna", "centr:egor", "anna"]
    assert talks(two.home, contact_id) == ["anna", "centr:dina"]
    assert two.home.count() == count + 2


async def test_the_citizen_hangs_up(two: Two) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, "blind")
    await two.home.die()
    await leg.bye()
    await is_over(hers)
    await two.home.revive()
    await whole(two, contact_id, count, "anna", "centr:dina")


async def test_the_citys_asterisk_dies(two: Two) -> None:
    count = two.home.count()
    contact_id, leg, _ = await handed(two, "blind")
    await two.home.die()
    await two.donor.asterisk.kill()
    await is_over(leg)
    await two.home.revive()
    await whole(two, contact_id, count, "anna", "centr:dina")
    await two.donor.asterisk.start()
    await two.donor.ended(await two.guest(contact_id))


async def test_who_was_given_back_before_is_hung_up_after_his_next_talk(two: Two) -> None:
    count = two.home.count()
    contact_id, leg, hers = await handed(two, "blind")
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await two.home.contact_is(contact_id, "talk")
    await two.home.engine.drain()
    await two.home.die()
    cli = two.home.asterisk.cli
    (his,) = (x for x in (await cli("core show channels concise")).split() if "gkc-trunk" in x)
    then = two.home.engine.wall() // SECOND - 5
    await cli(f"dialplan set chanvar {his.partition('!')[0]} SHARED(GKC_BACK) {then}")
    await again.bye()
    await is_over(leg)
    await two.home.revive()
    await whole(two, contact_id, count, "anna", "centr:dina", "anna")
