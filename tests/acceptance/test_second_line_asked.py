"""An operator asks the second line of another center for advice, and puts the citizen through."""

from __future__ import annotations

import asyncio

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import ContactId
from gkc_engine.numbers import HAND_BACK_CODE, SECOND_LINE_CODE
from tests.acceptance.centers import Center
from tests.acceptance.harness import until
from tests.acceptance.second_line import (
    EXPERTS,
    Two,
    asks,
    is_over,
    put_through_by_code,
    talks,
    tile,
)
from tests.acceptance.transfer_cases import hears_each_other

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


def advice(center: Center, contact_id: ContactId) -> list[tuple[str, str]]:
    """Return who asked and who was asked about a contact."""
    return sorted((c.agent_id, c.kind) for c in center.said(cmd.ConsultEnded, contact_id))


BOTH = [("anna", "consult"), ("centr:dina", "consulted")]


@pytest.mark.parametrize("ends", ["the specialist", "she", "by the code"])
async def test_the_citys_specialist_is_asked_for_advice(two: Two, ends: str) -> None:
    await two.experts("dina")
    contact_id, leg, mine, second, hers = await asks(
        two, SECOND_LINE_CODE if ends == "she" else EXPERTS
    )
    guest = await two.guest(contact_id)
    match ends:
        case "the specialist":
            await hers.bye()
            await is_over(second)
        case "she":
            await second.bye()
            await is_over(hers)
        case _:  # there is nobody to be given back
            assert await hers.refer(HAND_BACK_CODE) == 202
            await is_over(second)
    await two.donor.agent_is("dina", "ready")
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    await two.home.contact_is(contact_id, "talk")
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id) == ["anna", "anna"]
    assert advice(two.home, contact_id) == BOTH
    theirs = await two.donor.ended(guest)
    assert (theirs.advice, theirs.origin, theirs.talk_us) == (True, contact_id, 0)
    came = [s.event for s in two.donor.disk.steps if isinstance(s.event, ev.GuestArrived)]
    assert (came[-1].contact_id, came[-1].citizen) == (guest, None)
    kinds = [s.kind.value for s in two.donor.said(cmd.SegmentClosed, guest)]
    assert kinds[:3] == ["transit", "ring", "consult"]
    tile(two.home, contact_id)
    tile(two.donor, guest)
    asked = two.home.said(cmd.ConsultQueued)[-1].contact_id
    assert two.home.link.federation.owner.standing.get(asked) is None, "it is forgotten"


async def test_the_citizen_is_put_through_to_whom_she_asked(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, mine, second, hers = await asks(two)
    guest = await two.guest(contact_id)
    assert await mine.refer(EXPERTS, replaces=second) == 202
    await hears_each_other(leg, hers)
    assert (await two.with_dina(contact_id)).queue == "experts"
    await two.home.agent_is("anna", "ready")

    async def told() -> bool:
        return bool(two.donor.said(cmd.GuestHandedOver, guest))

    await until(told, "the city knows that it is the citizen now", 15)
    await hers.bye()
    await is_over(leg)
    row = await two.home.ended(contact_id)
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "anna")
    assert talks(two.home, contact_id)[-2:] == ["anna", "centr:dina"]
    assert advice(two.home, contact_id) == BOTH
    theirs = await two.donor.ended(guest)
    assert (theirs.advice, theirs.disposition) == (False, Disposition.ANSWERED)
    assert theirs.talk_us > 0
    tile(two.home, contact_id)
    tile(two.donor, guest)


async def test_asked_and_put_through_by_code(two: Two) -> None:
    """``*2``, then ``*49``; she hangs up, and the citizen talks with whom she asked."""
    await two.experts("dina")
    contact_id, leg, hers = await put_through_by_code(two)
    assert (await two.with_dina(contact_id)).queue == "experts"
    await hers.bye()
    await is_over(leg)
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id)[-2:] == ["anna", "centr:dina"]
    assert advice(two.home, contact_id) == BOTH
    tile(two.home, contact_id)


async def test_put_through_and_given_back(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, mine, second, hers = await asks(two)
    assert await mine.refer(EXPERTS, replaces=second) == 202
    await hears_each_other(leg, hers)
    await two.with_dina(contact_id)
    assert await hers.refer(HAND_BACK_CODE) == 202
    again = await two.rings(two.home, "101")
    await again.answer()
    await hears_each_other(leg, again)
    await leg.bye()
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id)[-3:] == ["anna", "centr:dina", "anna"]


async def test_put_through_before_anybody_has_answered(two: Two) -> None:
    """He takes the place of the call: the specialist's phone rings anew for him."""
    await two.experts("dina")
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
    await two.with_dina(contact_id)
    await hers.bye()
    await is_over(leg)
    await two.home.ended(contact_id)
    tile(two.home, contact_id)


async def test_nobody_is_there_to_be_asked(two: Two) -> None:
    """She hears a busy tone at once and keeps her citizen."""
    contact_id, leg, mine = await two.talk()
    await two.donor.unlink()
    peer = two.home.link.federation.peers["centr"]

    async def unknown() -> bool:
        return peer.fresh(two.home.engine.now()) is None

    await until(unknown, "the city is not heard any more", 15)
    await mine.hold()
    second = await mine.phone.dial(EXPERTS)
    await is_over(second, "486")
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    await leg.bye()
    await two.home.ended(contact_id)
    two.donor.relink()
    await two.hear_each_other()


async def test_who_is_asked_does_not_answer(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, mine = await two.talk()
    await mine.hold()
    second = await mine.phone.dial(EXPERTS)
    hers = await two.rings(two.donor, "105")
    hers.refuse(486)
    await two.donor.ended(await two.guest(contact_id))
    again = await two.rings(two.donor, "105")  # after her rest
    await again.answer()
    await hears_each_other(second, again)
    await second.bye()
    await is_over(again)
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    await leg.bye()
    await two.home.ended(contact_id)


async def test_the_citizen_leaves_while_she_asks(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, _, second, hers = await asks(two)
    await leg.bye()
    await two.home.ended(contact_id)
    await hears_each_other(second, hers)
    await second.bye()
    await is_over(hers)
    await two.donor.ended(await two.guest(contact_id))


# --- death ----------------------------------------------------------------------------------------


async def test_the_citys_asterisk_dies_while_she_asks(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, mine, second, _ = await asks(two)
    await two.donor.asterisk.kill()
    await mine.hold(on=False)
    await hears_each_other(leg, mine)
    await second.bye()
    await leg.bye()
    await two.home.ended(contact_id)
    await two.donor.asterisk.start()
    assert (await two.donor.ended(await two.guest(contact_id))).advice


async def test_the_citys_engine_dies_while_she_asks(two: Two) -> None:
    await two.experts("dina")
    contact_id, leg, mine, second, hers = await asks(two)
    await two.donor.die()
    await hears_each_other(second, hers)
    assert await mine.refer(EXPERTS, replaces=second) == 202
    await hears_each_other(leg, hers)
    await two.donor.revive()
    await hers.bye()
    await is_over(leg)
    await two.home.ended(contact_id)
    assert talks(two.home, contact_id)[-2:] == ["anna", "centr:dina"]
    assert (await two.donor.ended(await two.guest(contact_id))).agent_id == "dina"


@pytest.mark.parametrize(
    "when", ["before she hands over", "while she does", "at the answer", "as it came"]
)
async def test_the_okrugs_engine_dies_while_she_asks(two: Two, when: str) -> None:
    await two.experts("dina")
    contact_id, leg, mine, second, hers = await asks(two)
    if when in ("at the answer", "as it came"):  # of which it has not heard
        while not isinstance(two.home.disk.steps[-1].event, ev.OfferAccepted):
            two.home.disk.steps.pop()
        two.home.disk.steps.pop()
    await two.home.die()
    await hears_each_other(second, hers)
    if when in ("before she hands over", "as it came"):
        await two.home.revive()
        await two.home.agent_is("anna", "hold")
    assert await mine.refer(EXPERTS, replaces=second) == 202
    await hears_each_other(leg, hers)
    if when in ("while she does", "at the answer"):
        await two.home.revive()
    await hears_each_other(leg, hers)
    await two.home.agent_is("anna", "ready")
    await two.with_dina(contact_id)
    await hers.bye()
    await is_over(leg)
    await two.home.ended(contact_id)
    tile(two.home, contact_id)
