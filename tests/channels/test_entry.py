"""A call's first words with us."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.settings import Medium
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.channels.phone.entry import Entry
from gkc_engine.channels.phone.host import Sound
from gkc_engine.config.loader import load_config
from gkc_engine.ids import SECOND, ContactId, QueueId
from gkc_engine.ivr.fastagi import AgiSession
from gkc_engine.plans import phone_plan
from tests.channels.world import CITY, FrontDesk, World, at, citizen_row, leg, world
from tests.fakes.agi import FakeCall

OLD = "+74951112233"


@pytest.mark.parametrize(
    ("language", "dialled", "spoken"),
    [("en", OLD, "en"), ("en", "84951112233", "en"), (None, OLD, "ru"), ("en", "+7499", "ru")],
)
async def test_a_number_speaks_its_own_language(
    language: str | None, dialled: str, spoken: str
) -> None:
    async with world() as here:
        here.channel.plan.entries[OLD] = Entry(queue=QueueId("passport"), language=language)
        request = SimpleNamespace(extension=dialled, callerid_num="", callerid_name="")
        agi = SimpleNamespace(request=request, uniqueid=leg(1), channel="PJSIP/x-1")
        call = await here.channel.entry_desk.admit(here.channel, cast(AgiSession, agi))
        await here.engine.drain()
        (started,) = [e for e in here.events() if isinstance(e, ev.ContactStarted)]
        assert (call.language, started.language) == (spoken, spoken)


def test_the_language_of_a_number_comes_from_the_config() -> None:
    config = load_config(CITY)
    config.numbers[OLD] = config.numbers[OLD].model_copy(update={"language": "en"})
    entries = phone_plan(config, lambda _name, _language: None).entries
    assert (entries[OLD].language, entries["+74957777777"].language) == ("en", None)


CALLER = "+79000000001"


async def calls(here: World, *, script: str = "enter", speaks: bool = True) -> FakeCall:
    """A citizen who is on the block list calls an operator's number."""
    assert isinstance(here.channel.desk, FrontDesk)
    here.channel.desk.block_list.add(f"key of {CALLER}")
    here.channel.plan.entries["+74957777777"] = Entry(queue=QueueId("passport"))
    if speaks:
        here.channel.plan.sounds = lambda name, language: Sound(f"{language}/{name}", 4.0)
    if here.channel.agi.port == 0:
        await here.channel.agi.start()
    call = await FakeCall.dial(
        here.channel.agi.port, network_script=script, callerid=CALLER, uniqueid=leg(1)
    )
    call.answers |= {"EXEC": "200 result=0", "STREAM FILE": "200 result=0 endpos=32000"}
    return call


async def gone(here: World, call: FakeCall) -> Disposition:
    """Let Asterisk say that his line is gone; return how it ended."""
    await call.hang_up()
    here.channel.on_ami_event(
        AmiEvent.of(
            "Hangup",
            Timestamp=f"{at(9) / SECOND:.6f}",
            Uniqueid=leg(1),
            Channel="PJSIP/trunk-00000001",
            Cause="21",
        )
    )
    await here.engine.drain()
    (ended,) = here.ended().values()
    return ended.disposition


@pytest.mark.parametrize("speaks", [True, False])
async def test_who_is_blocked_is_told_so_and_his_call_ends_unanswered(speaks: bool) -> None:
    """Also without the prompt's file. An operator is ready: he is not asked."""
    async with world(agents=["anna"]) as here:
        call = await calls(here, speaks=speaks)
        assert await call.got('EXEC "Hangup"') == 'EXEC "Hangup" "21"'  # SIP 403
        heard = [line for line in call.commands.all if line.startswith("STREAM")]
        assert heard == (['STREAM FILE "ru/blocked" ""'] if speaks else [])
        assert not any(line.startswith("ANSWER") for line in call.commands.all)
        assert 'SET VARIABLE "GKC_DONE" "1"' in call.commands.all
        assert await gone(here, call) is Disposition.BLOCKED
        assert not any(isinstance(e, ev.QueueRequested) for e in here.events())


async def test_a_prompt_that_asterisk_cannot_play_lets_nobody_in() -> None:
    async with world(agents=["anna"]) as here:
        call = await calls(here)
        call.answers["STREAM FILE"] = "200 result=-1 endpos=0"
        assert await call.got('EXEC "Hangup"') == 'EXEC "Hangup" "21"'
        assert await gone(here, call) is Disposition.BLOCKED


async def test_who_comes_out_of_a_native_queue_is_served_this_time() -> None:
    """The engine was away, and there he was taken like anybody."""
    async with world(agents=[]) as here:
        call = await calls(here, script="queue/passport")
        await call.got("SET MUSIC ON")
        view = here.view("new1")
        assert view is not None
        assert view.queue == "passport"
        assert not any(isinstance(e, ev.ContactBlocked) for e in here.events())
        await call.hang_up()


async def test_an_engine_that_was_killed_in_the_prompt_says_it_again() -> None:
    async with world(agents=[]) as here:
        await here.said(
            ev.ContactStarted(
                contact_id=ContactId("c1"), medium=Medium.VOICE, number="1", entry="+7"
            ),
            ev.ContactBlocked(contact_id=ContactId("c1")),
            seconds=1,
        )
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(3, 1)
        call = await calls(here, script="queue/passport")
        await call.got("HANGUP")  # the native queue's dialplan had answered him
        assert await gone(here, call) is Disposition.BLOCKED
