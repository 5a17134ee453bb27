"""Offers (P6): slots are reserved and freed, rings begin, are taken back, end."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import OfferOutcome, SegmentKind, SegmentOutcome
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import (
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
from gkc_engine.ids import AgentId, ContactId, Instant

# Of what every step asks for: a member of an enum costs a look-up in its class.
_OFFERED = ContactState.OFFERED
_RING = SegmentKind.RING
_WAS_OFFERED = SegmentOutcome.OFFERED
_FREE, _OFFER, _TALKING = Work.FREE, Work.OFFER, Work.TALK
_OFFER_RESULT = Kind.OFFER_RESULT
_LEASE = What.LEASE


def free_slot(slot: Slot) -> None:
    """Empty a slot; the agent is to be settled afterwards."""
    slot.work = _FREE
    slot.contact = slot.queue = slot.offer = slot.until = None
    slot.ringing = slot.on_hold = slot.parked = False


def find_slot(agent: Agent, medium: Medium, work: Work = _FREE) -> int | None:
    """Return the first slot of the medium in that state, whether or not the agent is ready."""
    for index, slot in enumerate(agent.slots):
        if slot.medium is medium and slot.work is work:
            return index
    return None


def take_slot(slot: Slot, contact: Contact) -> None:
    """Let a talk hold the slot; the agent is to be settled afterwards."""
    free_slot(slot)
    slot.work, slot.contact, slot.queue = _TALKING, contact.contact_id, contact.queue


def _next_beyond(world: World, agent: Agent, medium: Medium) -> Contact | None:
    """Return the talk that this agent has had without a slot, to be given one."""
    for contact_id in agent.beyond:
        contact = world.contacts[contact_id]
        if contact.medium is medium:
            not_beyond(agent, contact_id)
            return contact
    return None


def not_beyond(agent: Agent, contact_id: ContactId) -> None:
    """Note that a talk of the agent without a slot is over, or has one."""
    agent.beyond = tuple(other for other in agent.beyond if other != contact_id)


def slot_for_beyond(world: World, agent: Agent, index: int) -> bool:
    """Give a slot that is free again to a talk that has had none; say whether there was one."""
    following = _next_beyond(world, agent, agent.slots[index].medium)
    if following is None:
        return False
    following.slot = index
    take_slot(agent.slots[index], following)
    return True


def make_offer(world: World, contact: Contact, agents: list[Agent]) -> None:
    """P6: reserve a slot of each agent and ring."""
    contact_id, queue_id, step = contact.contact_id, contact.queue, contact.step
    assert queue_id is not None
    assert contact.offer is None, contact
    if contact.entry:
        world.step_out(contact)
    world.next_segment(contact, _RING, _WAS_OFFERED)
    offer_id, now = world.next_offer, world.now
    timeout_us = world.queues[queue_id].timeout_us
    world.next_offer += 1  # type: ignore[assignment]  # A NewType's call is dear.
    if len(agents) == 1:  # The short way of most.
        leg = _leg(agents[0], contact)
        legs, alone = [leg], leg.agent
        ids: tuple[AgentId, ...] = (alone,)
        slots: tuple[int, ...] = (leg.slot,)
    else:
        legs, alone = [_leg(agent, contact) for agent in agents], None
        ids, slots = tuple([leg.agent for leg in legs]), tuple([leg.slot for leg in legs])
    offer = world.offers[offer_id] = Offer(
        offer_id=offer_id,
        contact=contact_id,
        queue=queue_id,
        step=step,
        created=now,
        lease=now + timeout_us + LEASE_US,  # type: ignore[arg-type]
        legs=legs,
    )
    contact.state, contact.offer = _OFFERED, offer_id
    contact.offers += 1
    contact.agent = alone
    world.out.append(
        cmd.OfferContact(
            offer_id=offer_id,
            contact_id=contact_id,
            agent_ids=ids,
            queue=queue_id,
            timeout_us=timeout_us,
            step=step,
            created=now,
            slots=slots,
        )
    )
    if alone:
        world.reserve(agents[0], slots[0], offer)
    else:
        for agent, slot in zip(agents, slots, strict=True):
            world.reserve(agent, slot, offer)
    world.timers.push(offer.lease, _OFFER_RESULT, contact.sequence, _LEASE, offer_id)


def _leg(agent: Agent, contact: Contact) -> Leg:
    slots, medium = agent.slots, contact.medium
    if slots[0].medium is medium and slots[0].work is _FREE:
        return Leg(agent=agent.agent_id, slot=0)
    index = find_slot(agent, medium)
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
    if offer.awaited:  # No phone rings: nobody is to be asked whether it was in time.
        offer.lease = world.now
        arm_lease(world, offer, contact)
        return
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
            slot=leg.slot if offer.reservation is None else None,
        )
    )
    if offer.reservation is not None:
        return None  # Another center's.
    agent = world.agents.get(leg.agent)
    if agent is not None:
        slot = agent.slots[leg.slot]
        assert slot.work is _OFFER, agent
        assert slot.offer == offer.offer_id, agent
        free_slot(slot)
        if agent.beyond:
            slot_for_beyond(world, agent, leg.slot)
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


def exclude(world: World, contact: Contact, agent_id: AgentId, until: Instant) -> None:
    """Do not ask this agent for this contact again before ``until`` (P6)."""
    contact.excluded = {**contact.excluded, agent_id: until}
    world.barred[contact.contact_id] = contact
    world.timers.push(until, Kind.STEP, contact.sequence, What.EXCLUSION, contact.contact_id)
