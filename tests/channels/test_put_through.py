"""A citizen who is put through outside: his socket, what AMI tells, what CEL knows afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact, SegmentClosed, SegmentKind
from gkc_engine.acd.settings import OutboundSettings
from gkc_engine.channels.phone.calls import Call
from gkc_engine.ids import AgentId, ContactId
from tests.channels.test_cel import PHONE, line, stamp
from tests.channels.test_outbound import OFFICE, RULES, dial_is_over, tell
from tests.channels.test_resync import cel, talking
from tests.channels.world import World, at, citizen_row, leg, world
from tests.fakes.agi import FakeCall

HIM, THEIRS = leg(1), leg(3)
OUT = "PJSIP/out-00000003"


def segments(here: World, kind: SegmentKind) -> list[SegmentClosed]:
    return [c for c in here.commands() if isinstance(c, SegmentClosed) and c.kind is kind]


def of_office(*lines: str) -> tuple[str, ...]:
    """Return what CEL says of the leg outside, from second 5 on."""
    return (PHONE.replace("101", "out").format(t=stamp(5), leg=THEIRS, linked=HIM), *lines)


async def allow(here: World) -> None:
    """Let Anna talk with citizen 1, and call outside."""
    caps = OutboundSettings(per_operator_hour=5, concurrent=5)
    here.settings = replace(here.settings, version="out", outbound=caps)
    await here.said(ev.SettingsApplied(settings=here.settings))
    here.channel.plan.outbound = replace(RULES, night=None)
    await talking(here)


async def put_through(here: World) -> None:
    """Anna puts citizen 1 through at second 4, and the engine dies."""
    await allow(here)
    asked = ev.PutThrough(contact_id=ContactId("c1"), from_agent=AgentId("anna"), outside="key")
    await here.said(asked, seconds=4)


async def test_what_they_talked_while_we_were_dead_is_in_cel(tmp_path: Path) -> None:
    over = '{{"hangupcause":16,"hangupsource":"{0}"}}'
    lines = of_office(line("ANSWER", THEIRS, 7))
    channel = lines[0].split('","')[2]
    ends = line("HANGUP", THEIRS, 9, over.format(channel))
    past = cel(tmp_path, *lines, ends, line("HANGUP", HIM, 9.1, over.format(channel)))
    async with world(cel=past, agents=["anna"]) as here:
        await put_through(here)
        await here.restart(20, 1)
        (row,) = here.ended().values()
        assert (row.ended, row.party) == (at(9.1), ev.Party.OUTSIDE)
        (external,) = segments(here, SegmentKind.EXTERNAL)
        assert (external.started, external.outside) == (at(7), "key")
        assert external.channel_uniqueid == THEIRS


async def test_who_fell_into_the_native_queue_waits_there_at_his_place(tmp_path: Path) -> None:
    past = cel(tmp_path, *of_office(line("HANGUP", THEIRS, 6, '{"hangupcause":17}')))
    async with world(cel=past, agents=["anna"]) as here:
        await put_through(here)
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(20, 1)
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.enqueued, view.held) == ("detached", at(1), False)
        (ring,) = segments(here, SegmentKind.RING)[1:]
        assert (ring.ended, ring.outcome, ring.reason) == (at(6), "detached", "busy")


async def test_nobody_answers_on_his_socket(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await allow(here)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=HIM, channel="", answered=True))
        await here.channel.agi.start()
        call = await FakeCall.dial(
            here.channel.agi.port,
            network_script="transferred",
            channel="PJSIP/gkc-trunk-00000001",
            uniqueid=HIM,
            extension=OFFICE,
            context="gkc-transferred",
        )
        said = await call.got('EXEC "Dial"')
        assert said.startswith('EXEC "Dial" "PJSIP/+74950000042@out,30,gm(')
        assert said.endswith(')S(600)f(+74957777777)"')
        both = {"Uniqueid": HIM, "DestUniqueid": THEIRS, "DestChannel": OUT}
        tell(here, "DialBegin", 5, **both)
        tell(here, "Hangup", 35, Uniqueid=THEIRS, Channel=OUT, Cause="16")
        dial_is_over(call, "NOANSWER")
        await call.got('EXEC "Dial" "PJSIP/102')
        (ring,) = segments(here, SegmentKind.RING)[1:]
        assert (ring.ended, ring.outcome, ring.reason) == (at(35), "returned", "no_answer")
        assert ring.agent_id is None
        asked = [c.agent_ids for c in here.commands() if isinstance(c, OfferContact)]
        assert asked == [(AgentId("anna"),), (AgentId("boris"),)]


async def test_the_socket_may_be_ahead_of_ami_when_they_hang_up(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await put_through(here)
        call = Call(contact_id=ContactId("c1"), leg=HIM, channel="", answered=True)
        here.channel.calls.add(call)
        view = here.view("c1")
        assert view is not None
        here.channel.put_through.restore(call, view)
        both = {"Uniqueid": HIM, "DestUniqueid": THEIRS, "DestChannel": OUT}
        tell(here, "DialBegin", 5, **both)
        tell(here, "DialEnd", 6, DialStatus="ANSWER", **both)
        over = asyncio.ensure_future(
            here.channel.put_through.over(call, None)  # type: ignore[arg-type]  # Not asked.
        )
        await here.engine.drain()
        view = here.view("c1")
        assert view is not None
        assert view.state == "external"
        tell(here, "Hangup", 9, Uniqueid=THEIRS, Channel=OUT, Cause="16")
        await over
        await here.engine.drain()
        (external,) = segments(here, SegmentKind.EXTERNAL)
        assert (external.started, external.ended, external.reason) == (at(6), at(9), "cause 16")
