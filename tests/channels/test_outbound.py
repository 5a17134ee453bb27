"""Operators' calls outside: the rules, the socket, what AMI and CEL tell, in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import (
    ConsultEnded,
    ContactEnded,
    DialOut,
    Disposition,
    SegmentClosed,
)
from gkc_engine.acd.settings import OutboundSettings
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.channels.phone.consults import Consult
from gkc_engine.channels.phone.outbound_rules import Night, OutboundRules, failure_of
from gkc_engine.channels.phone.recording import Recordings
from gkc_engine.ids import SECOND, AgentId, Instant, Micros
from tests.channels.test_cel import line, stamp
from tests.channels.test_resync import agent_hung_up, cel
from tests.channels.world import World, at, leg, world
from tests.fakes.agi import FakeCall

MOSCOW = ZoneInfo("Europe/Moscow")
RULES = OutboundRules(
    allow=("+7495", "+7900"),
    deny=("+79000000099",),
    dial="PJSIP/{number}@out",
    caller_id="+74957777777",
    ring_s=30,
    max_s=600,
    night=Night(from_min=21 * 60, to_min=9 * 60, allow=("+7495",)),
    zone=MOSCOW,
)
OFFICE = "84950000042"
MINE, THEIRS = leg(1), leg(2)


def moscow(text: str) -> Instant:
    return Instant(int(datetime.fromisoformat(text).replace(tzinfo=MOSCOW).timestamp()) * SECOND)


DAY = moscow("2026-11-18T12:00")


@pytest.mark.parametrize(
    ("number", "now", "reason"),
    [
        ("+79000000042", DAY, ""),
        ("+79000000099", DAY, "not_allowed"),
        ("+12025550142", DAY, "not_allowed"),
        (None, DAY, "no_number"),
        ("+79000000042", moscow("2026-11-18T20:59"), ""),
        ("+79000000042", moscow("2026-11-18T21:00"), "night"),
        ("+79000000042", moscow("2026-11-18T03:00"), "night"),
        ("+79000000042", moscow("2026-11-18T08:59"), "night"),
        ("+79000000042", moscow("2026-11-18T09:00"), ""),
        ("+74950000042", moscow("2026-11-18T03:00"), ""),
        ("+12025550142", moscow("2026-11-18T03:00"), "not_allowed"),
    ],
)
def test_which_numbers_may_be_called_when(number: str | None, now: Instant, reason: str) -> None:
    assert RULES.barred(number, now) == reason


def test_the_night_is_the_centers_whatever_the_clock_is_set_to() -> None:
    berlin = replace(RULES, zone=ZoneInfo("Europe/Berlin"))
    for text, barred in (("2026-10-25T20:30", ""), ("2026-10-25T21:30", "night")):
        local = datetime.fromisoformat(text).replace(tzinfo=berlin.zone)  # the day of 25 hours
        now = Instant(int(local.timestamp()) * SECOND)
        assert berlin.barred("+79000000042", now) == barred


@pytest.mark.parametrize("number", ["+7495,60", "+7495&PJSIP/1", "${EXTEN}", "", "+٧٤"])
def test_nothing_but_digits_is_ever_dialled(number: str) -> None:
    with pytest.raises(AssertionError):
        RULES.dial_string(number)


@pytest.mark.parametrize(
    ("status", "cause", "failure"),
    [
        ("BUSY", 17, ev.OutboundFailure.BUSY),
        ("BUSY", 0, ev.OutboundFailure.BUSY),
        ("NOANSWER", 0, ev.OutboundFailure.NO_ANSWER),
        ("NOANSWER", 16, ev.OutboundFailure.NO_ANSWER),
        ("CONGESTION", 21, ev.OutboundFailure.DECLINED),
        ("BUSY", 21, ev.OutboundFailure.DECLINED),
        ("CHANUNAVAIL", 1, ev.OutboundFailure.UNREACHABLE),
        ("CHANUNAVAIL", 20, ev.OutboundFailure.UNREACHABLE),
        ("CONGESTION", 34, ev.OutboundFailure.UNREACHABLE),
        ("", 17, ev.OutboundFailure.BUSY),
    ],
)
def test_why_nobody_answered(status: str, cause: int, failure: ev.OutboundFailure) -> None:
    assert failure_of(status, cause) is failure


@asynccontextmanager
async def office(path: Path | None = None, **caps: int) -> AsyncIterator[World]:
    """Anna is at work and may call outside; FastAGI listens."""
    async with world(cel=path, agents=["anna"]) as here:
        here.settings = replace(
            here.settings,
            version="out",
            outbound=OutboundSettings(
                **{"per_operator_hour": 5, "concurrent": 5, **caps}, wrapup_us=Micros(0)
            ),
        )
        await here.said(ev.SettingsApplied(settings=here.settings))
        here.channel.plan.outbound = replace(RULES, night=None)
        await here.channel.agi.start()
        yield here


async def dial(here: World, number: str = OFFICE, phone: str = "101") -> FakeCall:
    return await FakeCall.dial(
        here.channel.agi.port,
        network_script="outbound",
        channel=f"PJSIP/{phone}-00000001",
        uniqueid=MINE,
        extension=number,
        context="gkc-outbound",
    )


def tell(here: World, name: str, seconds: float, **headers: str) -> None:
    here.clock.moment = max(here.clock.moment, at(seconds))
    here.channel.on_ami_event(AmiEvent.of(name, Timestamp=f"{at(seconds) / SECOND:.6f}", **headers))


def rings(here: World, seconds: float) -> None:
    both = {"Uniqueid": MINE, "DestUniqueid": THEIRS, "DestChannel": "PJSIP/out-00000002"}
    tell(here, "DialBegin", seconds, **both)


def answers(here: World, seconds: float) -> None:
    both = {"Uniqueid": MINE, "DestUniqueid": THEIRS, "DestChannel": "PJSIP/out-00000002"}
    tell(here, "DialEnd", seconds, DialStatus="ANSWER", **both)


def hangs_up(here: World, who: str, seconds: float, cause: int = 16) -> None:
    name = "PJSIP/101-00000001" if who == MINE else "PJSIP/out-00000002"
    tell(here, "Hangup", seconds, Uniqueid=who, Channel=name, Cause=str(cause))


def dial_is_over(call: FakeCall, status: str, cause: str = "16", **more: str) -> None:
    values = {"DIALSTATUS": status, "HANGUPCAUSE": cause, **more}
    call.answers |= {f'GET VARIABLE "{n}"': f"200 result=1 ({v})" for n, v in values.items()}
    call.answers["EXEC"] = "200 result=0"
    call.reply("200 result=0")


async def the_end(here: World) -> ContactEnded:
    async with asyncio.timeout(5):
        while not here.ended():
            await asyncio.sleep(0)
            await here.engine.drain()
    (ended,) = here.ended().values()
    return ended


async def dialled(here: World) -> FakeCall:
    call = await dial(here)
    await call.got('EXEC "MSet"')
    call.reply("200 result=0")
    said = await call.got('EXEC "Dial"')
    assert said == 'EXEC "Dial" "PJSIP/+74950000042@out,30,gS(600)"'
    return call


def begun(file: Path) -> None:
    """Begin a recording as Asterisk does."""
    file.parent.mkdir(parents=True)
    file.write_bytes(b"RIFF")


def recorded(folder: Path) -> list[Path]:
    return list(folder.rglob("*.wav"))


@pytest.mark.parametrize("talked", [True, False])
async def test_a_talk_is_recorded_and_one_that_was_none_leaves_no_file(
    tmp_path: Path, talked: bool
) -> None:
    async with office() as here:
        plan = here.channel.plan
        plan.recordings = Recordings(folder=tmp_path, format="wav", zone=MOSCOW)
        assert plan.outbound is not None
        plan.outbound = replace(plan.outbound, record=True)
        call = await dial(here)
        await call.got('EXEC "MSet"')
        call.reply("200 result=0")
        said = await call.got('EXEC "MixMonitor"')
        file = Path(said.split('"')[3].split(",")[0])
        assert said.endswith(',bi(GKC_MIX)"')
        begun(file)
        call.reply("200 result=0")
        await call.got('EXEC "Dial"')
        rings(here, 1)
        if talked:
            answers(here, 3)
        hangs_up(here, THEIRS, 9, 16 if talked else 17)
        dial_is_over(call, "ANSWER" if talked else "BUSY")
        await the_end(here)
        events = [step.event for step in here.memory.steps]
        told = [e for e in events if isinstance(e, ev.RecordingStarted)]
        assert [(str(tmp_path / e.path), e.at) for e in told] == ([(str(file), at(3))] * talked)
        assert recorded(tmp_path) == [file] * talked
        assert file.name.endswith("-out.wav")


async def test_who_hung_up_first_is_known_by_the_socket() -> None:
    async with office() as here:
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        await here.engine.drain()
        assert here.agent("anna") == "talk"
        hangs_up(here, THEIRS, 9)
        dial_is_over(call, "ANSWER")
        ended = await the_end(here)
        assert (ended.disposition, ended.party) == (Disposition.ANSWERED, ev.Party.CITIZEN)
        assert (ended.answered, ended.ended, ended.talk_us) == (at(4), at(9), 5 * SECOND)


async def test_the_socket_may_be_ahead_of_ami() -> None:
    async with office() as here:
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        dial_is_over(call, "ANSWER")
        await call.got('GET VARIABLE "HANGUPCAUSE"')
        for _ in range(50):
            await asyncio.sleep(0)
        assert not here.ended(), "why it is over is AMI's to say"
        hangs_up(here, THEIRS, 9)
        ended = await the_end(here)
        assert (ended.party, ended.ended) == (ev.Party.CITIZEN, at(9))


async def test_the_operator_hangs_up() -> None:
    async with office() as here:
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        await call.hang_up()
        hangs_up(here, THEIRS, 9)
        hangs_up(here, MINE, 9.1)
        ended = await the_end(here)
        assert (ended.party, ended.ended) == (ev.Party.AGENT, at(9))


async def test_the_longest_talk_is_ended_by_us() -> None:
    async with office() as here:
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        hangs_up(here, THEIRS, 604)
        dial_is_over(call, "ANSWER")
        ended = await the_end(here)
        assert (ended.party, ended.reason) == (ev.Party.SYSTEM, "max_duration")


async def test_without_a_word_of_ami_the_socket_tells() -> None:
    async with office() as here:
        call = await dialled(here)
        here.clock.moment = at(20)
        dial_is_over(call, "ANSWER", ANSWEREDTIME="7")
        ended = await the_end(here)
        assert (ended.answered, ended.ended) == (at(13), at(20))


async def test_busy_is_no_talk() -> None:
    async with office() as here:
        call = await dialled(here)
        rings(here, 1)
        hangs_up(here, THEIRS, 2, cause=17)
        dial_is_over(call, "BUSY", "17")
        ended = await the_end(here)
        assert (ended.disposition, ended.ended) == (Disposition.BUSY, at(2))
        assert await call.got('EXEC "Busy"')


async def test_doubled_and_late_words_change_nothing() -> None:
    async with office() as here:
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        answers(here, 4)
        tell(here, "BridgeEnter", 4.1, Uniqueid=THEIRS, BridgeUniqueid="b", Channel="PJSIP/out-2")
        hangs_up(here, THEIRS, 9)
        hangs_up(here, THEIRS, 9)
        dial_is_over(call, "ANSWER")
        await the_end(here)
        answers(here, 4)
        hangs_up(here, MINE, 9.2)
        await here.engine.drain()
        assert len(here.ended()) == 1
        assert sum(isinstance(c, ContactEnded) for c in here.commands()) == 1


async def test_hold_is_ours_only_if_the_operator_pressed_it() -> None:
    async with office() as here:
        await dialled(here)
        rings(here, 1)
        answers(here, 4)
        tell(here, "Hold", 5, Uniqueid=THEIRS)
        await here.engine.drain()
        assert here.agent("anna") == "talk"
        tell(here, "Hold", 6, Uniqueid=MINE)
        await here.engine.drain()
        assert here.agent("anna") == "hold"


@pytest.mark.parametrize(
    ("number", "caps", "reason"),
    [
        ("89000000099", {}, "not_allowed"),
        ("1234567", {}, "no_number"),
        (OFFICE, {"per_operator_hour": 0}, "operator_cap"),
        (OFFICE, {"concurrent": 0}, "center_cap"),
    ],
)
async def test_what_is_barred_is_on_record_and_not_dialled(
    number: str, caps: dict[str, int], reason: str
) -> None:
    async with office(None, **caps) as here:
        call = await dial(here, number)
        await call.got('EXEC "Progress"')
        call.answers["EXEC"] = "200 result=0"
        call.reply("200 result=0")
        await call.got("HANGUP")
        ended = await the_end(here)
        assert (ended.disposition, ended.reason) == (Disposition.BARRED, reason)
        assert not [c for c in call.commands.all if c.startswith('EXEC "Dial"')]
        assert not [c for c in here.commands() if isinstance(c, DialOut)]


async def test_the_wrap_up_of_a_call_out_is_not_on_whose_behalf_the_next_is() -> None:
    async with office() as here:
        outbound = replace(here.settings.outbound, wrapup_us=Micros(60 * SECOND))
        here.settings = replace(here.settings, version="wrap", outbound=outbound)
        await here.said(ev.SettingsApplied(settings=here.settings))
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        hangs_up(here, THEIRS, 9)
        dial_is_over(call, "ANSWER")
        await the_end(here)
        assert here.agent("anna") == "wrap_up"
        related = here.channel.outbound._related(AgentId("anna"))
        assert related is None


async def test_a_phone_that_is_no_operators_gets_nothing() -> None:
    async with office() as here:
        call = await dial(here, phone="999")
        await call.closed.wait()
        assert call.commands.all == []


@pytest.mark.parametrize("first", ["AMI", "socket"])
async def test_the_called_party_is_put_through_to_a_colleague(first: str) -> None:
    async with office() as here:
        await here.said(ev.AgentLoggedIn(agent_id=AgentId("boris")))
        call = await dialled(here)
        rings(here, 1)
        answers(here, 4)
        await here.engine.drain()
        mine, his = leg(3), leg(4)
        asks = Consult(leg=mine, caller=AgentId("anna"), target=AgentId("boris"))
        await here.channel.transfers.consults._begin(asks)
        both = {"Uniqueid": mine, "DestUniqueid": his, "DestChannel": "PJSIP/102-00000004"}
        tell(here, "DialBegin", 6, **both)
        tell(here, "DialEnd", 7, DialStatus="ANSWER", **both)
        if first == "socket":
            dial_is_over(call, "ANSWER")
            await call.got('GET VARIABLE "HANGUPCAUSE"')
            for _ in range(50):
                await asyncio.sleep(0)
        tell(
            here,
            "AttendedTransfer",
            9,
            Result="Success",
            OrigTransfererUniqueid=MINE,
            SecondTransfererUniqueid=mine,
            TransfereeUniqueid=THEIRS,
            TransferTargetUniqueid=his,
            TransferTargetChannel="PJSIP/102-00000004",
            DestType="Bridge",
        )
        await call.hang_up()
        hangs_up(here, MINE, 9.1)
        hangs_up(here, mine, 9.1)
        await here.engine.drain()
        assert (here.agent("anna"), here.agent("boris")) == ("ready", "talk")
        hangs_up(here, THEIRS, 20)
        tell(here, "Hangup", 20.1, Uniqueid=his, Channel="PJSIP/102-00000004", Cause="16")
        ended = await the_end(here)
        assert (ended.disposition, ended.ended) == (Disposition.ANSWERED, at(20))
        parts = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        assert [(p.kind, p.agent_id, p.transfer_kind) for p in parts] == [
            ("ring", "anna", None),
            ("talk", "anna", "attended"),
            ("talk", "boris", None),
        ]
        asked = [c for c in here.commands() if isinstance(c, ConsultEnded)]
        assert [(c.agent_id, c.kind, c.contact_id) for c in asked] == [
            ("boris", "consulted", ended.contact_id),
            ("anna", "consult", ended.contact_id),
        ]


def _their_leg(seconds: float) -> str:
    return (
        f"CHAN_START,{stamp(seconds)},PJSIP/out-00000002,{THEIRS},{MINE},+74957777777,"
        f"+74950000042,gkc,"
    )


def _my_leg(seconds: float) -> str:
    return (
        f"CHAN_START,{stamp(seconds)},PJSIP/101-00000001,{MINE},{MINE},101,{OFFICE},gkc-operators,"
    )


async def restarted(here: World, seconds: float, *rows: dict[str, str]) -> None:
    """Come back as a new engine: its sockets are gone, Asterisk's lists are all it has."""
    running = here.channel.outbound.running
    for view in [here.view(call.contact_id) for call in running.values()]:
        running.clear()
        assert view is not None
        here.channel.outbound.restore(view)
    here.ami.channels(*rows)
    here.clock.moment = at(seconds)
    await here.channel.outbound.reconcile()
    await here.engine.drain()


def row(n: int, name: str, *, up: bool = True) -> dict[str, str]:
    return {
        "Uniqueid": leg(n),
        "Linkedid": MINE,
        "Channel": name,
        "ChannelStateDesc": "Up" if up else "Ringing",
        "Application": "Dial",
        "Context": "gkc-outbound",
    }


@pytest.mark.parametrize(
    ("lines", "disposition", "party", "ended"),
    [
        (
            lambda: (
                _my_leg(0),
                _their_leg(1),
                line("ANSWER", THEIRS, 5),
                agent_hung_up(2, 30, "101"),
                agent_hung_up(1, 30.2, "101"),
            ),
            Disposition.ANSWERED,
            ev.Party.AGENT,
            30,
        ),
        (
            lambda: (
                _my_leg(0),
                _their_leg(1),
                line("HANGUP", THEIRS, 6, '{"hangupcause":17,"hangupsource":""}'),
                line("HANGUP", MINE, 11, '{"hangupcause":16,"hangupsource":""}'),
            ),
            Disposition.BUSY,
            ev.Party.CITIZEN,
            6,
        ),
        (
            lambda: (
                _my_leg(0),
                _their_leg(1),
                agent_hung_up(2, 7, "101"),
                agent_hung_up(1, 7.1, "101"),
            ),
            Disposition.CANCELLED,
            ev.Party.AGENT,
            7,
        ),
        (tuple, Disposition.SYSTEM_FAILED, ev.Party.SYSTEM, 60),
        (  # Asterisk was killed, and wrote of no end
            lambda: (_my_leg(0), _their_leg(1), line("ANSWER", THEIRS, 5)),
            Disposition.ANSWERED,
            ev.Party.SYSTEM,
            60,
        ),
    ],
)
async def test_what_ended_while_we_were_dead(
    tmp_path: Path,
    lines: Callable[[], tuple[str, ...]],
    disposition: Disposition,
    party: ev.Party,
    ended: float,
) -> None:
    async with office(cel(tmp_path, *lines())) as here:
        await dialled(here)
        await restarted(here, 60)
        (row,) = here.ended().values()
        assert (row.disposition, row.party, row.ended) == (disposition, party, at(ended))


async def test_a_call_that_goes_on_costs_no_look_into_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = cel(tmp_path, _my_leg(0), _their_leg(1), line("ANSWER", THEIRS, 5))
    async with office(past) as here:
        await dialled(here)
        mine, theirs = row(1, "PJSIP/101-00000001"), row(2, "PJSIP/out-00000002")
        await restarted(here, 20, mine, theirs)
        monkeypatch.setattr(here.channel.resync, "past", None)  # no more of it
        await here.channel.outbound.patrol()
        here.ami.channels(mine | {"ChannelStateDesc": "Up"}, theirs)
        await here.channel.outbound.patrol()
        await here.engine.drain()
        assert here.agent("anna") == "talk"


async def test_what_goes_on_is_known_again_and_not_touched(tmp_path: Path) -> None:
    past = cel(tmp_path, _my_leg(0), _their_leg(1), line("ANSWER", THEIRS, 5))
    async with office(past) as here:
        await dialled(here)
        mine, theirs = row(1, "PJSIP/101-00000001"), row(2, "PJSIP/out-00000002")
        await restarted(here, 20, mine, theirs)
        assert here.agent("anna") == "talk"
        view = here.view("new1")
        assert view is not None
        assert (view.state, view.answered) == ("talk", at(5))
        assert here.ami.actions("Hangup") == []
        hangs_up(here, THEIRS, 40)
        again = await FakeCall.dial(
            here.channel.agi.port,
            network_script="outbound",
            channel="PJSIP/101-00000001",
            uniqueid=MINE,
            extension=OFFICE,
            arg_1="after",
        )
        again.answers |= {
            "EXEC": "200 result=0",
            'GET VARIABLE "DIALSTATUS"': "200 result=1 (ANSWER)",
            'GET VARIABLE "HANGUPCAUSE"': "200 result=1 (16)",
        }
        ended = await the_end(here)
        assert (ended.party, ended.ended) == (ev.Party.CITIZEN, at(40))
