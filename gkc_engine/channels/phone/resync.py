"""After every (re)connect: read what Asterisk has, compare with what the core believes.

Talks and rings are never touched. Who waits in a native queue is taken back by
``QueueWithdrawCaller`` in the order of the enqueue times (a running ring there is left to finish,
and an answer wins); never by ``Redirect``, which tears just begun talks apart (telephony contract).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.facts import FALLBACK_PREFIX
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, Instant, Micros

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One row of CoreShowChannels."""

    uniqueid: str
    linkedid: str
    channel: str
    up: bool
    application: str
    bridge: str
    contact_id: str

    @property
    def endpoint(self) -> str | None:
        """The phone that the leg belongs to."""
        return endpoint_of(self.channel)


def leg_of(row: AmiEvent) -> Leg:
    """Return the leg that a CoreShowChannel row describes."""
    return Leg(
        uniqueid=row.get("Uniqueid"),
        linkedid=row.get("Linkedid"),
        channel=row.get("Channel"),
        up=row.get("ChannelStateDesc") == "Up",
        application=row.get("Application"),
        bridge=row.get("BridgeId"),
        contact_id=row.get("ChanVariable(GKC_CONTACT)") or row.get("GKC_CONTACT"),
    )


class Resync:
    """Reads and compares; what it finds becomes ordinary events."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self.runs_total = 0

    async def run(self) -> None:
        """Bring calls, operators' phones and native queues into agreement with the core."""
        try:
            legs = [
                leg_of(row)
                for row in await self._channel.ami.list_action("CoreShowChannels")
                if row.name == "CoreShowChannel"
            ]
            devices = await self._channel.ami.list_action("DeviceStateList")
            queues = await self._channel.ami.list_action("QueueStatus")
        except PeerError as error:
            log.warning("resync_failed", reason=str(error))
            return
        self._devices(devices)
        self._calls(legs)
        self._agent_legs(legs)
        self._take_back(queues)
        self.runs_total += 1
        log.info("resync_done", legs=len(legs), calls=len(self._channel.calls.by_leg))

    async def sweep(self) -> None:
        """Take back whoever stands in a native queue of ours while we are here."""
        try:
            self._take_back(await self._channel.ami.list_action("QueueStatus"))
        except PeerError as error:
            log.warning("sweep_failed", reason=str(error))

    async def look_at(self, call: Call) -> None:
        """Ask after one call whose socket ended without a Hangup."""
        try:
            rows = await self._channel.ami.list_action("CoreShowChannels")
        except PeerError:
            return  # the next resync tells
        if self._channel.calls.by_leg.get(call.leg) is not call:
            return
        if not any(row.get("Uniqueid") == call.leg for row in rows):
            self._channel.facts.citizen_gone(call, call.hungup_at, "seen at resync")

    def _devices(self, rows: Sequence[AmiEvent]) -> None:
        for row in rows:
            if row.name == "DeviceStateChange":
                self._channel.facts.device_state(row.get("Device"), row.get("State"))

    # --- citizens --------------------------------------------------------------------------

    def _calls(self, legs: Sequence[Leg]) -> None:
        channel = self._channel
        by_id = {leg.uniqueid: leg for leg in legs}
        in_bridge: dict[str, list[Leg]] = {}
        for row in legs:
            if row.bridge:
                in_bridge.setdefault(row.bridge, []).append(row)
        for call in tuple(channel.calls.by_leg.values()):
            leg = by_id.get(call.leg)
            if leg is None:
                channel.facts.citizen_gone(call, call.hungup_at, "seen at resync")
                continue
            call.channel = leg.channel
            view = channel.contact(call.contact_id)
            if view is None:
                continue  # ended by ContactLeft; Asterisk is about to say so too
            self._in_doubt(view, call)
            self._compare(view, call, in_bridge.get(leg.bridge, []) if leg.bridge else [])
            self._ringing(call, legs)

    def _in_doubt(self, view: ContactView, call: Call) -> None:
        """Know the offer that was open when the last engine died: its Dial may still run."""
        if call.dialling is not None or view.offer_id is None or view.queue is None:
            return
        self._channel.calls.start_dial(
            call,
            OfferContact(
                offer_id=view.offer_id,
                contact_id=view.contact_id,
                agent_ids=(view.agent_id,) if view.agent_id is not None else (),
                queue=view.queue,
                timeout_us=Micros(0),
                step=0,
                created=self._channel.now(),
            ),
        )

    def _compare(self, view: ContactView, call: Call, bridged: Sequence[Leg]) -> None:
        """He is on the line: with whom, and does the core know it already."""
        agent = self._agent_in(bridged, call)
        if agent is None:
            return
        agent_id, leg = agent
        self._channel.calls.bind(call, leg.uniqueid, agent_id)
        if view.offer_id is not None and call.dialling is not None:
            self._channel.facts.answered(call, agent_id, leg.uniqueid, None)
        elif view.state in (ContactState.WAITING, ContactState.DETACHED):
            self._channel.submit(
                ev.FallbackAnswered(
                    contact_id=call.contact_id, agent_id=agent_id, at=self._channel.now()
                ),
                f"fallback:{call.leg}:resync",
            )
        call.answered_by = agent_id
        call.talk_leg = leg.uniqueid

    def _agent_in(self, bridged: Sequence[Leg], call: Call) -> tuple[AgentId, Leg] | None:
        for leg in bridged:
            agent_id = self._channel.roster.agent_of(leg.endpoint)
            if leg.uniqueid != call.leg and agent_id is not None:
                return agent_id, leg
        return None

    def _ringing(self, call: Call, legs: Sequence[Leg]) -> None:
        if call.dialling is None or call.answered_by is not None:
            return
        for leg in legs:
            agent_id = self._channel.roster.agent_of(leg.endpoint)
            if (
                agent_id in call.dialling.agent_ids
                and leg.linkedid in (call.leg, leg.linkedid)
                and not leg.up
                and agent_id is not None
            ):
                self._channel.calls.bind(call, leg.uniqueid, agent_id)

    # --- operators' own calls, native queues -------------------------------------------------

    def _agent_legs(self, legs: Sequence[Leg]) -> None:
        foreign: dict[AgentId, set[str]] = {}
        for leg in legs:
            agent_id = self._channel.roster.agent_of(leg.endpoint)
            if agent_id is not None and leg.uniqueid not in self._channel.calls.by_agent_leg:
                foreign.setdefault(agent_id, set()).add(leg.uniqueid)
        self._channel.facts.replace_foreign(foreign)

    def _take_back(self, rows: Sequence[AmiEvent]) -> None:
        now = self._channel.now()
        waiting: list[tuple[Instant, AmiEvent]] = []
        for row in rows:
            if row.name != "QueueEntry" or not row.get("Queue").startswith(FALLBACK_PREFIX):
                continue
            leg = row.get("Uniqueid")
            call = self._channel.calls.by_leg.get(leg)
            view = self._channel.contact(call.contact_id) if call else None
            if view is not None and view.enqueued is not None:
                waiting.append((view.enqueued, row))
            else:
                waited = row.get("Wait")
                since = Instant(now - int(waited if waited.isdecimal() else 0) * SECOND)
                self._channel.entry_desk.adopted[leg] = since
                waiting.append((since, row))
        waiting.sort(key=lambda pair: pair[0])
        for _, row in waiting:
            self._channel.jobs.put(
                "QueueWithdrawCaller", Queue=row.get("Queue"), Caller=row.get("Channel")
            )
