"""Which talks are recorded as sound: a citizen's here and elsewhere, never a call for advice."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import QueueVoice
from gkc_engine.channels.phone.recording import Recordings
from gkc_engine.ids import AgentId, ContactId, QueueId
from tests.channels.test_overflow import HIM, asked, comes, granted, join
from tests.channels.world import World, world
from tests.fakes.agi import FakeCall


def record(here: World, folder: Path, notice: str | None = None) -> None:
    """Have each talk of passports recorded."""
    plan = here.channel.plan
    plan.recordings = Recordings(folder=folder, format="wav", zone=ZoneInfo("Europe/Moscow"))
    voice = QueueVoice(title="Паспорта", record="always", record_notice=notice)
    plan.voices[QueueId("passport")] = voice


async def on_socket(here: World, *, consult: bool = False, noticed: bool = False) -> FakeCall:
    """Let who waits be on a socket of ours: a citizen, or an operator who asks for advice."""
    await here.waiting(1, 1)
    known = Call(contact_id=ContactId("c1"), leg=HIM, channel="", answered=True)
    known.consult, known.noticed = consult, noticed
    here.channel.calls.add(known)
    await here.said(ev.ContactDetached(contact_id=ContactId("c1")))
    await here.channel.agi.start()
    call = await FakeCall.dial(here.channel.agi.port, network_script="enter", uniqueid=HIM)
    call.answers |= {'EXEC "MSet"': "200 result=0", 'EXEC "MixMonitor"': "200 result=0"}
    await call.got("SET MUSIC ON")
    return call


def recorded(call: FakeCall) -> bool:
    return any(said.startswith('EXEC "MixMonitor"') for said in call.commands.all)


@pytest.mark.parametrize(
    ("consult", "notice", "noticed", "kept"),
    [
        (False, None, False, True),
        (False, "record_notice", True, True),
        (False, "record_notice", False, False),  # nobody has told him
        (True, None, False, False),
        (True, "record_notice", True, False),
    ],
)
async def test_a_talk_with_another_centers_operator(
    tmp_path: Path, consult: bool, notice: str | None, noticed: bool, kept: bool
) -> None:
    """A consultation across centers is never recorded: the citizen is in no part of it."""
    async with world() as here:
        join(here)
        record(here, tmp_path, notice)
        call = await on_socket(here, consult=consult, noticed=noticed)
        await granted(here, 5)
        assert "gkc-center-sever" in await call.got('EXEC "Dial"')
        assert recorded(call) is kept


@pytest.mark.parametrize("consult", [False, True])
async def test_a_talk_with_an_operator_of_ours(tmp_path: Path, consult: bool) -> None:
    async with world() as here:
        record(here, tmp_path)
        call = await on_socket(here, consult=consult)
        await here.said(ev.AgentLoggedIn(agent_id=AgentId("anna")), seconds=5)
        assert "PJSIP/101" in await call.got('EXEC "Dial"')
        assert recorded(call) is not consult


async def test_another_centers_citizen_is_recorded_at_home_alone(tmp_path: Path) -> None:
    async with world(agents=["anna"]) as here:
        record(here, tmp_path)
        await asked(here)
        call = await comes(here)
        await call.got('EXEC "Dial"')
        assert not recorded(call)
