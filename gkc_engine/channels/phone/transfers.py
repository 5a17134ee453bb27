"""Operators' own calls and the transfers that come of them; the contact stays one.

Three ways in, all by the dialplan (telephony contract, "Transfers"):

* ``/transferred``: a blind REFER (or ``##``) has put the citizen's channel here; the extension is
  the number that was asked for. He is the same contact on a new socket.
* ``/consult``: an operator dials a colleague. Both are reserved as by an offer. A completed
  attended transfer swaps the *citizen* into this very socket, so that at its end it is his.
* A transfer before the colleague answered: the running Dial becomes the offer that the core makes
  to the colleague; who does not answer sends the citizen back to his old place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.lease import CALL_LIMIT_S
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.errors import PeerError
from gkc_engine.ids import AgentId
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

CAUSE_GONE: Final = 26
"""Q.850 "non-selected user clearing": a ring that is not wanted any more."""

CONSULT_S: Final = 30
"""How long a colleague's phone rings."""

_CAN_BE_CALLED: Final = frozenset(
    {AgentState.READY, AgentState.NOT_READY, AgentState.OFFLINE, AgentState.WRAP_UP}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consult:
    """One call between two operators."""

    caller: AgentId
    target: AgentId
    agi: AgiSession | None
    """``None``: it outlived the engine that began it."""


class Transfers:
    """Serves ``/transferred`` and ``/consult``."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self.consults: dict[str, Consult] = {}
        """Running calls between operators, by the caller's leg."""

    # --- the citizen was sent somewhere --------------------------------------------------------

    async def transferred(self, agi: AgiSession) -> None:
        """Take a citizen who was transferred blindly; who is not ours is left to the dialplan."""
        call = self._channel.calls.by_leg.get(agi.uniqueid)
        if call is not None:
            await self._channel.hold_socket(call, agi, self._go_on(call, agi))

    async def _go_on(self, call: Call, agi: AgiSession) -> None:
        channel, number = self._channel, agi.request.extension
        view = channel.contact(call.contact_id)
        # The Dial of before is over; AMI tells the end of its leg by itself.
        channel.calls.end_dial(call)
        said: object = ()
        if view is not None and view.agent_id is not None:
            colleague = channel.roster.by_extension.get(number)
            queue = None if colleague else channel.entry_desk.queue_of(channel, number)
            said = await channel.engine.ask(
                ev.TransferRequested(
                    contact_id=call.contact_id,
                    from_agent=view.agent_id,
                    to_agent=colleague.agent_id if colleague else None,
                    to_queue=queue,
                ),
                source="agi",
            )
        if not said:  # nobody talked with him as far as we know: he waits again
            channel.entry_desk.returned(channel, call)
        await CitizenSession(channel, call, agi, channel.entry_desk.announcer).serve()

    # --- an operator calls a colleague ----------------------------------------------------------

    async def consult(self, agi: AgiSession) -> None:
        """Connect two operators, both taken meanwhile; serve the citizen who is swapped in."""
        channel, leg = self._channel, agi.uniqueid
        caller = channel.roster.agent_of(tr.endpoint_of(agi.channel))
        target = channel.roster.by_extension.get(agi.request.extension)
        if caller is None or target is None or not self._can_be_called(target.agent_id, caller):
            log.info("consult_refused", leg=leg)
            await self._hang_up(agi, "Busy")
            return
        await self._begin(leg, Consult(caller=caller, target=target.agent_id, agi=agi))
        try:
            await agi.set_variable("TIMEOUT(absolute)", CALL_LIMIT_S)
            await agi.exec("Dial", target.interface, CONSULT_S, "gi")
            status = await agi.get_variable("DIALSTATUS") or ""
            now_on_it = await agi.get_variable("UNIQUEID") or leg
        finally:
            self.over(leg)
        call = channel.calls.by_leg.get(now_on_it)
        if call is not None:
            await channel.hold_socket(call, agi, self._swapped_in(call, agi, status))
        else:
            await self._hang_up(agi, "Busy" if status == "BUSY" else "")

    def _can_be_called(self, target: AgentId, caller: AgentId) -> bool:
        view = self._channel.engine.acd.agent_view(target)
        busy = any(target in (c.caller, c.target) for c in self.consults.values())
        return view is not None and view.state in _CAN_BE_CALLED and not busy and target != caller

    async def _begin(self, leg: str, consult: Consult) -> None:
        self.consults[leg] = consult
        about = next(
            (c for c in self._channel.calls.by_leg.values() if c.answered_by == consult.caller),
            None,
        )
        contact_id = about.contact_id if about is not None else None
        started = [
            ev.AgentCallStarted(agent_id=agent_id, call_id=leg, kind=kind, contact_id=contact_id)
            for agent_id, kind in ((consult.caller, "consult"), (consult.target, "consulted"))
        ]
        self._channel.submit(started[0], None)
        await self._channel.engine.ask(started[1], source="agi")

    def over(self, leg: str) -> None:
        """The call between two operators is over, or has become a citizen's talk."""
        consult = self.consults.pop(leg, None)
        if consult is not None:
            self._end_calls(consult, leg)

    def _end_calls(self, consult: Consult, leg: str) -> None:
        for agent_id in (consult.target, consult.caller):
            self._channel.submit(ev.AgentCallEnded(agent_id=agent_id, call_id=leg), None)

    async def reconcile(self) -> None:
        """After a connect: end what ended meanwhile, know again what still goes on."""
        channel = self._channel
        known: dict[str, dict[str, AgentId]] = {}
        for agent_id in channel.roster.by_agent:
            view = channel.engine.acd.agent_view(agent_id)
            for call_id, kind in view.calls.items() if view is not None else ():
                if call_id not in self.consults:
                    known.setdefault(call_id, {})[kind] = agent_id
        if not known:
            return
        try:
            rows = await channel.ami.list_action("CoreShowChannels")
        except PeerError as error:
            log.warning("own_calls_unread", reason=str(error))
            return
        legs = {row.get("Uniqueid") for row in rows}
        for call_id, parties in known.items():
            caller = parties.get("consult") or next(iter(parties.values()))
            target = parties.get("consulted", caller)
            self.consults[call_id] = Consult(caller=caller, target=target, agi=None)
            if call_id not in legs:
                self.over(call_id)

    # --- the citizen is swapped into an operator's call -----------------------------------------

    def attended(self, fact: tr.AttendedTransferred) -> None:
        """An operator has handed his citizen over to the party of his second call."""
        channel = self._channel
        call = channel.calls.by_leg.get(fact.transferee) or channel.calls.by_leg.get(fact.target)
        if call is None or call.answered_by is None:
            return
        consult = self.consults.get(fact.second)
        if consult is not None and consult.agi is not None and not fact.target:
            # All at once: the Hangup of the operator's second leg may be the very next event.
            del self.consults[fact.second]
            leg = channel.facts.own_dials.get(fact.second, "")
            from_agent = call.answered_by
            channel.calls.end_dial(call)
            call.inbox.clear()
            call.session = consult.agi  # the citizen is in it now
            if leg:
                channel.facts.not_foreign(consult.target, leg)
            requested = ev.TransferRequested(
                contact_id=call.contact_id,
                from_agent=from_agent,
                to_agent=consult.target,
                at=fact.at,
            )
            channel.spawn(self._before_the_answer(call, consult, requested, fact.second, leg))
            return
        from_agent = call.answered_by
        to_agent = channel.roster.agent_of(fact.target_endpoint)
        channel.calls.end_dial(call)
        if to_agent is not None:
            channel.calls.bind(call, fact.target, to_agent)
            channel.facts.not_foreign(to_agent, fact.target)
        call.answered_by, call.talk_leg = to_agent, fact.target
        channel.submit(
            ev.TransferCompleted(
                contact_id=call.contact_id,
                from_agent=from_agent,
                to_agent=to_agent,
                to_external=None if to_agent else fact.target,
                at=fact.at,
            ),
            f"attended:{fact.first}:{fact.second}",
        )
        self.over(fact.second)

    async def _before_the_answer(
        self, call: Call, consult: Consult, event: ev.TransferRequested, second: str, leg: str
    ) -> None:
        """The colleague still rings: make that ring the core's offer to him, or end it."""
        channel = self._channel
        said = await channel.engine.ask(event, source="ami")
        self._end_calls(consult, second)
        offer = next((c for c in said if isinstance(c, cmd.OfferContact)), None)
        if offer is None or offer.agent_ids != (consult.target,) or not leg:
            if leg:
                channel.hang_up(leg, CAUSE_GONE)  # he is to wait for somebody else
            return
        call.inbox.remove(offer)  # it is being carried out
        if not call.inbox:
            call.arrived.clear()
        channel.calls.start_dial(call, offer)
        channel.calls.bind(call, leg, consult.target)
        channel.facts.handle(tr.DialRinging(caller=call.leg, leg=leg, at=event.at))

    async def _swapped_in(self, call: Call, agi: AgiSession, status: str) -> None:
        """The Dial is over that the citizen was transferred into."""
        channel = self._channel
        await agi.set_variable("DIALSTATUS", "")
        await channel.recorder.end(call, agi, keep=True)
        session = CitizenSession(channel, call, agi, channel.entry_desk.announcer)
        await session.after_transfer(status)
        await session.serve()

    @staticmethod
    async def _hang_up(agi: AgiSession, app: str) -> None:
        await agi.set_variable("GKC_DONE", "1")
        if app:
            await agi.exec(app, 3)
        await agi.hangup()
