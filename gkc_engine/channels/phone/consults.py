"""Operators' own calls: to a colleague or to a queue, alone or with a citizen on hold.

Two ways in, by the dialplan (telephony contract, "Transfers"):

* ``/consult``: the operator dials on a second line of his phone.
* ``/transferred`` by a Local channel: he pressed ``*2`` and a number. Asterisk's own code asks for
  him, on a channel of its own; the citizen stays where he is, on his own socket, all the time.

A colleague is reserved as by an offer. A queue chooses one: the call stands in it as the citizen
would (``ConsultStarted``), on a `Call` of its own, and is served like his.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.lease import CALL_LIMIT_S
from gkc_engine.channels.phone.live import Live, leg_of
from gkc_engine.channels.phone.roster import Phone
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.errors import PeerError
from gkc_engine.ids import CONSULT, AgentId, ContactId, QueueId, is_abroad
from gkc_engine.ivr.fastagi import AgiClosed, AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

CONSULT_S: Final = 30
"""How long a colleague's phone rings."""

CAUSE_NO_ANSWER: Final = 19
"""Q.850 "no answer from user": how we end a ring that was handed over with the citizen."""

LOCAL: Final = "Local/"
"""So begin the names of what Asterisk's ``*2`` makes; the half that is served ends in ``;2``."""

_AMI_S: Final = 5.0
"""How long AMI may be behind the socket with the end of a call."""

_CAN_BE_CALLED: Final = frozenset(
    {AgentState.READY, AgentState.NOT_READY, AgentState.OFFLINE, AgentState.WRAP_UP}
)


@dataclass(slots=True, kw_only=True, eq=False)
class Consult:
    """One call of an operator's own."""

    leg: str
    """The channel that calls, which is also the call's name in the core."""
    caller: AgentId
    target: AgentId | None = None
    """The colleague; ``None`` = whom the queue chooses."""
    queue: QueueId | None = None
    by_code: bool = False
    agi: AgiSession | None = None
    """``None``: it outlived the engine that began it."""
    own: Call | None = None
    """What stands in the queue."""
    abroad: AgentId | None = None
    """Of one that outlived its engine: another center's expert, who has answered it."""
    work: asyncio.Task[None] | None = field(default=None, repr=False)
    """Serves ``own``."""
    passed_to: Call | None = None
    """The citizen who took the call over before anybody answered it."""
    three: Call | None = None
    """The citizen with whom the three talk."""

    @property
    def in_queue(self) -> ContactId | None:
        """Its name in the core, if it stands in a queue or was answered from one."""
        there = self.own is not None or self.abroad is not None
        return ContactId(CONSULT + self.leg) if there else None


class Consults:
    """Serves operators' own calls."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self.running: dict[str, Consult] = {}
        """By the calling leg; when three talk, by the colleague's."""

    # --- the ways in ---------------------------------------------------------------------------

    async def dialled(self, agi: AgiSession) -> tuple[Consult, str] | None:
        """Serve a call from an operator's phone; return what a citizen was left in, and how."""
        caller = self._channel.roster.agent_of(endpoint_of(agi.channel))
        return await self._serve(agi, caller, by_code=False)

    async def by_code(self, agi: AgiSession) -> tuple[Consult, str] | None:
        """Serve the Local channel of a ``*2``; as `dialled`."""
        name = await agi.get_variable("ATTENDEDTRANSFER") or ""
        caller = self._channel.roster.agent_of(endpoint_of(name))
        other_half = f"{agi.channel[:-1]}1"
        # Empty at first: we may be asked before the operator has come into its bridge.
        if await agi.get_variable(f"IMPORT({other_half},BRIDGEPEER)") not in (name, "", None):
            await self._too_late(agi)
            return None
        return await self._serve(agi, caller, by_code=True)

    async def _too_late(self, agi: AgiSession) -> None:
        """The engine was away when the operator hung up: the citizen is at the other half.

        The dialplan sends him back to where he came from (label ``gone``); his place is that of
        the queue in which he has been waiting so far.
        """
        channel = self._channel
        call = channel.calls.by_leg.get(await agi.get_variable("CHANNEL(linkedid)") or "")
        queue = channel.entry_desk.queue_behind(channel, agi.request.extension)
        view = channel.contact(call.contact_id) if call is not None else None
        if call is not None and view is not None and view.agent_id is not None:
            channel.submit(
                ev.TransferRequested(
                    contact_id=call.contact_id,
                    from_agent=view.agent_id,
                    to_queue=queue or view.queue,
                    at=await channel.resync.parted(call, view),
                ),
                None,
            )
            channel.submit(ev.ContactDetached(contact_id=call.contact_id), None)
        await agi.set_variable("GKC_DONE", "1")

    async def _serve(
        self, agi: AgiSession, caller: AgentId | None, *, by_code: bool
    ) -> tuple[Consult, str] | None:
        channel, number = self._channel, agi.request.extension
        channel.entry_desk.adopted.pop(agi.uniqueid, None)  # out of a native queue
        target = channel.roster.by_extension.get(number)
        citizen = self.citizen_of(caller) if caller is not None else None
        queue = None if target else channel.second_line.behind(number, citizen)
        queue = queue or (None if target else channel.entry_desk.queue_behind(channel, number))
        busy = target is not None and not self._can_be_called(target.agent_id, caller)
        busy = busy or (queue is not None and bool(channel.second_line.barred(queue, citizen)))
        if caller is None or busy or (target is None and queue is None):
            log.info("consult_refused", leg=agi.uniqueid)
            await hang_up(agi, "Busy")
            return None
        consult = Consult(
            leg=agi.uniqueid,
            caller=caller,
            target=target.agent_id if target else None,
            queue=queue,
            by_code=by_code,
            agi=agi,
        )
        try:
            await self._begin(consult)
            if target is not None:
                return await self._ring(consult, agi, target)
            await self._stand_in_queue(consult, agi)
        finally:
            self._socket_ended(consult)
        return (consult, "") if consult.passed_to is not None else None

    def _socket_ended(self, consult: Consult) -> None:
        """Let AMI say what that meant: a transfer comes before the end of the caller's leg.

        The order between socket and AMI proves nothing; the socket may well be first.
        """
        if consult.leg in self.running and self._channel.ami.up and not self._channel.stopping:
            self._channel.spawn(self._over_at_last(consult))
        else:
            self.over(consult.leg)

    async def _over_at_last(self, consult: Consult) -> None:
        await asyncio.sleep(_AMI_S)
        if self.running.get(consult.leg) is consult:
            self.over(consult.leg)  # its Hangup was lost

    def _can_be_called(self, target: AgentId, caller: AgentId | None) -> bool:
        view = self._channel.engine.acd.agent_view(target)
        busy = any(target in (c.caller, c.target) for c in self.running.values())
        return view is not None and view.state in _CAN_BE_CALLED and not busy and target != caller

    def citizen_of(self, agent_id: AgentId) -> Call | None:
        """Return the citizen with whom an operator is connected."""
        calls = self._channel.calls.by_leg.values()
        return next((c for c in calls if c.answered_by == agent_id and not c.consult), None)

    def _about(self, agent_id: AgentId) -> ContactId | None:
        """Return the contact that an operator asks about: his citizen's, else his call out."""
        call = self.citizen_of(agent_id)
        return call.contact_id if call is not None else self._channel.outbound.of(agent_id)

    async def _begin(self, consult: Consult) -> None:
        self.running[consult.leg] = consult
        about = self._about(consult.caller)
        parties = [(consult.caller, "consult"), (consult.target, "consulted")]
        started = [
            ev.AgentCallStarted(
                agent_id=agent_id,
                call_id=consult.leg,
                kind=kind,
                contact_id=about,
            )
            for agent_id, kind in parties
            if agent_id is not None
        ]
        for event in started[:-1]:
            self._channel.submit(event, None)
        await self._channel.engine.ask(started[-1], source="agi")

    # --- to a colleague --------------------------------------------------------------------------

    async def _ring(
        self, consult: Consult, agi: AgiSession, target: Phone
    ) -> tuple[Consult, str] | None:
        await agi.set_variable("TIMEOUT(absolute)", CALL_LIMIT_S)
        await agi.exec("Dial", target.interface, CONSULT_S, "gi")
        status = await agi.get_variable("DIALSTATUS") or ""
        now_on_it = await agi.get_variable("UNIQUEID") or consult.leg
        taken = self._channel.calls.by_leg.get(now_on_it)
        if taken is not None:
            consult.passed_to = taken
        if consult.passed_to is not None:
            return consult, status
        await hang_up(agi, "Busy" if status == "BUSY" else "")
        return None

    # --- to a queue ------------------------------------------------------------------------------

    async def _stand_in_queue(self, consult: Consult, agi: AgiSession) -> None:
        """Wait, ring and talk as a citizen's call does, until it ends or he takes it over."""
        channel = self._channel
        own = consult.own = Call(
            contact_id=ContactId(CONSULT + consult.leg),
            leg=consult.leg,
            channel=agi.channel,
            entry=agi.request.extension,
            language=channel.plan.language,
            consult=True,
            noticed=True,
        )
        channel.calls.add(own)
        consult.work = asyncio.ensure_future(
            channel.sockets.hold(own, agi, self._wait(consult, own, agi))
        )
        try:
            await asyncio.wait({consult.work})
        finally:
            consult.work.cancel()
        if consult.work.cancelled() or consult.passed_to is not None:
            return
        with contextlib.suppress(AgiClosed):  # hung up, or its parties were put together
            consult.work.result()

    async def _wait(self, consult: Consult, own: Call, agi: AgiSession) -> None:
        channel = self._channel
        about = self._about(consult.caller)
        assert consult.queue is not None
        channel.submit(
            ev.ConsultStarted(
                contact_id=own.contact_id,
                agent_id=consult.caller,
                queue=consult.queue,
                about=about,
            ),
            None,
        )
        await CitizenSession(channel, own, agi, channel.entry_desk.announcer).serve()

    # --- the end ---------------------------------------------------------------------------------

    def leg_ended(self, leg: str) -> None:
        """An operator's or a Local leg is gone."""
        self.over(leg)

    def over(self, leg: str) -> None:
        """The call is over, or has become a citizen's talk."""
        consult = self.running.pop(leg, None)
        if consult is None:
            return
        self.end_calls(consult)
        if consult.agi is None and consult.by_code:
            # Begun before a restart: only Asterisk knows who talks with the citizen now.
            self._channel.spawn(self._channel.ask_anew())

    def end_calls(self, consult: Consult) -> None:
        """Tell the core that its parties are free of it."""
        own = consult.own
        if own is not None and self._channel.calls.by_leg.get(own.leg) is own:
            self._channel.facts.citizen_gone(own, None, "consultation over")
        elif consult.abroad is not None and consult.in_queue is not None:
            self._forget(consult.in_queue)
        for agent_id in (consult.target, consult.caller):
            if agent_id is not None:
                self._channel.submit(
                    ev.AgentCallEnded(agent_id=agent_id, call_id=consult.leg), None
                )

    def is_own_call(self, channel_name: str) -> bool:
        """Whether a channel is an operator's own call, and so nobody's contact."""
        agent_of = self._channel.roster.agent_of
        return channel_name.startswith(LOCAL) or agent_of(endpoint_of(channel_name)) is not None

    # --- after a restart -------------------------------------------------------------------------

    async def reconcile(self) -> None:
        """After a connect: end what ended meanwhile, know again what still goes on."""
        channel = self._channel
        known: dict[str, dict[str, AgentId]] = {}
        for agent_id in channel.roster.by_agent:
            view = channel.engine.acd.agent_view(agent_id)
            for call_id, kind in view.calls.items() if view is not None else ():
                if all(call_id != c.leg for c in self.running.values()):
                    known.setdefault(call_id, {})[kind] = agent_id
        if not known:
            self._forget_places(Live(()))
            return
        try:
            rows = await channel.ami.list_action("CoreShowChannels")
        except PeerError as error:
            log.warning("own_calls_unread", reason=str(error))
            return
        live = Live(leg_of(row) for row in rows)
        self._forget_places(live)
        for call_id, parties in known.items():
            caller = parties.get("consult") or next(iter(parties.values()))
            consult = Consult(leg=call_id, caller=caller, target=parties.get("consulted"))
            leg = live.by_id.get(call_id)
            self._know_expert(consult, live)
            consult.by_code = leg is not None and leg.channel.startswith(LOCAL)
            talking = self._with_citizen(consult, live)
            self.running[self._three(consult, talking) or call_id] = consult
            if leg is None and consult.three is None:
                self.over(call_id)
                if consult.target in talking and consult.caller not in talking:
                    # The caller has left since the resync's own list: nobody else would tell.
                    channel.spawn(channel.ask_anew())

    def _forget_places(self, live: Live) -> None:
        """No call for advice stands in our queues any more that the last engine put there.

        But one that another center's expert has answered goes on.
        """
        channel = self._channel
        ours = channel.calls.by_contact.keys() | {c.in_queue for c in self.running.values()}
        for contact_id in channel.engine.acd.contacts():
            lost = contact_id.startswith(CONSULT) and contact_id not in ours
            if lost and self._expert(contact_id, live) is None:
                self._forget(contact_id)

    def _forget(self, contact_id: ContactId) -> None:
        self._channel.submit(ev.ContactLeft(contact_id=contact_id, party=ev.Party.SYSTEM), None)

    def _expert(self, contact_id: ContactId, live: Live) -> ContactView | None:
        """Return what the core knows of a call for advice that an expert abroad has answered."""
        view = self._channel.contact(contact_id)
        leg = live.by_id.get(contact_id.removeprefix(CONSULT))
        if view is None or view.agent_id is None or not is_abroad(view.agent_id) or leg is None:
            return None
        return view if live.with_him(leg) else None

    def _know_expert(self, consult: Consult, live: Live) -> None:
        """Know again who answered before the restart; the core may not have heard of it."""
        view = self._expert(ContactId(CONSULT + consult.leg), live)
        if view is None:
            return
        consult.abroad, consult.queue = view.agent_id, view.queue
        if view.offer_id is not None and view.agent_id is not None:
            self._channel.submit(
                ev.OfferAccepted(offer_id=view.offer_id, agent_id=view.agent_id),
                f"accepted:{view.offer_id}",
            )

    def _with_citizen(self, consult: Consult, live: Live) -> dict[AgentId | None, str]:
        """Return who talks with the caller's citizen, and by which leg."""
        call = self.citizen_of(consult.caller)
        citizen = live.by_id.get(call.leg) if call is not None else None
        with_him = live.with_him(citizen) if citizen is not None else []
        return {self._channel.roster.agent_of(leg.endpoint): leg.uniqueid for leg in with_him}

    def _three(self, consult: Consult, talking: Mapping[AgentId | None, str]) -> str | None:
        """Return the colleague's leg if he is in one bridge with the caller and his citizen."""
        if consult.target is None or not {consult.caller, consult.target} <= talking.keys():
            return None
        consult.three = self.citizen_of(consult.caller)
        return talking[consult.target]


async def hang_up(agi: AgiSession, app: str) -> None:
    """End an operator's own call, with ``app`` (``Busy``) played before."""
    await agi.set_variable("GKC_DONE", "1")
    if app:
        await agi.exec(app, 3)
    await agi.hangup()
