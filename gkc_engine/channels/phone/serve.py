"""One citizen on one AGI socket: waiting, ringing, talking, being told something.

The socket is the lease (docs/discussions/lease.md): whatever ends it, Asterisk goes on with the
dialplan by itself. So nothing here may be the only thread a citizen hangs on, and every wait has
an end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Then
from gkc_engine.acd.state import ContactState
from gkc_engine.channels.phone import dialling, lease
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import Announcer, Host, QueueVoice, Sound
from gkc_engine.channels.phone.lease import under_lease
from gkc_engine.channels.phone.overflow import as_offer
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.ids import SECOND, AgentId, Instant, QueueId, is_abroad
from gkc_engine.ivr.fastagi import AgiClosed, AgiSession, StreamResult
from gkc_engine.numbers import CAUSE_HANDED_BACK

log = structlog.get_logger(__name__)

LOOK_S = 10.0
"""How often at least it is asked what a citizen is to be told: a reload may have changed it."""

AMI_GRACE_S = 1.0
"""How long the AGI side waits for AMI to tell the same story: with better times, and why it ended.
Not told so, a citizen whose operator's line was lost is taken for one who was served."""

CAUSE_MEDIA_LOST = 44
"""Asterisk's cause when rtp_timeout ends a leg."""

CAUSE_TURNED_BACK = 17
"""How a guest's line ends whom nobody answers here: "user busy", and his own center has him."""

UNANSWERED_CAUSES = {cmd.Disposition.FULL: 17, cmd.Disposition.BLOCKED: 21}
UNANSWERED_CAUSE = 20
"""Q.850 causes that end a call which we never answered: "user busy" (SIP 486) when the queue is
full, "call rejected" (403) to who is blocked, else "subscriber absent" (480)."""


class Waiting:
    """State of one wait between two offers."""

    def __init__(self, hold: cmd.HoldContact) -> None:
        self.hold = hold
        self.music = False


class CitizenSession:
    """Reads the call's inbox and keeps the citizen company until the socket or the call ends."""

    def __init__(
        self, host: Host, call: Call, agi: AgiSession, announcer: Callable[[], Announcer]
    ) -> None:
        self._host = host
        self._call = call
        self._agi = agi
        self._announcer = announcer
        self._waiting: Waiting | None = None
        self._served = False
        """He has talked: ``DIALSTATUS`` still says so to the dialplan."""
        self._apology = False
        """Whether he is to be told that we lost his operator."""

    async def serve(self) -> None:
        """Carry out commands until the contact is released or the socket is gone.

        Raises:
            AgiClosed: the socket ended; Asterisk has the citizen.
        """
        closed = asyncio.ensure_future(self._agi.closed.wait())
        closed.add_done_callback(lambda _: self._call.arrived.set())
        try:
            await self._carry_out()
        finally:
            closed.cancel()

    async def serve_after(self, agent_id: AgentId, ended: Instant | None) -> None:
        """Go on with one whose talk ended at ``ended`` while nobody held him.

        Raises:
            AgiClosed: the socket ended; Asterisk has the citizen.
        """
        self._served = True
        if self._host.ami_up():
            # Why the leg ended; AMI may be a moment behind.
            await self._settle(lambda: not self._call.legs)
        self._talk_over(agent_id, f"after:{self._call.leg}", ended)
        self._host.calls.end_dial(self._call)
        await self.serve()

    async def _carry_out(self) -> None:
        while True:
            command = await self._next()
            match command:
                case cmd.HoldContact():
                    self._waiting = Waiting(command)
                    await self._hold()
                case cmd.OfferContact():
                    await self._offer(command)
                case cmd.OverflowContact():
                    await self._offer(as_offer(command), command)
                case cmd.DialOut():
                    self._waiting = None
                    self._served = await self._host.put_through.dial(self._call, self._agi)
                case cmd.TreatContact():
                    if await self._treat(command):
                        return
                case cmd.ReleaseContact():
                    await self._release()
                    return
                case cmd.RefuseGuest() | cmd.ReturnGuest():
                    await self._guest_over(command)
                    return
                case _:
                    raise AssertionError(command)

    async def _next(self) -> cmd.Command:
        """Return the next command; meanwhile make announcements."""
        call = self._call
        while True:
            if self._agi.closed.is_set():
                # Nothing is written while he only listens, so nothing else would tell us.
                raise AgiClosed("the socket ended while he waited")
            if call.inbox:
                return call.take()
            call.arrived.clear()  # woken by the end of a socket that is not ours any more
            pause = LOOK_S
            if self._waiting is not None:
                now = self._host.now()
                due = self._announcer().next_due(call, now)
                if due is not None:
                    pause = min(pause, max(0.0, (due - now) / SECOND))
                if pause == 0.0:
                    await self._announce()
                    continue
            await self._listen(pause)

    async def _listen(self, pause: float) -> None:
        """Let him hear his music under the lease until something is to be done, or ``pause``."""
        self._host.leases.keep(self._call, self._agi)
        self._call.listening = True
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._call.arrived.wait()
        finally:
            self._call.listening = False
            self._host.leases.drop(self._agi)

    async def _hold(self) -> None:
        """Begin (again) to keep him company."""
        assert self._waiting is not None
        if self._served:
            self._served = False
            await self._agi.set_variable("DIALSTATUS", "")
        await self._answer()
        await self._show(self._waiting.hold.queue)
        if self._apology and not self._call.inbox:
            self._apology = False
            sound = self._host.sound("media-lost", self._call.language)
            if sound is not None:
                await self._play(sound)
        await self._music(on=True)

    async def _answer(self) -> None:
        """Say 200 once: who waits or is rung for is answered, carriers end what rings too long."""
        if not self._call.answered:
            self._call.answered = True
            # His phone's first packet comes 30 ms later (500 from one that sends none): the
            # operator's need not ring so much later for it.
            await self._agi.answer_at_once()

    async def _show(self, queue: QueueId) -> None:
        """Put the queue's title where operators' phones show the caller's name."""
        if self._call.shown != queue:
            self._call.shown = queue
            await self._agi.set_variable("CALLERID(name)", self._host.voice(queue).title)

    async def _music(self, *, on: bool) -> None:
        assert self._waiting is not None
        voice = self._host.voice(self._waiting.hold.queue)
        await lease.begin(self._call, self._agi)
        await self._agi.set_music(on, voice.musicclass)
        self._waiting.music = on

    async def _announce(self) -> None:
        """Play what is due; an offer cuts it, since its first command stops the stream."""
        for sound in self._announcer().prompts(self._call, self._host.now()):
            if not await self._play(sound):
                break
            if sound.broadcast_id is not None:
                self._host.submit(
                    ev.BroadcastHeard(
                        contact_id=self._call.contact_id, broadcast_id=sound.broadcast_id
                    ),
                    None,
                )
        if self._waiting is not None:
            await self._music(on=True)

    async def _stream(self, sound: Sound) -> None:
        def start() -> Awaitable[StreamResult]:
            return self._agi.stream_file(sound.path)

        await under_lease(self._host, self._call, self._agi, start, sound.seconds)

    async def _play(self, sound: Sound) -> bool:
        """Play one file under a lease of its own; False = cut because a command came."""
        playing = asyncio.ensure_future(self._stream(sound))
        arrived = asyncio.ensure_future(self._call.arrived.wait())
        try:
            await asyncio.wait({playing, arrived}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                await playing
                return True
            return False
        finally:
            arrived.cancel()
            playing.cancel()

    # --- an offer --------------------------------------------------------------------------

    async def _offer(
        self, offer: cmd.OfferContact, elsewhere: cmd.OverflowContact | None = None
    ) -> None:
        call, host = self._call, self._host
        if not host.offer_is_open(offer):
            return  # its lease ran out while this socket was busy
        if offer.offer_id in call.rescinded:
            dialling.tell_failed(host, offer, ev.OfferFailure.RESCINDED, "not dialled")
            return
        host.calls.start_dial(call, offer)
        # No `finally`: when the socket ends, Asterisk may still tell how this Dial went.
        if elsewhere is None:
            await self._dial(offer, host.voice(offer.queue))
        else:
            await self._dial_center(elsewhere, offer)
        call.rescinded.discard(offer.offer_id)
        host.calls.end_dial(call)

    async def _dial(self, offer: cmd.OfferContact, voice: QueueVoice) -> None:
        agi = self._agi
        phones = [self._host.roster.by_agent.get(a) for a in offer.agent_ids]
        targets = "&".join(p.interface for p in phones if p is not None)
        if not targets:
            dialling.tell_failed(
                self._host, offer, ev.OfferFailure.UNREACHABLE, "no phone in the config"
            )
            return
        quiet = self._call.guest and not self._call.answered  # his own center plays its music
        if not (self._call.free_ring or quiet):
            await self._answer()
        elif not (self._call.answered or quiet):
            await agi.exec("Progress")  # else Dial's music is no early media
        await self._show(offer.queue)
        await dialling.show_word(self._call, agi, offer)
        await dialling.notice(self._host, self._call, agi, voice)
        await lease.end(self._call, agi)
        ours = not (self._call.consult or self._call.guest)
        await self._host.recorder.begin(self._call, agi, offer, voice.record if ours else "never")
        codes = "t" if voice.transfer_codes else ""  # the called party: never the citizen
        music = "" if quiet else f"m({voice.musicclass})"
        await self._ring(offer, targets, dialling.ring_s(self._host, offer), f"gi{codes}{music}")

    async def _dial_center(self, command: cmd.OverflowContact, offer: cmd.OfferContact) -> None:
        """Connect him with the operator whom another center keeps free."""
        await self._answer()
        way = await self._host.overflow.prepare(self._call, self._agi, command)
        if way is not None:
            await self._ring(offer, way.target, way.seconds, way.options)

    async def _ring(
        self, offer: cmd.OfferContact, targets: str, ring_s: float, options: str
    ) -> None:
        """Let Dial run to its end, and tell the core what came of it."""
        agi = self._agi
        silence = asyncio.ensure_future(dialling.hang_up_silent(self._host, self._call))
        deduced = asyncio.ensure_future(
            dialling.deduce_answer(self._host, self._call, offer, ring_s)
        )
        try:
            # Its reply says nothing that DIALSTATUS does not.
            await agi.exec("Dial", targets, f"{ring_s:g}", options)
        finally:
            silence.cancel()
            deduced.cancel()
        # Also when AMI has told the answer: a citizen who is gone, or transferred, has no reply.
        status = await agi.get_variable("DIALSTATUS") or ""
        if status == "ANSWER":
            # It stays until he waits again: killed now, the dialplan must not let one who was
            # served wait in the native queue and ring an operator once more.
            self._served = True
        else:
            await agi.set_variable("DIALSTATUS", "")
        await self._host.recorder.end(self._call, agi)
        if status == "ANSWER":
            self._call.answered = True
            if self._call.dialling is offer or self._call.answered_by is not None:
                await self._talk_ended(offer)
            elif self._call.outside is not None:
                await self._host.put_through.over(self._call, agi)
            # Else the operator handed him over before the next one answered: he waits again.
        elif status != "CANCEL":
            cause = await agi.get_variable("HANGUPCAUSE") or ""
            why = dialling.failure(self._host, self._call, offer, status, cause)
            dialling.tell_failed(self._host, offer, why, f"{status} {cause}")

    async def _talk_ended(self, offer: cmd.OfferContact) -> None:
        """The operator's leg is gone and the citizen is still here (Dial's option g)."""
        call, host = self._call, self._host
        if host.ami_up():
            # AMI knows when it was answered and why the leg ended; it may be a moment behind.
            await self._settle(lambda: call.answered_by is not None and not call.legs)
        agent_id = call.answered_by
        if agent_id is None:
            agent_id = await self._winner(offer)
            talked = await self._agi.get_variable("ANSWEREDTIME") or "0"
            at = Instant(host.now() - int(float(talked) * SECOND))
            host.facts.answered(call, agent_id, None, at)
        self._talk_over(agent_id, f"talk_ended:{offer.offer_id}")

    async def _winner(self, offer: cmd.OfferContact) -> AgentId:
        """Return who answered, by Asterisk's own word on this socket."""
        if len(offer.agent_ids) > 1:
            peer = await self._agi.get_variable("DIALEDPEERNAME")
            agent_id = self._host.roster.agent_of(endpoint_of(peer or ""))
            if agent_id in offer.agent_ids:
                return agent_id
        return offer.agent_ids[0]

    def _talk_over(self, agent_id: AgentId, key: str, at: Instant | None = None) -> None:
        """Tell the core that the operator's side is gone, and why."""
        call, host = self._call, self._host
        lost = CAUSE_MEDIA_LOST in call.causes.values()
        back = is_abroad(agent_id) and CAUSE_HANDED_BACK in call.causes.values()
        end = ev.TalkEnd.HANDED_BACK if back else ev.TalkEnd.RELEASED
        call.ended_by = None if lost or back else ev.Party.AGENT
        host.submit(
            ev.TalkEnded(
                contact_id=call.contact_id,
                agent_id=agent_id,
                end=ev.TalkEnd.MEDIA_LOST if lost else end,
                party=ev.Party.SYSTEM if lost else ev.Party.AGENT,
                # Not now: we may have been stopped while they parted.
                at=at or call.ends.get(call.talk_leg or ""),
            ),
            key,
        )
        if lost:
            self._apology = True  # played as soon as the core says that he waits again

    async def after_transfer(self, status: str) -> None:
        """A Dial that another socket began has ended with the citizen in it (``transfers``)."""
        call = self._call
        offer, view = call.dialling, self._host.contact(call.contact_id)
        if offer is not None and status == "ANSWER":
            await self._talk_ended(offer)
        elif offer is not None:
            why = dialling.failure(self._host, call, offer, status, "")
            dialling.tell_failed(self._host, offer, why, status)
        elif view is not None and view.state is ContactState.TALK and view.agent_id is not None:
            await self._settle(lambda: not call.legs)
            if status != "ANSWER":
                call.causes[""] = CAUSE_MEDIA_LOST  # nobody answered him: back to the line
            self._talk_over(view.agent_id, f"talk_ended:{call.leg}:{self._host.now()}")
        self._host.calls.end_dial(call)

    async def _settle(self, settled: Callable[[], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + AMI_GRACE_S
        while not settled():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._call.leg_gone.clear()
            try:
                async with asyncio.timeout(left):
                    await self._call.leg_gone.wait()
            except TimeoutError:
                return

    # --- the end ---------------------------------------------------------------------------

    async def _treat(self, command: cmd.TreatContact) -> bool:
        """Say what is to be said; True = it ends there, False = another queue takes him."""
        self._waiting = None
        treatment = command.treatment
        if treatment.say:
            if not self._call.answered:
                await self._agi.exec("Progress")
            await self._say(treatment.say)
        if treatment.then is Then.QUEUE and treatment.queue is not None:
            self._host.submit(
                ev.QueueRequested(contact_id=self._call.contact_id, queue=treatment.queue), None
            )
            return False
        self._call.ended_by = ev.Party.SYSTEM
        await self._release(UNANSWERED_CAUSES.get(command.disposition, UNANSWERED_CAUSE))
        return True

    async def _release(self, unanswered: int = UNANSWERED_CAUSE) -> None:
        """Hang up; a call that we never answered with the cause ``unanswered``."""
        if self._call.answered:
            # No priority of the dialplan runs after it, so nothing need tell it that we are done.
            await self._agi.hangup()
        else:
            await self._agi.set_variable("GKC_DONE", "1")
            await self._agi.exec("Hangup", unanswered)

    async def _guest_over(self, command: cmd.RefuseGuest | cmd.ReturnGuest) -> None:
        if isinstance(command, cmd.ReturnGuest):
            self._call.ended_by = ev.Party.AGENT
            await self._agi.set_variable("GKC_DONE", "1")
            await self._agi.exec("Hangup", CAUSE_HANDED_BACK)
            return
        self._call.ended_by, self._call.end_reason = ev.Party.SYSTEM, command.reason
        await self._release(CAUSE_TURNED_BACK)

    async def _say(self, name: str) -> None:
        sound = self._host.sound(name, self._call.language)
        if sound is not None:
            await self._stream(sound)
