"""Calls between centers on the socket and in the lists of Asterisk: both sides, without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import (
    ContactEnded,
    OfferContact,
    OfferEnded,
    OverflowContact,
    SegmentClosed,
    SegmentKind,
)
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.contact_token import ContactToken, TokenSigner
from gkc_engine.ids import SECOND, ContactId, Instant, Micros, QueueId, abroad
from gkc_engine.pbx.model import CenterTrunk
from gkc_engine.plans import between_centers
from tests.channels.test_cel import PHONE, line, stamp
from tests.channels.test_outbound import dial_is_over, tell
from tests.channels.test_resync import cel
from tests.channels.world import World, at, citizen_row, leg, phone_row, world
from tests.fakes.agi import FakeCall

KEY = "the-key-of-a-city"
HIM, THEIRS = leg(1), leg(3)
TRUNK = "PJSIP/gkc-center-sever-00000003"
BOTH = {"Uniqueid": HIM, "DestUniqueid": THEIRS, "DestChannel": TRUNK}
ABROAD = abroad("sever", "7")


def join(here: World, center: str = "centr", other: str = "sever") -> None:
    trunk = CenterTrunk(center=other, host="10.0.0.2")
    here.channel.plan.between = between_centers(center, KEY, [trunk])


async def granted(here: World, seconds: float, left_s: float = 3) -> None:
    """Tell the core that sever keeps its operator 7 free for citizen 1."""
    grant = ev.ReservationGranted(
        contact_id=ContactId("c1"),
        reservation_id=ContactId("r1"),
        center="sever",
        agent_id=ABROAD,
        until=Instant(at(seconds) + round(left_s * SECOND)),
        timeout_us=Micros(5 * SECOND),
    )
    await here.said(grant, seconds=seconds)


async def on_socket(here: World) -> FakeCall:
    """Let citizen 1, who waits, be on a socket of ours."""
    await here.waiting(1, 1)
    known = Call(contact_id=ContactId("c1"), leg=HIM, channel="", answered=True)
    here.channel.calls.add(known)
    await here.said(ev.ContactDetached(contact_id=ContactId("c1")))
    await here.channel.agi.start()
    call = await FakeCall.dial(here.channel.agi.port, network_script="enter", uniqueid=HIM)
    call.answers['EXEC "MSet"'] = "200 result=0"
    await call.got("SET MUSIC ON")
    return call


def outcomes(here: World) -> list[tuple[str, str]]:
    return [(o.agent_id, o.outcome.value) for o in here.commands() if isinstance(o, OfferEnded)]


# --- the owner -----------------------------------------------------------------------------------


async def test_the_socket_dials_the_trunk_with_a_token_that_names_the_reservation() -> None:
    async with world() as here:
        join(here)
        call = await on_socket(here)
        await granted(here, 5)
        said = await call.got('EXEC "Dial"')
        start = 'EXEC "Dial" "PJSIP/gkc-passport@gkc-center-sever,8,gim(default)b(prehdr^add^1('
        assert said.startswith(start), said
        token, _, first = said.removeprefix(start).removesuffix('))"').partition("^")
        assert TokenSigner(KEY).read(token) == ContactToken(
            reservation_id=ContactId("r1"),
            owner="centr",
            donor="sever",
            left_us=Micros(3 * SECOND),
        )
        assert first == str(at(1) // SECOND)
        tell(here, "DialBegin", 5.1, **BOTH)
        tell(here, "DialState", 5.2, DialStatus="RINGING", **BOTH)
        tell(here, "Hangup", 7, Uniqueid=THEIRS, Channel=TRUNK, Cause="17")
        dial_is_over(call, "BUSY", "17")
        await call.commands.until(lambda said: said[-1].startswith("SET MUSIC ON"))
        await here.engine.drain()
        assert outcomes(here) == [(ABROAD, "busy")]
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.enqueued) == ("waiting", at(1))


async def test_what_could_only_be_refused_there_is_not_dialled() -> None:
    async with world() as here:
        join(here)
        call = await on_socket(here)
        await here.said(seconds=5)
        call.answers['EXEC "MSet"'] = lambda _: None  # a slow Asterisk
        await granted(here, 5, left_s=0.5)
        await call.got('EXEC "MSet"')
        here.clock.moment = at(5.5)
        call.reply("200 result=0")
        await call.commands.until(lambda said: said[-1].startswith("SET MUSIC ON"))
        await here.engine.drain()
        assert not [said for said in call.commands.all if "Dial" in said]
        assert outcomes(here) == [(ABROAD, "rescinded")]  # which blames nobody


async def test_without_a_trunk_he_waits_on() -> None:
    async with world() as here:
        call = await on_socket(here)
        await granted(here, 5)
        await call.commands.until(lambda said: sum("MUSIC" in one for one in said) > 1)
        await here.engine.drain()
        assert outcomes(here) == [(ABROAD, "unreachable")]


async def test_one_without_a_socket_is_not_sent() -> None:
    async with world() as here:
        join(here)
        await here.waiting(1, 1)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=HIM, channel=""))
        await granted(here, 5)
        await here.engine.drain()
        assert [c for c in here.commands() if isinstance(c, OverflowContact)]
        assert outcomes(here) == [(ABROAD, "rescinded")]
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.enqueued) == ("detached", at(1))


def trunk(*lines: str) -> tuple[str, ...]:
    came = f'"{TRUNK}","{THEIRS}","{HIM}","","gkc-passport","gkc-nowhere",""'
    began = f'"CHAN_START","{stamp(1.5)}",{came}'
    return (began, *lines)


async def test_a_whole_talk_there_that_no_engine_saw_is_on_record(tmp_path: Path) -> None:
    over = f'{{"hangupcause":16,"hangupsource":"{TRUNK}"}}'
    lines = trunk(
        line("ANSWER", THEIRS, 7), line("HANGUP", THEIRS, 19, over), line("HANGUP", HIM, 19, over)
    )
    async with world(cel=cel(tmp_path, *lines)) as here:
        join(here)
        await here.waiting(1, 0.5)
        await granted(here, 1)
        await here.restart(20, 1)
        (row,) = [c for c in here.commands() if isinstance(c, ContactEnded)]
        assert (row.answered, row.ended, row.agent_id) == (at(7), at(19), ABROAD)
        assert row.party is ev.Party.AGENT
        assert outcomes(here) == [(ABROAD, "accepted")]


@pytest.mark.parametrize("then", ["he waits", "anna answers"])
async def test_given_back_into_the_native_queue_the_talk_there_is_on_record(
    tmp_path: Path, then: str
) -> None:
    """Neither its answer nor its end was told: the engine was dead from the ring on."""
    over = f'{{"hangupcause":23,"hangupsource":"{TRUNK}"}}'
    lines = trunk(line("ANSWER", THEIRS, 7), line("HANGUP", THEIRS, 12, over))
    if then == "anna answers":
        began = PHONE.format(t=stamp(12), leg=leg(2), linked=HIM)
        lines = (*lines, began, line("ANSWER", leg(2), 15))
    async with world(cel=cel(tmp_path, *lines)) as here:
        join(here)
        await here.waiting(1, 0.5)
        await granted(here, 1)
        his = citizen_row(1, app="Queue", bridge="b" if then == "anna answers" else "")
        his["ApplicationData"] = "gkc-passport,,,,600"
        here.ami.channels(his, *([phone_row(2, "101", 1, bridge="b")] if his["BridgeId"] else []))
        await here.restart(20, 1)
        assert outcomes(here) == [(ABROAD, "accepted")]
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        (there,) = (s for s in closed if s.agent_id == ABROAD and s.kind is SegmentKind.TALK)
        assert (there.started, there.ended) == (at(7), at(12))
        view = here.view("c1")
        assert view is not None
        state = ("talk", "anna") if then == "anna answers" else ("detached", None)
        assert (view.state, view.agent_id) == state


async def test_a_talk_there_that_goes_on_is_known_again(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path, *trunk(line("ANSWER", THEIRS, 7)))) as here:
        join(here)
        await here.waiting(1, 0.5)
        await granted(here, 1)
        theirs = {
            "Uniqueid": THEIRS,
            "Linkedid": HIM,
            "Channel": TRUNK,
            "ChannelStateDesc": "Up",
            "Application": "AppDial",
            "BridgeId": "b",
        }
        here.ami.channels(citizen_row(1, bridge="b"), theirs)
        await here.restart(20, 1)
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.agent_id, view.answered) == ("talk", ABROAD, at(7))


# --- the donor -----------------------------------------------------------------------------------


async def asked(here: World, brief: ev.ContactBrief | None = None) -> None:
    """Let sever keep anna free for centr's c9."""
    join(here, "sever", "centr")
    await here.said(
        ev.ReservationAsked(
            reservation_id=ContactId("r1"),
            owner="centr",
            contact_id=ContactId("c9"),
            queue=QueueId("passport"),
            waited_us=Micros(30 * SECOND),
            hold_us=Micros(3 * SECOND),
            brief=brief,
        ),
        seconds=1,
    )


async def comes(here: World, token: str | None = None) -> FakeCall:
    if token is None:
        token = TokenSigner(KEY).sign(
            ContactToken(
                reservation_id=ContactId("r1"), owner="centr", donor="sever", left_us=Micros(1)
            )
        )
    await here.channel.agi.start()
    call = await FakeCall.dial(
        here.channel.agi.port,
        network_script="guest",
        uniqueid=HIM,
        channel="PJSIP/gkc-guests-centr-00000001",
        context="gkc-guest",
        extension="in",
        arg_1="lease",
        arg_2=token,
    )
    call.answers |= {'EXEC "MSet"': "200 result=0", 'EXEC "Hangup"': "200 result=0"}
    return call


async def test_a_guest_rings_the_operator_and_hears_nothing_of_us() -> None:
    async with world(agents=["anna"]) as here:
        await asked(here)
        call = await comes(here)
        assert await call.got('EXEC "Dial"') == 'EXEC "Dial" "PJSIP/101,5,gi"'
        heard = ("ANSWER", "STREAM", "SET MUSIC", 'EXEC "Answer"', 'EXEC "Progress"')
        assert not [said for said in call.commands.all if said.startswith(heard)]
        (arrived,) = [e for e in here.events() if isinstance(e, ev.GuestArrived)]
        assert (arrived.uniqueid, arrived.citizen) == (HIM, "key of +79000000001")
        tell(here, "DialBegin", 2, Uniqueid=HIM, DestUniqueid=leg(2), DestChannel="PJSIP/101-2")
        dial_is_over(call, "NOANSWER", "0")
        assert await call.got('EXEC "Hangup"') == 'EXEC "Hangup" "17"'
        assert 'SET VARIABLE "GKC_DONE" "1"' in call.commands.all
        tell(here, "Hangup", 3, Uniqueid=HIM, Channel="PJSIP/gkc-guests-centr-1", Cause="17")
        await here.engine.drain()
        assert [(c.contact_id, c.party) for c in here.ended().values()] == [("r1", ev.Party.SYSTEM)]


async def test_a_guest_is_spoken_to_in_the_language_he_has_chosen_at_home() -> None:
    async with world(agents=["anna"]) as here:
        await asked(here, ev.ContactBrief(language="en"))
        call = await comes(here)
        await call.got('EXEC "Dial"')
        (arrived,) = [e for e in here.events() if isinstance(e, ev.GuestArrived)]
        assert arrived.language == "en"
        assert here.channel.calls.by_contact[ContactId("r1")].language == "en"


async def test_a_guest_who_comes_too_late_rings_nobody() -> None:
    async with world(agents=["anna"]) as here:
        await asked(here)
        await here.said(ev.Tick(), seconds=4.5)
        call = await comes(here)
        assert await call.got('EXEC "Hangup"') == 'EXEC "Hangup" "17"'
        assert not [c for c in here.commands() if isinstance(c, OfferContact)]


@pytest.mark.parametrize(("count", "reason"), [(0, "missing"), (199, "malformed")])
async def test_who_has_no_token_is_told_so_at_once(count: int, reason: str) -> None:
    async with world(agents=["anna"]) as here:
        await asked(here)
        call = await comes(here, "x" * count)
        assert await call.got('EXEC "Hangup"') == 'EXEC "Hangup" "38"'
        assert 'SET VARIABLE "GKC_DONE" "1"' in call.commands.all, "else he comes again"
        assert here.channel.guests.refused == {reason: 1}
        assert not [e for e in here.events() if isinstance(e, ev.GuestArrived)]
