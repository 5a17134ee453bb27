"""How long a waiting citizen may expect to wait (docs/reference/routing-policy.md). Pure.

Learns handling times, patience and rings from the core's own facts (``measured.py``) and looks
ahead from the core's state (``forecast.py``, ``lookahead.py``): the k-th next free slot over the
agents who may serve, elapsed handling time used, thinned by those ahead who leave. With fewer than
ten handled contacts of a queue it is the wait of the one served last (LES), with none nothing.

One look-ahead serves all who ask. A big one is made in slices of 20 ms and kept for a while, so
that it takes a twentieth of a core whoever asks how often, and never holds up a caller.
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

FRESH_COST: Final = 1_000
"""A look-ahead that costs more (4 ms) is not made anew for every question."""

KEPT_PER_COST: Final = 80
"""Microseconds for which such a look-ahead is kept, for each unit of its cost (4 µs): it takes a
twentieth of the time, whoever asks how often."""

SLICE: Final = 5_000
"""What one question may cost (20 ms). What is left is done by the next ones; meanwhile the last
look-ahead answers, and if there is none yet, nobody."""

SLICE_EVERY_US: Final = 100_000
"""Many who ask at once add up to one slice."""

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
    """Since when; the talk is over and has been learnt from."""


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
        """Of the present look-ahead."""
        self._holding_us: dict[QueueId | None, float] = {}
        self._forecast: Forecast | None = None
        self._next: Forecast | None = None
        """One that is being made."""
        self._sliced: Instant | None = None
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
            self._talk_over(held, fact.since)

    def _over(self, held: _Held, at: Instant) -> None:
        if held.wrap_up is None:
            self._talk_over(held, at)
        if held.talked and held.queue is not None:
            wrap_us = at - held.wrap_up if held.wrap_up is not None else 0
            for handling in (self._handled_in(held.queue), self._everywhere):
                handling.learn_wrap_up(max(0, wrap_us))

    def _talk_over(self, held: _Held, at: Instant) -> None:
        if held.talked and held.queue is not None:
            for handling in (self._handled_in(held.queue), self._everywhere):
                handling.learn(max(0, at - held.since))

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
        if forecast is None:
            return None
        return self._told(forecast.of(contact), contact.queue, forecast.at, now)

    def expect_new(self, acd: Acd, queue_id: QueueId, now: Instant) -> Micros | None:
        """Return how long one would wait who came now; ``None`` as in ``expect``."""
        world = _world(acd)
        queue = world.queues.get(queue_id)
        if queue is None or not self._known(queue_id):
            return None
        forecast = self._look(world, now)
        if forecast is None:
            return None
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

    def _look(self, world: World, now: Instant) -> Forecast | None:
        """Return the look-ahead that answers now, made as far as the time allows."""
        kept, coming = self._forecast, self._next
        if kept is not None and not kept.of_world(world):
            kept = self._forecast = None
        if coming is not None and not coming.of_world(world):
            coming = self._next = None
        if coming is None:
            if kept is not None and self._will_do(kept, now):
                return kept
            coming = self._next = self._begun(world, now)
        elif self._sliced is not None and 0 <= now - self._sliced < SLICE_EVERY_US:
            return kept
        if coming.advance(SLICE):
            self._forecast, self._next, self._sliced = coming, None, None
        else:
            self._sliced = now
        return self._forecast

    def _will_do(self, kept: Forecast, now: Instant) -> bool:
        age = now - kept.at
        if not self._stale and 0 <= age < SAME_US:
            return True
        return kept.cost > FRESH_COST and 0 <= age < KEPT_PER_COST * kept.cost

    def _begun(self, world: World, now: Instant) -> Forecast:
        self._stale = False
        self._shapes = {}
        self._holding_us = self._holding(now)
        facts = Facts(
            shape=self._shape,
            theta=self._theta,
            held_us=lambda agent, index, slot: self._held_us(world, now, agent, index, slot),
        )
        return Forecast(world, facts, now)

    def _holding(self, now: Instant) -> dict[QueueId | None, float]:
        """Return how long the talks of each queue have lasted by now, together; None: of all."""
        lasted: dict[QueueId | None, float] = {None: 0.0}
        for held in self._held.values():
            if held.talked and held.wrap_up is None and held.queue is not None:
                us = max(0, now - held.since)
                lasted[held.queue] = lasted.get(held.queue, 0.0) + us
                lasted[None] += us
        return lasted

    def _shape(self, queue: QueueId | None) -> Shape:
        key = queue if queue is not None and self._known(queue) else None
        shape = self._shapes.get(key)
        if shape is None:
            handling = self._everywhere if key is None else self._handling[key]
            shape = self._shapes[key] = handling.shape(self._holding_us.get(key, 0.0))
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
