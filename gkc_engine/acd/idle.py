"""Who can take a contact of one medium now, each profile's next to serve at its head.

An agent's place is one integer, so that a place is compared in one step and costs the collector
nothing: contacts in hand, then idle since, then his place in the config, then his profile. No two
agents have the same. Whoever is in ``agents`` stands among the idle; a place that is not in it is
dead, wherever it still stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Final

from gkc_engine.acd.state import Agent
from gkc_engine.ids import AgentId, Instant

Place = int
"""An agent's place among the idle: the smaller, the sooner he is to serve; 0 = none."""

_PROFILE_BITS: Final = 24
_RANK_BITS: Final = 28
_IDLE_SINCE_BITS: Final = 64
IDLE_SINCE_SHIFT: Final = _RANK_BITS + _PROFILE_BITS
IN_HAND_SHIFT: Final = IDLE_SINCE_SHIFT + _IDLE_SINCE_BITS
"""What a place is shifted by for the contacts in hand."""

PROFILE: Final = (1 << _PROFILE_BITS) - 1
"""The bits of a place that hold the index of the profile, counted from 1."""

NOBODY: Final[Place] = 1 << (IN_HAND_SHIFT + 64)
"""Behind every place: the head of a profile of which nobody is idle."""

_COMPACT_AT = 64


def tail_of(rank: int, profile: int) -> int:
    """Return what all places of an agent have in common; never 0, for the profile counts from 1."""
    return (rank << _PROFILE_BITS) + profile + 1


def place_of(in_hand: int, idle_since: Instant, tail: int) -> Place:
    """Return the place among the idle; ``tail``: see ``tail_of``."""
    return ((in_hand << _IDLE_SINCE_BITS) + idle_since << IDLE_SINCE_SHIFT) + tail


class Idle:
    """The agents who can take a contact of one medium."""

    __slots__ = ("_heaps", "_limits", "agents", "heads")

    def __init__(self) -> None:
        self.agents: dict[Place, Agent] = {}
        self.heads: list[Place] = []
        """The first place of each profile, by its index. Never dead."""
        self._heaps: list[list[Place]] = []
        self._limits: list[int] = []

    def add_profile(self) -> None:
        """Make room for one more profile."""
        self.heads.append(NOBODY)
        self._heaps.append([])
        self._limits.append(_COMPACT_AT)

    def add(self, place: Place, agent: Agent) -> None:
        """Let the agent stand among the idle."""
        index = agent.profile
        heap = self._heaps[index]
        self.agents[place] = agent
        if len(heap) >= self._limits[index]:
            heap[:] = {p for p in heap if p in self.agents}
            heapify(heap)
            self._limits[index] = max(_COMPACT_AT, 2 * len(heap))
        heappush(heap, place)
        if place < self.heads[index]:
            self.heads[index] = place

    def remove(self, agent: Agent) -> None:
        """Take the agent away from his place; he mostly stands at the head."""
        agents, place, index = self.agents, agent.place, agent.profile
        del agents[place]
        if self.heads[index] == place:
            heap = self._heaps[index]
            heappop(heap)
            while heap and heap[0] not in agents:
                heappop(heap)
            self.heads[index] = heap[0] if heap else NOBODY

    def of_profile(self, index: int) -> set[Place]:
        """Return the places of all who are idle of a profile."""
        return {place for place in self._heaps[index] if place in self.agents}

    def first_of(self, index: int, barred: Mapping[AgentId, Instant]) -> Place:
        """Return the first place of a profile whose agent is not barred."""
        return first(self._heaps[index], self.agents, barred) if barred else self.heads[index]

    def ready(self, indices: Collection[int]) -> Iterator[int]:
        """Return which of these profiles have somebody idle."""
        heads = self.heads
        if len(self.agents) < len(indices):
            return iter({(place & PROFILE) - 1 for place in self.agents}.intersection(indices))
        return (index for index in indices if heads[index] is not NOBODY)


def first(heap: list[Place], agents: Mapping[Place, Agent], barred: Collection[AgentId]) -> Place:
    """Return the first place that is not dead and whose agent is not barred; drop the dead."""
    aside: list[Place] = []
    found = NOBODY
    while heap:
        agent = agents.get(heap[0])
        if agent is None:
            heappop(heap)
        elif agent.agent_id in barred:
            aside.append(heappop(heap))
        else:
            found = heap[0]
            break
    for place in aside:
        heappush(heap, place)
    return found
