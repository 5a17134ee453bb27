"""The second line: specialists to whom an agent hands a citizen, with a way back.

A queue is a second line by its ``return_after_us``. Who is handed on into it keeps his place in the
city, and it is remembered who sent him and out of which queue. He goes back there if nobody has
answered him in time, if his specialist's line is lost, or if the specialist gives him back: to the
agent who sent him if that one is ready, else to that queue, at his old place.
"""

from __future__ import annotations

from typing import Final

from gkc_engine.acd import contacts
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome, TransferKind
from gkc_engine.acd.contacts import leave_line
from gkc_engine.acd.offers import forget_offer, make_offer
from gkc_engine.acd.places import announce_queued
from gkc_engine.acd.routing import after_talk, end_talk
from gkc_engine.acd.state import Contact, ContactState
from gkc_engine.acd.timers import Kind, What
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, Instant, QueueId

NOT_ANSWERED: Final = "second line"
"""Reason of the segment in which nobody of the second line was there in time."""

HANDED_BACK: Final = "handed back"
"""Reason of the talk that ends because the agent gives the citizen back."""


def is_one(queue: Queue) -> bool:
    """Return whether a queue is a second line."""
    return queue.settings.return_after_us is not None


def why_closed(queue: Queue) -> str:
    """Return why a second line takes nobody; empty: it does."""
    if queue.status.emergency is not None:
        return "emergency"
    return "" if queue.status.open else "closed"


def sent(
    world: World, contact: Contact, agent_id: AgentId, origin: QueueId | None, queue: Queue
) -> None:
    """Remember who hands the contact on, out of which queue, and until when it may wait there."""
    after_us = queue.settings.return_after_us
    _remember(contact, agent_id, origin, queue)
    if after_us is None or contact.sender_queue is None:
        return  # Nobody has sent it: it is from one specialist to the next.
    contact.back_at = Instant(world.now + after_us)
    arm(world, contact)


def handed_over(world: World, contact: Contact, agent_id: AgentId, origin: QueueId | None) -> None:
    """Remember the same of one who talks at once with whom its agent had asked there."""
    assert contact.queue is not None
    _remember(contact, agent_id, origin, world.queues[contact.queue])


def _remember(contact: Contact, agent_id: AgentId, origin: QueueId | None, queue: Queue) -> None:
    contact.back_at, contact.back_due = None, False
    if not is_one(queue):
        forget(contact)
    elif origin is not None and origin != queue.settings.queue_id:
        contact.sender, contact.sender_queue = agent_id, origin


def arm(world: World, contact: Contact) -> None:
    """Arm the timer of the way back, if it has one."""
    if contact.back_at is not None:
        world.timers.push(
            contact.back_at, Kind.LEAVING, contact.sequence, What.GIVE_BACK, contact.contact_id
        )


def forget(contact: Contact) -> None:
    """There is no way back any more."""
    contact.sender = contact.sender_queue = contact.back_at = None
    contact.back_due = False


def overdue(world: World, contact: Contact) -> None:
    """Nobody has answered in time: back at once, or when the ring that is open comes to nothing."""
    contact.back_at, contact.back_due = None, True
    if contact.state is not ContactState.WAITING:
        return
    if is_due(world, contact):
        give_back(world, contact, SegmentOutcome.RETURNED, None, NOT_ANSWERED)
    else:
        forget(contact)  # It was moved away, or there is no queue any more to go back to.


def is_due(world: World, contact: Contact) -> bool:
    """Return whether the contact, which stands in a second line, is to go back."""
    late = contact.back_due or (contact.back_at is not None and contact.back_at <= world.now)
    if not late or contact.queue not in world.queues:
        return False
    return is_one(world.queues[contact.queue]) and has_way_back(world, contact)


def has_way_back(world: World, contact: Contact) -> bool:
    """Return whether it is known where the contact was sent from, and that queue is still there."""
    queue = None if contact.sender_queue is None else world.queues.get(contact.sender_queue)
    return queue is not None and not queue.status.draining


def come_back(world: World, contact: Contact) -> None:
    """Let the contact wait at its old place, or at the one that it had before the second line."""
    if is_due(world, contact):
        give_back(world, contact, SegmentOutcome.RETURNED, None, NOT_ANSWERED)
        return
    if contact.back_due:
        forget(contact)
    contacts.come_back(world, contact)


def give_back(
    world: World,
    contact: Contact,
    outcome: SegmentOutcome,
    at: Instant | None,
    reason: str,
    how: TransferKind | None = None,
) -> None:
    """Give the contact back to who sent it, whatever it does now: it waits, is offered, or talks.

    The way back must be there (``has_way_back``). The agent who talked with it is free by this.
    """
    sender, queue_id, talks = contact.sender, contact.sender_queue, contact.state
    assert queue_id is not None
    forget(contact)
    if talks is not ContactState.TALK:
        leave_line(world, contact)
    contact.queue = queue_id
    world.next_segment(contact, SegmentKind.QUEUE, outcome, at, reason, how)
    if contact.offer is not None:
        forget_offer(world, world.offers[contact.offer])
    former = end_talk(world, contact) if talks is ContactState.TALK else None
    contact.agent = None
    world.count_in(contact, queue_id)
    contact.state, contact.step = ContactState.DETACHED, 0  # In line, not yet able to be served.
    contact.excluded = {a: until for a, until in contact.excluded.items() if a != sender}
    if not contact.excluded:
        world.barred.pop(contact.contact_id, None)
    announce_queued(world, contact)
    agent = None if sender is None else world.agents.get(sender)
    if agent is not None and agent is not former and world.can_take(agent, contact.medium):
        make_offer(world, contact, [agent])
        after_talk(world, former)
        return
    after_talk(world, former)
    contacts.come_back(world, contact)
