"""Why the core decides as it does: its own state, read by the words of the routing policy.

The core compares heads; here everybody is asked and every refusal is named (P1 to P8 of
docs/reference/routing-policy.md). The core never asks any of this, and none of it changes the core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from gkc_engine.acd.matching import barred
from gkc_engine.acd.matchspace import meets
from gkc_engine.acd.settings import (
    CLASS_RANK,
    ContactClass,
    Medium,
    Order,
    Requirement,
    Strategy,
)
from gkc_engine.acd.state import Agent, Contact, ContactState, Slot, Work
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, QueueId, SkillId

# --- P1: the agents --------------------------------------------------------------------------


class Bar(StrEnum):
    """Why an agent may not be offered a contact at this instant."""

    SKILL = "skill"
    """Has not one of the skills that the present step names."""
    LEVEL = "level"
    """Has the skill at too low a level."""
    MEDIUM = "medium"
    """Has no slot for this medium."""
    OFFLINE = "offline"
    REMOVED = "removed"
    """Gone from the config; finishes what is in hand."""
    UNREACHABLE = "unreachable"
    """The phone."""
    PAUSED = "paused"
    RESTING = "resting"
    """After an offer that failed."""
    IN_USE = "in_use"
    """The phone is in a call that is not ours."""
    OWN_CALL = "own_call"
    TAKEN = "taken"
    """Every slot of the medium holds an offer, a talk or a wrap-up."""
    BLENDING = "blending"
    """A contact of another medium shuts this one out."""
    EXCLUDED = "excluded"
    """``same_agent_after``: was asked for this contact a moment ago."""
    PREFERENCE = "preference"
    """The contact waits for the agent who last served this citizen."""
    OTHER = "other"


RULE_OF: Mapping[Bar, str] = {
    Bar.SKILL: "P1",
    Bar.LEVEL: "P1",
    Bar.MEDIUM: "P8",
    Bar.OFFLINE: "P1",
    Bar.REMOVED: "P1",
    Bar.UNREACHABLE: "P1",
    Bar.PAUSED: "P1",
    Bar.RESTING: "P6",
    Bar.IN_USE: "P8",
    Bar.OWN_CALL: "P8",
    Bar.TAKEN: "P8",
    Bar.BLENDING: "P8",
    Bar.EXCLUDED: "P6",
    Bar.PREFERENCE: "P7",
    Bar.OTHER: "P1",
}

UNSKILLED = frozenset((Bar.SKILL, Bar.LEVEL, Bar.MEDIUM))
"""What no waiting mends: the agent cannot serve the contact at its present step."""

_OF_THE_CONTACT = frozenset((Bar.SKILL, Bar.LEVEL, Bar.EXCLUDED, Bar.PREFERENCE))
"""Bars that lie between the two; the others are the agent's own."""


ENDED = "ended"
"""Reason of ``TAKEN`` while the end of what the slot held is still being handled (P5)."""
PARKED = "parked"
"""Reason of ``TAKEN`` while what the slot holds is interrupted by another medium (P8)."""


@dataclass(slots=True, kw_only=True)
class Obstacle:
    """One reason why an agent may not be offered a contact, with what belongs to it."""

    bar: Bar
    skill: SkillId | None = None
    has: int = 0
    needs: int = 0
    reason: str = ""
    until: Instant | None = None
    contact_id: ContactId | None = None
    """What holds the slot."""
    agent_id: AgentId | None = None
    """P7: the preferred one."""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """An agent in the eyes of a contact: what stands against him, and his place by P1."""

    agent_id: AgentId
    obstacles: tuple[Obstacle, ...]
    in_hand: int
    """Contacts in hand, any medium (P8): fewer come first."""
    value: Fraction
    """What the strategy makes smallest; 0 for ``longest-idle``, the sum of levels negative."""
    idle_since: Instant
    rank: int
    """Place in the config."""

    @property
    def may(self) -> bool:
        """Whether he may be offered it now."""
        return not self.obstacles

    @property
    def key(self) -> tuple[int, Fraction, int, int]:
        """P1's order, the smallest first."""
        return self.in_hand, self.value, self.idle_since, self.rank


def candidate(world: World, contact: Contact, agent: Agent) -> Candidate:
    """Return what P1 knows of one agent for one contact in a queue."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    return Candidate(
        agent_id=agent.agent_id,
        obstacles=obstacles(world, contact, agent),
        in_hand=sum(slot.work is not Work.FREE for slot in agent.slots),
        value=strategy_value(world, queue, contact.step, agent),
        idle_since=agent.idle_since,
        rank=agent.rank,
    )


def candidates(world: World, contact: Contact) -> tuple[Candidate, ...]:
    """Return every agent of the center in config order, each with all that stands against him."""
    agents = sorted(world.agents.values(), key=lambda a: (a.rank, a.agent_id))
    return tuple(candidate(world, contact, agent) for agent in agents)


def strategy_value(world: World, queue: Queue, step: int, agent: Agent) -> Fraction:
    """Return what the queue's strategy makes smallest, before idle time (P1)."""
    need = queue.steps[step][1].need
    match queue.settings.strategy:
        case Strategy.LONGEST_IDLE:
            return Fraction(0)
        case Strategy.BEST_MATCH:
            return Fraction(-levels(agent, need))
        case Strategy.SPARE_SPECIALISTS:
            others = [
                other
                for other in world.queues.values()
                if other is not queue
                and not other.status.draining
                and other.settings.medium is queue.settings.medium
                and meets(agent.skills, other.settings.require)
            ]
            return Fraction(len(others))
        case Strategy.LEAST_OCCUPIED:
            handling, ready = world.occupied(agent)
            return Fraction(handling, handling + ready) if handling + ready else Fraction(0)


def levels(agent: Agent, need: Requirement) -> int:
    """Return the sum of the agent's levels over the skills that a requirement names."""
    return sum(agent.skills.get(skill, 0) for skill in need)


def obstacles(world: World, contact: Contact, agent: Agent) -> tuple[Obstacle, ...]:
    """Return everything that stands between the agent and the contact; empty = he may take it."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], contact.medium
    lacking = list(_lacking(agent, req.need))
    found = [*lacking, *_away(agent), *_busy(world, agent, medium)]
    out = barred(contact, req, medium)
    if agent.agent_id in out and agent.logged_in and not lacking:
        found.append(Obstacle(bar=Bar.EXCLUDED, until=out[agent.agent_id]))
    if contact.prefer_agent not in (None, agent.agent_id):
        until = contact.prefer_until
        found.append(Obstacle(bar=Bar.PREFERENCE, until=until, agent_id=contact.prefer_agent))
    # Whether he stands among the idle has one definition; if the words above miss it, that holds.
    if medium in agent.stands:
        return tuple(o for o in found if o.bar in _OF_THE_CONTACT)
    if all(o.bar in _OF_THE_CONTACT for o in found):
        found.append(Obstacle(bar=Bar.OTHER))
    return tuple(found)


def _lacking(agent: Agent, need: Requirement) -> Iterator[Obstacle]:
    for skill, level in need.items():
        has = agent.skills.get(skill, 0)
        if has < level:
            bar = Bar.LEVEL if has else Bar.SKILL
            yield Obstacle(bar=bar, skill=skill, has=has, needs=level)


def _away(agent: Agent) -> Iterator[Obstacle]:
    if agent.removed:
        yield Obstacle(bar=Bar.REMOVED)
    if not agent.logged_in:
        yield Obstacle(bar=Bar.OFFLINE)
        return
    if not agent.reachable:
        yield Obstacle(bar=Bar.UNREACHABLE)
    if agent.paused:
        yield Obstacle(bar=Bar.PAUSED, reason=agent.pause_reason, until=agent.pause_until)
    if agent.rest_until is not None:
        yield Obstacle(bar=Bar.RESTING, reason=agent.rest_reason, until=agent.rest_until)


def _busy(world: World, agent: Agent, medium: Medium) -> Iterator[Obstacle]:
    slots = [slot for slot in agent.slots if slot.medium is medium]
    capacity = min(agent.capacity.get(medium, 0), len(slots))
    held = [slot for slot in slots if _holds(slot)]
    ending = [slot for slot in held if slot.work is Work.FREE]
    if not capacity:
        yield Obstacle(bar=Bar.MEDIUM)
    elif ending or len(held) >= capacity:
        yield _holding(Bar.TAKEN, (ending or held)[0])
    if medium is Medium.VOICE or world.excludes(Medium.VOICE, medium):
        if agent.in_use:
            yield Obstacle(bar=Bar.IN_USE)
        if agent.calls:
            yield Obstacle(bar=Bar.OWN_CALL, reason=[*agent.calls.values()][-1])
    for slot in agent.slots:
        if slot.medium is medium or not _holds(slot):
            continue
        parkable = slot.work is Work.TALK and world.interrupts(medium, slot.medium)
        if not parkable and world.excludes(slot.medium, medium):
            yield _holding(Bar.BLENDING, slot)


def _holds(slot: Slot) -> bool:
    """Whether the slot is taken, also while the end of what it held is still handled (P5)."""
    return slot.work is not Work.FREE or slot.shown_contact is not None


def _holding(bar: Bar, slot: Slot) -> Obstacle:
    if slot.work is Work.FREE:
        return Obstacle(bar=bar, reason=ENDED, until=slot.until, contact_id=slot.shown_contact)
    reason = PARKED if slot.parked else slot.work.name.lower()
    return Obstacle(bar=bar, reason=reason, until=slot.until, contact_id=slot.contact)


# --- P2: the contacts ------------------------------------------------------------------------


class Part(StrEnum):
    """The part of P2's key in which two contacts first differ."""

    CLASS = "class"
    MATCH = "match"
    SLOPE = "slope"
    HEAD_START = "head start"
    ENQUEUED = "enqueue time"
    SEQUENCE = "sequence"

    @property
    def rule(self) -> str:
        """The rule's number."""
        if self is Part.CLASS:
            return "P2(1)"
        return "P2(3)" if self is Part.SEQUENCE else "P2(2)"


@dataclass(slots=True, kw_only=True)
class Place:
    """A contact's place by P2, part by part."""

    contact_id: ContactId
    queue: QueueId
    state: ContactState
    contact_class: ContactClass
    enqueued: Instant
    head_start_us: Micros
    slope_milli: int
    sequence: int
    match: int | None
    """Sum of the agent's levels over the present requirement; None where no agent is meant."""
    law: tuple[int, ...]
    """What ``center.order`` makes smallest, in thousandths of µs for ``accumulating``."""

    @property
    def key(self) -> tuple[int, ...]:
        """The whole key, the smallest first."""
        return CLASS_RANK[self.contact_class], *self.law, self.sequence


def place(world: World, contact: Contact, agent: Agent | None = None) -> Place:
    """Return the contact's place, for an agent where the law is ``match-first``."""
    assert contact.queue is not None
    assert contact.enqueued is not None
    contact_class, head_start, slope = world.precedence(contact)
    need = world.queues[contact.queue].steps[contact.step][1].need
    match = None if agent is None else levels(agent, need)
    return Place(
        contact_id=contact.contact_id,
        queue=contact.queue,
        state=contact.state,
        contact_class=contact_class,
        enqueued=contact.enqueued,
        head_start_us=head_start,
        slope_milli=slope,
        sequence=contact.sequence,
        match=match,
        law=_law(world, contact, contact.enqueued - head_start, slope, match),
    )


def _law(
    world: World, contact: Contact, moment: int, slope: int, match: int | None
) -> tuple[int, ...]:
    match world.settings.order:
        case Order.FCFS:
            return (moment,)
        case Order.MATCH_FIRST:
            return (moment,) if match is None else (-match, moment)
        case Order.ACCUMULATING:
            assert contact.enqueued is not None
            return (-slope * (world.now - contact.enqueued),)


def parted_by(first: Place, second: Place, order: Order) -> Part:
    """Return the part of the key by which ``first`` comes before ``second``."""
    assert first.key < second.key, (first, second)
    if first.contact_class is not second.contact_class:
        return Part.CLASS
    if first.law == second.law:
        return Part.SEQUENCE
    if order is Order.MATCH_FIRST and first.match != second.match:
        return Part.MATCH
    if first.enqueued < second.enqueued:
        return Part.ENQUEUED
    return Part.SLOPE if order is Order.ACCUMULATING else Part.HEAD_START


def line_of(world: World, agent: Agent, also: Contact) -> tuple[Place, ...]:
    """Return what the agent could take at this instant, first first; ``also`` = what he got."""
    waiting = [
        contact
        for contact in world.contacts.values()
        if contact.state is ContactState.WAITING or contact is also
    ]
    fitting = [contact for contact in waiting if not obstacles(world, contact, agent)]
    return tuple(sorted((place(world, c, agent) for c in fitting), key=lambda p: p.key))


def before(world: World, contact: Contact) -> tuple[Place, ...]:
    """Return who stands before the contact among those who compete for an agent at work.

    Waiting, offered and detached ones, of all queues; by class, law (``match-first``: without the
    match, which only an agent gives) and sequence.
    """
    in_line = (ContactState.WAITING, ContactState.OFFERED, ContactState.DETACHED)
    mine, agents = place(world, contact).key, _at_work_for(world, contact)
    competing: dict[tuple[QueueId, int, Medium], bool] = {}
    found: list[Place] = []
    for other in world.contacts.values():
        if other is contact or other.state not in in_line or other.queue is None:
            continue
        theirs, alike = place(world, other), (other.queue, other.step, other.medium)
        if theirs.key >= mine:
            continue
        if alike not in competing:
            competing[alike] = bool(agents & _at_work_for(world, other))
        if competing[alike]:
            found.append(theirs)
    return tuple(sorted(found, key=lambda p: p.key))


def _at_work_for(world: World, contact: Contact) -> frozenset[AgentId]:
    """Return the agents at work who meet the contact's present step."""
    assert contact.queue is not None
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], contact.medium
    return frozenset(
        agent.agent_id
        for agent in world.agents.values()
        if agent.logged_in and medium in agent.capacity and meets(agent.skills, req.need)
    )
