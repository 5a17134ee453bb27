"""Facts from AMI come twice, late, in another order, or not at all: the end is the same."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import ContactEnded, Disposition, OfferContact, SegmentClosed
from gkc_engine.acd.settings import Ring
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.ids import AgentId, ContactId
from gkc_engine.ivr.fastagi import AgiSession
from tests.channels.world import World, at, leg, world

ANNA = "PJSIP/101"
BORIS = "PJSIP/102"
CITIZEN = leg(1)
PHONE = leg(2)


def dialled() -> tr.DialStarted:
    return tr.DialStarted(caller=CITIZEN, leg=PHONE, channel="x", endpoint=ANNA, at=at(1.1))


def rings() -> tr.DialRinging:
    return tr.DialRinging(caller=CITIZEN, leg=PHONE, at=at(1.2))


def finished(status: str = "ANSWER", seconds: float = 3) -> tr.DialFinished:
    return tr.DialFinished(caller=CITIZEN, leg=PHONE, endpoint=ANNA, status=status, at=at(seconds))


def gone(leg_id: str, seconds: float, endpoint: str | None = None) -> tr.LegEnded:
    return tr.LegEnded(
        leg=leg_id, channel="x", endpoint=endpoint, cause=16, cause_text="", at=at(seconds)
    )


async def dialling(here: World) -> Call:
    """Citizen 1 is held by a Dial to anna."""
    await here.waiting(1, 1)
    call = Call(contact_id=ContactId("c1"), leg=CITIZEN, channel="x")
    here.channel.calls.add(call)
    (offer,) = [c for c in here.commands() if isinstance(c, OfferContact)]
    here.channel.calls.start_dial(call, offer)
    return call


async def told(here: World, facts: Sequence[tr.PhoneFact], seconds: float = 10) -> None:
    here.clock.moment = at(seconds)
    for fact in facts:
        here.channel.facts.handle(fact)
    await here.engine.drain()


async def test_the_operators_leg_stands_in_the_segments_of_the_talk() -> None:
    async with world(agents=["anna"]) as here:
        await dialling(here)
        await told(here, [dialled(), rings(), finished(), gone(CITIZEN, 9)])
        legs = [
            (s.kind, s.channel_uniqueid) for s in here.commands() if isinstance(s, SegmentClosed)
        ]
        assert legs[-2:] == [("ring", None), ("talk", PHONE)]


@pytest.mark.parametrize(
    ("left", "party", "talked_to"),
    [(9.0003, "citizen", 9.0003), (10.2, "agent", 9)],
    ids=["together", "he stayed"],
)
async def test_the_talk_ends_with_the_operators_leg_if_the_citizen_outstays_it(
    left: float, party: str, talked_to: float
) -> None:
    """Whose socket was too late to say so; found by ``records verify`` in a city under load."""
    async with world(agents=["anna"]) as here:
        await dialling(here)
        await told(here, [dialled(), rings(), finished(), gone(PHONE, 9, ANNA)])
        await told(here, [gone(CITIZEN, left)], seconds=11)
        (talk,) = [
            s for s in here.commands() if isinstance(s, SegmentClosed) and s.kind.value == "talk"
        ]
        assert talk.ended == at(talked_to)
        row = await ended(here)
        assert (row.party, row.ended) == (party, at(left))
        assert row.disposition is Disposition.ANSWERED


async def ended(here: World) -> ContactEnded:
    (row,) = here.ended().values()
    return row


async def test_a_call_told_twice_is_recorded_once() -> None:
    async with world(agents=["anna"]) as here:
        await dialling(here)
        story: list[tr.PhoneFact] = [
            dialled(),
            rings(),
            finished(),
            gone(PHONE, 6, ANNA),
            gone(CITIZEN, 6.5),
        ]
        await told(here, [fact for fact in story for _ in range(2)])
        row = await ended(here)
        assert (row.disposition, row.answered, row.ended) == (
            Disposition.ANSWERED,
            at(3),
            at(6.5),
        )
        assert here.agent("anna") == "ready"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_order_of_the_ends_does_not_matter(order: tuple[int, ...]) -> None:
    async with world(agents=["anna"]) as here:
        await dialling(here)
        await told(here, [dialled(), finished()], seconds=3)
        ends: list[tr.PhoneFact] = [gone(PHONE, 6, ANNA), gone(CITIZEN, 6), rings()]
        await told(here, [ends[i] for i in order])
        row = await ended(here)
        assert (row.disposition, row.answered, row.ended) == (Disposition.ANSWERED, at(3), at(6))
        assert here.agent("anna") == "ready"


async def both_ring(here: World) -> Call:
    """Citizen 1 is held by a Dial that rings anna and boris."""
    settings = here.settings
    queues = tuple(
        replace(q, ring=Ring.ALL) if q.queue_id == "passport" else q for q in settings.queues
    )
    await here.said(ev.SettingsApplied(settings=replace(settings, version="2", queues=queues)))
    call = await dialling(here)
    assert call.dialling is not None
    assert set(call.dialling.agent_ids) == {"anna", "boris"}
    boris = tr.DialStarted(caller=CITIZEN, leg=leg(3), channel="y", endpoint=BORIS, at=at(1.1))
    await told(here, [dialled(), boris, rings()], seconds=1.5)
    return call


async def test_who_declines_while_others_ring_is_out_at_once() -> None:
    async with world(agents=["anna", "boris"]) as here:
        call = await both_ring(here)
        await told(here, [finished("BUSY", 2), gone(PHONE, 2, ANNA)] * 2, seconds=2)
        assert (here.agent("anna"), here.agent("boris")) == ("ready", "ringing")
        assert call.dialling is not None
        assert not here.channel.calls.awaits_leg_of(AgentId("anna")), "his next leg is his own"
        await told(
            here,
            [
                tr.DialFinished(
                    caller=CITIZEN, leg=leg(3), endpoint=BORIS, status="ANSWER", at=at(3)
                )
            ],
        )
        assert here.agent("boris") == "talk"


async def test_of_the_last_who_declines_the_socket_tells() -> None:
    async with world(agents=["anna", "boris"]) as here:
        call = await both_ring(here)
        call.session = cast(AgiSession, SimpleNamespace(closed=asyncio.Event()))
        await told(here, [finished("NOANSWER", 2), gone(PHONE, 2, ANNA)], seconds=2)
        last = tr.DialFinished(caller=CITIZEN, leg=leg(3), endpoint=BORIS, status="BUSY", at=at(3))
        await told(here, [last], seconds=3)
        assert here.agent("boris") == "ringing"
        call.session = None
        await told(here, [last], seconds=3)
        assert here.agent("boris") == "ready"


async def test_he_leaves_in_the_same_millisecond_as_he_is_answered() -> None:
    for answer_first in (True, False):
        async with world(agents=["anna"]) as here:
            await dialling(here)
            last: list[tr.PhoneFact] = [finished(seconds=3), gone(CITIZEN, 3)]
            await told(here, [dialled(), rings(), *(last if answer_first else last[::-1])], 3)
            row = await ended(here)
            expected = Disposition.ANSWERED if answer_first else Disposition.ABANDONED_SHORT
            assert row.disposition in (expected, Disposition.ABANDONED)
            view = here.engine.acd.agent_view(AgentId("anna"))
            assert view is not None
            assert (view.state, view.misses) == ("ready", 0), "he is blameless"


@pytest.mark.parametrize("seed", range(20))
async def test_lost_facts_are_repaired_by_the_resync(seed: int) -> None:
    rng = random.Random(seed)
    async with world(agents=["anna"]) as here:
        await dialling(here)
        story: list[tr.PhoneFact] = [
            dialled(),
            rings(),
            finished(),
            gone(PHONE, 6, ANNA),
            gone(CITIZEN, 6.5),
        ]
        await told(here, [fact for fact in story if rng.random() < 0.5])
        here.ami.channels()
        await here.resync()
        assert set(here.ended()) == {"c1"}
        assert here.agent("anna") == "ready"
        assert not here.channel.calls.by_leg


async def test_an_answer_to_an_offer_that_is_no_more_frees_nobody_twice() -> None:
    async with world(agents=["anna"]) as here:
        call = await dialling(here)
        await told(here, [dialled(), gone(CITIZEN, 2)], seconds=2)
        await told(here, [finished(seconds=2.5)], seconds=3)
        assert (await ended(here)).disposition is not Disposition.ANSWERED
        assert here.agent("anna") == "ready"
        assert call.dialling is None


async def test_dial_end_after_the_socket_still_tells_the_answer() -> None:
    async with world(agents=["anna"]) as here:
        call = await dialling(here)
        call.session = None  # the socket died; Asterisk's Dial goes on
        await told(here, [dialled(), rings(), finished(seconds=4)], seconds=4)
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.answered) == ("talk", at(4))


async def test_a_strange_leg_makes_an_operator_busy_until_it_ends() -> None:
    async with world(agents=["anna"]) as here:
        own = tr.LegStarted(leg=leg(9), channel="x", endpoint=ANNA, at=at(1))
        await told(here, [own, own])
        assert here.channel.facts.foreign[AgentId("anna")] == {leg(9)}
        await here.waiting(1, 11)
        assert not [c for c in here.commands() if isinstance(c, OfferContact)]
        await told(here, [gone(leg(9), 12, ANNA), gone(leg(9), 12, ANNA)], seconds=12)
        assert [c for c in here.commands() if isinstance(c, OfferContact)]


async def test_the_native_queues_answer_is_known_with_its_leg() -> None:
    async with world() as here:
        await here.waiting(1, 1)
        call = Call(contact_id=ContactId("c1"), leg=CITIZEN, channel="x")
        here.channel.calls.add(call)
        joined = tr.FallbackJoined(
            leg=CITIZEN, queue="gkc-passport", channel="x", entry="", number="", at=at(2)
        )
        connected = tr.FallbackConnected(
            leg=CITIZEN, queue="gkc-passport", endpoint=ANNA, at=at(5), member=PHONE
        )
        await told(here, [joined, connected, connected], seconds=6)
        assert (call.answered_by, call.talk_leg) == (AgentId("anna"), PHONE)
        await told(here, [gone(PHONE, 8, ANNA), gone(CITIZEN, 8)], seconds=8)
        row = await ended(here)
        assert (row.via, row.answered) == ("fallback", at(5))


async def test_a_call_that_came_past_us_is_on_record_from_the_native_queue_on() -> None:
    async with world() as here:
        joined = tr.FallbackJoined(
            leg=CITIZEN,
            queue="gkc-default",
            channel="x",
            entry="+74951112233",
            number="+79000000001",
            at=at(2),
        )
        connected = tr.FallbackConnected(
            leg=CITIZEN, queue="gkc-default", endpoint=ANNA, at=at(3), member=PHONE
        )
        await told(here, [joined, joined, connected], seconds=3)
        await told(here, [gone(PHONE, 8, ANNA), gone(CITIZEN, 8)], seconds=8)
        row = await ended(here)
        assert (row.disposition, row.via, row.answered) == ("answered", "fallback", at(3))
        started = [e for e in here.events() if isinstance(e, ev.ContactStarted)]
        assert [e.entry for e in started] == ["+74951112233"]


async def test_a_phone_that_is_away_is_not_rung() -> None:
    async with world(agents=["anna"]) as here:
        here.channel.facts.device_state(ANNA, "UNAVAILABLE")
        await here.engine.drain()
        assert here.agent("anna") == "faulty"
        here.channel.facts.device_state(ANNA, "NOT_INUSE")
        await here.engine.drain()
        assert here.agent("anna") == "ready"
        changed = [e for e in here.events() if isinstance(e, ev.AgentDeviceChanged)]
        assert [e.reachable for e in changed] == [False, True]


async def test_a_phone_that_does_not_exist_is_told_from_one_that_is_away() -> None:
    """For ``joinempty`` and ``leavewhenempty``; each only when it changes."""
    async with world(agents=["anna"]) as here:
        for state in ("UNKNOWN", "UNKNOWN", "NOT_INUSE", "INUSE", "INVALID", "UNAVAILABLE"):
            here.channel.facts.device_state(ANNA, state)
        await here.engine.drain()
        changed = [e for e in here.events() if isinstance(e, ev.AgentDeviceChanged)]
        assert [(e.reachable, e.phone.value) for e in changed] == [
            (True, "unknown"),
            (True, "known"),
            (False, "invalid"),
            (False, "known"),
        ]


def joined(seconds: float) -> tr.FallbackJoined:
    return tr.FallbackJoined(
        leg=CITIZEN, queue="gkc-passport", channel="x", entry="", number="", at=at(seconds)
    )


async def test_who_talks_out_of_the_native_queue_is_free_at_no_instant_between() -> None:
    async with world(agents=["anna"]) as here:
        await told(here, [tr.LegStarted(leg=PHONE, channel="x", endpoint=ANNA, at=at(1))], 1)
        for n in (1, 2):
            await here.waiting(n, 2)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=CITIZEN, channel="x"))
        connected = tr.FallbackConnected(
            leg=CITIZEN, queue="gkc-passport", endpoint=ANNA, at=at(5), member=PHONE
        )
        await told(here, [joined(3), connected], seconds=5)
        assert here.agent("anna") == "talk"
        assert not [c for c in here.commands() if isinstance(c, OfferContact)]


async def unheld_ring(here: World) -> Call:
    """Citizen 1's Dial rings anna, and no socket is there to tell how it ends."""
    call = await dialling(here)
    await told(here, [dialled(), rings()], seconds=2)
    return call


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("BUSY", ev.OfferFailure.BUSY),
        ("NOANSWER", ev.OfferFailure.NO_ANSWER),
        ("CHANUNAVAIL", ev.OfferFailure.UNREACHABLE),
    ],
)
async def test_a_ring_without_a_socket_ends_with_its_dial(
    status: str, failure: ev.OfferFailure
) -> None:
    async with world(agents=["anna"]) as here:
        await unheld_ring(here)
        await told(here, [finished(status, 4), joined(4)], seconds=4)
        (failed,) = [e for e in here.events() if isinstance(e, ev.OfferFailed)]
        assert (failed.failure, failed.at) == (failure, at(4))
        assert here.agent("anna") == "ready"
        view = here.view("c1")
        assert view is not None
        assert view.state == "detached"


async def test_who_stands_in_the_native_queue_is_not_rung_by_us_any_more() -> None:
    async with world(agents=["anna"]) as here:
        await unheld_ring(here)
        await told(here, [joined(4)], seconds=4)  # the DialEnd was lost
        (failed,) = [e for e in here.events() if isinstance(e, ev.OfferFailed)]
        assert (failed.failure, failed.at) == (ev.OfferFailure.NO_ANSWER, at(4))


async def test_a_dial_that_the_citizen_cancelled_is_no_failure_of_the_operator() -> None:
    async with world(agents=["anna"]) as here:
        await unheld_ring(here)
        await told(here, [finished("CANCEL", 4), gone(CITIZEN, 4)], seconds=4)
        assert not [e for e in here.events() if isinstance(e, ev.OfferFailed)]
        assert (await ended(here)).disposition is Disposition.ABANDONED_SHORT


async def test_a_late_word_of_the_native_queue_ends_no_later_ring() -> None:
    async with world(agents=["anna"]) as here:
        await unheld_ring(here)
        await told(here, [joined(0.5)], seconds=4)
        assert not [e for e in here.events() if isinstance(e, ev.OfferFailed)]


async def test_who_is_back_does_not_fall_again_by_a_late_word() -> None:
    async with world() as here:
        await here.waiting(1, 1)
        call = Call(contact_id=ContactId("c1"), leg=CITIZEN, channel="x")
        call.session = cast(AgiSession, SimpleNamespace(closed=asyncio.Event()))
        call.back = at(5)
        here.channel.calls.add(call)
        await told(here, [joined(4)], seconds=6)
        view = here.view("c1")
        assert view is not None
        assert view.state == "waiting"
        await told(here, [joined(6)], seconds=6)
        view = here.view("c1")
        assert view is not None
        assert view.state == "detached"


async def test_the_native_queues_answer_has_two_words() -> None:
    for lost in ((), ("dial",), ("connect",)):
        async with world() as here:
            await here.waiting(1, 1)
            call = Call(contact_id=ContactId("c1"), leg=CITIZEN, channel="x")
            here.channel.calls.add(call)
            connected = tr.FallbackConnected(
                leg=CITIZEN, queue="gkc-passport", endpoint=ANNA, at=at(5), member=PHONE
            )
            words: dict[str, tr.PhoneFact] = {"dial": finished(seconds=5), "connect": connected}
            facts = [fact for name, fact in words.items() if name not in lost]
            await told(here, [joined(2), *facts], seconds=6)
            assert (call.answered_by, call.talk_leg) == (AgentId("anna"), PHONE), lost
            await told(here, [gone(PHONE, 8, ANNA), gone(CITIZEN, 8)], seconds=8)
            row = await ended(here)
            assert (row.via, row.answered) == ("fallback", at(5))
