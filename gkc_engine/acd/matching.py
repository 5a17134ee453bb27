"""The two choices of the routing policy: an agent for a contact (P1), a contact for an agent (P2).

Pure choice: nothing is changed here. Comparisons are exact (integers only).
"""

from __future__ import annotations

from collections.abc import Mapping

from gkc_engine.acd.lazyheap import IdleEntry, IdleHeap, LineEntry
from gkc_engine.acd.matchspace import Line, Profile, Ready, Req
from gkc_engine.acd.settings import CLASS_RANK, Medium, Order, Strategy
from gkc_engine.acd.state import Agent, Contact
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, Instant

# Of what every step asks for: a member of an enum costs a look-up in its class.
_LEAST_OCCUPIED, _LONGEST_IDLE = Strategy.LEAST_OCCUPIED, Strategy.LONGEST_IDLE
_FCFS = Order.FCFS

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
    req, medium = queue.steps[contact.step][1], contact.medium
    ready = world.space.ready[medium]
    if not ready:
        return None
    out = barred(contact, req, medium) if contact.excluded else _NOBODY
    if contact.prefer_agent is not None:
        agent = world.agents[contact.prefer_agent]
        return agent if agent.entries.get(medium) and agent.agent_id not in out else None
    strategy = queue.settings.strategy
    if strategy is _LEAST_OCCUPIED:
        return _least_occupied(world, req, medium, out)
    if strategy is _LONGEST_IDLE and req.wide is not None:
        idle = req.wide.get(medium)
        entry = idle.head(out) if idle is not None else None
        return entry[4] if entry is not None else None
    idle_ones = _ready(req, ready)
    if strategy is _LONGEST_IDLE:
        return _longest_idle(idle_ones, out)
    best: IdleEntry | None = None
    best_score = 0
    for profile, idle in idle_ones:
        entry = idle.head(out)
        if entry is None:
            continue  # Barred, all who are ready of it.
        score = _score(world, queue, profile, req)
        if best is None or (entry[0], score, entry[1:3]) < (best[0], best_score, best[1:3]):
            best, best_score = entry, score
    return best[4] if best is not None else None


def _ready(req: Req, ready: Ready) -> list[tuple[Profile, IdleHeap]]:
    """Return the profiles that meet the requirement and have somebody ready, with those."""
    if len(req.profiles) <= len(ready):
        return [(p, idle) for p in req.profiles if (idle := ready.get(p)) is not None]
    return [(profile, idle) for profile, idle in ready.items() if profile in req.met_by]


def _longest_idle(
    idle_ones: list[tuple[Profile, IdleHeap]], out: Mapping[AgentId, Instant]
) -> Agent | None:
    """Return the first of all heads; one that comes later by its key is not touched further.

    Entries are compared whole: their tokens differ, so that agents never are.
    """
    best: IdleEntry | None = None
    for _, idle in idle_ones:
        if best is None or idle.heap[0] < best:
            entry = idle.head(out)
            if entry is not None and (best is None or entry < best):
                best = entry
    return None if best is None else best[4]


def _score(world: World, queue: Queue, profile: Profile, req: Req) -> int:
    """Return what the strategy minimises before idle time; alike for a whole profile."""
    match queue.settings.strategy:
        case Strategy.BEST_MATCH:
            return -req.score(profile)
        case Strategy.SPARE_SPECIALISTS:
            own = not queue.status.draining and profile in queue.steps[0][1].met_by
            return _breadth(world, profile, queue.settings.medium) - own
        case _:
            return 0


def _breadth(world: World, profile: Profile, medium: Medium) -> int:
    """Return how many queues of the medium have a first requirement that the profile meets.

    Reckoned once for each profile: queues change with the config only, and with it the profiles.
    """
    found = profile.breadth.get(medium)
    if found is None:
        found = profile.breadth[medium] = sum(
            not queue.status.draining
            and queue.settings.medium is medium
            and profile in queue.steps[0][1].met_by
            for queue in world.queues.values()
        )
    return found


def _least_occupied(
    world: World, req: Req, medium: Medium, out: Mapping[AgentId, Instant]
) -> Agent | None:
    """Occupancy changes with every instant, so all who are ready are compared, not heads.

    Linear in the ready agents who may serve (about 0.5 µs each), who are few when it matters.
    """
    best: IdleEntry | None = None
    handling = total = 0
    for _, idle in _ready(req, world.space.ready[medium]):
        for entry in idle.entries():
            if entry[4].agent_id in out or (best is not None and entry[0] > best[0]):
                continue
            mine, ready = world.occupied(entry[4])
            both = mine + ready or 1  # 0/0 = 0
            if best is not None and entry[0] == best[0]:
                # mine / both < handling / total, without the division
                one, other = mine * total, handling * both
                if one > other or (one == other and entry[1:3] > best[1:3]):
                    continue
            best, handling, total = entry, mine, both
    return best[4] if best is not None else None


def all_agents(world: World, contact: Contact) -> list[Agent]:
    """Return every ready agent who may serve the contact, the longest idle first."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], contact.medium
    out = barred(contact, req, medium)
    entries = [
        entry
        for _, idle in _ready(req, world.space.ready[medium])
        for entry in idle.entries()
        if entry[4].agent_id not in out
    ]
    return [e[4] for e in sorted(entries, key=lambda e: e[:3])]


def choose_contact(world: World, agent: Agent) -> Contact | None:
    """P2: return the waiting contact that the agent, able to take one, is to take."""
    profile = world.space.profiles[agent.profile]
    own = world.space.own_lines.get(agent.agent_id)
    fcfs = world.settings.order is _FCFS
    best: LineEntry | None = None
    best_key: tuple[int, ...] = ()
    best_rank = len(CLASS_RANK)
    for medium, token in agent.entries.items():
        if not token:
            continue
        lines = profile.lines.get(medium, [])
        if own:
            lines = lines + [o for o in own if o.medium is medium and profile in o.req.met_by]
        for line in lines:
            rank = line.rank
            entry = line.first() if line.late else line.run[0] if line.run else None
            if entry is None or rank > best_rank:
                continue
            # What does not come before by its head's key never does, and is not touched.
            if fcfs and best is not None and rank == best_rank and entry > best:
                continue
            contact = entry[3]
            if contact.entry != entry[2] or contact.excluded:
                head = _head_for(line, agent)
                if head is None:
                    continue
                entry = head
            key = entry[:2] if fcfs else _law(world, line, profile, entry)
            if best is None or rank < best_rank or key < best_key:
                best, best_key, best_rank = entry, key, rank
    return None if best is None else best[3]


def _head_for(line: Line, agent: Agent) -> LineEntry | None:
    """Return the first of the line whom the agent may be offered (P6)."""
    if line.req.logged_in(line.medium) <= 1:
        return line.head()
    return line.head_for(agent.agent_id)


def _law(world: World, line: Line, profile: Profile, entry: LineEntry) -> tuple[int, ...]:
    """Return what ``center.order`` minimises among contacts of one class."""
    match world.settings.order:
        case Order.FCFS:
            return entry[0], entry[1]
        case Order.MATCH_FIRST:
            return -line.req.score(profile), entry[0], entry[1]
        case Order.ACCUMULATING:
            enqueued = entry[3].enqueued
            assert enqueued is not None
            return -line.slope * (world.now - enqueued), entry[1]
