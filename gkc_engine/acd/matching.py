"""The two choices of the routing policy: an agent for a contact (P1), a contact for an agent (P2).

Pure choice: nothing is changed here. Comparisons are exact (integers only).
"""

from __future__ import annotations

from collections.abc import Mapping

from gkc_engine.acd.idle import IN_HAND_SHIFT, NOBODY, Idle
from gkc_engine.acd.lazyheap import LineEntry
from gkc_engine.acd.lines import EMPTY, LINE, Line
from gkc_engine.acd.matchspace import Profile, Req
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
    idle, strategy = world.space.idle[medium], queue.settings.strategy
    if strategy is _LONGEST_IDLE and not contact.excluded and contact.prefer_agent is None:
        return idle.agents.get(req.longest_idle(medium, idle))
    out = barred(contact, req, medium) if contact.excluded else _NOBODY
    if contact.prefer_agent is not None:
        agent = world.agents[contact.prefer_agent]
        return agent if medium in agent.stands and agent.agent_id not in out else None
    if strategy is _LEAST_OCCUPIED:
        return _least_occupied(world, req, idle, out)
    return _best_head(world, queue, req, idle, out)


def _best_head(
    world: World, queue: Queue, req: Req, idle: Idle, out: Mapping[AgentId, Instant]
) -> Agent | None:
    """Return the first of the profiles' heads by the queue's strategy."""
    best, best_score = NOBODY, 0
    for index in idle.ready(req.met_by):
        place = idle.first_of(index, out)
        if place is NOBODY:
            continue  # Barred, all who are ready of it.
        score = _score(world, queue, req.met_by[index], req)
        in_hand, best_in_hand = place >> IN_HAND_SHIFT, best >> IN_HAND_SHIFT
        if best is NOBODY or (in_hand, score, place) < (best_in_hand, best_score, best):
            best, best_score = place, score
    return idle.agents.get(best)


def _score(world: World, queue: Queue, profile: Profile, req: Req) -> int:
    """Return what the strategy minimises before idle time; alike for a whole profile."""
    match queue.settings.strategy:
        case Strategy.BEST_MATCH:
            return -req.score(profile)
        case Strategy.SPARE_SPECIALISTS:
            own = not queue.status.draining and profile.index in queue.steps[0][1].met_by
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
            and profile.index in queue.steps[0][1].met_by
            for queue in world.queues.values()
        )
    return found


def _least_occupied(
    world: World, req: Req, idle: Idle, out: Mapping[AgentId, Instant]
) -> Agent | None:
    """Occupancy changes with every instant, so all who are ready are compared, not heads.

    Linear in the ready agents who may serve (about 0.5 µs each), who are few when it matters.
    """
    best, best_in_hand = NOBODY, 0
    handling = total = 0
    for index in idle.ready(req.met_by):
        for place in idle.of_profile(index):
            agent, in_hand = idle.agents[place], place >> IN_HAND_SHIFT
            if agent.agent_id in out or (best is not NOBODY and in_hand > best_in_hand):
                continue
            mine, ready = world.occupied(agent)
            both = mine + ready or 1  # 0/0 = 0
            if best is not NOBODY and in_hand == best_in_hand:
                # mine / both < handling / total, without the division
                one, other = mine * total, handling * both
                if one > other or (one == other and place > best):
                    continue
            best, best_in_hand, handling, total = place, in_hand, mine, both
    return idle.agents.get(best)


def all_agents(world: World, contact: Contact) -> list[Agent]:
    """Return every ready agent who may serve the contact, the longest idle first."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], contact.medium
    out = barred(contact, req, medium)
    idle = world.space.idle[medium]
    places = [place for index in idle.ready(req.met_by) for place in idle.of_profile(index)]
    agents = [idle.agents[place] for place in sorted(places)]
    return [agent for agent in agents if agent.agent_id not in out]


def choose_contact(world: World, agent: Agent) -> Contact | None:
    """P2: return the waiting contact that the agent, able to take one, is to take."""
    space, stands = world.space, agent.stands
    profile, heads, occupied = space.profiles[agent.profile], space.heads, space.occupied
    own = space.own_lines.get(agent.agent_id) if space.own_lines else None
    if own or world.settings.order is not _FCFS:
        return _by_law(world, agent, profile, own or [])
    while True:
        head = profile.first_in_line(stands[0], heads, occupied)
        if len(stands) > 1:
            others = (profile.first_in_line(other, heads, occupied) for other in stands[1:])
            head = min(head, *others)
        if head is EMPTY:
            return None
        line = space.lines[head & LINE]
        entry = line.top
        if entry is not None:
            contact = entry[3]
            return _by_law(world, agent, profile, []) if contact.excluded else contact
        line.renew()


def _by_law(world: World, agent: Agent, profile: Profile, own: list[Line]) -> Contact | None:
    """Compare line by line: what ``center.order`` says, and whom the agent may be offered (P6)."""
    fcfs = world.settings.order is _FCFS
    best: LineEntry | None = None
    best_key: tuple[int, ...] = ()
    best_rank = len(CLASS_RANK)
    for medium in agent.stands:
        lines = profile.lines.get(medium, [])
        if own:
            lines = lines + [o for o in own if o.medium is medium and profile.index in o.req.met_by]
        for line in lines:
            rank = line.rank
            entry = line.first()
            if entry is None or rank > best_rank:
                continue
            if entry[3].entry != entry[2] or entry[3].excluded:
                entry = _head_for(line, agent)
                if entry is None:
                    continue
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
