"""A citizen whom an operator put through to a number outside: ``Dial`` on the citizen's own socket.

Two ways lead to it. Blind (REFER, ``##``): the dialplan brings him to ``/transferred``, the rules
of calls out decide, and the socket that serves him dials. Attended: Asterisk has put him into the
bridge of the operator's own call out (``transfers``), and only the end is ours to tell.

Who hung up is told by the socket, as of a call out: Dial returns to it only while the citizen is
there. Once begun the call is Asterisk's: it outlives us, and what we missed is in CEL.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone import lease
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call, Outside
from gkc_engine.channels.phone.cel import History, PastLeg
from gkc_engine.channels.phone.live import Live
from gkc_engine.channels.phone.outbound_rules import failure_of, word_for
from gkc_engine.ids import SECOND, AgentId, Instant
from gkc_engine.ivr.fastagi import AgiSession
from gkc_engine.numbers import normalise

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel
    from gkc_engine.channels.phone.live import Leg

log = structlog.get_logger(__name__)

AMI_S: Final = 2.0
"""How long AMI may be behind the socket with the end of the outside party's leg."""

MAX_DURATION: Final = "max_duration"
FELL: Final = "in the native queue"

_STATES: Final = (ContactState.DIALLING, ContactState.EXTERNAL)


class PutThrough:
    """Serves citizens who are put through, and tells the core what becomes of it."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self._by_leg: dict[str, Call] = {}
        """By the outside party's leg."""

    # --- asked for -----------------------------------------------------------------------------

    def leads_out(self, number: str) -> bool:
        """Whether a number that is no colleague's and no queue's is one outside."""
        return self._channel.plan.outbound is not None and number.lstrip("+").isdecimal()

    async def ask(self, call: Call, agent_id: AgentId, dialled: str) -> Sequence[cmd.Command]:
        """Ask the core to put the citizen through; it answers him on his socket."""
        channel, rules, now = self._channel, self._channel.plan.outbound, self._channel.now()
        assert rules is not None
        number = normalise(dialled).e164
        barred = rules.barred(number, now)
        call.outside = None
        if number is not None and not barred:
            call.outside = Outside(
                target=rules.dial_string(number),
                ring_s=rules.ring_s,
                max_s=rules.max_s,
                caller_id=rules.caller_id,
            )
        said = await channel.engine.ask(
            ev.PutThrough(
                contact_id=call.contact_id,
                from_agent=agent_id,
                outside=channel.desk.citizen(number or dialled, "", now),
                barred=barred,
            ),
            source="agi",
        )
        if not any(isinstance(command, cmd.DialOut) for command in said):
            call.outside = None
            ends = [c.reason for c in said if isinstance(c, cmd.SegmentClosed)]
            reason = barred or next(iter(ends), "")
            back = [c for c in said if isinstance(c, cmd.OfferContact)]
            if back and back[0].agent_ids == (agent_id,):
                call.word = (back[0].offer_id, word_for(reason, channel.plan.language))
            log.info("put_through_barred", agent_id=agent_id, reason=reason)
        return said

    # --- the socket ----------------------------------------------------------------------------

    async def dial(self, call: Call, agi: AgiSession) -> bool:
        """Connect him with the number; return whether he has talked with it.

        Raises:
            AgiClosed: he hung up, or was let go by Asterisk; AMI or the next comparison tells.
        """
        channel, outside = self._channel, call.outside
        if outside is None or not outside.target:
            self._failed(call, ev.OutboundFailure.UNREACHABLE, "not dialled", None)
            return False
        await channel.recorder.recall(call, agi)
        await channel.recorder.end(call, agi)  # nobody has told the other party of it
        await lease.end(call, agi)
        view = channel.contact(call.contact_id)
        queue = view.queue if view is not None else None
        music = channel.voice(queue).musicclass if queue is not None else "default"
        options = f"gm({music})S({outside.max_s})f({outside.caller_id})"
        await agi.exec("Dial", outside.target, outside.ring_s, options)
        status = await agi.get_variable("DIALSTATUS") or ""
        if status == "ANSWER":
            await self.over(call, agi)
            return True
        await agi.set_variable("DIALSTATUS", "")
        if status != "CANCEL":
            said = await agi.get_variable("HANGUPCAUSE") or ""
            cause = outside.cause or int(said if said.isdecimal() else 0)
            reason = f"{status} {said}".strip()
            self._failed(call, failure_of(status, cause), reason, outside.ended)
        return False

    async def over(self, call: Call, agi: AgiSession) -> None:
        """A Dial has ended in which he talked with the outside party; he is still here."""
        outside = call.outside
        assert outside is not None
        if self._channel.ami.up and outside.leg is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AMI_S):
                    await outside.gone.wait()
        if outside.answered is None:  # AMI has not said so
            talked = await agi.get_variable("ANSWEREDTIME") or "0"
            us = int(talked if talked.isdecimal() else 0) * SECOND
            self._answered(call, Instant(self._channel.now() - us), outside.leg)
        self._ended(call)

    async def after(self, call: Call, agi: AgiSession) -> None:
        """A talk is over which outlived the engine that dialled (the dialplan asks ``/after``)."""
        view, outside = self._channel.contact(call.contact_id), call.outside
        assert outside is not None
        if view is not None:
            told = self._past_of(call, view, await self._channel.resync.past(view.since))
            if told is not None:
                self._know(call, told)
        await self.over(call, agi)

    def not_held(self, call: Call) -> None:
        """His socket has ended before he could be connected: Asterisk's own queue has him."""
        self._channel.submit(ev.ContactDetached(contact_id=call.contact_id, at=call.let_go), None)
        self._failed(call, ev.OutboundFailure.UNREACHABLE, "not held", call.let_go)

    def came_back(self, call: Call) -> None:
        """He has come to our dialplan's entry again: nobody outside has answered him."""
        if call.outside is not None and call.outside.answered is None:
            self._failed(call, self._why(call.outside), FELL, call.outside.ended)

    # --- what AMI tells --------------------------------------------------------------------------

    def observe(self, fact: tr.PhoneFact) -> None:
        """Take what concerns the outside party of a citizen."""
        match fact:
            case tr.DialStarted() if self._dials(fact.caller, fact.endpoint):
                self._bind(self._channel.calls.by_leg[fact.caller], fact.leg)
            case tr.DialFinished() if fact.status == "ANSWER" and self._dials(
                fact.caller, fact.endpoint
            ):
                call = self._channel.calls.by_leg[fact.caller]
                self._bind(call, fact.leg)
                self._answered(call, fact.at, fact.leg)
            case tr.BridgeEntered() if fact.leg in self._by_leg:
                self._answered(self._by_leg[fact.leg], fact.at, fact.leg)
            case tr.LegEnded():
                call_of = self._by_leg.pop(fact.leg, None)
                if call_of is not None and call_of.outside is not None:
                    call_of.outside.ended, call_of.outside.cause = fact.at, fact.cause
                    call_of.outside.gone.set()
            case tr.FallbackJoined():
                self._fell(fact)
            case _:
                pass

    def _dials(self, caller: str, endpoint: str | None) -> bool:
        call = self._channel.calls.by_leg.get(caller)
        dials = call is not None and call.outside is not None and call.outside.answered is None
        return dials and self._channel.roster.agent_of(endpoint) is None

    def _fell(self, fact: tr.FallbackJoined) -> None:
        """He stands in the native queue: nobody outside answered, and no engine was there."""
        call = self._channel.calls.by_leg.get(fact.leg)
        if call is None or call.outside is None or call.outside.answered is not None:
            return
        self._channel.submit(ev.ContactDetached(contact_id=call.contact_id, at=fact.at), None)
        self._failed(call, self._why(call.outside), FELL, call.outside.ended or fact.at)

    def _why(self, outside: Outside) -> ev.OutboundFailure:
        return failure_of("" if outside.cause else "NOANSWER", outside.cause)

    def handed_over(
        self, call: Call, leg: str, at: Instant | None, *, unbridged: bool = False
    ) -> None:
        """An operator handed him over to the party of his call out, who has answered before."""
        answered = at if at is not None else self._channel.now()
        call.outside = Outside(answered=answered, unbridged=unbridged)
        if leg:
            self._bind(call, leg)

    def _bind(self, call: Call, leg: str) -> None:
        assert call.outside is not None
        if call.outside.leg != leg:
            call.outside.leg = leg
            call.outside.gone.clear()
        self._by_leg[leg] = call

    # --- to the core -----------------------------------------------------------------------------

    def _answered(self, call: Call, at: Instant | None, leg: str | None) -> None:
        outside = call.outside
        if outside is None or outside.answered is not None:
            return
        outside.answered = self._channel.now() if at is None else at
        event = ev.OutboundAnswered(contact_id=call.contact_id, leg=leg, at=at)
        self._channel.submit(event, f"put_through:{leg}" if leg else None)

    def _failed(
        self, call: Call, failure: ev.OutboundFailure, reason: str, at: Instant | None
    ) -> None:
        call.outside = None
        self._channel.submit(
            ev.OutboundFailed(contact_id=call.contact_id, failure=failure, reason=reason, at=at),
            None,
        )

    def _ended(self, call: Call) -> None:
        """The outside party has hung up, or the longest talk allowed is over."""
        outside = call.outside
        assert outside is not None
        at = outside.ended or self._channel.now()
        too_long = outside.max_s and at - (outside.answered or at) >= outside.max_s * SECOND
        call.ended_by = ev.Party.SYSTEM if too_long else ev.Party.OUTSIDE
        call.outside = None
        self._channel.submit(
            ev.OutsideEnded(
                contact_id=call.contact_id,
                party=call.ended_by,
                reason=MAX_DURATION if too_long else f"cause {outside.cause}",
                at=outside.ended,
            ),
            None,
        )

    # --- what was missed -------------------------------------------------------------------------

    def restore(self, call: Call, view: ContactView) -> None:
        """Know again a citizen whom the last engine put through."""
        if view.outbound or view.state not in _STATES:
            return
        call.outside = Outside()
        if view.state is ContactState.EXTERNAL:
            call.outside.answered = view.since
            if view.leg is not None:
                self._bind(call, view.leg)

    def compare(
        self, call: Call, view: ContactView, leg: Leg | None, live: Live, past: History
    ) -> None:
        """Tell the core how one whom the last engine put through has fared; ``leg``: his line."""
        outside = call.outside
        if view.outbound or view.state not in _STATES or outside is None:
            return
        told = self._past_of(call, view, past)
        if told is not None:
            self._know(call, told)
        if outside.answered is None:
            up = [x for x in live.answered_for(call.leg) if self._is_outside(x.endpoint)]
            if up:
                self._bind(call, up[0].uniqueid)
                self._answered(call, None, up[0].uniqueid)
            elif (leg is not None and leg.in_native_queue) or self._went_on(call, told, past):
                at = told.ended if told is not None else None
                self._channel.submit(ev.ContactDetached(contact_id=call.contact_id, at=at), None)
                self._failed(call, self._why(outside), FELL, at)
        if leg is None and told is not None and told.ended_by == told.channel:
            call.ended_by = call.ended_by or ev.Party.OUTSIDE

    def _know(self, call: Call, told: PastLeg) -> None:
        outside = call.outside
        assert outside is not None
        self._bind(call, told.leg)
        if told.answered is not None:
            self._answered(call, told.answered, told.leg)
        if told.ended is not None:
            outside.ended, outside.cause = told.ended, told.cause
            outside.gone.set()
            self._by_leg.pop(told.leg, None)

    def _past_of(self, call: Call, view: ContactView, past: History) -> PastLeg | None:
        """Return the outside party's leg: as it is on record, else the last one made for him."""
        if view.leg is not None and view.leg in past.legs:
            return past.legs[view.leg]
        since = view.since - SECOND
        made = [
            told
            for told in past.dialled_for(call.leg)
            if self._is_outside(told.endpoint) and (told.started or since) >= since
        ]
        return made[-1] if made else None

    def _went_on(self, call: Call, told: PastLeg | None, past: History) -> bool:
        """Whether an operator's phone was rung for him after the one outside."""
        ended = told.ended if told is not None else None
        return ended is not None and any(
            not self._is_outside(later.endpoint) and (later.started or ended) > ended
            for later in past.dialled_for(call.leg)
        )

    def _is_outside(self, endpoint: str | None) -> bool:
        return endpoint is not None and self._channel.roster.agent_of(endpoint) is None
