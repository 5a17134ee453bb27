"""What displays and announcements may know. Computed when asked; nothing here changes the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.contacts import IN_LINE
from gkc_engine.acd.matchspace import meets
from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.acd.state import Agent, Contact, ContactState, Override, Work
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId, SkillId


@dataclass(slots=True, kw_only=True)
class QueueView:
    """A queue at this instant. Agents are counted if they may serve at any of its steps."""

    queue_id: QueueId
    title: str
    open: bool
    """False when closed by hours or in an emergency."""
    draining: bool
    waiting: int
    """Contacts waiting, detached ones included, offered ones not."""
    offered: int
    detached: int
    oldest: Instant | None
    """Earliest enqueue time of those waiting or offered."""
    talking: int
    """Agents' talks with contacts of this queue."""
    logged_in: int
    ready: int
    """Agents who would be offered a contact now."""
    busy: int
    """Agents with an offer, a talk, wrap-up or a call of their own."""
    not_ready: int
    """Paused, resting, or with an unreachable phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Why a queue takes nobody."""

    emergency: bool
    """Else by its hours."""
    reason: str
    """Of the emergency, as the supervisor gave it."""


@dataclass(slots=True, kw_only=True)
class SlotView:
    """One slot of an agent, as last told by ``AgentStateChanged``."""

    medium: Medium
    state: AgentState
    reason: str
    until: Instant | None
    contact_id: ContactId | None
    queue: QueueId | None


@dataclass(slots=True, kw_only=True)
class AgentView:
    """An agent at this instant; ``state`` and ``reason`` are those of the first slot."""

    agent_id: AgentId
    state: AgentState
    reason: str
    until: Instant | None
    logged_in: bool
    logged_in_by: str
    reachable: bool
    paused: bool
    can_take: bool
    """Whether an offer of any medium could be made now."""
    idle_since: Instant
    misses: int
    skills: dict[SkillId, int]
    overrides: Mapping[SkillId, Override]
    """Those of his skills that a supervisor set."""
    calls: dict[str, str]
    """Calls of his own, id to kind."""
    slots: tuple[SlotView, ...]


@dataclass(slots=True, kw_only=True)
class ContactView:
    """A contact at this instant."""

    contact_id: ContactId
    medium: Medium
    state: ContactState
    started: Instant
    queue: QueueId | None
    enqueued: Instant | None
    sequence: int
    step: int
    offer_id: OfferId | None
    offered: Instant | None
    """Since when that offer is open."""
    agent_id: AgentId | None
    """Who talks with it, or is asked, if that is one agent."""
    answered: Instant | None
    outbound: bool
    """An agent called."""
    owner: str | None
    """Of a guest: the center whose contact it is."""
    about: ContactId | None
    """Of a call for advice: the contact that is asked about."""
    advice: bool
    """Of a guest: an operator of its center, who asks for advice."""
    language: str
    """Of a guest, from its owner; else empty: our adapter knows it."""
    citizen: str | None
    """Keyed hash of his number."""
    leg: str | None
    """Uniqueid of the agent's channel, if it is known."""
    since: Instant
    """When its present segment began."""
    held: bool
    via: str
    contact_class: ContactClass | None
    """Its own or its queue's, like the head start; ``None`` while it has no queue."""
    head_start_us: Micros
    rank: Callable[[], int | None] = field(repr=False, compare=False)
    """Work of ``place``, which looks at the whole queue and so is done only when asked."""

    @property
    def place(self) -> int | None:
        """1 = next; rank among all who compete in this queue (waiting, offered, detached)."""
        return self.rank()


def queue_view(world: World, queue_id: QueueId) -> QueueView | None:
    """Return a queue's numbers; None if there is no such queue."""
    queue = world.queues.get(queue_id)
    if queue is None:
        return None
    inside = [c for c in world.contacts.values() if c.queue == queue_id]
    line = [c for c in inside if c.state in IN_LINE]
    held = [c.enqueued for c in line if c.enqueued is not None]
    settings = queue.settings
    needs = [req.need for _, req in queue.steps]
    agents = [
        agent
        for agent in world.agents.values()
        if agent.logged_in
        and settings.medium in agent.capacity
        and any(meets(agent.skills, need) for need in needs)
    ]
    ready = sum(world.can_take(agent, settings.medium) for agent in agents)
    busy = sum(_is_busy(agent) for agent in agents if not world.can_take(agent, settings.medium))
    offered = sum(c.state is ContactState.OFFERED for c in line)
    return QueueView(
        queue_id=queue_id,
        title=settings.title,
        open=queue.status.open and queue.status.emergency is None,
        draining=queue.status.draining,
        waiting=len(line) - offered,
        offered=offered,
        detached=sum(c.state is ContactState.DETACHED for c in line),
        oldest=min(held, default=None),
        talking=sum(c.state is ContactState.TALK for c in inside),
        logged_in=len(agents),
        ready=ready,
        busy=busy,
        not_ready=len(agents) - ready - busy,
    )


def closing(world: World, queue_id: QueueId) -> Closing | None:
    """Return why a queue is closed; None if it is open, or if there is no such queue."""
    queue = world.queues.get(queue_id)
    if queue is None or (queue.status.open and queue.status.emergency is None):
        return None
    return Closing(
        emergency=queue.status.emergency is not None, reason=queue.status.emergency_reason
    )


def _is_busy(agent: Agent) -> bool:
    return bool(agent.calls) or any(slot.work is not Work.FREE for slot in agent.slots)


def agent_view(world: World, agent_id: AgentId) -> AgentView | None:
    """Return what an agent is doing; None if there is no such agent."""
    agent = world.agents.get(agent_id)
    if agent is None:
        return None
    slots = tuple(
        SlotView(
            medium=slot.medium,
            state=slot.shown,
            reason=slot.shown_reason,
            until=slot.shown_until,
            contact_id=slot.contact,
            queue=slot.queue,
        )
        for slot in agent.slots
    )
    first = slots[0] if slots else None
    return AgentView(
        agent_id=agent_id,
        state=first.state if first is not None else AgentState.OFFLINE,
        reason=first.reason if first is not None else "",
        until=first.until if first is not None else None,
        logged_in=agent.logged_in,
        logged_in_by=agent.logged_in_by,
        reachable=agent.reachable,
        paused=agent.paused,
        can_take=any(world.can_take(agent, medium) for medium in agent.capacity),
        idle_since=agent.idle_since,
        misses=agent.misses,
        skills=dict(agent.skills),
        overrides=agent.overrides,
        calls=dict(agent.calls),
        slots=slots,
    )


def queues_of(world: World, agent_id: AgentId) -> tuple[QueueId, ...]:
    """Return the queues that the agent may serve at any of their steps, in config order."""
    agent = world.agents.get(agent_id)
    if agent is None:
        return ()
    return tuple(
        [
            queue_id
            for queue_id, queue in world.queues.items()
            if any(meets(agent.skills, req.need) for _, req in queue.steps)
        ]
    )


def level_needed(world: World, skill: SkillId) -> int:
    """Return the least level of a skill that meets every step of every queue; 1 if none asks."""
    steps = [req.need for queue in world.queues.values() for _, req in queue.steps]
    return max([need.get(skill, 0) for need in steps] + [1])


def contact_view(world: World, contact_id: ContactId) -> ContactView | None:
    """Return where a contact is, with its place; None if it is unknown or over."""
    contact = world.contacts.get(contact_id)
    if contact is None:
        return None
    contact_class, head_start = None, Micros(0)
    if contact.queue is not None and contact.queue in world.queues:
        contact_class, head_start, _ = world.precedence(contact)
    return ContactView(
        contact_id=contact_id,
        medium=contact.medium,
        state=contact.state,
        started=contact.started,
        queue=contact.queue,
        enqueued=contact.enqueued,
        sequence=contact.sequence,
        step=contact.step,
        offer_id=contact.offer,
        offered=world.offers[contact.offer].created if contact.offer is not None else None,
        agent_id=contact.agent,
        answered=contact.answered,
        outbound=contact.outbound,
        owner=contact.owner,
        about=contact.about,
        advice=contact.advice,
        language=contact.language,
        citizen=contact.citizen,
        leg=contact.talk_leg,
        since=contact.segment_started,
        held=contact.held,
        via=contact.via,
        contact_class=contact_class,
        head_start_us=head_start,
        rank=lambda: _place(world, contact),
    )


class Standing(NamedTuple):
    """As much of a contact as the figures of its queue need."""

    queue: QueueId | None
    state: ContactState
    first_queued: Instant | None
    answered: Instant | None
    state_since: Instant | None = None
    consult: bool = False


def standings(world: World) -> list[Standing]:
    """Return where every contact stands: for figures of all, many times cheaper than its view."""
    return [
        # A guest's wait is in its owner's figures.
        Standing(
            c.queue,
            c.state,
            c.enqueued if c.owner is None else None,
            c.answered,
            consult=c.consult,
        )
        for c in world.contacts.values()
    ]


def places(world: World) -> dict[ContactId, int]:
    """Return the place of everybody in line, each queue sorted once: for displays of all."""
    lines: dict[QueueId, list[Contact]] = {}
    for contact in world.contacts.values():
        if contact.state in IN_LINE and contact.queue is not None:
            lines.setdefault(contact.queue, []).append(contact)
    return {
        contact.contact_id: place
        for line in lines.values()
        for place, contact in enumerate(sorted(line, key=world.order_key), start=1)
    }


def _place(world: World, contact: Contact) -> int | None:
    if contact.state not in IN_LINE or contact.queue is None:
        return None
    mine = world.order_key(contact)
    return 1 + sum(
        world.order_key(other) < mine
        for other in world.contacts.values()
        if other.queue == contact.queue and other.state in IN_LINE
    )
