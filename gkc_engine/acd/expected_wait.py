"""How long a waiting citizen may expect to wait (docs/reference/routing-policy.md). Pure.

Learns handling times, patience and rings from the core's own facts (``measured.py``) and looks
ahead from the core's state (``forecast.py``, ``lookahead.py``): the k-th next free slot over the
agents who may serve, elapsed handling time used, thinned by those ahead who leave. With fewer than
ten handled contacts of a queue it is the wait of the one served last (LES), with none nothing.

One look-ahead serves all who ask; a big one is kept for a moment, so that it takes some hundredths
of a core whoever asks how often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gkc_engine.acd.commands import (
    AgentState,
    AgentStateChanged,
    Command,
    ContactEnded,
    Disposition,
    OfferEnded,
    OfferOutcome,
)
from gkc_engine.acd.core import Acd
from gkc_engine.acd.forecast import Facts, Forecast
from gkc_engine.acd.measured import Handling, Patience, Shape
from gkc_engine.acd.state import Contact, ContactState, Slot
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, QueueId

SAMPLES_MIN: Final = 10
"""With fewer handled contacts of a queue than this, its handling time is not known."""

LAST_MIN: Final = 3
"""With fewer answers in a queue than this, even the wait of the last one says nothing."""

SAME_US: Final = 100_000
"""While nothing happens, a look-ahead so old is as good as a new one."""

FRESH_COST: Final = 2_000
"""A look-ahead that costs more (2 ms) is not made anew for every question."""

KEPT_PER_COST: Final = 20
"""Microseconds for which such a look-ahead is kept, for each unit of its cost (about 1 µs)."""

_HELD = frozenset(
    {
        AgentState.RESERVED,
        AgentState.RINGING,
        AgentState.TALK,
        AgentState.HOLD,
        AgentState.WRAP_UP,
    }
)
_LEFT = frozenset({Disposition.ABANDONED, Disposition.ABANDONED_SHORT})


@dataclass(slots=True)
class _Held:
    """What holds an agent's slot now."""

    contact: ContactId
    queue: QueueId | None
    since: Instant
    talked: bool = False
    wrap_up: Instant | None = None


class ExpectedWait:
    """Answers how long; give it every fact that the core says (``learn``)."""

    def __init__(self) -> None:
        self._handling: dict[QueueId, Handling] = {}
        self._everywhere = Handling()
        """All queues together: for one whose own cases are too few."""
        self._patience: dict[QueueId, Patience] = {}
        self._held: dict[tuple[AgentId, int], _Held] = {}
        self._served: dict[QueueId, ContactId] = {}
        """Who was connected last."""
        self._last_wait: dict[QueueId, tuple[Instant, Micros]] = {}
        """When the last one whose contact is over was answered, and his wait."""
        self._shapes: dict[QueueId | None, Shape] = {}
        self._forecast: Forecast | None = None
        self._stale = True

    # --- learning --------------------------------------------------------------------------------

    def learn(self, facts: Iterable[Command]) -> None:
        """Take the handling times, waits and rings out of ``facts``."""
        self._stale = True
        for fact in facts:
            if isinstance(fact, AgentStateChanged):
                self._slot(fact)
            elif isinstance(fact, ContactEnded):
                self._ended(fact)
            elif isinstance(fact, OfferEnded) and fact.outcome is OfferOutcome.ACCEPTED:
                self._handled_in(fact.queue).learn_ring(fact.ended - fact.created)
                self._everywhere.learn_ring(fact.ended - fact.created)
                self._served[fact.queue] = fact.contact_id

    def _slot(self, fact: AgentStateChanged) -> None:
        key = fact.agent_id, fact.slot
        held = self._held.get(key)
        here = fact.contact_id if fact.state in _HELD else None
        if held is not None and held.contact != here:
            self._over(held, fact.since)
            del self._held[key]
            held = None
        if here is None:
            return
        if held is None:
            held = self._held[key] = _Held(here, fact.queue, fact.since)
        if fact.state is AgentState.TALK:
            held.talked = True
        elif fact.state is AgentState.WRAP_UP and held.wrap_up is None:
            held.wrap_up = fact.since

    def _over(self, held: _Held, at: Instant) -> None:
        if not held.talked or held.queue is None:
            return
        end = at if held.wrap_up is None else held.wrap_up
        for handling in (self._handled_in(held.queue), self._everywhere):
            handling.learn(max(0, end - held.since), max(0, at - end))
        self._shapes.pop(held.queue, None)
        self._shapes.pop(None, None)

    def _ended(self, fact: ContactEnded) -> None:
        queue = fact.queue
        if queue is None or fact.first_queued is None or fact.via != "engine":
            return
        patience = self._patience.get(queue)
        if patience is None:
            patience = self._patience[queue] = Patience()
        patience.learn(fact.wait_us, left=fact.disposition in _LEFT)
        if fact.answered is not None:
            answered, _ = self._last_wait.get(queue, (Instant(0), Micros(0)))
            if fact.answered >= answered:
                self._last_wait[queue] = fact.answered, fact.wait_us

    def _handled_in(self, queue: QueueId) -> Handling:
        handling = self._handling.get(queue)
        if handling is None:
            handling = self._handling[queue] = Handling()
        return handling

    # --- asking ----------------------------------------------------------------------------------

    def expect(self, acd: Acd, contact_id: ContactId, now: Instant) -> Micros | None:
        """Return how much longer a waiting contact will wait for an answer.

        ``None``: it does not wait, nobody at work may serve it, or too few were served before it
        to say: an estimate from too few data would be a lie.
        """
        world = _world(acd)
        contact = world.contacts.get(contact_id)
        if contact is None or contact.state is not ContactState.WAITING:
            return None
        assert contact.queue is not None
        if not self._known(contact.queue):
            return self._as_the_last(world, contact, now)
        forecast = self._look(world, now)
        return self._told(forecast.of(contact), contact.queue, forecast.at, now)

    def expect_new(self, acd: Acd, queue_id: QueueId, now: Instant) -> Micros | None:
        """Return how long one would wait who came now; ``None`` as in ``expect``."""
        world = _world(acd)
        queue = world.queues.get(queue_id)
        if queue is None or not self._known(queue_id):
            return None
        forecast = self._look(world, now)
        return self._told(forecast.of_new(queue), queue_id, forecast.at, now)

    def _known(self, queue: QueueId) -> bool:
        handling = self._handling.get(queue)
        return handling is not None and handling.count >= SAMPLES_MIN

    def _told(
        self, wait_us: float | None, queue: QueueId, at: Instant, now: Instant
    ) -> Micros | None:
        if wait_us is None:
            return None
        ring = self._handling[queue].ring_mean_us
        return Micros(round(max(0.0, at + wait_us - now) + ring))

    def _look(self, world: World, now: Instant) -> Forecast:
        kept = self._forecast
        if kept is not None and kept.of_world(world):
            age = now - kept.at
            if not self._stale and 0 <= age < SAME_US:
                return kept
            if kept.cost > FRESH_COST and 0 <= age < KEPT_PER_COST * kept.cost:
                return kept
        facts = Facts(
            shape=self._shape,
            theta=self._theta,
            held_us=lambda agent, index, slot: self._held_us(world, now, agent, index, slot),
        )
        self._forecast = Forecast(world, facts, now)
        self._stale = False
        return self._forecast

    def _shape(self, queue: QueueId | None) -> Shape:
        key = queue if queue is not None and self._known(queue) else None
        shape = self._shapes.get(key)
        if shape is None:
            handling = self._everywhere if key is None else self._handling[key]
            shape = self._shapes[key] = handling.shape()
        return shape

    def _theta(self, queue: QueueId, waiting_us: float) -> float:
        patience = self._patience.get(queue)
        return patience.theta(waiting_us) if patience is not None else 0.0

    def _held_us(self, world: World, now: Instant, agent: AgentId, index: int, slot: Slot) -> float:
        held = self._held.get((agent, index))
        if held is not None and held.contact == slot.contact:
            return float(max(0, now - held.since))
        # Since before this engine's start: as long as this talk, no longer is known.
        contact = world.contacts.get(slot.contact) if slot.contact is not None else None
        since = contact.answered or contact.segment_started if contact is not None else now
        return float(max(0, now - since))

    def _as_the_last(self, world: World, contact: Contact, now: Instant) -> Micros | None:
        """LES: as long as the one served last; ``None`` once he has waited longer than that."""
        assert contact.queue is not None
        assert contact.enqueued is not None
        handling = self._handling.get(contact.queue)
        if handling is None or handling.rings < LAST_MIN or not _staffed(world, contact):
            return None
        last = world.contacts.get(self._served[contact.queue])
        if last is not None and last.answered is not None and last.enqueued is not None:
            wait = last.answered - last.enqueued
        elif contact.queue in self._last_wait:
            wait = self._last_wait[contact.queue][1]
        else:
            return None
        left = wait - (now - contact.enqueued)
        return Micros(left) if left > 0 else None


def _world(acd: Acd) -> World:
    """Return what the core knows, to look at: this is a view of it like those of ``views.py``."""
    return acd._world


def _staffed(world: World, contact: Contact) -> bool:
    """Return whether anybody is at work who may serve the contact at its present step."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    medium = queue.settings.medium
    able = {id(profile) for profile in queue.steps[contact.step][1].profiles}
    return any(
        agent.logged_in
        and agent.reachable
        and not agent.paused
        and medium in agent.capacity
        and id(world.space.profiles[agent.profile]) in able
        for agent in world.agents.values()
    )
