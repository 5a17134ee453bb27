"""P1 and P2 carried out: contacts wait, agents look for them, talks begin and end."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.matching import all_agents, choose_agent, choose_contact
from gkc_engine.acd.offers import free_slot, make_offer, not_beyond, slot_for_beyond, take_slot
from gkc_engine.acd.preference import drop_preference, keep_preference, may_prefer
from gkc_engine.acd.settings import Ring
from gkc_engine.acd.state import (
    HISTORY_MAX,
    Agent,
    Contact,
    ContactState,
    Slot,
    Work,
)
from gkc_engine.acd.timers import Kind, What
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, Instant, QueueId

# Of what every step asks for: a member of an enum costs a look-up in its class.
_WAITING, _TALKS = ContactState.WAITING, ContactState.TALK
_TALK = SegmentKind.TALK
_WAS_ANSWERED = SegmentOutcome.ANSWERED
_FREE = Work.FREE

_RING_ONE = Ring.ONE

# --- agents ----------------------------------------------------------------------------------


def serve_agent(world: World, agent: Agent) -> None:
    """P2: while the agent can take one, give the waiting contact that comes first."""
    while agent.stands:
        contact = choose_contact(world, agent)
        if contact is None:
            return
        make_offer(world, contact, [agent])


def became_ready(world: World, agent: Agent) -> None:
    """The agent became ready at this instant: he stands last among the idle; then P2."""
    agent.idle_since = world.now
    resume_agent(world, agent)


def resume_agent(world: World, agent: Agent) -> None:
    """Show the agent's state, keep his idle time, and apply P2."""
    world.freed(agent)
    if agent.stands:
        serve_agent(world, agent)
        if agent.stands:
            world.stand(agent)


def leave_config(world: World, agent: Agent) -> None:
    """Forget an agent who is gone from the config, once nothing is in hand."""
    if not agent.removed:
        return
    if not agent.beyond and all(s.work is _FREE for s in agent.slots):
        world.agents.pop(agent.agent_id, None)


# --- the contact waits -----------------------------------------------------------------------


def step_in_force(world: World, contact: Contact) -> int:
    """Return the step of P3 at this instant.

    Steps of this very instant come at P5's kind 2: what is handled before it sees the old one.
    """
    assert contact.queue is not None
    assert contact.enqueued is not None
    steps = world.queues[contact.queue].steps
    if len(steps) == 1:
        return 0
    reached = world.now - contact.enqueued
    if reached < steps[1][0]:
        return 0
    strict = world.kind < Kind.STEP
    step = 0
    for index in range(1, len(steps)):
        after = steps[index][0]
        if reached > after or (reached == after and not strict):
            step = index
    return step


def set_step(world: World, contact: Contact, step: int) -> None:
    """Record that the contact's requirement is now that of another ``step``."""
    if step == contact.step:
        return
    assert contact.queue is not None
    contact.step = step
    world.out.append(cmd.StepReached(contact_id=contact.contact_id, queue=contact.queue, step=step))


def serve_contact(world: World, contact: Contact) -> bool:
    """P1: offer a waiting contact to a ready agent, if there is one; say whether there was."""
    assert contact.state is _WAITING, contact
    assert contact.queue is not None
    queue, idle = world.queues[contact.queue], world.space.idle[contact.medium]
    if not idle.agents:
        return False
    if queue.plain and not contact.excluded and contact.prefer_agent is None:
        req = queue.steps[contact.step][1]
        agent = idle.agents.get(req.longest_idle(contact.medium, idle))
    elif queue.settings.ring is _RING_ONE or contact.prefer_agent is not None:
        agent = choose_agent(world, contact)
    else:
        return _ring_all(world, contact)
    if agent is None:
        return False
    make_offer(world, contact, [agent])
    return True


def _ring_all(world: World, contact: Contact) -> bool:
    agents = all_agents(world, contact)
    if agents:
        make_offer(world, contact, agents)
    return bool(agents)


def hold(world: World, contact: Contact) -> None:
    """Ask the adapter to keep the contact waiting."""
    assert contact.queue is not None
    assert contact.enqueued is not None
    world.out.append(
        cmd.HoldContact(
            contact_id=contact.contact_id, queue=contact.queue, enqueued=contact.enqueued
        )
    )


def wait_again(world: World, contact: Contact) -> None:
    """A contact that waits (again), at its place: present step, line, P1, else music."""
    assert contact.queue is not None
    if contact.state is not _WAITING:
        contact.state = _WAITING
    if contact.step or len(world.queues[contact.queue].steps) > 1:
        set_step(world, contact, step_in_force(world, contact))
    if contact.prefer_agent is not None:
        keep_preference(world, contact)
    if not serve_contact(world, contact):
        world.line_up(contact)
        hold(world, contact)


# --- P7 --------------------------------------------------------------------------------------


def release_preferences(world: World, agent: Agent) -> None:
    """The agent paused, left or changed: those who waited for him alone get P1 (P7)."""
    for contact in sorted(
        world.preferring.get(agent.agent_id, {}).values(), key=lambda c: c.sequence
    ):
        if contact.state is _WAITING and not may_prefer(world, contact, agent.agent_id):
            drop_preference(world, contact)
            world.line_up(contact)
            serve_contact(world, contact)


def resume_agents(world: World, agents: list[Agent]) -> None:
    """Blameless agents are free again, their idle time unchanged: P2 in config order."""
    for agent in agents:
        world.settle(agent)
    for agent in agents:
        serve_agent(world, agent)
        leave_config(world, agent)


# --- talks -----------------------------------------------------------------------------------


def begin_talk(
    world: World, contact: Contact, agent: Agent, index: int | None, at: Instant | None
) -> None:
    """Connect the contact with the agent in the slot ``index`` (None: none was free)."""
    answered = world.next_segment(contact, _TALK, _WAS_ANSWERED, at)
    contact.state, contact.agent, contact.slot = _TALKS, agent.agent_id, index
    contact.held = True
    if contact.answered is None:
        contact.answered, contact.first_agent = answered, agent.agent_id
    agent.misses = 0
    agent.last_contact = contact.contact_id
    remember(world, contact, agent)
    if index is None:
        agent.beyond += (contact.contact_id,)
    else:
        take_slot(agent.slots[index], contact)
    world.settle(agent)


def begin_talk_elsewhere(
    world: World, contact: Contact, agent_id: AgentId | None, at: Instant | None
) -> None:
    """Connect the contact with one who is not of our agents (``None``: it is not known who)."""
    answered = world.next_segment(contact, _TALK, _WAS_ANSWERED, at)
    contact.state, contact.agent, contact.held = _TALKS, agent_id, True
    if contact.answered is None:
        contact.answered, contact.first_agent = answered, agent_id


def remember(world: World, contact: Contact, agent: Agent) -> None:
    """P7: note who served the citizen in this service, if any queue of it prefers the last."""
    key = service_key(world, contact, contact.queue)
    if key is not None:
        world.history.pop(key, None)
        world.history[key] = (agent.agent_id, world.now)
        if len(world.history) > HISTORY_MAX:
            del world.history[next(iter(world.history))]


def service_key(world: World, contact: Contact, queue_id: QueueId | None) -> str | None:
    """Return the citizen and the service in one string; None = nothing to remember."""
    if contact.citizen is None or queue_id is None or queue_id not in world.queues:
        return None
    settings = world.queues[queue_id].settings
    if settings.prefer is None:
        return None
    return f"{settings.service or settings.queue_id}|{contact.citizen}"


def end_talk(world: World, contact: Contact, *, wrap_up: bool = True) -> Agent | None:
    """Free the agent's slot for wrap-up; return the agent, who is not yet settled."""
    agent = world.agents.get(contact.agent) if contact.agent is not None else None
    index, contact.slot, contact.agent = contact.slot, None, None
    if agent is None:
        return None
    if index is None:
        if contact.contact_id in agent.beyond:  # Else the talk is older than the agent's config.
            not_beyond(agent, contact.contact_id)
        return agent
    slot = agent.slots[index]
    assert slot.contact == contact.contact_id, agent
    if agent.beyond and slot_for_beyond(world, agent, index):
        return agent
    if contact.outbound:
        wrapup_us = world.settings.outbound.wrapup_us if contact.answered is not None else 0
    else:
        queue = world.queues.get(slot.queue) if slot.queue is not None else None
        wrapup_us = 0 if queue is None else queue.wrapup_us
    if wrapup_us > 0 and wrap_up and not (contact.consult or contact.advice):
        slot.work, slot.on_hold, slot.parked = Work.WRAP_UP, False, False
        until = slot.until = Instant(world.now + wrapup_us)
        world.timers.push(until, Kind.AGENT_ABLE, agent.rank, What.WRAP_UP, agent.agent_id, index)
    else:
        handling_over(world, agent, slot)
    return agent


def handling_over(world: World, agent: Agent, slot: Slot) -> None:
    """A handling with its wrap-up has ended: from now on the agent counts as idle (P1)."""
    free_slot(slot)
    agent.idle_since = world.now


def after_talk(world: World, agent: Agent | None) -> None:
    """The agent's handling ended (or goes on as wrap-up): P2 for what is free."""
    if agent is None:
        return
    world.freed(agent)
    if agent.stands:
        serve_agent(world, agent)
        if agent.stands:
            world.stand(agent)
    if agent.removed:
        leave_config(world, agent)
