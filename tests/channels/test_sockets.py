"""What is logged of a socket, and what one means that comes after a talk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog
from structlog.contextvars import merge_contextvars

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact, SegmentClosed
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import QueueVoice, Sound
from gkc_engine.channels.phone.plan import KnownCall
from gkc_engine.channels.phone.serve import CAUSE_MEDIA_LOST
from gkc_engine.endings import end_tasks
from gkc_engine.errors import PeerError
from gkc_engine.ids import AgentId, ContactId, QueueId
from gkc_engine.ivr.fastagi import AgiSession
from tests.channels.test_past_talks import phone_at
from tests.channels.test_resync import cel, talking
from tests.channels.world import World, at, leg, world


class Broken:
    """A socket on which every command fails."""

    def __init__(self, uniqueid: str) -> None:
        self.uniqueid, self.closed = uniqueid, SimpleNamespace(is_set=lambda: True)
        self.request = SimpleNamespace(path="/queue/passport", arguments=())

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def fails(*_arguments: object, **_more: object) -> None:
            raise PeerError(f"{name}: no answer")

        return fails


async def test_every_line_about_a_citizens_socket_names_his_contact() -> None:
    async with world(agents=[]) as here:
        contact_id = await here.waiting(1, 1)
        here.channel.calls.add(
            Call(contact_id=contact_id, leg=leg(1), channel="", entry="", language="ru")
        )
        with structlog.testing.capture_logs(processors=[merge_contextvars]) as logs:
            await here.channel.sockets.serve(cast(AgiSession, Broken(leg(1))))
        (line,) = [entry for entry in logs if entry["event"] == "agi_failed"]
        assert line["contact_id"] == contact_id


class Asks:
    """A socket of the dialplan's ``/after``; every command succeeds, each is noted."""

    def __init__(self, uniqueid: str) -> None:
        self.uniqueid, self.closed = uniqueid, asyncio.Event()
        self.request = SimpleNamespace(path="/after", arguments=("lease",))
        self.said: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        def done(*arguments: object, **_more: object) -> Awaitable[None]:
            self.said.append((name, *arguments))
            reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            reply.set_result(None)
            return reply

        return done


@pytest.mark.parametrize(
    ("cause", "late_s"), [(16, 0.0), (CAUSE_MEDIA_LOST, 0.0), (CAUSE_MEDIA_LOST, 0.6)]
)
async def test_media_lost_in_a_talk_that_outlived_the_engine_bring_him_back(
    cause: int, late_s: float
) -> None:
    async with world(agents=["anna"]) as here:
        contact_id = await here.waiting(1, 1)
        (offer,) = [c for c in here.commands() if isinstance(c, OfferContact)]
        await here.said(
            ev.OfferAccepted(offer_id=offer.offer_id, agent_id=AgentId("anna"), at=at(3))
        )
        await here.said(ev.AgentLoggedOut(agent_id=AgentId("anna")))  # after this talk
        await here.restart(5)
        call = Call(contact_id=contact_id, leg=leg(1), channel="x", answered=True)
        here.channel.calls.add(call)
        here.channel.calls.bind(call, leg(2), AgentId("anna"))
        call.answered_by, call.talk_leg = AgentId("anna"), leg(2)
        ended = tr.LegEnded(
            leg=leg(2), channel="x", endpoint="PJSIP/101", cause=cause, cause_text="", at=at(9)
        )
        here.channel.ami.up = True
        asyncio.get_running_loop().call_later(late_s, here.channel.facts.handle, ended)
        here.channel.plan.voices[QueueId("passport")] = QueueVoice(title="Паспорта")
        here.channel.plan.sounds = lambda name, _language: Sound(f"/s/{name}", 1.0)
        here.clock.moment = at(9.01)
        asks = Asks(leg(1))
        serving = asyncio.ensure_future(here.channel.sockets.serve(cast(AgiSession, asks)))
        async with asyncio.timeout(20):
            while not any(isinstance(e, ev.TalkEnded) for e in here.events()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(50):
            await here.engine.drain()
            await asyncio.sleep(0)
        (end,) = [e for e in here.events() if isinstance(e, ev.TalkEnded)]
        assert end.at == at(9)
        apology = ("stream_file", "/s/media-lost")
        if cause == CAUSE_MEDIA_LOST:
            view = here.view(contact_id)
            assert view is not None
            assert view.state == "waiting"
            assert apology in asks.said
            assert ("set_variable", "DIALSTATUS", "") in asks.said, "else /after takes him again"
            assert not call.causes, "the next talk ends for its own reason"
        else:
            assert (call.ended_by, apology in asks.said) == (ev.Party.AGENT, False)
        asks.closed.set()
        await end_tasks([serving])


async def comes_after_a_talk(here: World, seconds: float) -> None:
    """An engine is back, and has not asked Asterisk yet; the dialplan brings citizen 1."""
    here.channel.resync.away_since(here.clock.moment, here.engine.acd.unheard)
    await here.said(ev.EngineRestarted(), seconds=seconds)
    known = KnownCall(contact_id=ContactId("c1"), leg=leg(1), entry="+74951112233", language="ru")
    here.channel.adopt([known])
    asks = Asks(leg(1))
    serving = asyncio.ensure_future(here.channel.sockets.serve(cast(AgiSession, asks)))
    async with asyncio.timeout(5):  # The list of past legs is read in a thread.
        while not any(isinstance(e, ev.TalkEnded) for e in here.events()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    await here.engine.drain()
    asks.closed.set()
    await end_tasks([serving])


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("answered", [True, False])
async def test_handed_over_while_no_engine_lived_he_parted_from_who_had_him_last(
    tmp_path: Path, answered: bool, written: bool
) -> None:
    anna = phone_at(2, "101", 2, 3, 9)
    boris = phone_at(3, "102", 6, 7, 12)[: 3 if written else 2]  # Its end may be written late.
    past = cel(tmp_path, *anna[:2], *boris[:2], *anna[2:], *boris[2:])
    async with world(cel=past, agents=["anna", "boris"]) as here:
        if answered:
            await talking(here)
        else:
            await here.waiting(1, 1)
        await comes_after_a_talk(here, 12.5)
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        talks = [(c.agent_id, c.started, c.ended) for c in closed if c.kind == "talk"]
        ends = at(12) if written else at(12.5)
        assert talks == [("anna", at(3), at(9)), ("boris", at(9), ends)]
        assert [c.transfer_kind for c in closed if c.transfer_kind] == ["attended"]
        assert here.agent("boris") == "ready"


async def test_who_asked_a_colleague_only_had_him_to_the_end(tmp_path: Path) -> None:
    anna, boris = phone_at(2, "101", 2, 3, 9), phone_at(3, "102", 5, 6, 7)
    past = cel(tmp_path, *anna[:2], *boris, *anna[2:])
    async with world(cel=past, agents=["anna", "boris"]) as here:
        await talking(here)
        await comes_after_a_talk(here, 9.5)
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        talks = [(c.agent_id, c.started, c.ended) for c in closed if c.kind == "talk"]
        assert talks == [("anna", at(3), at(9))]
