"""A snapshot of the core, and the core built anew from it: indices and timers are recomputed."""

from __future__ import annotations

from msgspec import structs

from gkc_engine.acd import second_line
from gkc_engine.acd.copies import replace
from gkc_engine.acd.offers import arm_lease
from gkc_engine.acd.state import (
    AcdState,
    Agent,
    Contact,
    ContactState,
    Offer,
    shared,
)
from gkc_engine.acd.timers import Kind, What
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import OfferId


def snapshot(world: World) -> AcdState:
    """Return a copy that later steps do not change."""
    return AcdState(
        now=world.now,
        settings=world.settings,
        queues=[replace(queue.status) for queue in world.queues.values()],
        agents=[_copy_agent(agent) for agent in world.agents.values()],
        contacts=[_copy_contact(contact) for contact in world.contacts.values()],
        offers=[_copy_offer(offer) for offer in world.offers.values()],
        next_offer=world.next_offer,
        next_sequence=world.next_sequence,
        emergency=world.emergency,
        history=[(key, agent, at) for key, (agent, at) in world.history.items()],
        places=[replace(place) for place in world.places.values()],
        next_broadcast=world.next_broadcast,
        unheard=world.unheard,
    )


def _copy_agent(agent: Agent) -> Agent:
    return replace(
        agent,
        skills=dict(agent.skills),
        under=None if agent.under is None else dict(agent.under),
        slots=tuple([replace(slot) for slot in agent.slots]),
        place=0,
        tail=0,
        stands=(),
        profile=-1,
        helps=0,
    )


def _copy_contact(contact: Contact) -> Contact:
    return structs.replace(contact, entry=0)


def _copy_offer(offer: Offer) -> Offer:
    return structs.replace(offer, legs=[structs.replace(leg) for leg in offer.legs])


def restore(state: AcdState) -> World:
    """Return a world that goes on exactly as the one that was copied; ``state`` stays as it is."""
    world = World()
    world.now = state.now
    # Whatever is armed here was armed before: what was due at `now` already is due still.
    world.settings = state.settings
    world.next_offer, world.next_sequence = OfferId(state.next_offer), state.next_sequence
    world.next_broadcast = state.next_broadcast
    world.emergency = state.emergency
    world.unheard = state.unheard
    world.history = {key: (agent, at) for key, agent, at in state.history}
    world.places = {(place.queue, place.citizen): replace(place) for place in state.places}
    for status in state.queues:
        queue = Queue(replace(status), world.space, world.staffing)
        world.queues[status.settings.queue_id] = queue
    for agent in state.agents:
        _restore_agent(world, _copy_agent(agent))
    for contact in state.contacts:
        _restore_contact(world, _copy_contact(contact))
    for offer in state.offers:
        copy = world.offers[offer.offer_id] = _copy_offer(offer)
        arm_lease(world, copy, world.contacts[copy.contact])
    assert not world.out, world.out
    world.tidy()
    return world


def _restore_agent(world: World, agent: Agent) -> None:
    agent.capacity = shared(agent.capacity)
    world.agents[agent.agent_id] = agent
    world.profile_agent(agent)
    world.settle(agent)
    world.arm_agent(agent)


def _restore_contact(world: World, contact: Contact) -> None:
    contact_id = contact.contact_id
    world.contacts[contact_id] = contact
    if contact.outbound or contact.outside is not None:
        world.outbound.add(contact_id)
    for offer_id in contact.past_offers:
        world.past_offers[OfferId(offer_id)] = contact_id
    if contact.excluded:
        world.barred[contact_id] = contact
        for until in contact.excluded.values():
            world.timers.push(until, Kind.STEP, contact.sequence, What.EXCLUSION, contact_id)
    if contact.prefer_agent is not None and contact.prefer_until is not None:
        world.preferring.setdefault(contact.prefer_agent, {})[contact_id] = contact
        world.timers.push(
            contact.prefer_until, Kind.STEP, contact.sequence, What.PREFERENCE, contact_id
        )
    second_line.arm(world, contact)
    in_line = (ContactState.WAITING, ContactState.OFFERED, ContactState.DETACHED)
    if contact.state in in_line and contact.queue is not None:
        world.count_in(contact, contact.queue)
    if contact.state is ContactState.WAITING:
        world.line_up(contact)
