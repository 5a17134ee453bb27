"""P1 and P2 carried out: contacts wait, are offered, come back; slots are reserved and freed."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import OfferOutcome, SegmentKind, SegmentOutcome
from gkc_engine.acd.matching import all_agents, choose_agent, choose_contact
from gkc_engine.acd.preference import drop_preference, keep_preference, may_prefer
from gkc_engine.acd.settings import Medium, Ring
from gkc_engine.acd.state import (
    HISTORY_MAX,
    LEASE_US,
    Agent,
    Contact,
    ContactState,
    Leg,
    Offer,
    Slot,
    Work,
)
from gkc_engine.acd.timers import Kind, What
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId

# Of what every step asks for: a member of an enum costs a look-up in its class.
_WAITING, _OFFERED, _TALKS = ContactState.WAITING, ContactState.OFFERED, ContactState.TALK
_RING, _TALK = SegmentKind.RING, SegmentKind.TALK
_WAS_OFFERED, _WAS_ANSWERED = SegmentOutcome.OFFERED, SegmentOutcome.ANSWERED
_FREE, _OFFER, _TALKING = Work.FREE, Work.OFFER, Work.TALK
_OFFER_RESULT = Kind.OFFER_RESULT
_LEASE = What.LEASE

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
    world.settle(agent, seeks=True)
    if agent.stands:
        serve_agent(world, agent)
        world.stand(agent)


def free_slot(slot: Slot) -> None:
    """Empty a slot; the agent is to be settled afterwards."""
    slot.work = _FREE
    slot.contact = slot.queue = slot.offer = slot.until = None
    slot.ringing = slot.on_hold = slot.parked = False


def leave_config(world: World, agent: Agent) -> None:
    """Forget an agent who is gone from the config, once nothing is in hand."""
    if not agent.removed:
        return
    if not agent.beyond and all(s.work is _FREE for s in agent.slots):
        world.agents.pop(agent.agent_id, None)


def find_slot(agent: Agent, medium: Medium, work: Work = _FREE) -> int | None:
    """Return the first slot of the medium in that state, whether or not the agent is ready."""
    slots = agent.slots
    if slots and slots[0].medium is medium and slots[0].work is work:
        return 0
    for index, slot in enumerate(agent.slots):
        if slot.medium is medium and slot.work is work:
            return index
    return None


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


# --- offers ----------------------------------------------------------------------------------


def make_offer(world: World, contact: Contact, agents: list[Agent]) -> None:
    """P6: reserve a slot of each agent and ring."""
    contact_id, queue_id, step = contact.contact_id, contact.queue, contact.step
    assert queue_id is not None
    assert contact.offer is None, contact
    if contact.entry:
        world.step_out(contact)
    world.next_segment(contact, _RING, _WAS_OFFERED)
    offer_id, now, timeout_us = (
        world.next_offer,
        world.now,
        world.queues[queue_id].settings.timeout_us,
    )
    world.next_offer = OfferId(offer_id + 1)
    alone = len(agents) == 1
    legs = [_leg(agents[0], contact)] if alone else [_leg(agent, contact) for agent in agents]
    offer = world.offers[offer_id] = Offer(
        offer_id=offer_id,
        contact=contact_id,
        queue=queue_id,
        step=step,
        created=now,
        lease=Instant(now + timeout_us + LEASE_US),
        legs=legs,
    )
    contact.state, contact.offer = _OFFERED, offer_id
    contact.offers += 1
    contact.agent = legs[0].agent if alone else None
    world.out.append(
        cmd.OfferContact(
            offer_id=offer_id,
            contact_id=contact_id,
            agent_ids=(legs[0].agent,) if alone else tuple([leg.agent for leg in legs]),
            queue=queue_id,
            timeout_us=timeout_us,
            step=step,
            created=now,
            slots=(legs[0].slot,) if alone else tuple([leg.slot for leg in legs]),
        )
    )
    for agent, leg in ((agents[0], legs[0]),) if alone else zip(agents, legs, strict=True):
        slot = agent.slots[leg.slot]
        slot.work, slot.contact, slot.queue, slot.offer = _OFFER, contact_id, queue_id, offer_id
        world.settle(agent)
    arm_lease(world, offer, contact)


def _leg(agent: Agent, contact: Contact) -> Leg:
    index = find_slot(agent, contact.medium)
    assert index is not None, f"{agent.agent_id} has no free slot"
    return Leg(agent=agent.agent_id, slot=index)


def arm_lease(world: World, offer: Offer, contact: Contact) -> None:
    """Arm the timer at which the core stops waiting for the adapter."""
    world.timers.push(offer.lease, _OFFER_RESULT, contact.sequence, _LEASE, offer.offer_id)


def rescind(world: World, offer: Offer, reason: str) -> None:
    """Take an offer back, in two phases: the adapter answers whether it was in time."""
    if offer.rescinding:
        return
    contact = world.contacts[offer.contact]
    offer.rescinding, offer.rescind_reason = True, reason
    offer.lease = Instant(world.now + LEASE_US)
    arm_lease(world, offer, contact)
    world.out.append(
        cmd.RescindOffer(offer_id=offer.offer_id, contact_id=offer.contact, reason=reason)
    )


def end_leg(
    world: World, offer: Offer, leg: Leg, outcome: OfferOutcome, reason: str, at: Instant | None
) -> Agent | None:
    """Record one agent's part of an offer and free the slot; the agent is not yet settled."""
    offer.legs.remove(leg)
    world.out.append(
        cmd.OfferEnded(
            offer_id=offer.offer_id,
            contact_id=offer.contact,
            agent_id=leg.agent,
            queue=offer.queue,
            created=offer.created,
            ringing=leg.ringing,
            ended=world.instant(at, leg.ringing or offer.created),
            outcome=outcome,
            reason=reason,
            slot=leg.slot,
        )
    )
    agent = world.agents.get(leg.agent)
    if agent is not None:
        slot = agent.slots[leg.slot]
        assert slot.work is _OFFER, agent
        assert slot.offer == offer.offer_id, agent
        free_slot(slot)
        if agent.beyond:
            _slot_for_beyond(world, agent, leg.slot)
    return agent


def forget_offer(world: World, offer: Offer) -> None:
    """All legs have ended: the offer is over, its id stays known for a crossing answer."""
    assert not offer.legs
    del world.offers[offer.offer_id]
    contact = world.contacts.get(offer.contact)
    if contact is None:
        return
    world.past_offers[offer.offer_id] = contact.contact_id
    contact.past_offers += (offer.offer_id,)
    if contact.offer == offer.offer_id:
        contact.offer = None


def clear_offer(world: World, contact: Contact, outcome: OfferOutcome, reason: str) -> list[Agent]:
    """End the contact's open offer without blame; return the agents in config order."""
    if contact.offer is None:
        return []
    offer = world.offers[contact.offer]
    if offer.rescinding:
        outcome, reason = OfferOutcome.RESCINDED, offer.rescind_reason
    agents = [end_leg(world, offer, leg, outcome, reason, None) for leg in list(offer.legs)]
    forget_offer(world, offer)
    return sorted((a for a in agents if a is not None), key=lambda a: a.rank)


def resume_agents(world: World, agents: list[Agent]) -> None:
    """Blameless agents are free again, their idle time unchanged: P2 in config order."""
    for agent in agents:
        world.settle(agent)
    for agent in agents:
        serve_agent(world, agent)
        leave_config(world, agent)


def exclude(world: World, contact: Contact, agent_id: AgentId, until: Instant) -> None:
    """Do not ask this agent for this contact again before ``until`` (P6)."""
    contact.excluded = {**contact.excluded, agent_id: until}
    world.barred[contact.contact_id] = contact
    world.timers.push(until, Kind.STEP, contact.sequence, What.EXCLUSION, contact.contact_id)


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


def take_slot(slot: Slot, contact: Contact) -> None:
    """Let a talk hold the slot; the agent is to be settled afterwards."""
    free_slot(slot)
    slot.work, slot.contact, slot.queue = _TALKING, contact.contact_id, contact.queue


def _next_beyond(world: World, agent: Agent, medium: Medium) -> Contact | None:
    """Return the talk that this agent has had without a slot, to be given one."""
    for contact_id in agent.beyond:
        contact = world.contacts[contact_id]
        if contact.medium is medium:
            _not_beyond(agent, contact_id)
            return contact
    return None


def _not_beyond(agent: Agent, contact_id: ContactId) -> None:
    agent.beyond = tuple(other for other in agent.beyond if other != contact_id)


def _slot_for_beyond(world: World, agent: Agent, index: int) -> bool:
    """Give a slot that is free again to a talk that has had none; say whether there was one."""
    following = _next_beyond(world, agent, agent.slots[index].medium)
    if following is None:
        return False
    following.slot = index
    take_slot(agent.slots[index], following)
    return True


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
            _not_beyond(agent, contact.contact_id)
        return agent
    slot = agent.slots[index]
    assert slot.contact == contact.contact_id, agent
    if agent.beyond and _slot_for_beyond(world, agent, index):
        return agent
    queue = world.queues.get(slot.queue) if slot.queue is not None else None
    wrapup_us = 0 if queue is None else queue.settings.wrapup_us
    if wrapup_us > 0 and wrap_up and not contact.consult:
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
    world.settle(agent, seeks=True)
    if agent.stands:
        serve_agent(world, agent)
        world.stand(agent)
    if agent.removed:
        leave_config(world, agent)
