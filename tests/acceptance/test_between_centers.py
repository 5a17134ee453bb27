"""A citizen's call goes to another center's operator and back, over two real Asterisks."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, SegmentKind
from gkc_engine.channels.phone.contact_token import ContactToken, TokenSigner
from gkc_engine.ids import AgentId, ContactId, Micros
from gkc_engine.pbx.install import Install
from tests.acceptance.centers import KEY, Center, City, two_centers
from tests.acceptance.harness import until
from tests.acceptance.phone import Leg, Phone
from tests.acceptance.stage import PASSPORT, sounds
from tests.acceptance.transfer_cases import hears_each_other, hears_music
from tests.acceptance.trials import now

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

NUMBER = "+79001234567"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _city(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    async with two_centers(tmp_path_factory.mktemp("centers"), install) as city:
        yield city


@pytest_asyncio.fixture(loop_scope="module")
async def city(_city: City) -> AsyncIterator[City]:
    """Nobody is at work; every case leaves the two as it found them."""
    for center in (_city.home, _city.donor):
        center.channel.agi.failed_total = 0
    yield _city
    for center in (_city.home, _city.donor):
        await center.desk.calm()
        for agent in center.config.operators:
            center.engine.submit(ev.AgentLoggedOut(agent_id=AgentId(agent)))
        for agent in center.config.operators:
            await center.agent_is(agent, "offline")
        await is_empty(center)
        assert center.channel.agi.failed_total == 0, "no socket's handler has failed"


async def is_empty(center: Center) -> None:
    """Wait until nobody is there any more."""

    async def look() -> bool:
        return not list(center.engine.acd.contacts()) and not center.channel.calls.by_leg

    await until(look, f"{center.name} is empty", 20)


async def waits(city: City) -> tuple[ContactId, Leg, Phone]:
    """Let a citizen wait at home; return the contact, his leg, his phone."""
    count = city.home.count()
    phone = await city.home.desk.citizen(NUMBER)
    leg = await phone.dial(PASSPORT)
    contact_id = await city.home.contact(count)
    await city.home.contact_is(contact_id, "waiting")
    return contact_id, leg, phone


async def rings_abroad(city: City, user: str = "101") -> tuple[ContactId, Leg, Leg]:
    """Let one who waits be rung for at the donor's anna; return the contact, his leg and hers."""
    await city.donor.login("anna")
    contact_id, leg, _ = await waits(city)
    await city.overflow(contact_id)
    hers = await city.donor.desk.phones[user].next_call()
    hers.ring()
    await rung(city.home, contact_id)
    return contact_id, leg, hers


async def rung(center: Center, contact_id: ContactId) -> None:
    """Wait until the core knows that a phone rings for the contact."""
    view = center.view(contact_id)
    assert view is not None
    offer = view.offer_id

    async def look() -> bool:
        told = [s.event for s in center.disk.steps if isinstance(s.event, ev.OfferRinging)]
        return any(event.offer_id == offer for event in told)

    await until(look, "it rings", 15, 0.01)


async def talks_abroad(city: City) -> tuple[ContactId, Leg, Leg]:
    contact_id, leg, hers = await rings_abroad(city)
    await hers.answer()
    await hears_each_other(leg, hers)
    view = await city.home.contact_is(contact_id, "talk")
    assert view.agent_id == "sever:anna"
    await city.donor.contact_is(guest(city), "talk")
    for center in (city.home, city.donor):
        await center.engine.drain()  # and that is on record
    return contact_id, leg, hers


async def is_over(leg: Leg, how: str) -> None:
    async with asyncio.timeout(20):
        await leg.ended.wait()
    assert leg.how == how


async def hears_own_music(city: City, leg: Leg) -> None:
    """Wait until what he hears is a piece of a file of his own center's music."""
    files = (city.home.folder / "asterisk" / "music").rglob("*.alaw")
    music = b"".join(file.read_bytes() for file in files)

    async def look() -> bool:
        return leg.sound[-1600:] in music

    await sounds(leg, 0.4)
    await until(look, "it is his own center's music", 15)


def kinds(center: Center, contact_id: ContactId) -> list[str]:
    return [s.kind.value for s in center.said(cmd.SegmentClosed, contact_id)]


def guest(city: City) -> ContactId:
    """Return the donor's name of the contact that was sent last."""
    return ContactId(f"res-{city.asked}")


# --- it is answered -------------------------------------------------------------------------------


async def test_another_centers_operator_answers_and_both_hear_each_other(city: City) -> None:
    contact_id, leg, hers = await rings_abroad(city)
    await hears_own_music(city, leg)  # while she is rung
    assert NUMBER in hers.caller
    assert "Паспорта" in hers.caller
    await city.donor.agent_is("anna", "ringing")
    await hers.answer()
    await hears_each_other(leg, hers)
    await city.home.contact_is(contact_id, "talk")
    await city.donor.contact_is(guest(city), "talk")
    await hers.bye()
    await is_over(leg, "BYE")
    row = await city.home.ended(contact_id)
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "sever:anna")
    assert row.talk_us > 0
    assert kinds(city.home, contact_id)[:4] == ["menu", "queue", "ring", "talk"]
    theirs = await city.donor.ended(guest(city))
    assert (theirs.disposition, theirs.owner, theirs.origin) == (
        Disposition.ANSWERED,
        "centr",
        contact_id,
    )
    assert kinds(city.donor, guest(city))[:3] == ["transit", "ring", "talk"]
    (arrived,) = [
        s.event
        for s in city.donor.disk.steps
        if isinstance(s.event, ev.GuestArrived) and s.event.contact_id == guest(city)
    ]
    assert arrived.citizen == f"key of {NUMBER}"


async def test_the_citizen_ends_the_talk(city: City) -> None:
    contact_id, leg, hers = await talks_abroad(city)
    await leg.bye()
    await is_over(hers, "BYE")
    assert (await city.home.ended(contact_id)).party is ev.Party.CITIZEN
    assert (await city.donor.ended(guest(city))).party is ev.Party.CITIZEN


async def test_she_hands_the_guest_over_to_a_colleague(city: City) -> None:
    contact_id, leg, hers = await talks_abroad(city)
    await city.donor.login("boris")
    assert await hers.refer("102") == 202
    his = await city.donor.desk.phones["102"].next_call()
    his.ring()
    await his.answer()
    await hears_each_other(leg, his)
    await city.donor.agent_is("boris", "talk")
    await city.home.contact_is(contact_id, "talk")
    await his.bye()
    await is_over(leg, "BYE")
    row = await city.donor.ended(guest(city))
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "anna")
    assert (await city.home.ended(contact_id)).agent_id == "sever:anna"


# --- it is not answered ---------------------------------------------------------------------------


async def test_nobody_answers_there_and_his_place_at_home_is_the_first(city: City) -> None:
    contact_id, leg, hers = await rings_abroad(city)
    other, _, _ = await waits(city)
    await is_over(hers, "CANCEL")  # after her queue's timeout
    assert await city.home.outcome(contact_id) == ("sever:anna", "busy")
    await city.donor.ended(guest(city))
    assert city.donor.outcomes(guest(city)) == [("anna", "no_answer")]
    await hears_music(leg)
    boris = city.home.desk.phones["102"]
    city.home.engine.submit(ev.AgentLoggedIn(agent_id=AgentId("boris")))
    his = await boris.next_call()
    await his.answer()
    await hears_each_other(leg, his)
    await city.home.contact_is(other, "waiting")
    await his.bye()
    row = await city.home.ended(contact_id)
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "boris")


async def test_who_declines_there_sends_him_back_at_once(city: City) -> None:
    contact_id, _, hers = await rings_abroad(city)
    hers.refuse(486)
    assert await city.home.outcome(contact_id) == ("sever:anna", "busy")
    await city.home.contact_is(contact_id, "waiting")
    assert (await city.donor.ended(guest(city))).disposition is Disposition.RETURNED
    assert city.donor.outcomes(guest(city)) == [("anna", "refused")]


async def test_a_dead_phone_there_is_no_dead_center(city: City) -> None:
    await city.donor.login("anna")
    contact_id, _, _ = await waits(city)
    await city.overflow(contact_id)
    await city.donor.desk.phones["101"].next_call()  # says 100 and nothing more
    assert await city.home.outcome(contact_id) == ("sever:anna", "busy")
    await city.donor.ended(guest(city))
    assert city.donor.outcomes(guest(city)) == [("anna", "unreachable")]


async def test_the_citizen_leaves_while_she_is_rung(city: City) -> None:
    contact_id, leg, hers = await rings_abroad(city)
    await leg.bye()
    await is_over(hers, "CANCEL")
    assert hers.ended_at - leg.ended_at < 0.1
    assert (await city.home.ended(contact_id)).disposition is Disposition.ABANDONED_SHORT
    await city.donor.ended(guest(city))
    assert city.home.outcomes(contact_id) == [("sever:anna", "withdrawn")]
    assert city.donor.outcomes(guest(city)) == [("anna", "withdrawn")]
    await city.donor.agent_is("anna", "ready")


async def test_it_is_taken_back(city: City) -> None:
    contact_id, leg, hers = await rings_abroad(city)
    view = city.home.view(contact_id)
    assert view is not None
    assert view.offer_id is not None
    taken = cmd.RescindOffer(offer_id=view.offer_id, contact_id=contact_id, reason="test")
    city.home.channel.perform(taken, city.home.engine.now())
    await is_over(hers, "CANCEL")
    assert await city.home.outcome(contact_id) == ("sever:anna", "rescinded")
    await hears_music(leg)
    await city.donor.ended(guest(city))
    assert city.donor.outcomes(guest(city)) == [("anna", "withdrawn")], "before her ring was over"
    await city.donor.agent_is("anna", "ready")


# --- who may come ---------------------------------------------------------------------------------


async def test_a_token_of_another_key_is_refused_and_he_keeps_his_place(city: City) -> None:
    before = city.donor.channel.guests.refused["forged"]
    plan = city.home.channel.plan
    between = plan.between
    assert between is not None
    await city.donor.login("anna")
    contact_id, leg, _ = await waits(city)
    plan.between = dataclasses.replace(between, token_key="another-key-of-16-bytes")
    await city.overflow(contact_id)
    assert await city.home.outcome(contact_id) == ("sever:anna", "unreachable")
    plan.between = between

    async def counted() -> bool:
        return city.donor.channel.guests.refused["forged"] == before + 1

    await until(counted, "the donor has refused it", 15)
    assert city.donor.desk.phones["101"].calls == []
    await city.home.contact_is(contact_id, "waiting")
    await hears_music(leg)


def signed(reservation: str, *, owner: str = "centr", donor: str = "sever") -> str:
    return TokenSigner(KEY).sign(
        ContactToken(
            reservation_id=ContactId(reservation), owner=owner, donor=donor, left_us=Micros(10**6)
        )
    )


async def refused(city: City, token: str, reason: str) -> None:
    """Come with a token, and be refused for that reason."""
    counts = city.donor.channel.guests.refused
    before = counts.copy()
    await city.come_with(token)

    async def look() -> bool:
        return counts.total() > before.total()

    await until(look, "it is refused", 15)
    assert counts - before == {reason: 1}


async def test_a_token_is_good_for_one_call(city: City) -> None:
    """Whoever has seen one cannot ring an operator with it, while it is in use or later."""
    contact_id, leg, hers = await talks_abroad(city)
    await refused(city, signed(guest(city)), "replayed")
    await hears_each_other(leg, hers)
    await hers.bye()
    await city.donor.ended(guest(city))
    await city.home.ended(contact_id)
    await refused(city, signed(guest(city)), "replayed")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("++", "missing"),  # the dialplan passes on nothing that a token cannot hold
        ("one-that-nobody-wrote", "malformed"),
        (f"{signed('res-none')[:-1]}-", "forged"),
        (signed("res-none", donor="yug"), "foreign"),
        (signed("res-none", owner="yug"), "foreign"),
        ("a." * 120, "malformed"),
    ],
)
async def test_no_other_token_lets_anybody_in(city: City, token: str, reason: str) -> None:
    await city.donor.login("anna")
    await refused(city, token, reason)
    assert city.donor.desk.phones["101"].calls == []


async def test_a_good_token_without_a_reservation_rings_nobody(city: City) -> None:
    await city.donor.login("anna")
    await city.come_with(signed("res-never"))

    async def look() -> bool:
        return bool(city.donor.said(cmd.RefuseGuest, ContactId("res-never")))

    await until(look, "the core refuses it", 15)
    assert city.donor.desk.phones["101"].calls == []


# --- death ----------------------------------------------------------------------------------------


async def test_the_donors_engine_is_dead(city: City) -> None:
    await city.donor.login("anna")
    contact_id, leg, _ = await waits(city)
    grant = await city.reserve(contact_id)
    await city.donor.die()
    await city.send(grant)
    assert await city.home.outcome(contact_id) == ("sever:anna", "unreachable")
    (offer,) = city.home.said(cmd.OfferEnded, contact_id)
    assert offer.ended - offer.created < 500_000, "said at once, not after 1.5 s"
    await city.home.contact_is(contact_id, "waiting")
    await hears_music(leg)
    await city.donor.revive()
    await city.donor.agent_is("anna", "ready")


async def test_the_donors_engine_hangs(city: City) -> None:
    """It takes the call and says nothing: he is back after 1.5 s, and nobody holds the line."""
    await city.donor.login("anna")
    contact_id, leg, _ = await waits(city)
    grant = await city.reserve(contact_id)
    await city.donor.die()
    asked: list[asyncio.StreamWriter] = []
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        while await reader.read(4096):
            pass
        gone.set()

    hung = await asyncio.start_server(silent, "127.0.0.1", city.donor.ports.agi)
    await city.donor.asterisk.cli(f"dialplan set global GKC_HEARTBEAT {int(now())}")
    await city.send(grant)
    assert await city.home.outcome(contact_id) == ("sever:anna", "unreachable")
    (offer,) = city.home.said(cmd.OfferEnded, contact_id)
    assert 1_400_000 < offer.ended - offer.created < 2_500_000
    await hears_music(leg)
    async with asyncio.timeout(15):
        await gone.wait()
    assert len(asked) == 1
    asked[0].close()
    hung.close()
    await city.donor.revive()
    await is_empty(city.donor)


@pytest.mark.parametrize("then", ["answered", "not answered"])
async def test_the_donors_engine_dies_while_she_is_rung(city: City, then: str) -> None:
    contact_id, leg, hers = await rings_abroad(city)
    await city.donor.die()
    if then == "answered":
        await hers.answer()
        await hears_each_other(leg, hers)
        await city.home.contact_is(contact_id, "talk")
        await city.donor.revive()
        await city.donor.contact_is(guest(city), "talk")
        await city.donor.agent_is("anna", "talk")
        await hears_each_other(leg, hers)
        await hers.bye()
        await is_over(leg, "BYE")
        assert (await city.donor.ended(guest(city))).disposition is Disposition.ANSWERED
        assert (await city.home.ended(contact_id)).agent_id == "sever:anna"
    else:
        hers.refuse(486)
        await city.home.outcome(contact_id)
        await city.home.contact_is(contact_id, "waiting")
        await hears_music(leg)
        await city.donor.revive()
        assert (await city.donor.ended(guest(city))).disposition is Disposition.RETURNED


@pytest.mark.parametrize("ends", ["while it is dead", "afterwards"])
async def test_the_donors_engine_dies_while_they_talk(city: City, ends: str) -> None:
    contact_id, leg, hers = await talks_abroad(city)
    await city.donor.die()
    await hears_each_other(leg, hers)
    if ends == "afterwards":
        await city.donor.revive()
        await city.donor.contact_is(guest(city), "talk")
    await hers.bye()
    await is_over(leg, "BYE")
    if ends != "afterwards":
        await city.donor.revive()
    row = await city.donor.ended(guest(city))
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "anna")
    assert row.party is ev.Party.AGENT
    assert row.talk_us > 0
    assert (await city.home.ended(contact_id)).agent_id == "sever:anna"


@pytest.mark.parametrize("then", ["answered", "over before it is back", "not answered"])
async def test_his_own_engine_dies_while_she_is_rung(city: City, then: str) -> None:
    contact_id, leg, hers = await rings_abroad(city)
    await city.home.die()
    await hears_music(leg)  # Dial's own
    if then == "not answered":
        hers.refuse(486)
        await is_over(hers, "486")
        await hears_music(leg)  # Asterisk's own queue has him
        await city.home.revive()
        await city.home.contact_is(contact_id, "waiting")
        agent, _ = await city.home.outcome(contact_id)
        assert agent == "sever:anna"
        await hears_music(leg)
        await leg.bye()
        await city.home.ended(contact_id)
        return
    await hers.answer()
    await hears_each_other(leg, hers)
    if then == "answered":
        await city.home.revive()
        await city.home.contact_is(contact_id, "talk")
        await hears_each_other(leg, hers)
        await hers.bye()
    else:
        await hers.bye()
        await is_over(leg, "BYE")
        await city.home.revive()
    row = await city.home.ended(contact_id)
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "sever:anna")
    assert row.talk_us > 0
    assert city.home.outcomes(contact_id) == [("sever:anna", "accepted")]
    assert (await city.donor.ended(guest(city))).agent_id == "anna"


@pytest.mark.parametrize("ends", ["while it is dead", "afterwards"])
async def test_his_own_engine_dies_while_they_talk(city: City, ends: str) -> None:
    contact_id, leg, hers = await talks_abroad(city)
    await city.home.die()
    await hears_each_other(leg, hers)
    if ends == "afterwards":
        await city.home.revive()
        view = await city.home.contact_is(contact_id, "talk")
        assert view.agent_id == "sever:anna"
    await hers.bye()
    await is_over(leg, "BYE")
    if ends != "afterwards":
        await city.home.revive()
    row = await city.home.ended(contact_id)
    assert (row.disposition, row.agent_id) == (Disposition.ANSWERED, "sever:anna")
    assert row.party is ev.Party.AGENT
    (talk,) = [
        s for s in city.home.said(cmd.SegmentClosed, contact_id) if s.kind is SegmentKind.TALK
    ]
    assert talk.agent_id == "sever:anna"


# --- a dead trunk ---------------------------------------------------------------------------------


async def test_a_center_that_says_nothing_is_given_up_after_one_and_a_half_seconds(
    city: City,
) -> None:
    await city.donor.login("anna")
    contact_id, leg, _ = await waits(city)
    grant = await city.reserve(contact_id)
    city.donor.asterisk.signal(signal.SIGSTOP)
    try:
        await city.send(grant)
        assert await city.home.outcome(contact_id) == ("sever:anna", "unreachable")
    finally:
        city.donor.asterisk.signal(signal.SIGCONT)
    (offer,) = city.home.said(cmd.OfferEnded, contact_id)
    assert offer.ringing is None
    assert 1_400_000 < offer.ended - offer.created < 2_500_000
    await city.home.contact_is(contact_id, "waiting")
    await hears_music(leg)
    await is_empty(city.donor)


async def test_a_center_that_dies_in_a_talk_is_heard_by_its_silence(city: City) -> None:
    contact_id, leg, _ = await talks_abroad(city)
    before = city.home.view(contact_id)
    assert before is not None
    await city.donor.asterisk.kill()
    after = await city.home.contact_is(contact_id, "waiting")
    assert after.enqueued == before.enqueued
    (talk,) = [
        s for s in city.home.said(cmd.SegmentClosed, contact_id) if s.kind is SegmentKind.TALK
    ]
    assert (talk.agent_id, talk.outcome) == ("sever:anna", "media_lost")
    await hears_music(leg)
    await back(city.donor)
    assert (await city.donor.ended(guest(city))).disposition is Disposition.ANSWERED


async def back(center: Center) -> None:
    """Start its Asterisk again, and wait until its engine has it."""
    await center.asterisk.start()

    async def look() -> bool:
        return center.channel.ami.up

    await until(look, "its engine has its Asterisk again", 20)


async def test_nobody_listens_there(city: City) -> None:
    await city.donor.login("anna", "boris")
    contact_id, leg, _ = await waits(city)
    grants = [await city.reserve(contact_id), await city.reserve(contact_id)]
    # Who comes first depends on whose phone was free first after the test before.
    first, second = (f"sever:{grant.agent_id}" for grant in grants)
    assert {first, second} == {"sever:anna", "sever:boris"}
    await city.donor.asterisk.kill()
    await city.send(grants[0])
    assert await city.home.outcome(contact_id) == (first, "unreachable")
    await city.home.contact_is(contact_id, "waiting")
    await hears_music(leg)

    async def noticed() -> bool:
        return "Unavail" in await city.home.asterisk.cli("pjsip show contacts")

    await until(noticed, "its Asterisk is asked in vain", 30, 0.2)
    await city.send(grants[1])
    assert await city.home.outcome(contact_id, 2) == (second, "unreachable")
    tried = city.home.said(cmd.OfferEnded, contact_id)[1]
    assert tried.ended - tried.created < 500_000, "nobody is called who is known to be dead"
    await back(city.donor)
