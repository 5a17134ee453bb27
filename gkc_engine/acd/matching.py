"""The two choices of the routing policy: an agent for a contact (P1), a contact for an agent (P2).

Pure choice: nothing is changed here. Comparisons are exact (integers and fractions).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from gkc_engine.acd.lazyheap import IdleEntry
from gkc_engine.acd.matchspace import Line, Profile, Req, meets
from gkc_engine.acd.settings import Medium, Order, Strategy
from gkc_engine.acd.state import Agent, Contact
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, Instant

_NOBODY: Mapping[AgentId, Instant] = {}


def barred(contact: Contact, req: Req, medium: Medium) -> Mapping[AgentId, Instant]:
    """Return who may not be asked again (P6): nobody, if no other logged-in agent would do."""
    if not contact.excluded or req.logged_in(medium) <= 1:
        return _NOBODY
    return contact.excluded


def choose_agent(world: World, contact: Contact) -> Agent | None:
    """P1: return the ready agent whom the strategy of the contact's queue names first."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], queue.settings.medium
    out = barred(contact, req, medium)
    if contact.prefer_agent is not None:
        agent = world.agents[contact.prefer_agent]
        return agent if agent.entries.get(medium) and agent.agent_id not in out else None
    if queue.settings.strategy is Strategy.LEAST_OCCUPIED:
        return _least_occupied(world, req, medium, out)
    best: IdleEntry | None = None
    best_key: tuple[int, int, int, int] | None = None
    for profile in req.profiles:
        idle = profile.idle.get(medium)
        entry = idle.head(out) if idle is not None else None
        if entry is None:
            continue
        score = _score(world, queue, profile, req)
        key = (entry[0], score, entry[1], entry[2])
        if best_key is None or key < best_key:
            best, best_key = entry, key
    return best[4] if best is not None else None


def _score(world: World, queue: Queue, profile: Profile, req: Req) -> int:
    """Return what the strategy minimises before idle time; alike for a whole profile."""
    if queue.settings.strategy is Strategy.BEST_MATCH:
        return -profile.score(req)
    if queue.settings.strategy is Strategy.SPARE_SPECIALISTS:
        return sum(
            other is not queue
            and not other.status.draining
            and other.settings.medium is queue.settings.medium
            and meets(profile.skills, other.settings.require)
            for other in world.queues.values()
        )
    return 0


def _least_occupied(
    world: World, req: Req, medium: Medium, out: Mapping[AgentId, Instant]
) -> Agent | None:
    """Occupancy changes with every instant, so all ready agents are compared, not heads."""
    found = [
        (entry[0], _occupancy(world, entry[4]), entry[1], entry[2], entry[4])
        for profile in req.profiles
        if medium in profile.idle
        for entry in profile.idle[medium].entries()
        if entry[4].agent_id not in out
    ]
    return min(found, key=lambda e: e[:4])[4] if found else None


def _occupancy(world: World, agent: Agent) -> Fraction:
    handling, ready = world.occupied(agent)
    return Fraction(handling, handling + ready) if handling + ready else Fraction(0)


def all_agents(world: World, contact: Contact) -> list[Agent]:
    """Return every ready agent who may serve the contact, the longest idle first."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], queue.settings.medium
    out = barred(contact, req, medium)
    entries = [
        entry
        for profile in req.profiles
        if medium in profile.idle
        for entry in profile.idle[medium].entries()
        if entry[4].agent_id not in out
    ]
    return [e[4] for e in sorted(entries, key=lambda e: e[:3])]


def choose_contact(world: World, agent: Agent) -> Contact | None:
    """P2: return the waiting contact that the agent, able to take one, is to take."""
    profile = world.space.profiles[agent.profile]
    lines = profile.lines
    own = world.space.own_lines.get(agent.agent_id)
    if own:
        lines = lines + [line for line in own if line.req.profiles and profile in line.req.profiles]
    best: Contact | None = None
    best_key: tuple[int, int, int, int] | None = None
    for line in lines:
        if not line.heap.heap or not agent.entries.get(line.medium):
            continue
        alone = line.req.logged_in(line.medium) <= 1
        entry = line.heap.head() if alone else line.heap.head_for(agent.agent_id)
        if entry is None:
            continue
        first, second = _law(world, line, profile, entry[0], entry[3])
        key = (line.rank, first, second, entry[1])
        if best_key is None or key < best_key:
            best, best_key = entry[3], key
    return best


def _law(world: World, line: Line, profile: Profile, key: int, contact: Contact) -> tuple[int, int]:
    """Return what ``center.order`` minimises, before the sequence number."""
    match world.settings.order:
        case Order.FCFS:
            return key, 0
        case Order.MATCH_FIRST:
            return -profile.score(line.req), key
        case Order.ACCUMULATING:
            assert contact.enqueued is not None
            return -line.slope * (world.now - contact.enqueued), 0
