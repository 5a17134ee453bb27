"""P10, the owner's side: another center's operator is kept free for a contact that waits here.

To the core that is an offer like any other, of which the agent is not ours and holds no slot: the
contact keeps its place, is not offered here meanwhile, and waits on at once if it comes to nothing.
Whom to ask, and when, is decided in ``federation``.
"""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.offers import arm_lease
from gkc_engine.acd.preference import drop_preference
from gkc_engine.acd.state import LEASE_US, Contact, ContactState, Leg, Offer
from gkc_engine.acd.world import World
from gkc_engine.ids import Instant, Micros, OfferId

NO_SLOT = -1
"""``Leg.slot`` of an agent who is not ours."""


def granted(world: World, event: ev.ReservationGranted) -> None:
    """Send the contact there, if it still waits; else the reservation is given back."""
    contact = world.contacts.get(event.contact_id)
    if contact is not None and _is_under_way(world, contact, event):
        return  # Said twice.
    if contact is None or contact.state is not ContactState.WAITING:
        _release(world, event, "served" if contact is not None else "left")
    elif event.until <= world.now:
        _release(world, event, "late")
    else:
        _send(world, contact, event)


def _is_under_way(world: World, contact: Contact, event: ev.ReservationGranted) -> bool:
    if contact.offer is None:
        return False
    return world.offers[contact.offer].reservation == event.reservation_id


def _release(world: World, event: ev.ReservationGranted, reason: str) -> None:
    world.out.append(
        cmd.ReleaseReservation(
            reservation_id=event.reservation_id,
            center=event.center,
            contact_id=event.contact_id,
            reason=reason,
        )
    )


def _send(world: World, contact: Contact, event: ev.ReservationGranted) -> None:
    assert contact.queue is not None
    assert contact.enqueued is not None
    if contact.prefer_agent is not None:
        drop_preference(world, contact)
    world.step_out(contact)
    world.next_segment(contact, SegmentKind.RING, SegmentOutcome.OFFERED)
    timeout_us = Micros(event.until - world.now + event.timeout_us)
    offer = Offer(
        offer_id=world.next_offer,
        contact=contact.contact_id,
        queue=contact.queue,
        step=contact.step,
        created=world.now,
        lease=Instant(world.now + timeout_us + LEASE_US),
        legs=[Leg(agent=event.agent_id, slot=NO_SLOT)],
        reservation=event.reservation_id,
    )
    world.next_offer = OfferId(world.next_offer + 1)
    world.offers[offer.offer_id] = offer
    contact.state, contact.offer = ContactState.OFFERED, offer.offer_id
    contact.offers += 1
    contact.agent = event.agent_id
    world.out.append(
        cmd.OverflowContact(
            offer_id=offer.offer_id,
            contact_id=contact.contact_id,
            reservation_id=event.reservation_id,
            center=event.center,
            agent_id=event.agent_id,
            queue=contact.queue,
            until=event.until,
            timeout_us=timeout_us,
            created=world.now,
            enqueued=contact.enqueued,
        )
    )
    arm_lease(world, offer, contact)
