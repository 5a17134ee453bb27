"""P10, the donor's side: an operator of ours is kept free for another center's contact.

A guest never stands in a line of ours: without an operator who is free now it is not taken, and
from one who does not answer it goes back to its owner, which has kept its place. Once it has been
answered it is a contact like any other, and may be transferred.
"""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, SegmentKind, SegmentOutcome
from gkc_engine.acd.contacts import enqueue
from gkc_engine.acd.matching import choose_agent
from gkc_engine.acd.offers import arm_lease, find_slot, forget_offer
from gkc_engine.acd.presence import left
from gkc_engine.acd.routing import step_in_force
from gkc_engine.acd.state import LEASE_US, Agent, Contact, ContactState, Leg, Offer
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import ContactId, Instant, Micros, OfferId

NO_QUEUE, CLOSED, NOBODY, OWN_FIRST = "no_queue", "closed", "nobody_free", "own_first"
DENIALS = (NO_QUEUE, CLOSED, NOBODY, OWN_FIRST)
"""Why a reservation is denied."""

NO_RESERVATION = "no_reservation"
DID_NOT_COME = "did_not_come"
HANDED_OVER = "handed_over"
"""Reason of a release that ends no reservation: the citizen has followed who asked for advice."""


def asked(world: World, event: ev.ReservationAsked) -> None:
    """Keep an operator free for another center's contact, or say why not."""
    if event.reservation_id in world.contacts:
        return  # Said twice.
    queue = world.queues.get(event.queue)
    guest = None if queue is None else _guest(world, event, queue)
    found = _find(world, event, queue, guest)
    if isinstance(found, str):
        world.out.append(
            cmd.DenyReservation(
                reservation_id=event.reservation_id, owner=event.owner, reason=found
            )
        )
        return
    assert guest is not None
    world.contacts[guest.contact_id] = guest
    _reserve(world, guest, found, event.hold_us)


def _find(
    world: World, event: ev.ReservationAsked, queue: Queue | None, guest: Contact | None
) -> Agent | str:
    """Return the operator, or why there is none."""
    if queue is None or guest is None or queue.status.draining:
        return NO_QUEUE
    if queue.status.emergency is not None or not queue.status.open:
        return CLOSED
    agent = choose_agent(world, guest)
    if agent is None:
        return NOBODY
    able = queue.steps[guest.step][1].met_by
    free = sum(one.profile in able for one in world.space.idle[guest.medium].agents.values())
    return agent if free > event.keep_free else OWN_FIRST


def _guest(world: World, event: ev.ReservationAsked, queue: Queue) -> Contact:
    guest = Contact(
        contact_id=event.reservation_id,
        medium=queue.settings.medium,
        started=world.now,
        segment_started=world.now,
        segment_kind=SegmentKind.TRANSIT,
        segment_queue=event.queue,
        state=ContactState.GUEST,
        queue=event.queue,
        own_class=event.contact_class,
        own_head_start=event.head_start_us,
        own_slope=event.slope_milli,
        owner=event.owner,
        origin=event.contact_id,
        advice=event.advice,
        language="" if event.brief is None else event.brief.language,
    )
    enqueue(world, guest, Instant(world.now - event.waited_us))
    guest.step = step_in_force(world, guest)
    return guest


def _reserve(world: World, guest: Contact, agent: Agent, hold_us: Micros) -> None:
    assert guest.queue is not None
    assert guest.origin is not None
    assert guest.owner is not None
    index = find_slot(agent, guest.medium)
    assert index is not None, agent
    offer = Offer(
        offer_id=world.next_offer,
        contact=guest.contact_id,
        queue=guest.queue,
        step=guest.step,
        created=world.now,
        lease=Instant(world.now + hold_us),
        legs=[Leg(agent=agent.agent_id, slot=index)],
        awaited=True,
    )
    world.next_offer = OfferId(world.next_offer + 1)
    world.offers[offer.offer_id] = offer
    guest.offer, guest.agent = offer.offer_id, agent.agent_id
    guest.offers += 1
    world.out.append(
        cmd.GrantReservation(
            reservation_id=guest.contact_id,
            owner=guest.owner,
            contact_id=guest.origin,
            agent_id=agent.agent_id,
            queue=guest.queue,
            created=world.now,
            hold_us=hold_us,
            timeout_us=world.queues[guest.queue].timeout_us,
            advice=guest.advice,
        )
    )
    world.reserve(agent, index, offer)
    arm_lease(world, offer, guest)


def arrived(world: World, event: ev.GuestArrived) -> None:
    """Ring the operator who was kept free; a guest whom nobody awaits goes back at once."""
    guest = world.contacts.get(event.contact_id)
    offer = None if guest is None or guest.offer is None else world.offers[guest.offer]
    if guest is None or guest.owner is None or guest.state is ContactState.TREATED:
        reason = NO_RESERVATION
        world.out.append(cmd.RefuseGuest(contact_id=event.contact_id, reason=reason))
        return
    if offer is None or not offer.awaited:
        return  # Said twice.
    world.next_segment(guest, SegmentKind.RING, SegmentOutcome.OFFERED, event.at)
    timeout_us = world.queues[offer.queue].timeout_us
    offer.awaited = False
    offer.lease = Instant(world.now + timeout_us + LEASE_US)
    world.out.append(
        cmd.OfferContact(
            offer_id=offer.offer_id,
            contact_id=guest.contact_id,
            agent_ids=tuple([leg.agent for leg in offer.legs]),
            queue=offer.queue,
            timeout_us=timeout_us,
            step=offer.step,
            created=offer.created,
            slots=tuple([leg.slot for leg in offer.legs]),
        )
    )
    arm_lease(world, offer, guest)


def released(world: World, event: ev.ReservationReleased) -> None:
    """The owner does not need the operator any more; one that has come is ended by its line."""
    guest = world.contacts.get(event.reservation_id)
    if guest is not None and event.reason == HANDED_OVER:
        _handed_over(world, guest)
        return
    if guest is not None and guest.offer is not None and world.offers[guest.offer].awaited:
        gone(world, guest.contact_id, event.reason)


def _handed_over(world: World, guest: Contact) -> None:
    """Who asked for advice has put the citizen through: from now on that is a talk like others."""
    if not guest.advice or guest.state is not ContactState.TALK:
        return
    kind = guest.segment_kind
    world.next_segment(guest, kind, SegmentOutcome.RESUMED, None, HANDED_OVER)
    guest.advice = False
    world.out.append(cmd.GuestHandedOver(contact_id=guest.contact_id))


def gone(world: World, contact_id: ContactId, reason: str) -> None:
    """The guest does not come: its operator is free again, blameless."""
    left(world, ev.ContactLeft(contact_id=contact_id, party=ev.Party.SYSTEM, reason=reason))


def turn_back(world: World, guest: Contact, offer: Offer, at: Instant | None, reason: str) -> None:
    """Its operator did not answer: the guest's line is ended, its owner has its place."""
    world.next_segment(guest, SegmentKind.ANNOUNCEMENT, SegmentOutcome.RETURNED, at, reason)
    forget_offer(world, offer)
    guest.agent = None
    guest.state, guest.decided = ContactState.TREATED, Disposition.RETURNED
    guest.decided_reason = reason
    world.out.append(cmd.RefuseGuest(contact_id=guest.contact_id, reason=reason))
