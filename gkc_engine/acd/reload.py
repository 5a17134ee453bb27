"""A config version takes effect: only what it changes is put in anew, for the loop stands still.

The first version, another ``center.order``, and indices that have grown too far beyond what is in
use (``World.overgrown``) put everything in anew. Both ways give the same commands.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from gkc_engine.acd import events as ev
from gkc_engine.acd import skills
from gkc_engine.acd.agents import go_home, supply_shrank
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.contacts import IN_LINE
from gkc_engine.acd.matchspace import Req
from gkc_engine.acd.places import announce_queued
from gkc_engine.acd.preference import keep_preference
from gkc_engine.acd.routing import leave_config, serve_agent, set_step, step_in_force
from gkc_engine.acd.settings import AgentSettings, Medium
from gkc_engine.acd.state import Agent, Contact, ContactState, QueueStatus, Slot, shared
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, QueueId

_PLACE = attrgetter("rank", "agent_id")

_EVERY: Final = range(1 << 30)
"""The steps at which contacts of a queue stay that nothing changes."""


@dataclass(slots=True)
class _Changes:
    """What a config version changes."""

    anew: bool
    """Everything is put in anew."""
    queues: set[QueueId] = field(default_factory=set)
    """Those whose contacts are to be lined up anew."""
    steps: dict[QueueId, frozenset[int]] = field(default_factory=dict)
    """Those whose contacts may be at another step by the new rules, but for who is at these."""
    reqs: set[Req] = field(default_factory=set)
    """Requirements, by the rules before, of those whose queue or step changes."""
    homeless: dict[QueueId, QueueId] = field(default_factory=dict)
    """Removed queues, with those that their contacts move to."""
    agents: set[AgentId] = field(default_factory=set)
    """Those who are to be settled."""

    def at_other_rules(self, contact: Contact) -> bool:
        """Return whether the contact may be at another step by the new rules."""
        same = self.steps.get(contact.queue) if contact.queue is not None else None
        return same is not None and contact.step not in same


def settings_applied(world: World, event: ev.SettingsApplied) -> None:
    """A config version took effect; those who wait keep their places under the new rules."""
    before, world.settings = world.settings, event.settings
    changes = _Changes(before.order is not event.settings.order or world.overgrown)
    watches = len(world.staffing.watches)
    if changes.anew:
        world.new_space()
    _apply_queues(world, changes)
    gone = _apply_agents(world, changes)
    if before.blending != event.settings.blending or len(world.staffing.watches) != watches:
        changes.agents.update(world.agents)
    for agent in gone:
        agent.removed = True
        go_home(world, agent)
    _line_up(world, changes)
    _serve(world, changes)
    supply_shrank(world)
    for agent in gone:
        leave_config(world, agent)
    _drop_drained(world)
    world.tidy()


def _line_up(world: World, changes: _Changes) -> None:
    """Put those whose queue changed into their lines, at their old places."""
    waiting: list[Contact] = []
    for contact in _touched(world, changes):
        moved = _move_home(world, contact, changes.homeless)
        if contact.state is ContactState.WAITING:
            if moved or changes.at_other_rules(contact):
                set_step(world, contact, step_in_force(world, contact))
            keep_preference(world, contact)
            waiting.append(contact)
    world.line_up_all(waiting)


def _serve(world: World, changes: _Changes) -> None:
    """P2 for everybody who can take a contact, in config order."""
    agents = [a for a in world.agents.values() if a.stands or a.agent_id in changes.agents]
    agents.sort(key=_PLACE)
    for agent in agents:
        if agent.agent_id in changes.agents:
            world.settle(agent)
    for agent in agents:
        serve_agent(world, agent)


def by_rank(world: World) -> list[Agent]:
    """Return the agents in config order."""
    return sorted(world.agents.values(), key=_PLACE)


# --- queues ----------------------------------------------------------------------------------


def _apply_queues(world: World, changes: _Changes) -> None:
    """Install the queues; those of unchanged rules keep their lines."""
    old = world.queues
    named = {settings.queue_id for settings in world.settings.queues}
    world.queues = {}
    for settings in world.settings.queues:
        before = old.get(settings.queue_id)
        if before is not None and not before.status.draining:
            alike, status = before.waits_alike(settings), before.status
            status.settings = settings
        else:
            alike, status = False, QueueStatus(settings=settings, emergency=world.emergency)
        _install(world, changes, status, before, alike=alike)
    for queue_id, before in old.items():
        if queue_id in named:
            continue
        before.status.draining = True
        _install(world, changes, before.status, before, alike=True)
        fallback = before.settings.fallback
        if fallback is not None and fallback in named:
            changes.homeless[queue_id] = fallback
    world.space.forget_breadth()


def _install(
    world: World, changes: _Changes, status: QueueStatus, before: Queue | None, *, alike: bool
) -> None:
    """Put a queue in, as it was if its contacts wait ``alike``, else made from its settings."""
    queue_id = status.settings.queue_id
    if alike and before is not None and not changes.anew:
        before.go_by(status.settings)
        world.queues[queue_id] = before
        return
    if before is not None:
        before.detach()
    steps = before.steps if before is not None and not changes.anew else []
    queue = world.queues[queue_id] = Queue(status, world.space, world.staffing, steps)
    queue.count = before.count if before is not None else 0
    if not alike:
        same = queue.steps_alike(before) if before is not None else frozenset()
        changes.steps[queue_id] = same
        if before is not None and not changes.anew:
            gone = [req for step, (_, req) in enumerate(before.steps) if step not in same]
            changes.reqs.update(gone)
            queue.keep(before)
    changes.queues.add(queue_id)


def _touched(world: World, changes: _Changes) -> list[Contact]:
    """Return those in line whose queue changed or goes, or who prefer somebody, by sequence."""
    queues = changes.queues | changes.homeless.keys()
    found = [c for waiting in world.preferring.values() for c in waiting.values()]
    if queues:
        # For who stands at one of these nothing changes, although his queue does.
        alike = {} if changes.anew else changes.steps
        stay: dict[QueueId | None, Container[int]] = {q: alike.get(q, ()) for q in queues}
        found += [
            contact
            for contact in _candidates(world, changes)
            if contact.step not in stay.get(contact.queue, _EVERY) and contact.prefer_agent is None
        ]
    return sorted((c for c in found if c.state in IN_LINE), key=attrgetter("sequence"))


def _candidates(world: World, changes: _Changes) -> Iterable[Contact]:
    """Return those among whom all stand whom the changes touch: few, if most lines stay."""
    if changes.anew or changes.homeless:
        return world.contacts.values()  # Also those who are rung for, or were let go of.
    lines = [line for line in world.space.lines if line.req in changes.reqs]
    return [entry[3] for line in lines for entry in line.entries()]


def _move_home(world: World, contact: Contact, homeless: dict[QueueId, QueueId]) -> bool:
    """Move a contact of a removed queue to the queue's fallback, at its old place."""
    if contact.queue is None or contact.queue not in homeless:
        return False
    target = homeless[contact.queue]
    world.count_out(contact)
    world.count_in(contact, target)
    if contact.state is ContactState.WAITING:
        world.next_segment(contact, SegmentKind.QUEUE, SegmentOutcome.MOVED, None, "queue removed")
        contact.step = 0
    announce_queued(world, contact)
    return True


def _drop_drained(world: World) -> None:
    """Forget removed queues that nobody stands in and no talk or offer refers to."""
    draining = [q for q, queue in world.queues.items() if queue.status.draining]
    if not draining:
        return
    used = {c.queue for c in world.contacts.values()}
    used |= {slot.queue for agent in world.agents.values() for slot in agent.slots}
    used |= {offer.queue for offer in world.offers.values()}
    for queue_id in draining:
        if queue_id not in used:
            world.queues.pop(queue_id).detach()


# --- agents ----------------------------------------------------------------------------------


def _apply_agents(world: World, changes: _Changes) -> list[Agent]:
    """Install the agents; return those who are gone from the config."""
    named: set[AgentId] = set()
    for rank, settings in enumerate(world.settings.agents):
        named.add(settings.agent_id)
        agent = world.agents.get(settings.agent_id)
        if agent is None:
            agent = world.agents[settings.agent_id] = Agent(
                agent_id=settings.agent_id, rank=-1, skills={}, capacity={}, slots=()
            )
        if changes.anew or _differs(agent, settings, rank):
            if not agent.shift_skills:
                skills.put(agent, dict(settings.skills))
            agent.removed = False
            _put_in(world, changes, agent, rank, settings)
    others = sorted((a for a in world.agents.values() if a.agent_id not in named), key=_PLACE)
    for rank, agent in enumerate(others, start=len(named)):
        if changes.anew or agent.rank != rank:
            _put_in(world, changes, agent, rank, None)
    return [a for a in others if not a.removed]


def _differs(agent: Agent, settings: AgentSettings, rank: int) -> bool:
    if agent.removed or agent.rank != rank:
        return True
    if not agent.shift_skills and skills.base(agent) != settings.skills:
        return True
    return agent.capacity != settings.capacity and agent.capacity != _capacity(settings)


def _capacity(settings: AgentSettings) -> Mapping[Medium, int]:
    """Return the places by medium: one object for all who have the same."""
    return shared({m: n for m in Medium if (n := settings.capacity.get(m, 0)) > 0})


def _put_in(
    world: World, changes: _Changes, agent: Agent, rank: int, settings: AgentSettings | None
) -> None:
    """Give the agent the place and the slots of the config; he is settled afterwards."""
    world.take_out(agent)
    if agent.rank != rank:
        agent.rank = rank
        world.arm_agent(agent)  # Timers of the old rank are dead.
    if settings is not None:
        _resize(agent, settings)
    world.profile_agent(agent)
    changes.agents.add(agent.agent_id)


def _resize(agent: Agent, settings: AgentSettings) -> None:
    """Give the agent the slots of the config; one in use is kept until the config fits again.

    Slots are only ever added at the end, because open offers and talks know theirs by number.
    """
    agent.capacity = _capacity(settings)
    for medium in Medium:
        have = sum(slot.medium is medium for slot in agent.slots)
        want = agent.capacity.get(medium, 0)
        agent.slots += tuple([Slot(medium=medium) for _ in range(want - have)])
