"""The FastAGI sockets: who asks, who serves him, and what the end of a socket meant."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog
from structlog.contextvars import bind_contextvars

from gkc_engine.acd import events as ev
from gkc_engine.acd.state import ContactState
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.lease import may_lease
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.errors import PeerError
from gkc_engine.ids import QueueId
from gkc_engine.ivr.fastagi import AgiClosed, AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

SOCKET_GRACE_S = 0.5
"""A socket that ended without a Hangup within this time is a transfer or a move, not an end."""


class Sockets:
    """Serves every AGI socket by the path that the dialplan asked for."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel

    async def serve(self, agi: AgiSession) -> None:
        """Serve one AGI socket to its end; whatever fails here, Asterisk goes on by itself."""
        where, _, rest = agi.request.path.strip("/").partition("/")
        try:
            await self._asked(where, rest, agi)
        except AgiClosed:
            pass
        except PeerError as error:
            log.warning("agi_failed", path=agi.request.path[:80], reason=str(error))

    async def _asked(self, where: str, rest: str, agi: AgiSession) -> None:
        match where:
            case "enter" | "queue":
                await self._citizen(agi, QueueId(rest) if where == "queue" else None)
            case "guest":
                await self._guest(agi)
            case "after":
                await self._after(agi)
            case "transferred":
                await self._channel.transfers.transferred(agi)
            case "consult":
                await self._channel.transfers.consult(agi)
            case "outbound":
                await self._channel.outbound.serve(agi)
            case "record":
                await self._record(agi)
            case "feature":
                await self._channel.operators.serve(agi)
            case _:
                log.warning("agi_unknown_path", path=agi.request.path[:80])

    async def _citizen(self, agi: AgiSession, queue: QueueId | None) -> None:
        call = self._channel.calls.by_leg.get(agi.uniqueid)
        if call is None:
            if not self._channel.engine.accepting:
                return
            call = await self._channel.entry_desk.admit(
                self._channel, agi, waited=queue is not None
            )
            self._channel.calls.add(call)
            known = False
        else:
            known = True
        await self.hold(call, agi, self._serve(call, agi, queue, known=known))

    async def _guest(self, agi: AgiSession) -> None:
        if agi.uniqueid in self._channel.calls.by_leg:
            await self._citizen(agi, None)  # answered before, he comes back from a transfer
        else:
            await self._channel.guests.serve(agi)

    async def hold(self, call: Call, agi: AgiSession, work: Coroutine[Any, Any, None]) -> None:
        """Let ``work`` serve the call on this socket; afterwards find out what its end meant."""
        if call.session is not agi:  # else it was told of him before we began
            call.session = agi
            call.inbox.clear()
            call.arrived.clear()
        call.back = self._channel.now()
        # For the rest of this socket, a task of its own: also for what is logged of its end.
        bind_contextvars(contact_id=call.contact_id)
        try:
            call.leased = await may_lease(agi)
            await work
        finally:
            work.close()  # it never began if the socket closed at once
            if call.session is agi:
                call.session, call.let_go = None, self._channel.now()
                if not self._channel.stopping:
                    while call.inbox:
                        self._channel.not_held(call, call.take())
                    self._channel.spawn(self._ended(call))

    async def _serve(
        self, call: Call, agi: AgiSession, queue: QueueId | None, *, known: bool
    ) -> None:
        if known:
            await self._channel.resync.in_turn(call.leg)
            self._channel.entry_desk.returned(self._channel, call)
        view = self._channel.contact(call.contact_id)
        # One who fell out of the menu has no queue yet: it begins anew.
        asked = known and (view is None or view.queue is not None)
        if not asked and not await self._channel.entry_desk.enter(self._channel, call, agi, queue):
            return
        await CitizenSession(self._channel, call, agi, self._channel.entry_desk.announcer).serve()

    async def _record(self, agi: AgiSession) -> None:
        """``*1`` during a talk: pause the recording or go on; the operator hears which."""
        recorder = self._channel.recorder
        call = self._channel.calls.by_agent_leg.get(agi.uniqueid)
        if call is not None and call.parting == agi.uniqueid:
            await recorder.part(call, agi)  # it was we who pressed it: he hears nothing
            return
        on = await recorder.toggle(call, agi) if call is not None else None
        said = {True: "agent-stored", False: "agent-paused", None: "agent-refused"}[on]
        sound = self._channel.sound(said, self._channel.plan.language)
        if sound is not None:
            await agi.stream_file(sound.path)

    async def _after(self, agi: AgiSession) -> None:
        """A talk ended while nobody held the socket: the engine was away when it began."""
        call = self._channel.calls.by_leg.get(agi.uniqueid)
        if call is None:
            return
        if call.outside is not None:
            await self.hold(call, agi, self._after_outside(call, agi))
            return
        resync = self._channel.resync
        talk = await resync.talked_meanwhile(call)
        view = self._channel.contact(call.contact_id)
        if talk is not None:
            agent_id, ended = talk.agent_id, talk.ended
        elif view is not None and view.agent_id is not None:
            agent_id, ended = view.agent_id, await resync.talked_unseen(call, agi)
        else:
            return
        session = CitizenSession(self._channel, call, agi, self._channel.entry_desk.announcer)
        await self.hold(call, agi, session.serve_after(agent_id, ended))

    async def _after_outside(self, call: Call, agi: AgiSession) -> None:
        await self._channel.put_through.after(call, agi)
        await CitizenSession(self._channel, call, agi, self._channel.entry_desk.announcer).serve()

    async def _ended(self, call: Call) -> None:
        """Find out what an ended socket meant: only Asterisk's Hangup means that he left."""
        await asyncio.sleep(SOCKET_GRACE_S)
        if self._channel.calls.by_leg.get(call.leg) is not call or call.session is not None:
            return
        if not self._channel.ami.up:
            return  # Asterisk may be gone with him: the resync tells
        view = self._channel.contact(call.contact_id)
        if view is not None and view.state in (ContactState.WAITING, ContactState.OFFERED):
            self._channel.submit(
                ev.ContactDetached(contact_id=call.contact_id, at=call.let_go), None
            )
        # Who has left, and his Hangup is late or lost, did not fall into a queue.
        await self._channel.resync.look_at(call)
