"""What is told of a call that went on while nobody told us; what a list is too old to know."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, OfferContact, SegmentClosed
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.ids import SECOND, AgentId, ContactId
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


def phone_at(n: int, phone: str, rings: float, answered: float, ends: float) -> list[str]:
    """The lines of a leg that was made for citizen 1."""
    began = PHONE.format(t=stamp(rings), leg=leg(n), linked=leg(1)).replace("101", phone)
    return [began, line("ANSWER", leg(n), answered), line("HANGUP", leg(n), ends)]


TRANSFERS: dict[str, tuple[float, float, list[tuple[str, float, float, str | None]]]] = {
    # Anna sends him on without a word: Boris's phone rings when she has gone.
    "blind": (9.25, 12, [("talk", 5, 9, "anna"), ("fallback", 9, 12, None)]),
    # She asks Boris first, and leaves him with the citizen.
    "attended": (6, 7, [("talk", 5, 9, "anna")]),
}


@pytest.mark.parametrize("how", TRANSFERS)
@pytest.mark.parametrize("known", [True, False])
async def test_a_transfer_while_nobody_was_there_has_both_talks(
    tmp_path: Path, how: str, known: bool
) -> None:
    rings, answered, parts = TRANSFERS[how]
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await here.resync()
        if known:
            await here.said(ev.AgentPaused(agent_id=AgentId("anna"), reason="x"), seconds=0)
            await here.said(ev.AgentPaused(agent_id=AgentId("boris"), reason="x"), seconds=0)
            await here.waiting(1, 1)
        lines = [STARTED.format(t=stamp(1), leg=leg(1))] * (not known)
        lines += phone_at(2, "101", 4, 5, 9) + phone_at(3, "102", rings, answered, 15)
        lines.append(citizen_hung_up(1, 15))
        cel(tmp_path, *sorted(lines, key=lambda text: text.split('"')[3]))
        await here.restart(20, *[1] * known)
        ((name, one),) = here.ended().items()
        assert (one.answered, one.ended, one.disposition) == (at(5), at(15), Disposition.ANSWERED)
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        mine = [c for c in closed if c.contact_id == name and c.kind != "wrap_up"]
        told = [(c.kind, c.started, c.ended, c.agent_id) for c in mine]
        last = ("talk", at(parts[-1][2]), at(15), "boris")
        want = [(kind, at(begin), at(end), who) for kind, begin, end, who in parts]
        assert told[-len(want) - 1 :] == [*want, last]
        assert [c.transfer_kind for c in mine if c.transfer_kind] == [how]


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("known", ["talk", "ring", "nothing"])
async def test_who_was_sent_to_a_queue_meanwhile_and_came_to_the_same_operator_talked_twice(
    tmp_path: Path, known: str, goes_on: bool
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.resync()
        if known == "talk":
            await talking(here)
        elif known == "ring":
            await here.waiting(1, 1)
        lines = [STARTED.format(t=stamp(1), leg=leg(1))] * (known == "nothing")
        lines += phone_at(2, "101", 2, 3, 9) + phone_at(3, "101", 9.25, 12, 15)[: 3 - goes_on]
        lines += [citizen_hung_up(1, 15)] * (not goes_on)
        cel(tmp_path, *lines)
        if goes_on:
            held = {"app": "Queue", "ApplicationData": "gkc-passport", "bridge": "b"}
            here.ami.channels(citizen_row(1, **held), phone_row(3, "101", 1, bridge="b"))
        await here.restart(14 if goes_on else 20, *[1] * (known != "nothing"))
        if goes_on:
            here.clock.moment = at(15)
            ends = tr.LegEnded(
                leg=leg(1), channel="x", endpoint=None, cause=16, cause_text="", at=at(15)
            )
            here.channel.facts.handle(ends)
            await here.engine.drain()
        (name,) = here.ended()
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        mine = [c for c in closed if c.contact_id == name and c.kind in ("talk", "fallback")]
        assert [(c.kind, c.started, c.ended, c.agent_id) for c in mine[-3:]] == [
            ("talk", at(3), at(9), "anna"),
            ("fallback", at(9), at(12), None),
            ("talk", at(12), at(15), "anna"),
        ]
        assert mine[-1].channel_uniqueid == leg(3)


@pytest.mark.parametrize("known", [True, False])
async def test_who_was_sent_back_to_a_queue_meanwhile_waits_since_his_operator_left(
    tmp_path: Path, known: bool
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.resync()
        if known:
            await here.said(ev.AgentPaused(agent_id=AgentId("anna"), reason="x"), seconds=0)
            await here.waiting(1, 1)
        came = [STARTED.format(t=stamp(1), leg=leg(1))] * (not known)
        cel(tmp_path, *came, *phone_at(2, "101", 4, 5, 9))
        here.ami.channels(citizen_row(1, app="Queue", ApplicationData="gkc-passport"))
        await here.restart(20, *[1] * known)
        (talk,) = [c for c in here.commands() if isinstance(c, SegmentClosed) and c.kind == "talk"]
        assert (talk.started, talk.ended) == (at(5), at(9))
        view = here.view(talk.contact_id)
        assert view is not None
        assert (view.state, view.since) == ("detached", at(9))


@pytest.mark.parametrize("then", [None, "vera"])
async def test_a_colleague_who_was_only_asked_is_no_transfer(
    tmp_path: Path, then: str | None
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna", "boris", "vera"]) as here:
        await here.resync()
        anna = phone_at(2, "101", 4, 5, 15)
        lines = [*anna[:2], *phone_at(3, "102", 6, 7, 9), *anna[2:]]
        lines += phone_at(4, "103", 15.25, 15.5, 18) * (then is not None)
        ends = 15 if then is None else 18
        cel(tmp_path, STARTED.format(t=stamp(1), leg=leg(1)), *lines, citizen_hung_up(1, ends))
        await here.restart(20)
        talks = [c for c in here.commands() if isinstance(c, SegmentClosed) and c.kind == "talk"]
        assert [c.agent_id for c in talks] == ["anna", "vera"][: 1 if then is None else 2]
        assert (talks[0].started, talks[0].ended) == (at(5), at(15))


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


async def test_a_transfer_that_found_no_engine_was_when_the_operators_line_ended(
    tmp_path: Path,
) -> None:
    """Also of a talk that had been put on hold a moment before; found by ``records verify``."""
    legs = (
        PHONE.format(t=stamp(2.5), leg=leg(2), linked=leg(1)),
        line("ANSWER", leg(2), 3),
        line("HANGUP", leg(2), 8.5),
    )
    async with world(cel=cel(tmp_path, *legs), agents=["anna"]) as here:
        await talking(here)
        held = ev.HoldStarted(contact_id=ContactId("c1"), agent_id=AgentId("anna"), at=at(8))
        await here.said(held, seconds=8)
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(20, 1)
        (moved,) = [e for e in here.events() if isinstance(e, ev.TransferRequested)]
        assert (moved.from_agent, moved.at) == ("anna", at(8.5))
        view, call = here.view("c1"), here.channel.calls.by_leg[leg(1)]
        assert view is not None
        # Nor do we take the end of an earlier talk of theirs for that of this one.
        assert await here.channel.resync.parted(call, view) is None


def phone_talk(n: int, phone: str, rings: float, answered: float, ends: float) -> tuple[str, ...]:
    rung = PHONE.replace("/101-", f"/{phone}-").replace('"101"', f'"{phone}"')
    return (
        rung.format(t=stamp(rings), leg=leg(n), linked=leg(1)),
        line("ANSWER", leg(n), answered),
        line("HANGUP", leg(n), ends),
    )


def parts(here: World) -> list[tuple[str, str | None, float, float]]:
    """Return the contact's parts: kind, who, from and to."""
    zero = at(0)
    return [
        (c.kind.value, c.agent_id, (c.started - zero) / SECOND, (c.ended - zero) / SECOND)
        for c in here.commands()
        if isinstance(c, SegmentClosed) and c.started >= at(2)
    ]


async def test_each_talk_of_one_who_came_and_was_sent_on_while_we_were_away(
    tmp_path: Path,
) -> None:
    """Not the last alone; found by ``records verify`` in a demo whose engine was killed."""
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(2), leg=leg(1)),
        *phone_talk(2, "101", 2.5, 3, 5),
        *phone_talk(3, "102", 7, 8, 11),
        citizen_hung_up(1, 11),
    )
    async with world(cel=past, agents=["anna", "boris"]) as here:
        here.clock.moment = at(1)
        await here.restart(20)
        (row,) = here.ended().values()
        assert (row.agent_id, row.answered, row.ended) == ("anna", at(3), at(11))
        assert parts(here) == [
            ("menu", None, 2, 2),
            ("fallback", None, 2, 3),
            ("talk", "anna", 3, 5),
            ("fallback", None, 5, 8),
            ("talk", "boris", 8, 11),
        ]


async def test_a_colleague_who_was_only_asked_meanwhile_had_no_talk_with_him(
    tmp_path: Path,
) -> None:
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(2), leg=leg(1)),
        *phone_talk(2, "101", 2.5, 3, 8),
        *phone_talk(3, "102", 4, 5, 7),
        *phone_talk(4, "103", 8.5, 9, 11),
        citizen_hung_up(1, 11),
    )
    async with world(cel=past, agents=["anna", "boris", "vera"]) as here:
        here.clock.moment = at(1)
        await here.restart(20)
        talks = [part for part in parts(here) if part[0] == "talk"]
        assert talks == [("talk", "anna", 3, 8), ("talk", "vera", 9, 11)]


async def test_he_was_sent_on_by_one_whom_we_knew_and_waited_in_between(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        *phone_talk(2, "101", 2.5, 3, 8),
        *phone_talk(3, "102", 9, 10, 12),
        citizen_hung_up(1, 12),
    )
    async with world(cel=past, agents=["anna", "boris"]) as here:
        await talking(here)
        await here.restart(20, 1)
        assert parts(here)[-3:] == [
            ("talk", "anna", 3, 8),
            ("fallback", None, 8, 10),
            ("talk", "boris", 10, 12),
        ]
        (row,) = here.ended().values()
        assert (row.via, row.agent_id) == ("engine", "anna")
