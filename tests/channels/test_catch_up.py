"""What is told of a call that went on while nobody told us; what a list is too old to know."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, OfferContact
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.ids import AgentId, ContactId
from gkc_engine.ivr.fastagi import AgiSession
from tests.channels.test_cel import PHONE, STARTED, line, stamp
from tests.channels.test_resync import cel, citizen_hung_up, talking
from tests.channels.world import World, at, citizen_row, leg, phone_row, world


async def half_open(here: World) -> Call:
    """Citizen 1 rings anna since second 1; AMI tells nothing, as we shall learn at 10."""
    call = await rings_unheard(here)
    here.channel.resync.away_since(at(0))
    return call


async def rings_unheard(here: World) -> Call:
    """The same on a link that is well: AMI is only late."""
    await here.waiting(1, 1)
    call = Call(contact_id=ContactId("c1"), leg=leg(1), channel="x")
    here.channel.calls.add(call)
    (offer,) = [c for c in here.commands() if isinstance(c, OfferContact)]
    here.channel.calls.start_dial(call, offer)
    here.clock.moment = at(10)
    return call


def talk_at(rings: float, answered: float, ends: float) -> tuple[str, ...]:
    return (
        PHONE.format(t=stamp(rings), leg=leg(2), linked=leg(1)),
        line("ANSWER", leg(2), answered),
        line("HANGUP", leg(2), ends),
        citizen_hung_up(1, ends),
    )


@pytest.mark.parametrize(("let_go", "via"), [(9, "engine"), (4, "fallback")])
async def test_whose_talk_it_was_is_known_by_the_end_of_our_socket(
    tmp_path: Path, let_go: float, via: str
) -> None:
    async with world(cel=cel(tmp_path, *talk_at(5, 6, 9)), agents=["anna"]) as here:
        call = await half_open(here)
        call.let_go = at(let_go)
        here.ami.channels()
        await here.resync()
        (row,) = here.ended().values()
        assert (row.via, row.answered, row.ended) == (via, at(6), at(9))


async def test_a_leg_that_ami_told_of_is_ours_whatever_else_we_know(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path, *talk_at(5, 6, 9)), agents=["anna"]) as here:
        call = await half_open(here)
        here.channel.calls.bind(call, leg(2), AgentId("anna"))
        here.ami.channels()
        await here.resync()
        (row,) = here.ended().values()
        assert (row.via, row.answered) == ("engine", at(6))


async def test_a_list_does_not_undo_what_was_told_since_it_was_asked_for(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path)) as here:
        await here.waiting(1, 1)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=leg(1), channel="x"))
        await here.said(ev.ContactDetached(contact_id=ContactId("c1")), seconds=2)
        here.ami.channels(citizen_row(1, app="Queue"))
        here.clock.moment = at(5)
        resync = asyncio.ensure_future(here.channel.resync.run())
        await asyncio.sleep(0)
        answered = ev.FallbackAnswered(
            contact_id=ContactId("c1"), agent_id=AgentId("anna"), at=at(5.01)
        )
        await here.said(answered, seconds=5.02)
        await resync
        await here.engine.drain()
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.agent_id) == ("talk", AgentId("anna"))


async def test_operators_own_legs_of_since_the_list_are_kept_and_ended_ones_not_taken(
    tmp_path: Path,
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        here.ami.channels(phone_row(8, "101", 8))
        resync = asyncio.ensure_future(here.channel.resync.run())
        await asyncio.sleep(0)
        facts = here.channel.facts
        facts.handle(tr.LegStarted(leg=leg(9), channel="x", endpoint="PJSIP/102", at=at(1)))
        facts.handle(
            tr.LegEnded(
                leg=leg(8), channel="x", endpoint="PJSIP/101", cause=16, cause_text="", at=at(1)
            )
        )
        await resync
        assert facts.foreign == {AgentId("boris"): {leg(9)}}


async def test_a_call_that_is_just_arriving_is_not_taken_for_one_that_is_gone(
    tmp_path: Path,
) -> None:
    past = cel(tmp_path, STARTED.format(t=stamp(20), leg=leg(5, 20)))
    async with world(cel=past) as here:
        here.clock.moment = at(1)
        here.ami.channels()
        await here.restart(20)
        assert not here.ended()
        assert not here.channel.calls.by_leg


async def test_a_talk_of_before_is_not_told_again(tmp_path: Path) -> None:
    past = cel(tmp_path, *talk_at(2, 3, 6)[:3])
    async with world(cel=past, agents=["anna"]) as here:
        await talking(here)
        lost = ev.TalkEnded(
            contact_id=ContactId("c1"),
            agent_id=AgentId("anna"),
            end=ev.TalkEnd.MEDIA_LOST,
            party=ev.Party.SYSTEM,
            at=at(6),
        )
        await here.said(ev.AgentLoggedOut(agent_id=AgentId("anna")), lost, seconds=6)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=leg(1), channel="x"))
        here.ami.channels(citizen_row(1))
        here.clock.moment = at(9)
        here.channel.resync.away_since(at(1))
        await here.resync()
        view = here.view("c1")
        assert view is not None
        assert view.state == "waiting"


async def test_a_clock_set_back_does_not_make_asterisk_a_new_one(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await talking(here)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=leg(1), channel="x"))
        here.ami.channels(citizen_row(1, bridge="b"), phone_row(2, "101", 1, bridge="b"))
        await here.resync()
        here.ami.channels()
        here.ami.booted(at(1800))  # by the clock of before the step; he came half an hour later
        here.clock.moment = at(3620)
        here.channel.resync.lost()
        await here.resync()
        (row,) = here.ended().values()
        assert row.reason == "seen at resync"


async def test_who_left_with_our_socket_left_then() -> None:
    async with world() as here:
        await here.resync()
        await here.waiting(1, 1)
        call = Call(contact_id=ContactId("c1"), leg=leg(1), channel="x", let_go=at(8))
        here.channel.calls.add(call)
        here.ami.channels()
        here.clock.moment = at(9)
        await here.channel.resync.look_at(call)
        await here.engine.drain()
        (row,) = here.ended().values()
        assert (row.ended, row.disposition) == (at(8), Disposition.ABANDONED)


async def test_an_offer_that_a_socket_has_just_ended_is_in_no_doubt(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.waiting(1, 1)
        call = Call(contact_id=ContactId("c1"), leg=leg(1), channel="x")
        call.session = cast(AgiSession, SimpleNamespace(closed=asyncio.Event()))
        here.channel.calls.add(call)
        here.ami.channels(citizen_row(1))
        here.clock.moment = at(3)
        await here.resync()
        assert call.dialling is None
        assert not here.channel.calls.awaits_leg_of(AgentId("anna"))


async def test_who_left_before_his_answer_was_told_was_answered(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.resync()
        cel(tmp_path, *talk_at(2, 3, 6)[:2])
        call = await rings_unheard(here)
        call.let_go = at(6)
        here.ami.channels()
        await here.channel.resync.look_at(call)
        await here.engine.drain()
        (row,) = here.ended().values()
        assert (row.disposition, row.via, row.answered, row.ended) == (
            Disposition.ANSWERED,
            "engine",
            at(3),
            at(6),
        )


class Says:
    """An AGI socket that knows one variable."""

    def __init__(self, value: str) -> None:
        self._value = value
        self.closed = asyncio.Event()

    async def get_variable(self, name: str) -> str:
        assert name == "ANSWEREDTIME"
        return self._value


@pytest.mark.parametrize(("lines", "answered", "ended"), [(4, 3, 6), (0, 7, None)])
async def test_a_talk_that_began_and_ended_while_we_came_back(
    tmp_path: Path, lines: int, answered: float, ended: float | None
) -> None:
    past = cel(tmp_path, *talk_at(2, 3, 6)[:lines])
    async with world(cel=past, agents=["anna"]) as here:
        await here.waiting(1, 1)
        await here.said(ev.EngineRestarted(), seconds=10)
        call = Call(contact_id=ContactId("c1"), leg=leg(1), channel="x")
        here.channel.calls.add(call)
        told = await here.channel.resync.talked_unseen(call, cast(AgiSession, Says("3")))
        assert told == (None if ended is None else at(ended))
        await here.engine.drain()
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.answered, view.via) == ("talk", at(answered), "engine")


async def test_a_list_older_than_his_socket_says_nothing_of_him(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        call = await half_open(here)
        call.session = cast(AgiSession, Says(""))
        call.back = here.clock.moment
        here.ami.channels(citizen_row(1, bridge="b"), phone_row(2, "101", 1, bridge="b"))
        await here.resync()
        assert here.agent("anna") == "reserved", "that talk is over: it is he who came back"


async def test_a_call_whose_record_was_lost_with_us_is_found(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(-1), leg=leg(5)),
        citizen_hung_up(5, 12),
    )
    async with world(cel=past) as here:
        here.clock.moment = at(1)
        await here.restart(20)
        assert here.ended()["new1"].ended == at(12)


async def test_what_an_engine_missed_that_died_before_it_had_asked_is_told_by_the_next(
    tmp_path: Path,
) -> None:
    """Killed at 1, back at 10, killed again before its resync; what came at 3 is long ago at 30."""
    async with world(cel=cel(tmp_path)) as here:
        await here.resync()
        await here.waiting(1, 1)
        cel(
            tmp_path,
            STARTED.format(t=stamp(3), leg=leg(5)),
            citizen_hung_up(5, 6),
            citizen_hung_up(1, 7),
            STARTED.format(t=stamp(18), leg=leg(6)),
            citizen_hung_up(6, 19),
        )
        await here.said(ev.EngineRestarted(), seconds=10)
        await here.restart(30, 1)
        ended = {name: one.ended for name, one in here.ended().items()}
        assert ended == {"c1": at(7), "new1": at(6), "new2": at(19)}
        assert here.engine.acd.unheard is None
        # From now on it looks back no farther than its own last word.
        await here.restart(50)
        assert len(here.ended()) == 3


async def test_nobody_is_offered_before_the_operators_phones_are_known(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        contact_id = await here.waiting(1, 1)
        (offer,) = [c for c in here.commands() if isinstance(c, OfferContact)]
        call = Call(contact_id=contact_id, leg=leg(1), channel="x")
        call.session = cast(AgiSession, Says(""))
        here.channel.calls.add(call)
        failed = ev.OfferFailed(
            offer_id=offer.offer_id, failure=ev.OfferFailure.RESCINDED, reason=""
        )
        await here.said(ev.ContactDetached(contact_id=contact_id), failed, seconds=2)
        here.ami.channels(citizen_row(1), phone_row(9, "101", 8, up=False))
        here.clock.moment = at(3)
        await here.resync()
        offers = [c for c in here.commands() if isinstance(c, OfferContact)]
        assert offers == [offer], "his phone rings for somebody else"
