"""An operator hands a citizen to the second line of another center, and has him back."""

from __future__ import annotations

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import AgentId
from gkc_engine.numbers import HAND_BACK_CODE, SECOND_LINE_CODE
from tests.acceptance.harness import until
from tests.acceptance.second_line import (
    EXPERTS,
    Two,
    handed_on,
    is_over,
    talks,
    tile,
)
from tests.acceptance.test_between_centers import rung
from tests.acceptance.transfer_cases import hears_each_other, hears_music

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


# --- cold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [EXPERTS, SECOND_LINE_CODE])
async def test_a_citizen_is_handed_to_the_citys_specialist(two: Two, number: str) -> None:
    await two.experts("dina")
    contact_id, leg, hers = await handed_on(two, number)
    guest = await two.guest(contact_id)
    await two.donor.contact_is(guest, "talk")
    await hers.bye()
    await is_over(leg)
    row = await two.home.ended(contact_id)
    assert (row.disposition, row.agent_id, row.queue) == (Disposition.ANSWERED, "anna", "experts")
    assert talks(two.home, contact_id) == ["anna", "centr:dina"]
    tile(two.home, contact_id)
    theirs = await two.donor.ended(guest)
    assert (theirs.disposition, theirs.owner, theirs.origin) == (
        Disposition.ANSWERED,
        "sever",
        contact_id,
    )
    tile(two.donor, guest)


async def test_who_does_not_answer_there_leaves_him_to_who_sent_him(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, mine = await two.talk()
    await two.home.login("boris")  # free for longer than she, and yet it is hers
    await mine.refer(EXPERTS)
    hers = await two.rings(two.donor, "105")
    await is_over(hers, "CANCEL")
    await hears_music(leg)
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    view = await two.home.contact_is(contact_id, "talk")
    assert (view.agent_id, view.queue) == ("anna", "passport")
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "anna"]
    tile(two.home, contact_id)
    guests = await two.donor.ended(await two.guest(contact_id, 0))
    assert guests.disposition is Disposition.RETURNED


async def test_who_sent_him_is_on_a_break_and_his_colleague_has_him(two: Two) -> None:
    contact_id, leg, mine = await two.talk()
    await two.experts("dina")
    await mine.refer(EXPERTS)
    hers = await two.rings(two.donor, "105")
    hers.refuse(486)
    await two.home.outcome(contact_id, 2)
    two.home.engine.submit(ev.AgentPaused(agent_id=AgentId("anna")))
    await two.home.agent_is("anna", "not_ready")
    await two.home.login("boris")
    his = await two.rings(two.home, "102")
    await his.answer()
    await hears_each_other(leg, his)
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "boris"]


# --- given back -----------------------------------------------------------------------------------


async def test_the_specialist_gives_him_back(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, hers = await handed_on(two)
    guest = await two.guest(contact_id)
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    theirs = await two.donor.ended(guest)
    assert theirs.disposition is Disposition.ANSWERED
    await two.donor.agent_is("dina", "ready")
    await again.bye()
    await is_over(leg)
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "centr:dina", "anna"]
    tile(two.home, contact_id)
    tile(two.donor, guest)


async def test_nobody_sent_him_and_he_stays_hers(two: Two) -> None:
    contact_id, leg, mine = await two.talk()
    assert await mine.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    assert "Возвращать некому" in again.caller
    await again.answer()
    await hears_each_other(leg, again)
    await leg.bye()
    await two.home.ended(contact_id)


async def test_the_specialists_phone_falls_silent(two: Two) -> None:
    """The city's Asterisk finds it out, and gives him back."""
    await two.experts("dina")
    contact_id, leg, hers = await handed_on(two)
    hers.mute()
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "centr:dina", "anna"]
    theirs = await two.donor.ended(await two.guest(contact_id))
    assert theirs.disposition is Disposition.ANSWERED


# --- nobody is there ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [EXPERTS, SECOND_LINE_CODE])
async def test_the_link_is_cut_and_she_has_him_back_at_once(two: Two, number: str) -> None:
    await two.experts("dina")
    contact_id, leg, mine = await two.talk()
    await two.donor.unlink()
    peer = two.home.link.federation.peers["centr"]

    async def unknown() -> bool:
        return peer.fresh(two.home.engine.now()) is None

    await until(unknown, "the city is not heard any more", 15)
    await mine.refer(number)
    again = await two.rings(two.home, "101")
    assert "Вторая линия недоступна" in again.caller
    await again.answer()
    await hears_each_other(leg, again)
    assert two.home.outcomes(contact_id)[-1] == ("anna", "accepted")
    await leg.bye()
    await two.home.ended(contact_id)
    two.donor.relink()
    await two.hear_each_other()


async def test_a_citizen_without_second_line_stays_hers(two: Two) -> None:
    home = two.home
    count = home.count()
    await home.login("egor")
    leg = await (await home.desk.citizen()).dial("+74951112255")
    contact_id = await home.contact(count)
    mine = await two.rings(home, "106")
    await mine.answer()
    await hears_each_other(leg, mine)
    await home.contact_is(contact_id, "talk")
    await mine.refer(SECOND_LINE_CODE)
    again = await two.rings(home, "106")
    assert "Второй линии нет" in again.caller
    await again.answer()
    await hears_each_other(leg, again)
    await leg.bye()
    await home.ended(contact_id)


# --- death ----------------------------------------------------------------------------------------


async def test_the_citys_asterisk_dies_while_they_talk(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, _ = await handed_on(two)
    guest = await two.guest(contact_id)
    await two.donor.asterisk.kill()
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "centr:dina", "anna"]
    await two.donor.asterisk.start()
    assert (await two.donor.ended(guest)).disposition is Disposition.ANSWERED


async def test_the_citys_engine_dies_while_they_talk_and_she_gives_him_back(two: Two) -> None:
    """Asterisk's dialplan alone says so to the okrug."""
    await two.experts("dina")
    contact_id, leg, hers = await handed_on(two)
    guest = await two.guest(contact_id)
    await two.donor.die()
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await two.donor.revive()
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "centr:dina", "anna"]
    assert (await two.donor.ended(guest)).disposition is Disposition.ANSWERED


@pytest.mark.parametrize("ends", ["talked out", "given back"])
async def test_the_okrugs_engine_dies_while_they_talk(two: Two, ends: str) -> None:
    await two.experts("dina")
    contact_id, leg, hers = await handed_on(two)
    await two.home.die()
    await hears_each_other(leg, hers)
    await two.home.revive()
    await two.home.contact_is(contact_id, "talk")
    if ends == "talked out":
        await hers.bye()
        await is_over(leg)
    else:
        assert await hers.refer(HAND_BACK_CODE) == 202
        again = await two.rings(two.home, "101")
        await again.answer()
        await hears_each_other(leg, again)
        await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id)[:2] == ["anna", "centr:dina"]


@pytest.mark.parametrize("then", ["answers", "does not", "does not, and no engine comes"])
async def test_the_okrugs_engine_dies_while_she_is_rung(two: Two, then: str) -> None:
    await two.experts("dina")
    contact_id, leg, mine = await two.talk()
    await mine.refer(EXPERTS)
    hers = await two.rings(two.donor, "105")
    await rung(two.home, contact_id)
    await two.home.die()
    if then == "answers":
        await hers.answer()
        await hears_each_other(leg, hers)
        await two.home.revive()
        await two.home.contact_is(contact_id, "talk")
        await hers.bye()
        await is_over(leg)
    else:
        hers.refuse(486)
        await is_over(hers, "486")
        if then == "does not":
            await hears_music(leg)  # Asterisk's own queue has him, that of the first line
            await two.home.revive()
        again = await two.rings(two.home, "101")
        await again.answer()
        await hears_each_other(leg, again)
        if then != "does not":
            await two.home.revive()
            await two.home.contact_is(contact_id, "talk")
        await leg.bye()
    await two.home.ended(contact_id)
    tile(two.home, contact_id)
