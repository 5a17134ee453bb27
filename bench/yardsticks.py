"""What the core is measured by: a pair of heap operations, and a full scan of everybody."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from bench.acd_load import Center
from gkc_engine.acd.settings import Medium, Requirement
from gkc_engine.acd.state import Agent, Contact, ContactState
from gkc_engine.ids import QueueId


class HeapPair:
    """One push + pop of (int, int, object) on a heap of ``n``; timed in parts."""

    def __init__(self, n: int, clock: Callable[[], int]) -> None:
        self._rng, self._thing, self._clock = random.Random(1), object(), clock
        self._heap = [(self._rng.randrange(10**12), i, self._thing) for i in range(n)]
        self._n = n
        heapify(self._heap)

    def us(self, pairs: int) -> float:
        """Return the cost of a pair, in µs, on average."""
        rng, thing, heap = self._rng, self._thing, self._heap
        new = [(rng.randrange(10**12), self._n + i, thing) for i in range(pairs)]
        self._n += pairs
        begun = self._clock()
        for entry in new:
            heappush(heap, entry)
            heappop(heap)
        return (self._clock() - begun) / pairs / 1e3


def naive_us(center: Center, count: int) -> float:
    """Return what an arrival or a release costs when everybody is looked at, on average, in µs.

    The same choices by the same keys (P1 longest idle, P2 first come), nothing kept but lists.
    """
    world = center.acd._world
    waiting = [c for c in world.contacts.values() if c.state is ContactState.WAITING]
    agents = list(world.agents.values())
    needs = {q: [req.need for _, req in queue.steps] for q, queue in world.queues.items()}
    rng, taken = random.Random(2), 0
    begun = center.clock()
    for n in range(count):
        if n % 2:
            taken += _scan_agents(world.can_take, agents, needs[QueueId("q0")][0]) is not None
        else:
            taken += _scan_waiting(waiting, rng.choice(agents).skills, needs) is not None
    took = center.clock() - begun
    assert taken, "the full scan found nothing to do"
    return took / count / 1e3


def _meets(skills: Requirement, need: Requirement) -> bool:
    return all(skills.get(skill, 0) >= level for skill, level in need.items())


def _scan_waiting(
    waiting: list[Contact], skills: Requirement, needs: Mapping[QueueId, Sequence[Requirement]]
) -> Contact | None:
    best, best_key = None, None
    for contact in waiting:
        assert contact.queue is not None
        if _meets(skills, needs[contact.queue][contact.step]):
            key = (contact.enqueued, contact.sequence)
            if best_key is None or key < best_key:
                best, best_key = contact, key
    return best


def _scan_agents(
    can_take: Callable[[Agent, Medium], bool], agents: list[Agent], need: Requirement
) -> Agent | None:
    best, best_key = None, None
    for agent in agents:
        if _meets(agent.skills, need) and can_take(agent, Medium.VOICE):
            key = (agent.idle_since, agent.rank)
            if best_key is None or key < best_key:
                best, best_key = agent, key
    return best
