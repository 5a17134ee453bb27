"""Operators' calls to numbers outside: `/outbound`, on the socket of the operator's own leg.

The dialplan lets nothing out by itself: the engine says ``EXEC Dial`` or nobody does. Once it has,
the call is Asterisk's: it outlives us, and what became of it is told by AMI, by the dialplan's
second question (`/outbound,after`), or by CEL. Who hung up is known from the socket: Dial returns
to it only when the operator is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.cel import History, PastLeg
from gkc_engine.channels.phone.live import Live, leg_of
from gkc_engine.channels.phone.outbound_rules import OutboundRules, failure_of, prompt_for
from gkc_engine.channels.phone.recording_out import OutRecorder
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant
from gkc_engine.ivr.fastagi import AgiClosed, AgiSession
from gkc_engine.numbers import normalise

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

MARGIN_S: Final = 60
"""``TIMEOUT(absolute)`` of the operator's leg beyond ring and talk: the last net."""

AMI_S: Final = 5.0
"""How long AMI may be behind the socket with the end of a call."""

MAX_DURATION: Final = "max_duration"
SEEN: Final = "seen at resync"

_ON_BEHALF: Final = (AgentState.TALK, AgentState.HOLD, AgentState.WRAP_UP)


@dataclass(slots=True, kw_only=True, eq=False)
class CallOut:
    """One call, from the core's ``DialOut`` to its end."""

    contact_id: ContactId
    agent_id: AgentId
    leg: str
    """The operator's channel, by which the call is known."""
    outside: str | None = None
    """The called party's channel."""
    answered: Instant | None = None
    ended: Instant | None = None
    """When the called party's channel was gone."""
    cause: int = 0
    recording: str | None = None
    """The file of the talk, below the folder of recordings."""
    agi: AgiSession | None = None
    """The socket that waits for Dial; ``None``: it outlived it."""
    parted: asyncio.Event = field(default_factory=asyncio.Event)
    """AMI has told how the operator and the called party came apart."""


class OutboundCalls:
    """Serves them, and tells the core what becomes of them."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self.running: dict[str, CallOut] = {}
        """By the operator's leg."""
        self._recorder = OutRecorder(channel)

    # --- the socket ----------------------------------------------------------------------------

    async def serve(self, agi: AgiSession) -> None:
        """Serve one question of the dialplan's; the rest of it follows when we return.

        Raises:
            AgiClosed: the operator hung up; AMI or the next comparison tells the core.
        """
        channel, rules = self._channel, self._channel.plan.outbound
        if tuple(agi.request.arguments[:1]) == ("after",):
            await self._after(agi)
            return
        agent_id = channel.roster.agent_of(endpoint_of(agi.channel))
        if agent_id is None or rules is None or not channel.engine.accepting:
            log.info("outbound_refused", phone=endpoint_of(agi.channel))
            return  # the dialplan says that it cannot be
        await agi.set_variable("TIMEOUT(absolute)", rules.ring_s + rules.max_s + MARGIN_S)
        number = normalise(agi.request.extension).e164
        said = await self._ask(agi, rules, agent_id, number)
        dial = next((c for c in said if isinstance(c, cmd.DialOut)), None)
        if dial is None or number is None:
            ended = (c.reason for c in said if isinstance(c, cmd.ContactEnded))
            await self._refuse(agi, next(ended, ""))
            return
        call = CallOut(contact_id=dial.contact_id, agent_id=agent_id, leg=agi.uniqueid, agi=agi)
        self.running[call.leg] = call
        try:
            await self._dial(call, agi, rules, number)
        except AgiClosed:
            self._socket_ended(call)
            raise

    async def _ask(
        self, agi: AgiSession, rules: OutboundRules, agent_id: AgentId, number: str | None
    ) -> Sequence[cmd.Command]:
        channel, now = self._channel, self._channel.now()
        contact_id, registration = channel.desk.new_contact(now)
        dialled = agi.request.extension
        barred = rules.barred(number, now)
        if barred:
            log.info("outbound_barred", agent_id=agent_id, contact_id=contact_id, reason=barred)
        return await channel.engine.ask(
            ev.OutboundStarted(
                contact_id=contact_id,
                agent_id=agent_id,
                number=registration,
                citizen=channel.desk.citizen(number or dialled, "", now),
                language=channel.plan.language,
                uniqueid=agi.uniqueid,
                related=self._related(agent_id),
                barred=barred,
            ),
            source="agi",
        )

    def _related(self, agent_id: AgentId) -> ContactId | None:
        """Return the contact that he has in hand, or writes up: on its behalf he calls."""
        view = self._channel.engine.acd.agent_view(agent_id)
        for slot in view.slots if view is not None else ():
            # A call out stands in no queue, also while its wrap-up is all that is left of it.
            if slot.state in _ON_BEHALF and slot.queue is not None:
                return slot.contact_id
        return None

    async def _dial(
        self, call: CallOut, agi: AgiSession, rules: OutboundRules, number: str
    ) -> None:
        await agi.exec(
            "MSet",
            f"GKC_CONTACT={call.contact_id}",
            f"CALLERID(num)={rules.caller_id}",
            "CALLERID(name)=",
        )
        call.recording = await self._recorder.begin(call.contact_id, agi)
        options = f"gS({rules.max_s})"
        await agi.exec("Dial", rules.dial_string(number), rules.ring_s, options)
        await self._came_back(call, agi)

    async def _came_back(self, call: CallOut, agi: AgiSession) -> None:
        """Dial is over and the operator is still on his line."""
        status = await agi.get_variable("DIALSTATUS") or ""
        cause = await agi.get_variable("HANGUPCAUSE") or ""
        if status == "ANSWER":
            await self._told(call)
        if call.leg != agi.uniqueid:
            return  # he has put the other through to a colleague
        if status == "CANCEL" or agi.hungup.is_set():
            self._socket_ended(call)
            return
        tone = "Congestion"
        if status == "ANSWER":
            tone = ""
            if call.answered is None:  # AMI has not said so
                talked = await agi.get_variable("ANSWEREDTIME") or "0"
                us = int(talked if talked.isdecimal() else 0) * SECOND
                self.tell_answered(call, Instant(self._channel.now() - us))
            self.over(call, *self._by_whom(call))
        else:
            failure = failure_of(status, call.cause or int(cause if cause.isdecimal() else 0))
            tone = "Busy" if failure is ev.OutboundFailure.BUSY else tone
            self.failed(call, failure, f"{status} {cause}".strip(), call.ended)
        await agi.set_variable("GKC_DONE", "1")
        if tone:
            await agi.exec(tone, 5)
        await agi.hangup()

    async def _told(self, call: CallOut) -> None:
        """Wait until AMI says why a talk is over, which the socket may know before.

        The other has hung up, or talks with a colleague: Asterisk takes the operator out of the
        bridge before it tells of an attended transfer.
        """
        if call.outside is not None and self._channel.ami.up:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AMI_S):
                    await call.parted.wait()

    def _by_whom(self, call: CallOut) -> tuple[ev.Party, str, Instant | None]:
        """Return who ended a talk of which the operator's line still stands."""
        rules, ended = self._channel.plan.outbound, call.ended or self._channel.now()
        talked_us = ended - (call.answered or ended)
        if rules is not None and talked_us >= rules.max_s * SECOND:
            return ev.Party.SYSTEM, MAX_DURATION, call.ended
        return ev.Party.CITIZEN, f"cause {call.cause}", call.ended

    async def _after(self, agi: AgiSession) -> None:
        """The Dial of an engine that is gone has ended before its operator did."""
        call = self.running.get(agi.uniqueid)
        if call is not None:
            await self._came_back(call, agi)

    async def _refuse(self, agi: AgiSession, reason: str) -> None:
        """Say why not, as early media, and end the call."""
        channel = self._channel
        name = prompt_for(reason)
        sound = channel.sound(name, channel.plan.language)
        await agi.exec("Progress")
        if sound is not None:
            await agi.stream_file(sound.path)
        await agi.set_variable("GKC_DONE", "1")
        await agi.exec("Congestion", 2)
        await agi.hangup()

    def _socket_ended(self, call: CallOut) -> None:
        """He hung up, or the socket was cut: AMI says which, at the latest a look at Asterisk."""
        call.agi = None
        if not self._channel.stopping:
            self._channel.spawn(self._over_at_last(call))

    async def _over_at_last(self, call: CallOut) -> None:
        await asyncio.sleep(AMI_S)
        if self.running.get(call.leg) is call and self._channel.ami.up:
            await self.reconcile((call,))

    # --- what AMI tells --------------------------------------------------------------------------

    def observe(self, fact: tr.PhoneFact) -> None:
        """Take what concerns these calls; before the other legs' bookkeeping (``facts``)."""
        match fact:
            case tr.DialStarted() if fact.caller in self.running:
                self.running[fact.caller].outside = fact.leg
            case tr.DialFinished() if fact.caller in self.running and fact.status == "ANSWER":
                call = self.running[fact.caller]
                call.outside = fact.leg
                self.tell_answered(call, fact.at)
            case tr.BridgeEntered():
                call_of = self._of_outside(fact.leg)
                if call_of is not None:
                    self.tell_answered(call_of, fact.at)
            case tr.LegHeld() if fact.leg in self.running:
                self._held(self.running[fact.leg], fact)
            case tr.LegEnded():
                self._leg_ended(fact)
            case tr.AttendedTransferred():
                self._handed_over(fact)
            case _:
                pass

    def _of_outside(self, leg: str) -> CallOut | None:
        return next((call for call in self.running.values() if call.outside == leg), None)

    def _held(self, call: CallOut, fact: tr.LegHeld) -> None:
        kind = ev.HoldStarted if fact.held else ev.HoldEnded
        event = kind(contact_id=call.contact_id, agent_id=call.agent_id, at=fact.at)
        self._channel.submit(event, f"{'hold' if fact.held else 'unhold'}:{fact.leg}:{fact.at}")

    def _handed_over(self, fact: tr.AttendedTransferred) -> None:
        """The operator put the called party through to a colleague, whom he had asked before."""
        channel = self._channel
        call = self.running.get(fact.first) or self.running.get(fact.second)
        citizens = channel.calls.by_leg
        if call is None or fact.three or fact.transferee in citizens or fact.target in citizens:
            return  # of a citizen who is put through to the called party `Transfers` tells
        other = fact.second if call.leg == fact.first else fact.first
        to_agent, leg = channel.transfers.asked_by(other, fact)
        if to_agent is None or call.answered is None:
            return
        channel.submit(
            ev.TransferCompleted(
                contact_id=call.contact_id,
                from_agent=call.agent_id,
                to_agent=to_agent,
                leg=leg,
                at=fact.at,
            ),
            f"attended:{fact.first}:{fact.second}",
        )
        del self.running[call.leg]
        call.agent_id, call.leg, call.agi = to_agent, leg, None
        call.parted.set()
        self.running[leg] = call
        channel.transfers.consults.over(other)

    def of(self, agent_id: AgentId) -> ContactId | None:
        """Return the call out that an operator talks in, the first if there are several."""
        mine = (c for c in self.running.values() if c.agent_id == agent_id and c.answered)
        return next((call.contact_id for call in mine), None)

    def called_by(self, leg: str) -> str:
        """Return the called party's leg of the call out on an operator's ``leg``; empty: none."""
        call = self.running.get(leg)
        return (call.outside or "") if call is not None else ""

    def number_behind(self, leg: str) -> str | None:
        """Return the keyed hash of the number behind a called party's leg, if we called it."""
        call = self._of_outside(leg)
        view = self._channel.contact(call.contact_id) if call is not None else None
        return view.citizen if view is not None else None

    def _leg_ended(self, fact: tr.LegEnded) -> None:
        call = self.running.get(fact.leg)
        if call is not None:  # the operator is gone, and has not waited for the other's end
            self.over(call, ev.Party.AGENT, f"cause {fact.cause}", call.ended or fact.at)
            return
        other = self._of_outside(fact.leg)
        if other is not None:
            other.ended, other.cause = fact.at, fact.cause
            other.parted.set()

    # --- to the core -----------------------------------------------------------------------------

    def tell_answered(self, call: CallOut, at: Instant | None) -> None:
        """They talk; said once."""
        if call.answered is None:
            call.answered = self._channel.now() if at is None else at
            event = ev.OutboundAnswered(contact_id=call.contact_id, at=at)
            self._channel.submit(event, f"out_answered:{call.leg}")
            self._recorder.answered(call.contact_id, call.recording, at)

    def over(self, call: CallOut, party: ev.Party, reason: str, at: Instant | None) -> None:
        """The call has ended; said once."""
        call.parted.set()
        if self.running.pop(call.leg, None) is not None:
            self._not_talked(call)
            left = ev.ContactLeft(contact_id=call.contact_id, party=party, reason=reason, at=at)
            self._channel.submit(left, f"left:{call.leg}")

    def failed(
        self, call: CallOut, failure: ev.OutboundFailure, reason: str, at: Instant | None
    ) -> None:
        """Nobody answered; said once."""
        if self.running.pop(call.leg, None) is not None:
            self._not_talked(call)
            event = ev.OutboundFailed(
                contact_id=call.contact_id, failure=failure, reason=reason, at=at
            )
            self._channel.submit(event, f"left:{call.leg}")

    def _not_talked(self, call: CallOut) -> None:
        if call.answered is None:
            self._recorder.discard(call.recording)

    # --- what was missed -------------------------------------------------------------------------

    def restore(self, view: ContactView) -> None:
        """Know again a call of before a restart."""
        if view.leg is not None and view.agent_id is not None:
            self.running[view.leg] = CallOut(
                contact_id=view.contact_id,
                agent_id=view.agent_id,
                leg=view.leg,
                answered=view.answered if view.state is ContactState.TALK else None,
                recording=self._recorder.found(view.contact_id, view.started),
            )

    async def patrol(self) -> None:
        """Look after the calls that no socket tells of: their Hangup may have been lost."""
        loose = [call for call in self.running.values() if call.agi is None]
        if loose and self._channel.ami.up:
            await self.reconcile(loose)

    async def reconcile(self, calls: Iterable[CallOut] | None = None) -> None:
        """Compare with what Asterisk has and had; of all calls, unless some are named."""
        known = list(self.running.values() if calls is None else calls)
        if not known:
            return
        try:
            rows = await self._channel.ami.list_action("CoreShowChannels")
        except PeerError as error:
            log.warning("outbound_unread", reason=str(error))
            return
        live = Live(leg_of(row) for row in rows if row.get("Uniqueid"))
        if all(self._goes_on(call, live) for call in known):
            return  # an hour of CEL is not read for nothing, every 4 s
        past = await self._channel.resync.past(self._channel.resync.long_ago())
        for call in known:
            if self.running.get(call.leg) is call:
                self._compare(call, live, past)

    def _goes_on(self, call: CallOut, live: Live) -> bool:
        """Whether a call is on the line as we know it; note whom the operator talks with."""
        up = live.answered_for(call.leg)
        if up and call.outside is None:
            call.outside = up[0].uniqueid
        return call.leg in live.by_id and (call.answered is not None or not up)

    def _compare(self, call: CallOut, live: Live, past: History) -> None:
        told = next((x for x in reversed(past.dialled_for(call.leg))), None)
        if told is not None:
            call.outside = told.leg
            if told.answered is not None:
                self.tell_answered(call, told.answered)
        if call.leg in live.by_id:
            if told is None and live.answered_for(call.leg):
                self.tell_answered(call, None)
            return
        self._gone(call, told, past.legs.get(call.leg))

    def _gone(self, call: CallOut, told: PastLeg | None, own: PastLeg | None) -> None:
        """The operator's line is not there any more; CEL knows more, if we may read it."""
        ended = (told and told.ended) or (own and own.ended)
        if not ended or own is None:
            self.over(call, ev.Party.SYSTEM, SEEN, None)
            return
        source = own.ended_by or (told.ended_by if told is not None else "")
        by_agent = endpoint_of(source) == own.endpoint
        if call.answered is not None or by_agent or told is None:
            party = ev.Party.AGENT if by_agent else ev.Party.CITIZEN
            self.over(call, party, SEEN, ended)
        else:
            self.failed(call, failure_of("", told.cause), SEEN, ended)
