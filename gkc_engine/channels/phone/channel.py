"""The phone channel: Asterisk's AMI and FastAGI on one side, the engine on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.ami import AmiEvent, AmiLink
from gkc_engine.channels.phone.calls import Call, Calls
from gkc_engine.channels.phone.entry import EntryDesk
from gkc_engine.channels.phone.facts import FactHandler
from gkc_engine.channels.phone.guests import Guests
from gkc_engine.channels.phone.host import QueueVoice, Sound
from gkc_engine.channels.phone.jobs import AmiJobs
from gkc_engine.channels.phone.lease import Leases
from gkc_engine.channels.phone.live import born
from gkc_engine.channels.phone.members import Members
from gkc_engine.channels.phone.operators import Operators
from gkc_engine.channels.phone.outbound import OutboundCalls
from gkc_engine.channels.phone.overflow import Overflow
from gkc_engine.channels.phone.plan import Desk, KnownCall, PhonePlan
from gkc_engine.channels.phone.put_through import PutThrough
from gkc_engine.channels.phone.recording import Recorder
from gkc_engine.channels.phone.resync import Resync
from gkc_engine.channels.phone.roster import Roster
from gkc_engine.channels.phone.second_line import SecondLine
from gkc_engine.channels.phone.serve import CAUSE_TURNED_BACK
from gkc_engine.channels.phone.sockets import Sockets
from gkc_engine.channels.phone.strangers import register
from gkc_engine.channels.phone.transfers import Transfers
from gkc_engine.channels.phone.translate import FallbackConnected, FallbackJoined, translate
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId
from gkc_engine.ivr.fastagi import AgiServer
from gkc_engine.numbers import CAUSE_HANDED_BACK, normalise

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
"""Pause before callers are taken out of a native queue: bounds how often one can go round."""

PATROL_S = 4.0
"""How often Asterisk is asked whether the legs that we know still exist."""

HEARTBEAT_S = 1.0
"""How often the dialplan is told that we are alive; it gives up on us after 4 s."""


OfOneCall = (
    cmd.HoldContact
    | cmd.OfferContact
    | cmd.OverflowContact
    | cmd.TreatContact
    | cmd.ReleaseContact
    | cmd.RefuseGuest
    | cmd.ReturnGuest
    | cmd.DialOut
)


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
        self.sockets = Sockets(self)
        self.roster = Roster(plan.phones)
        self.ami = ami(self)
        self.agi = agi(self)
        self.jobs = AmiJobs(self.ami)
        self.entry_desk = entry_desk
        self.recorder = Recorder(self)
        self.leases = Leases()
        self.outbound = OutboundCalls(self)
        self.put_through = PutThrough(self)
        self.overflow = Overflow(self)
        self.guests = Guests(self)
        self.second_line = SecondLine(self)
        self.transfers = Transfers(self)
        self.facts = FactHandler(
            self.calls,
            self.roster,
            self.submit,
            hang_up=self.hang_up,
            on_citizen_gone=self._citizen_gone,
            on_fallback=self._look_into_fallback,
            set_roster=self._set_roster,
            agent_of=self.agent_of,
            on_answered=self.recorder.answered,
            on_attended=self.transfers.attended,
            on_own_leg_ended=self.transfers.leg_ended,
            handed_on=self._handed_on_unseen,
        )
        self.members = Members(self)
        self.operators = Operators(self)
        self.resync = Resync(self, cel)
        engine.on_stood_still = self._stood_still
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False
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
        self.stopping = True
        await end_tasks(tuple(self._tasks))
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
            case cmd.HoldContact() | cmd.OfferContact() | cmd.TreatContact():
                self._tell(command)
            case cmd.ReleaseContact() | cmd.DialOut():
                self._tell(command)
            case cmd.OverflowContact() | cmd.RefuseGuest() | cmd.ReturnGuest():
                self._tell(command)
            case cmd.RescindOffer():
                self._rescind(command)
            case cmd.SkillsInForce():
                self.members.reskilled(command)
            case cmd.AgentStateChanged():
                self.members.mirror(command)
                self.operators.observe(command)
            case _:
                pass

    def adopt(self, known: Iterable[KnownCall]) -> None:
        """Take over the calls that the last engine left; Asterisk is asked about each."""
        for past in known:
            view = self.contact(past.contact_id)
            if view is not None and view.outbound:
                self.outbound.restore(view)
                continue
            call = Call(
                contact_id=past.contact_id,
                leg=past.leg,
                channel="",
                entry=past.entry,
                language=past.language,
                earlier=True,
            )
            self.calls.add(call)
            if view is not None:
                self.put_through.restore(call, view)

    def apply_plan(self, plan: PhonePlan) -> None:
        """Take a reloaded config; calls in progress are not disturbed."""
        self.plan = plan
        self._set_roster(Roster(plan.phones, self.roster.seats))
        self.spawn(self.members.reconcile())

    def _set_roster(self, roster: Roster) -> None:
        self.roster = self.facts.roster = roster

    # --- commands --------------------------------------------------------------------------

    def _tell(self, command: OfOneCall) -> None:
        call = self.calls.by_contact.get(command.contact_id)
        if call is None:
            return  # another medium's contact, or an operator's own call, which asks itself
        if call.session is not None and not call.session.closed.is_set() and call.tell(command):
            return
        self.not_held(call, command)

    def not_held(self, call: Call, command: cmd.Command) -> None:
        """Say what becomes of a command that no socket can carry out."""
        match command:
            case cmd.OfferContact() | cmd.OverflowContact():
                self._cannot_offer(command)
            case cmd.RefuseGuest():
                call.ended_by, call.end_reason = ev.Party.SYSTEM, command.reason
                self.hang_up(call.leg, CAUSE_TURNED_BACK)
            case cmd.ReturnGuest():
                call.ended_by = ev.Party.AGENT
                self.hang_up(call.leg, CAUSE_HANDED_BACK)
            case cmd.DialOut():
                self.put_through.not_held(call)
            case cmd.ReleaseContact() | cmd.TreatContact():
                call.ended_by = call.ended_by or ev.Party.SYSTEM
                self.hang_up(call.leg, 16)
            case _:
                pass  # Asterisk's native queue keeps him company meanwhile

    def _cannot_offer(self, offer: cmd.OfferContact | cmd.OverflowContact) -> None:
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

    def agent_of(self, call: Call, endpoint: str | None) -> AgentId | None:
        """Return whose phone a leg of ``call`` is; of a trunk's, who is kept free behind it."""
        found = self.roster.agent_of(endpoint)
        return found if found is not None else self.overflow.agent_behind(call, endpoint)

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

    def first_language(self, dialled: str) -> str:
        """Return the language of a dialled number, before the citizen has chosen one."""
        entry = self.plan.entries.get(self.entry_key(dialled))
        return (entry.language if entry is not None else None) or self.plan.language

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
            if self.outbound.running:
                self.outbound.observe(fact)
            self.put_through.observe(fact)
            self.facts.handle(fact)
        if isinstance(fact, FallbackConnected):
            self.resync.came(fact.leg)

    async def on_ami_up(self) -> None:
        """The link is (again) there: read everything anew before trusting any event."""
        queues = await self.resync.run()
        await self.transfers.consults.reconcile()
        await self.outbound.reconcile()
        await self.engine.drain()  # so that the core knows whose phone is there
        self.members.compare(queues)

    def _stood_still(self, still_us: Micros) -> None:
        """We were stopped: Asterisk has gone on alone; ask for everything before we decide."""
        self.resync.away_since(Instant(self.now() - still_us))
        self.spawn(self.ask_anew())

    def _handed_on_unseen(self, call: Call, agent_id: AgentId) -> bool:
        """Whether a citizen is answered who to the core talks with another operator.

        That one sent him on while no engine lived, and this phone rang yet when we asked Asterisk.
        When he left, its lists tell.
        """
        view = self.contact(call.contact_id)
        if view is None or view.state is not ContactState.TALK:
            return False
        if view.agent_id in (None, agent_id):
            return False
        self.resync.away_since(view.since)
        self.spawn(self.ask_anew())
        return True

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

    # --- the native queues, and what was lost ----------------------------------------------

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
                try:
                    await self.resync.patrol()
                    await self.outbound.patrol()
                except Exception:
                    log.exception(
                        "patrol_failed"
                    )  # a bug of ours: the next one is tried all the same

    def _citizen_gone(self, call: Call) -> None:
        call.session = None
        self.resync.came(call.leg)
        self.entry_desk.announcer().forget(call.contact_id)
        self.entry_desk.adopted.pop(call.leg, None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` until it ends or the channel stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let no task end by a bug without a word."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task_failed", task=task.get_name(), exc_info=task.exception())
