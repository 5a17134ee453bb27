"""The phone channel: Asterisk's AMI and FastAGI on one side, the engine on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.ami import AmiEvent, AmiLink
from gkc_engine.channels.phone.calls import Call, Calls
from gkc_engine.channels.phone.entry import Entry, EntryDesk
from gkc_engine.channels.phone.facts import FactHandler
from gkc_engine.channels.phone.host import QueueVoice, Sound
from gkc_engine.channels.phone.jobs import AmiJobs
from gkc_engine.channels.phone.lease import may_lease
from gkc_engine.channels.phone.live import born
from gkc_engine.channels.phone.members import Members
from gkc_engine.channels.phone.operators import Operators
from gkc_engine.channels.phone.recording import Recorder, Recordings
from gkc_engine.channels.phone.resync import Resync
from gkc_engine.channels.phone.roster import Phone, Roster
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.channels.phone.strangers import register
from gkc_engine.channels.phone.transfers import Transfers
from gkc_engine.channels.phone.translate import FallbackConnected, FallbackJoined, translate
from gkc_engine.engine import Engine
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId
from gkc_engine.ivr.fastagi import AgiClosed, AgiServer, AgiSession
from gkc_engine.numbers import normalise

log = structlog.get_logger(__name__)

SOCKET_GRACE_S = 0.5
"""A socket that ended without a Hangup within this time is a transfer or a move, not an end."""

SWEEP_S = 1.0
"""Pause before callers are taken out of a native queue: bounds how often one can go round."""

PATROL_S = 4.0
"""How often Asterisk is asked whether the legs that we know still exist."""

HEARTBEAT_S = 1.0
"""How often the dialplan is told that we are alive; it gives up on us after 4 s."""


@dataclass(slots=True, kw_only=True)
class PhonePlan:
    """What the config says about phones; replaced as a whole by a reload."""

    phones: tuple[Phone, ...]
    entries: dict[str, Entry]
    """What each of our numbers (E.164) leads to."""
    voices: dict[QueueId, QueueVoice]
    fallbacks: dict[QueueId, str] = field(default_factory=dict)
    """The native queue that serves each queue's callers when we are gone."""
    members: dict[AgentId, tuple[str, ...]] = field(default_factory=dict)
    """The native queues that each operator may serve."""
    language: str = "ru"
    sounds: Callable[[str, str], Sound | None] = lambda _name, _language: None
    """Finds a prompt by name and language."""
    recordings: Recordings | None = None
    """Where talks are recorded; without it none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """A call of before the restart that had not ended on record."""

    contact_id: ContactId
    leg: str
    entry: str
    language: str


class Desk(Protocol):
    """Identity and numbering, from the recorder."""

    def new_contact(self, now: Instant) -> tuple[ContactId, str]:
        """Return a fresh contact id and its registration number."""
        ...

    def citizen(self, number: str, name: str, now: Instant) -> str | None:
        """Remember a caller's number and return his key; ``None`` when it is withheld."""
        ...


class PhoneChannel:
    """Implements ``channels.base.Channel`` for voice on Asterisk."""

    name = "phone"

    def __init__(
        self,
        engine: Engine,
        plan: PhonePlan,
        desk: Desk,
        ami: Callable[[PhoneChannel], AmiLink],
        agi: Callable[[PhoneChannel], AgiServer],
        entry_desk: EntryDesk,
        cel: Path | None = None,
    ) -> None:
        """``cel``: Asterisk's list of past legs, if we may read it."""
        self.engine = engine
        self.plan = plan
        self.desk = desk
        self.calls = Calls()
        self.roster = Roster(plan.phones)
        self.ami = ami(self)
        self.agi = agi(self)
        self.jobs = AmiJobs(self.ami)
        self.entry_desk = entry_desk
        self.recorder = Recorder(self)
        self.transfers = Transfers(self)
        self.facts = FactHandler(
            self.calls,
            self.roster,
            self.submit,
            hang_up=self.hang_up,
            on_citizen_gone=self._citizen_gone,
            on_fallback=self._look_into_fallback,
            set_roster=self._set_roster,
            on_answered=self.recorder.answered,
            on_attended=self.transfers.attended,
            on_own_leg_ended=self.transfers.leg_ended,
        )
        self.members = Members(self)
        self.operators = Operators(self)
        self.resync = Resync(self, cel)
        engine.on_stood_still = self._stood_still
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._sweeping: asyncio.Task[None] | None = None

    # --- Channel ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen for FastAGI first: a call that comes before AMI is up is served all the same."""
        await self.agi.start()
        await self.ami.start()
        self.jobs.start()
        self.spawn(self._heartbeat())
        self.spawn(self._patrol())

    async def stop(self) -> None:
        """Close the sockets: Asterisk's dialplan takes each citizen on by itself."""
        self._stopping = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.jobs.stop()
        await self.agi.stop()
        await self.ami.stop()

    def healthy(self) -> bool:
        """Whether AMI is up; FastAGI serves calls without it."""
        return self.ami.up

    def perform(self, command: cmd.Command, now: Instant) -> None:
        """Carry out what concerns a call of ours, and mirror the operators' states."""
        del now
        match command:
            case cmd.HoldContact() | cmd.OfferContact() | cmd.TreatContact() | cmd.ReleaseContact():
                self._tell(command)
            case cmd.RescindOffer():
                self._rescind(command)
            case cmd.AgentStateChanged():
                self.members.mirror(command)
                self.operators.observe(command)
            case _:
                pass

    def adopt(self, known: Iterable[KnownCall]) -> None:
        """Take over the calls that the last engine left; Asterisk is asked about each."""
        for past in known:
            self.calls.add(
                Call(
                    contact_id=past.contact_id,
                    leg=past.leg,
                    channel="",
                    entry=past.entry,
                    language=past.language,
                )
            )

    def apply_plan(self, plan: PhonePlan) -> None:
        """Take a reloaded config; calls in progress are not disturbed."""
        self.plan = plan
        self._set_roster(Roster(plan.phones, self.roster.seats))
        self.spawn(self.members.reconcile())

    def _set_roster(self, roster: Roster) -> None:
        self.roster = self.facts.roster = roster

    # --- commands --------------------------------------------------------------------------

    def _tell(
        self,
        command: cmd.HoldContact | cmd.OfferContact | cmd.TreatContact | cmd.ReleaseContact,
    ) -> None:
        call = self.calls.by_contact.get(command.contact_id)
        if call is None:
            return  # another medium's contact
        if call.session is not None and not call.session.closed.is_set() and call.tell(command):
            return
        self._not_held(call, command)

    def _not_held(self, call: Call, command: cmd.Command) -> None:
        """Say what becomes of a command that no socket can carry out."""
        match command:
            case cmd.OfferContact():
                self._cannot_offer(command)
            case cmd.ReleaseContact() | cmd.TreatContact():
                call.ended_by = call.ended_by or ev.Party.SYSTEM
                self.hang_up(call.leg, 16)
            case _:
                pass  # Asterisk's native queue keeps him company meanwhile

    def _cannot_offer(self, offer: cmd.OfferContact) -> None:
        """The core thought that we hold him; say that we do not, then that the offer is over."""
        call = self.calls.by_contact.get(offer.contact_id)
        since = call.let_go if call is not None else None
        self.submit(ev.ContactDetached(contact_id=offer.contact_id, at=since), None)
        self.submit(
            ev.OfferFailed(
                offer_id=offer.offer_id, failure=ev.OfferFailure.RESCINDED, reason="not held"
            ),
            f"failed:{offer.offer_id}",
        )

    def _rescind(self, command: cmd.RescindOffer) -> None:
        call = self.calls.by_contact.get(command.contact_id)
        if call is None:
            return
        call.rescinded.add(command.offer_id)
        if call.dialling is not None and call.dialling.offer_id == command.offer_id:
            for leg in call.legs:
                if leg != call.talk_leg:
                    self.hang_up(leg, 26)

    def hang_up(self, leg: str, cause: int) -> None:
        """Ask Asterisk to end a leg; what came of it is told by its Hangup event."""
        self.jobs.put("Hangup", Channel=leg, Cause=str(cause))

    # --- what sessions ask of us (host.Host) ----------------------------------------------

    def now(self) -> Instant:
        """Return the engine's time."""
        return self.engine.now()

    def submit(self, event: ev.Event, key: str | None) -> None:
        """Hand an event to the engine as seen by the phone channel."""
        self.engine.submit(event, source="ami", key=key)

    def voice(self, queue: QueueId) -> QueueVoice:
        """Return what the queue sounds like; plain music for one that a reload removed."""
        return self.plan.voices.get(queue) or QueueVoice(title="")

    def offer_is_open(self, offer: cmd.OfferContact) -> bool:
        """Whether the core still means this offer."""
        view = self.engine.acd.contact_view(offer.contact_id)
        return view is not None and view.offer_id == offer.offer_id

    def contact(self, contact_id: ContactId) -> ContactView | None:
        """Return what the core knows of a contact; ``None`` when it has ended."""
        return self.engine.acd.contact_view(contact_id)

    def sound(self, name: str, language: str) -> Sound | None:
        """Return a prompt's file; ``None`` when it cannot be had."""
        return self.plan.sounds(name, language)

    def entry_key(self, dialled: str) -> str:
        """Return the form in which the config knows a dialled number: E.164 where it is one."""
        return normalise(dialled).e164 or dialled

    def renew(self, leg: str, seconds: int) -> None:
        """Set the leg's lease by AMI: it cuts no prompt, as a word on the socket would."""
        self.jobs.put("Setvar", Channel=leg, Variable="TIMEOUT(absolute)", Value=str(seconds))

    async def answer_of(
        self, call: Call, offer: cmd.OfferContact
    ) -> tuple[AgentId, str | None, Instant | None]:
        """Return who answered a running Dial, on which leg and when, as far as can be known."""
        return await self.resync.answer_of(call, offer)

    def ami_up(self) -> bool:
        """Whether AMI can be expected to tell us the same story."""
        return self.ami.up

    # --- AMI -------------------------------------------------------------------------------

    def on_ami_event(self, event: AmiEvent) -> None:
        """Translate and handle one event; called in order."""
        fact = translate(event)
        if fact is not None:
            if fact.at is not None:
                fact.at = self.engine.of_wall(fact.at)
            self.facts.handle(fact)
        if isinstance(fact, FallbackConnected):
            self.resync.came(fact.leg)

    async def on_ami_up(self) -> None:
        """The link is (again) there: read everything anew before trusting any event."""
        queues = await self.resync.run()
        await self.transfers.consults.reconcile()
        await self.engine.drain()  # so that the core knows whose phone is there
        self.members.compare(queues)

    def _stood_still(self, still_us: Micros) -> None:
        """We were stopped: Asterisk has gone on alone; ask for everything before we decide."""
        self.resync.away_since(Instant(self.now() - still_us))
        self.spawn(self.ask_anew())

    async def ask_anew(self) -> None:
        """Read everything anew, if Asterisk can be asked."""
        if self.ami.up:
            try:
                await self.on_ami_up()
            except PeerError as error:
                log.warning("resync_failed", reason=str(error))  # the link's own resync follows

    def on_ami_down(self, reason: str) -> None:
        """The link is gone: calls in AGI go on; new ones fail open as the heartbeat ages."""
        self.resync.lost()
        log.warning("ami_down", reason=reason)

    async def _heartbeat(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(HEARTBEAT_S)

    async def beat(self) -> None:
        """Tell the dialplan that new calls may come to us; not while no record can be made."""
        if not self.ami.up or not self.engine.accepting:
            return
        try:
            await self.ami.action(
                "Setvar", Variable="GKC_HEARTBEAT", Value=str(self.engine.wall() // SECOND)
            )
        except PeerError as error:
            log.warning("heartbeat_failed", reason=str(error))

    # --- FastAGI ---------------------------------------------------------------------------

    async def on_agi(self, agi: AgiSession) -> None:
        """Serve one AGI socket to its end; whatever fails here, Asterisk goes on by itself."""
        where, _, rest = agi.request.path.strip("/").partition("/")
        try:
            match where:
                case "enter":
                    await self._citizen(agi, None)
                case "queue":
                    await self._citizen(agi, QueueId(rest))
                case "after":
                    await self._after(agi)
                case "transferred":
                    await self.transfers.transferred(agi)
                case "consult":
                    await self.transfers.consult(agi)
                case "record":
                    await self._record(agi)
                case "feature":
                    await self.operators.serve(agi)
                case _:
                    log.warning("agi_unknown_path", path=agi.request.path[:80])
        except AgiClosed:
            pass
        except PeerError as error:
            log.warning("agi_failed", path=agi.request.path[:80], reason=str(error))

    async def _citizen(self, agi: AgiSession, queue: QueueId | None) -> None:
        call = self.calls.by_leg.get(agi.uniqueid)
        if call is None:
            if not self.engine.accepting:
                return
            call = await self.entry_desk.admit(self, agi)
            self.calls.add(call)
            known = False
        else:
            known = True
        await self.hold_socket(call, agi, self._serve(call, agi, queue, known=known))

    async def hold_socket(
        self, call: Call, agi: AgiSession, work: Coroutine[Any, Any, None]
    ) -> None:
        """Let ``work`` serve the call on this socket; afterwards find out what its end meant."""
        if call.session is not agi:  # else it was told of him before we began
            call.session = agi
            call.inbox.clear()
            call.arrived.clear()
        call.back = self.now()
        try:
            call.leased = await may_lease(agi)
            await work
        finally:
            work.close()  # it never began if the socket closed at once
            if call.session is agi:
                call.session, call.let_go = None, self.now()
                if not self._stopping:
                    while call.inbox:
                        self._not_held(call, call.take())
                    self.spawn(self._socket_ended(call))

    async def _serve(
        self, call: Call, agi: AgiSession, queue: QueueId | None, *, known: bool
    ) -> None:
        if known:
            await self.resync.in_turn(call.leg)
            self.entry_desk.returned(self, call)
        view = self.contact(call.contact_id)
        # One who fell out of the menu has no queue yet: it begins anew.
        asked = known and (view is None or view.queue is not None)
        if not asked and not await self.entry_desk.enter(self, call, agi, queue):
            return
        await CitizenSession(self, call, agi, self.entry_desk.announcer).serve()

    async def _record(self, agi: AgiSession) -> None:
        """``*1`` during a talk: pause the recording or go on; the operator hears which."""
        call = self.calls.by_agent_leg.get(agi.uniqueid)
        on = self.recorder.toggle(call) if call is not None else None
        said = {True: "agent-stored", False: "agent-paused", None: "agent-refused"}[on]
        sound = self.sound(said, self.plan.language)
        if sound is not None:
            await agi.stream_file(sound.path)

    async def _after(self, agi: AgiSession) -> None:
        """A talk ended while nobody held the socket: the engine was away when it began."""
        call = self.calls.by_leg.get(agi.uniqueid)
        if call is None:
            return
        view = self.contact(call.contact_id)
        if view is None or view.agent_id is None:
            return
        call.ended_by = ev.Party.AGENT
        self.submit(
            ev.TalkEnded(
                contact_id=call.contact_id,
                agent_id=view.agent_id,
                end=ev.TalkEnd.RELEASED,
                party=ev.Party.AGENT,
                at=await self.resync.talked_unseen(call, agi),
            ),
            f"after:{call.leg}",
        )
        await self.hold_socket(
            call, agi, CitizenSession(self, call, agi, self.entry_desk.announcer).serve()
        )

    async def _socket_ended(self, call: Call) -> None:
        """Find out what an ended socket meant: only Asterisk's Hangup means that he left."""
        await asyncio.sleep(SOCKET_GRACE_S)
        if self.calls.by_leg.get(call.leg) is not call or call.session is not None:
            return
        if not self.ami.up:
            return  # Asterisk may be gone with him: the resync tells
        view = self.contact(call.contact_id)
        if view is not None and view.state in (ContactState.WAITING, ContactState.OFFERED):
            self.submit(ev.ContactDetached(contact_id=call.contact_id, at=call.let_go), None)
        # Who has left, and his Hangup is late or lost, did not fall into a queue.
        await self.resync.look_at(call)

    def _look_into_fallback(self, fact: FallbackJoined) -> None:
        """Somebody fell into a native queue although we are here: take him back soon.

        He may have come past us (a late heartbeat): his record begins now, for the native queue
        may connect him before we have him back.
        """
        entry = fact.entry if normalise(fact.entry).e164 else ""
        came = born(fact.leg)
        at = fact.at if came is None else self.engine.of_wall(came)
        if not self.transfers.consults.is_own_call(fact.channel):
            register(self, leg=fact.leg, entry=entry, number=fact.number, at=at)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self.spawn(self._sweep())

    async def _sweep(self) -> None:
        await asyncio.sleep(SWEEP_S)
        if self.ami.up and self.engine.accepting:
            await self.resync.sweep()

    async def _patrol(self) -> None:
        """Repair what a lost AMI event left behind, while the link looks sound."""
        while True:
            await asyncio.sleep(PATROL_S)
            if self.ami.up:
                await self.resync.patrol()

    def _citizen_gone(self, call: Call) -> None:
        call.session = None
        self.resync.came(call.leg)
        self.entry_desk.announcer().forget(call.contact_id)
        self.entry_desk.adopted.pop(call.leg, None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` until it ends or the channel stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
