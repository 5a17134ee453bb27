"""What becomes of a citizen whom an operator hands over; the contact stays one.

* Blind (REFER, ``##``): the dialplan brings his channel to ``/transferred``, the extension being
  the number that was asked for. He is the same contact on a new socket.
* Attended, answered: Asterisk moves him into the bridge of the operator's own call
  (``consults``); his own socket and its Dial go on and end with that talk.
* Attended, not answered yet, by REFER: Asterisk swaps him into the socket of the operator's own
  call. By ``*2`` he stays on his own, in a bridge with one half of that call's Local channel.
  A colleague's ring goes on and becomes the core's offer to him; in a queue the citizen takes the
  place of the call, and a ring begins anew.
* ``*2`` and ``*3``: three talk; the citizen is handed over when the operator leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.consults import CAUSE_NO_ANSWER, LOCAL, Consult, Consults, hang_up
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.ids import SECOND, AgentId, Instant, QueueId
from gkc_engine.ivr.fastagi import AgiSession
from gkc_engine.numbers import HAND_BACK_CODE, SECOND_LINE_CODE

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

CAUSE_GONE: Final = 26
"""Q.850 "non-selected user clearing": a ring that is not wanted any more."""


class Transfers:
    """Serves ``/transferred`` and ``/consult``; hears of completed transfers."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self.consults = Consults(channel)

    # --- sockets --------------------------------------------------------------------------

    async def transferred(self, agi: AgiSession) -> None:
        """Take a citizen who was transferred blindly, or the Local channel of a ``*2``.

        Who is neither is left to the dialplan.
        """
        call = self._channel.calls.by_leg.get(agi.uniqueid)
        if call is not None:
            await self._channel.sockets.hold(call, agi, self._go_on(call, agi))
        elif agi.channel.startswith(LOCAL):
            await self._passed_on(await self.consults.by_code(agi), agi)

    async def _go_on(self, call: Call, agi: AgiSession) -> None:
        channel, number = self._channel, agi.request.extension
        view = channel.contact(call.contact_id)
        # The Dial of before is over; AMI tells the end of its leg by itself.
        channel.calls.end_dial(call)
        said: Sequence[cmd.Command] = ()
        if view is not None and view.agent_id is not None:
            said = await self._to(call, view.agent_id, number)
        if not said:  # nobody talked with him as far as we know: he waits again
            channel.entry_desk.returned(channel, call)
        await CitizenSession(channel, call, agi, channel.entry_desk.announcer).serve()

    async def _to(self, call: Call, from_agent: AgentId, number: str) -> Sequence[cmd.Command]:
        """Tell the core to whom he is to go: a colleague, a queue, a number outside."""
        channel = self._channel
        if number == HAND_BACK_CODE:
            return await self._hands_back(call, from_agent)
        colleague = channel.roster.by_extension.get(number)
        inside = colleague or channel.entry_desk.queue_behind(channel, number)
        if number == SECOND_LINE_CODE:
            return await self._to_second_line(
                call, from_agent, channel.second_line.behind(number, call)
            )
        if inside is None and channel.put_through.leads_out(number):
            return await channel.put_through.ask(call, from_agent, number)
        queue = None if colleague else channel.entry_desk.queue_of(channel, number)
        if channel.second_line.is_one(queue):
            return await self._to_second_line(call, from_agent, queue)
        self._falls_to(call, queue)
        requested = ev.TransferRequested(
            contact_id=call.contact_id,
            from_agent=from_agent,
            to_agent=colleague.agent_id if colleague else None,
            to_queue=queue,
        )
        return await channel.engine.ask(requested, source="agi")

    async def _to_second_line(
        self, call: Call, from_agent: AgentId, queue: QueueId | None
    ) -> Sequence[cmd.Command]:
        """Hand him on, or have him rung back at once to who wanted it.

        His native queue stays that of the first line: there are people in it, who know him.
        """
        channel = self._channel
        view = channel.contact(call.contact_id)
        requested = ev.TransferRequested(
            contact_id=call.contact_id,
            from_agent=from_agent,
            to_queue=queue or (view.queue if view is not None else None),
            barred=channel.second_line.barred(queue, call),
        )
        said = await channel.engine.ask(requested, source="agi")
        channel.second_line.show_why(call, from_agent, said)
        return said

    async def _hands_back(self, call: Call, from_agent: AgentId) -> Sequence[cmd.Command]:
        channel = self._channel
        back = ev.HandedBack(contact_id=call.contact_id, from_agent=from_agent)
        said = await channel.engine.ask(back, source="agi")
        channel.second_line.show_why(call, from_agent, said)
        return said

    async def consult(self, agi: AgiSession) -> None:
        """Serve an operator's own call, and the citizen who is swapped into it."""
        await self._passed_on(await self.consults.dialled(agi), agi)

    async def _passed_on(self, left: tuple[Consult, str] | None, agi: AgiSession) -> None:
        """A citizen took an operator's own call over, and what ran in it has ended."""
        if left is None:
            return
        (consult, status), channel = left, self._channel
        call = consult.passed_to
        assert call is not None
        if not consult.by_code:
            await channel.sockets.hold(call, agi, self._swapped_in(call, agi, status))
            return
        session = CitizenSession(channel, call, agi, channel.entry_desk.announcer)
        if call.dialling is not None and call.answered_by is None:
            await session.after_transfer(self._outcome(call, status))
        if call.session is not None and not call.session.closed.is_set():
            await hang_up(agi, "")  # his own Dial ends by that, and his own socket goes on
        else:
            await agi.set_variable("GKC_DONE", "1")  # the dialplan sends him back to us

    async def _swapped_in(self, call: Call, agi: AgiSession, status: str) -> None:
        """What the citizen was transferred into is over, or was cut short for him."""
        channel = self._channel
        await agi.set_variable("DIALSTATUS", "")
        await channel.recorder.end(call, agi)
        session = CitizenSession(channel, call, agi, channel.entry_desk.announcer)
        await session.after_transfer(self._outcome(call, status))
        await session.serve()

    @staticmethod
    def _outcome(call: Call, status: str) -> str:
        return "NOANSWER" if CAUSE_NO_ANSWER in call.causes.values() else status

    # --- AMI: an attended transfer --------------------------------------------------------

    def attended(self, fact: tr.AttendedTransferred) -> None:
        """An operator has handed his citizen over to the party of his second call."""
        channel = self._channel
        call = channel.calls.by_leg.get(fact.transferee) or channel.calls.by_leg.get(fact.target)
        if call is None or call.answered_by is None:
            return
        consult = self._consult_of(fact, call.answered_by)
        if consult is None and fact.by_code:
            # Asked while no engine was there: whom that rang, Asterisk's lists tell.
            channel.spawn(channel.ask_anew())
            return
        if consult is None:
            to_agent = channel.roster.agent_of(fact.target_endpoint)
            # Asked for in the instant of the answer, Asterisk's word names nobody: no bridge yet.
            target = fact.target or channel.outbound.called_by(fact.second)
            key, unbridged = f"{fact.first}:{fact.second}", not fact.target
            self._completed(call, to_agent, target, fact.at, key=key, unbridged=unbridged)
            return
        if consult.agi is None and consult.by_code:
            return  # begun before a restart: asked for when its channel ends
        agent_id, leg = self._answered(consult, fact)
        if fact.three:
            self._three(call, consult, agent_id, leg, fact.at)
        elif agent_id is not None:
            key = f"{fact.first}:{fact.second}"
            self._completed(call, agent_id, leg, fact.at, key=key, consult=consult)
        elif consult.own is not None:
            self._takes_place(call, consult, consult.own, fact.at)
        elif consult.target is None:
            channel.spawn(channel.ask_anew())  # it outlived the engine that knew whom it rang
        else:
            self._takes_ring(call, consult, fact.at)

    def _consult_of(self, fact: tr.AttendedTransferred, caller: AgentId) -> Consult | None:
        running = self.consults.running
        by_code = (c for c in running.values() if c.by_code and c.caller == caller)
        return running.get(fact.second) or next(by_code, None)

    def asked_by(self, leg: str, fact: tr.AttendedTransferred) -> tuple[AgentId | None, str]:
        """Return which colleague answered the operator's own call on ``leg``, and where."""
        consult = self.consults.running.get(leg)
        return (None, "") if consult is None else self._answered(consult, fact)

    def _answered(
        self, consult: Consult, fact: tr.AttendedTransferred
    ) -> tuple[AgentId | None, str]:
        """Return who has answered the operator's own call, and on which leg."""
        if consult.own is not None:
            return consult.own.answered_by, consult.own.talk_leg or ""
        leg = self._channel.facts.own_dials.get(consult.leg, "")
        if leg and leg in self._channel.facts.own_answered:
            return consult.target, leg
        if consult.abroad is not None:
            return consult.abroad, fact.target
        if not consult.by_code and fact.target:
            return self._channel.roster.agent_of(fact.target_endpoint), fact.target
        return None, leg

    def _completed(
        self,
        call: Call,
        to_agent: AgentId | None,
        leg: str,
        at: Instant | None,
        *,
        key: str,
        consult: Consult | None = None,
        unbridged: bool = False,
    ) -> None:
        """The citizen talks with another operator, or with an outside party."""
        channel = self._channel
        from_agent, by_queue = call.answered_by, consult.queue if consult is not None else None
        assert from_agent is not None
        channel.calls.end_dial(call)
        if to_agent is not None:
            channel.calls.bind(call, leg, to_agent)
            channel.facts.not_foreign(to_agent, leg)
        call.answered_by, call.talk_leg = to_agent, leg
        outside = None
        if to_agent is not None:
            channel.recorder.handed_over(call, leg)
        else:
            outside = channel.outbound.number_behind(leg)
            channel.put_through.handed_over(call, leg, at, unbridged=unbridged)
        channel.submit(
            ev.TransferCompleted(
                contact_id=call.contact_id,
                from_agent=from_agent,
                to_agent=to_agent,
                to_external=None if to_agent else outside,
                to_queue=by_queue,
                leg=leg or None,
                consult=consult.in_queue if consult is not None else None,
                at=at,
            ),
            f"attended:{key}",
        )
        if consult is not None:
            if consult.own is not None:
                consult.own.legs.pop(leg, None)  # it is the citizen's from now on
            if consult.work is not None:
                consult.work.cancel()
            self.consults.over(consult.leg)

    def _falls_to(self, call: Call, queue: QueueId | None) -> None:
        """Tell the dialplan which native queue is his from now on."""
        native = self._channel.plan.fallbacks.get(queue) if queue is not None else None
        if native is not None:
            self._channel.jobs.put(
                "Setvar", Channel=call.leg, Variable="GKC_FALLBACK", Value=native
            )

    # --- before the answer ----------------------------------------------------------------

    def _hand_over(self, call: Call, consult: Consult) -> None:
        """All at once: the Hangup of the operator's leg may be the very next event."""
        channel = self._channel
        del self.consults.running[consult.leg]
        consult.passed_to = call
        channel.calls.end_dial(call)
        call.inbox.clear()
        call.arrived.clear()
        if not consult.by_code:
            call.session = consult.agi  # the citizen is in it now

    def _takes_place(self, call: Call, consult: Consult, own: Call, at: Instant | None) -> None:
        """The call still waits in a queue, or rings: the citizen himself does so from now on."""
        channel, from_agent = self._channel, call.answered_by
        assert from_agent is not None
        self._hand_over(call, consult)
        if not channel.second_line.is_one(consult.queue):
            self._falls_to(call, consult.queue)
        channel.submit(
            ev.TransferRequested(
                contact_id=call.contact_id, from_agent=from_agent, to_queue=consult.queue, at=at
            ),
            None,
        )
        if call.session is None or call.session.closed.is_set():
            channel.submit(ev.ContactDetached(contact_id=call.contact_id), None)
        for leg in tuple(own.legs):
            channel.hang_up(leg, CAUSE_GONE)
        assert consult.work is not None
        consult.work.cancel()
        self.consults.end_calls(consult)  # after his own place is taken: who rang is his

    def _takes_ring(self, call: Call, consult: Consult, at: Instant | None) -> None:
        """The colleague still rings: that is for the citizen from now on."""
        channel, from_agent = self._channel, call.answered_by
        assert from_agent is not None
        assert consult.target is not None
        leg = channel.facts.own_dials.get(consult.leg, "")
        self._hand_over(call, consult)
        if leg:
            channel.facts.not_foreign(consult.target, leg)
        requested = ev.TransferRequested(
            contact_id=call.contact_id, from_agent=from_agent, to_agent=consult.target, at=at
        )
        channel.spawn(self._before_the_answer(call, consult, requested, leg))

    async def _before_the_answer(
        self, call: Call, consult: Consult, event: ev.TransferRequested, leg: str
    ) -> None:
        """Make the ring the core's offer to the colleague, or end it."""
        channel, target = self._channel, consult.target
        said = await channel.engine.ask(event, source="ami")
        self.consults.end_calls(consult)
        offer = next((c for c in said if isinstance(c, cmd.OfferContact)), None)
        if offer is None or offer.agent_ids != (target,) or target is None or not leg:
            if leg:
                channel.hang_up(leg, CAUSE_GONE)  # he is to wait for somebody else
            return
        if offer in call.inbox:  # it is being carried out
            call.inbox.remove(offer)
        if not call.inbox:
            call.arrived.clear()
        channel.calls.start_dial(call, offer)
        channel.calls.bind(call, leg, target)
        channel.facts.handle(tr.DialRinging(caller=call.leg, leg=leg, at=event.at))
        await asyncio.sleep(offer.timeout_us / SECOND)
        if call.dialling is offer and call.answered_by is None:
            channel.hang_up(leg, CAUSE_NO_ANSWER)

    # --- three ----------------------------------------------------------------------------

    def _three(
        self, call: Call, consult: Consult, agent_id: AgentId | None, leg: str, at: Instant | None
    ) -> None:
        """``*3``: all three talk; the colleague's call goes on under his own leg."""
        assert call.answered_by is not None
        self._channel.submit(
            ev.HoldEnded(contact_id=call.contact_id, agent_id=call.answered_by, at=at), None
        )
        if agent_id is None:
            return
        if consult.own is not None:  # its channel ends by this, what she does goes on
            self._channel.submit(
                ev.AgentCallStarted(agent_id=agent_id, call_id=consult.leg, kind="consulted"), None
            )
        consult.target, consult.three = agent_id, call
        self.consults.running.pop(consult.leg, None)
        self.consults.running[leg] = consult

    def leg_ended(self, leg: str) -> None:
        """A leg that is no citizen's is gone."""
        running = self.consults.running
        left = [(key, c) for key, c in running.items() if c.three and c.three.talk_leg == leg]
        for colleague, consult in left:
            call = consult.three
            assert call is not None
            if self._channel.calls.by_leg.get(call.leg) is call and call.answered_by is not None:
                at, running[consult.leg] = call.ends.get(leg), running.pop(colleague)
                self._completed(
                    call, consult.target, colleague, at, key=f"three:{leg}", consult=consult
                )
        self.consults.over(leg)
