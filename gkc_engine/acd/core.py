"""The ACD: a pure state machine. ``step(event, now)`` returns what is to be done and recorded.

No clock, no I/O, no randomness: the same events at the same instants give the same commands. The
rules (P0 … P10) are those of docs/reference/routing-policy.md.

**Time.** Everything due before ``now`` is handled at its own instant, as if ``Tick`` had come in
time. What is due at ``now`` itself stands in one line with the event by P5: what comes before the
event's kind is handled before it; the rest stays due (``next_deadline()`` is then ``now``) so that
other events of this instant may come first, until ``Tick`` says that the instant is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from gkc_engine.acd import (
    agents,
    broadcasts,
    capacity,
    center,
    contacts,
    door,
    guests,
    outbound,
    overflow,
    presence,
    put_through,
    reload,
    results,
    snapshots,
    transfers,
    views,
)
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Command
from gkc_engine.acd.settings import Medium, Order
from gkc_engine.acd.state import AcdState, Broadcast, ContactState
from gkc_engine.acd.timers import DueLine, Kind, Timer, What
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId, SkillId

# Of what every step asks for: a member of an enum costs a look-up in its class.
_OFFER_RESULT, _AGENT_ABLE, _LEAVING = Kind.OFFER_RESULT, Kind.AGENT_ABLE, Kind.LEAVING
_TICK = Kind.TICK
_RESTARTED = ev.EngineRestarted
_WITH_AGENT = (ContactState.TALK, ContactState.DIALLING)

_OF_AGENTS = (What.WRAP_UP, What.REST, What.PAUSE, What.OVERRIDE)

_LAST = 2**62
"""A rank behind every sequence number."""

_HANDLERS: Final[dict[type[Any], Callable[[World, Any], None]]] = {
    ev.ContactStarted: contacts.started,
    ev.ContactBlocked: door.blocked,
    ev.ArticleHeard: contacts.article_heard,
    ev.QueueRequested: contacts.queue_requested,
    ev.ContactPriorityChanged: contacts.priority_changed,
    ev.ConsultStarted: contacts.consult_started,
    ev.ContactDetached: presence.detached,
    ev.ContactAttached: presence.attached,
    ev.FallbackAnswered: presence.fallback_answered,
    ev.ContactLeft: presence.left,
    ev.OutboundStarted: outbound.started,
    ev.OutboundAnswered: outbound.answered,
    ev.OutboundFailed: outbound.failed,
    ev.PutThrough: put_through.requested,
    ev.OutsideEnded: put_through.ended,
    ev.ReservationGranted: overflow.granted,
    ev.ReservationAsked: guests.asked,
    ev.ReservationReleased: guests.released,
    ev.GuestArrived: guests.arrived,
    ev.StaffedElsewhere: center.staffed_elsewhere,
    ev.OfferRinging: results.ringing,
    ev.OfferAccepted: results.accepted,
    ev.OfferFailed: results.failed,
    ev.HoldStarted: transfers.hold_changed,
    ev.HoldEnded: transfers.hold_changed,
    ev.TalkEnded: transfers.talk_ended,
    ev.TransferRequested: transfers.transfer_requested,
    ev.TransferCompleted: transfers.transfer_completed,
    ev.HandedBack: transfers.handed_back,
    ev.SettingsApplied: reload.settings_applied,
    ev.HoursChanged: center.hours_changed,
    ev.EmergencyClosed: center.emergency_closed,
    ev.EmergencyOpened: center.emergency_opened,
    ev.QueueAnnounced: broadcasts.announced,
    ev.BroadcastStopped: broadcasts.stopped,
    ev.BroadcastHeard: broadcasts.heard,
    ev.CaughtUp: center.caught_up,
    **dict.fromkeys(get_args(agents.AgentEvent), agents.agent_event),
}
"""Who handles which event. Not here: ``EngineRestarted``, which precedes the timers, and those
for the record only."""

FOR_THE_RECORD: Final = frozenset(
    (
        ev.Tick,
        ev.LanguageChosen,
        ev.MenuAnswered,
        ev.WaitTold,
        ev.RecordingStarted,
        ev.RecordingPaused,
    )
)
"""Events at which only what is due is handled."""

_ARRIVALS: Final = (
    ev.ContactStarted,
    ev.ContactBlocked,
    ev.LanguageChosen,
    ev.ArticleHeard,
    ev.MenuAnswered,
    ev.WaitTold,
    ev.BroadcastHeard,
    ev.RecordingStarted,
    ev.RecordingPaused,
    ev.QueueAnnounced,
    ev.BroadcastStopped,
    ev.QueueRequested,
    ev.ConsultStarted,
    ev.ContactDetached,
    ev.ContactAttached,
    ev.FallbackAnswered,
    ev.ReservationAsked,
    ev.GuestArrived,
    ev.EngineRestarted,
    ev.CaughtUp,
)

_RANKS: Final[Mapping[type[Any], int]] = {
    ev.SettingsApplied: 0,
    ev.HoursChanged: -1,
    ev.EmergencyClosed: -1,
    ev.EmergencyOpened: -1,
    ev.StaffedElsewhere: -1,
    ev.Tick: 0,
    **dict.fromkeys(_ARRIVALS, _LAST),
}
"""P5: the rank, inside its kind, of an event of which it is the same whomever it names."""

_KINDS: Final[Mapping[type[Any], Kind | None]] = {
    ev.SettingsApplied: Kind.CONFIG,
    ev.OfferRinging: _OFFER_RESULT,
    ev.OfferAccepted: _OFFER_RESULT,
    ev.OfferFailed: _OFFER_RESULT,
    ev.ReservationReleased: _OFFER_RESULT,
    ev.ContactPriorityChanged: Kind.STEP,
    ev.ReservationGranted: Kind.STEP,
    ev.ContactLeft: None,
    ev.HoursChanged: _LEAVING,
    ev.EmergencyClosed: _LEAVING,
    ev.EmergencyOpened: _LEAVING,
    ev.StaffedElsewhere: _LEAVING,
    ev.Tick: Kind.TICK,
    **dict.fromkeys(_ARRIVALS, Kind.ARRIVAL),
    **dict.fromkeys(
        (
            *get_args(agents.AgentEvent),
            ev.HoldStarted,
            ev.HoldEnded,
            ev.TalkEnded,
            ev.TransferRequested,
            ev.TransferCompleted,
            ev.HandedBack,
            ev.OutboundStarted,
            ev.OutboundAnswered,
            ev.OutboundFailed,
            ev.PutThrough,
            ev.OutsideEnded,
        ),
        _AGENT_ABLE,
    ),
}
"""P5: the kind of each event; ``None``: it depends."""

_KINDS_AND_RANKS: Final = {what: (kind, _RANKS.get(what)) for what, kind in _KINDS.items()}
"""Both of each event: one look-up, not two."""


class Acd:
    """Distributes contacts to agents. One per center; not thread-safe, not re-entrant."""

    def __init__(self) -> None:
        self._world = World()
        self._latest = Instant(0)
        """The last step's; ``world.now`` is that of the last one that is on record."""

    def step(self, event: ev.Event, now: Instant) -> list[Command]:
        """Handle what is due and the event; return actions and facts in their order.

        Stale ids give an empty list; ids that no config ever named give ``EventRejected``.
        ``now`` must not be less than in the step before.
        """
        world = self._world
        assert now >= self._latest, f"time went back: {self._latest} -> {now}"
        self._latest = now
        before, what = world.now, type(event)
        kind, rank = _KINDS_AND_RANKS[what]
        if kind is None:  # Of a contact that leaves: a talk that ends lets an agent be able again.
            left: ev.ContactLeft = event  # type: ignore[assignment]  # No other has no kind.
            contact = world.contacts.get(left.contact_id)
            talks = contact is not None and contact.state in _WITH_AGENT
            kind = _AGENT_ABLE if talks else _LEAVING
        if what is _RESTARTED:
            center.restarted(world, now)
        heap = world.timers.heap
        if heap and heap[0][0] <= now:
            self._run_due(now, kind, self._rank_of(event) if rank is None else rank)
        world.now, world.kind = now, kind
        handler = _HANDLERS.get(what)
        if handler is not None:
            handler(world, event)
        out, world.out = world.out, []
        if kind is _TICK and not out:
            # It is on no record, and a restart looks back at the last instant that is.
            world.now = before
        return out

    def next_deadline(self) -> Instant | None:
        """Return when ``Tick`` is next due; None when nothing is timed. Never in the past."""
        timer = self._world.timers.head()
        return None if timer is None else timer[0]

    def next_due(self) -> tuple[Instant, Kind, int] | None:
        """Return the place in P5's line of what is due next: instant, kind, rank; None as above."""
        timer = self._world.timers.head()
        return None if timer is None else timer[:3]

    def run_next(self) -> list[Command]:
        """Handle the one thing that is due next, at its own instant, and nothing after it.

        For a driver in whose world answers take no time: what one thing causes may precede the
        next thing of the same instant (P0). ``Tick`` handles an instant to its end.
        """
        timer = self._world.timers.head()
        assert timer is not None, "nothing is due"
        self._latest = max(self._latest, timer[0])
        self._run(timer)
        out, self._world.out = self._world.out, []
        return out

    def _run_due(self, now: Instant, kind: Kind, rank: int) -> None:
        """Handle what is due before ``now``, and at ``now`` what precedes (kind, rank)."""
        world = self._world
        timers = world.timers
        while timers.heap and timers.heap[0][0] <= now:
            timer = timers.head()
            # By due, kind and rank: what follows in a timer does not decide.
            if timer is None or not timer < (now, kind, rank):
                break
            self._run(timer)

    def _run(self, timer: Timer) -> None:
        """Handle what the head of the timers stands for."""
        world = self._world
        due, kind, _, what, _, _, ref = timer
        if due > world.now:
            world.now = due
        world.kind = kind
        if isinstance(ref, DueLine):
            agents.line_due(world, ref)
            world.timers.advance(timer, ref)
            return
        world.timers.pop()
        if isinstance(ref, int):
            results.lease_expired(world, world.offers[ref])
        elif what in _OF_AGENTS:
            agents.agent_timer(world, timer)
        else:
            agents.contact_timer(world, timer)
        assert not world.timers.alive(timer), f"no progress: {timer}"

    def _rank_of(self, event: ev.Event) -> int:
        """P5: return the rank, inside its kind, of an event whose rank depends on whom it names."""
        match event:
            case ev.OfferRinging() | ev.OfferAccepted() | ev.OfferFailed():
                offer = self._world.offers.get(event.offer_id)
                return self._sequence(offer.contact) if offer is not None else -1
            case ev.ReservationReleased():
                return self._sequence(event.reservation_id)
            case ev.ContactPriorityChanged() | ev.ReservationGranted():
                return self._sequence(event.contact_id)
            case ev.ContactLeft():
                contact = self._world.contacts.get(event.contact_id)
                if contact is None or contact.state not in _WITH_AGENT:
                    return self._sequence(event.contact_id)
                return self._rank(contact.agent)
            case ev.OutboundAnswered() | ev.OutboundFailed() | ev.OutsideEnded():
                contact = self._world.contacts.get(event.contact_id)
                return self._rank(contact.agent if contact is not None else None)
            case (
                ev.TransferRequested() | ev.TransferCompleted() | ev.PutThrough() | ev.HandedBack()
            ):
                return self._rank(event.from_agent)
            case _:
                assert hasattr(event, "agent_id"), event
                return self._rank(event.agent_id)

    def _sequence(self, contact_id: ContactId) -> int:
        contact = self._world.contacts.get(contact_id)
        return contact.sequence if contact is not None else -1

    def _rank(self, agent_id: AgentId | None) -> int:
        agent = self._world.agents.get(agent_id) if agent_id is not None else None
        return agent.rank if agent is not None else -1

    # --- snapshots ------------------------------------------------------------------------------

    def snapshot(self) -> AcdState:
        """Return a copy of everything that the core remembers, for ``restore``."""
        return snapshots.snapshot(self._world)

    @classmethod
    def restore(cls, state: AcdState) -> Acd:
        """Return a core that goes on exactly as the one that was copied."""
        acd = cls()
        acd._world = snapshots.restore(state)
        acd._latest = state.now
        return acd

    @property
    def unheard(self) -> Instant | None:
        """The last instant of which everything is known, while not all since has been told."""
        return self._world.unheard

    # --- views: for displays and announcements; they change nothing ------------------------------

    def queue_view(self, queue_id: QueueId) -> views.QueueView | None:
        """Return a queue's numbers; None if there is no such queue."""
        return views.queue_view(self._world, queue_id)

    def closing(self, queue_id: QueueId) -> views.Closing | None:
        """Return why a queue is closed; None if it is open, or if there is no such queue."""
        return views.closing(self._world, queue_id)

    def broadcasts(self, queue_id: QueueId) -> tuple[Broadcast, ...]:
        """Return the broadcasts that stand in a queue at the last step's instant or later."""
        return broadcasts.standing(self._world, queue_id, self._world.now)

    def broadcast_due(
        self, contact_id: ContactId, now: Instant
    ) -> Iterator[tuple[Instant, Broadcast]]:
        """Iterate over what a waiting citizen is still to hear: from when on, and what."""
        return broadcasts.due(self._world, contact_id, now)

    def agent_view(self, agent_id: AgentId) -> views.AgentView | None:
        """Return what an agent is doing; None if there is no such agent."""
        return views.agent_view(self._world, agent_id)

    def queue_medium(self, queue_id: QueueId) -> Medium | None:
        """Return the medium of a queue; None if there is no such queue."""
        queue = self._world.queues.get(queue_id)
        return None if queue is None else queue.settings.medium

    def queues_of(self, agent_id: AgentId) -> tuple[QueueId, ...]:
        """Return the queues that an agent may serve now at any of their steps."""
        return views.queues_of(self._world, agent_id)

    def level_needed(self, skill: SkillId) -> int:
        """Return the least level of a skill that meets whatever any queue asks of it."""
        return views.level_needed(self._world, skill)

    @property
    def order(self) -> Order:
        """The law by which one of the waiting contacts is chosen."""
        return self._world.settings.order

    def contact_view(self, contact_id: ContactId) -> views.ContactView | None:
        """Return where a contact is, with its place; None if it is unknown or over."""
        return views.contact_view(self._world, contact_id)

    def places(self) -> dict[ContactId, int]:
        """Return everybody's place in line (``ContactView.place``), cheaper than one by one."""
        return views.places(self._world)

    def standings(self) -> list[views.Standing]:
        """Return where every contact stands, for the figures of queues."""
        return views.standings(self._world)

    def capacities(self, medium: Medium) -> list[capacity.Capacity]:
        """Return what the center can do now for each queue, whoever waits there."""
        return capacity.capacities(self._world, medium)

    def at_work(self, medium: Medium) -> int:
        """Return how many agents are logged in for a medium."""
        return capacity.at_work(self._world, medium)

    def in_line(self, medium: Medium) -> list[capacity.InLine]:
        """Return the center's own contacts that stand in queues of a medium."""
        return capacity.in_line(self._world, medium)

    def guests(self) -> list[ContactId]:
        """Return the other centers' contacts that are here."""
        return capacity.guests(self._world)

    def queues(self) -> Iterator[QueueId]:
        """Iterate over the queues in config order, removed ones that still drain last."""
        return iter(tuple(self._world.queues))

    def agents(self) -> Iterator[AgentId]:
        """Iterate over the agents in config order."""
        return iter([agent.agent_id for agent in reload.by_rank(self._world)])

    def contacts(self) -> Iterator[ContactId]:
        """Iterate over the contacts that are not over, in order of arrival."""
        return iter(tuple(self._world.contacts))
