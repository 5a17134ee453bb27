"""Broadcasts: what a supervisor has said, now, to all who wait in a queue.

No decision rests on them: who is offered meanwhile is connected. The core keeps them so that a
restart of the engine neither loses one nor says it twice to the same citizen.
"""

from __future__ import annotations

from collections.abc import Iterator

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.contacts import IN_LINE
from gkc_engine.acd.state import BROADCASTS_MAX, Broadcast
from gkc_engine.acd.world import World
from gkc_engine.ids import ContactId, Instant, QueueId


def announced(world: World, event: ev.QueueAnnounced) -> None:
    """Let a broadcast stand in a queue."""
    queue = world.queues.get(event.queue)
    standing_now = standing(world, event.queue, world.now)
    reason = None
    if queue is None or queue.status.draining:
        reason = f"queue {event.queue}?"
    elif event.until <= world.now:
        reason = "its end has passed"
    elif len(standing_now) >= BROADCASTS_MAX:
        reason = f"{BROADCASTS_MAX} broadcasts stand in {event.queue} already; stop them first"
    if queue is None or reason is not None:
        world.out.append(cmd.EventRejected(kind="QueueAnnounced", reason=reason or ""))
        return
    broadcast = Broadcast(
        broadcast_id=world.next_broadcast,
        say=event.say,
        text=event.text,
        started=world.now,
        until=event.until,
        every_us=event.every_us,
        before=None if event.newcomers else world.next_sequence,
    )
    world.next_broadcast += 1
    queue.status.broadcasts = (*standing_now, broadcast)
    world.out.append(
        cmd.BroadcastStarted(
            broadcast_id=broadcast.broadcast_id, queue=event.queue, waiting=queue.count
        )
    )


def stopped(world: World, event: ev.BroadcastStopped) -> None:
    """End the broadcasts of a queue."""
    queue = world.queues.get(event.queue)
    if queue is None:
        reason = f"queue {event.queue}?"
        world.out.append(cmd.EventRejected(kind="BroadcastStopped", reason=reason))
        return
    queue.status.broadcasts = ()


def heard(world: World, event: ev.BroadcastHeard) -> None:
    """Remember that the citizen heard it; of what does not stand any more nothing is kept."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.queue is None or contact.queue not in world.queues:
        return
    stand = {b.broadcast_id for b in standing(world, contact.queue, world.now)}
    kept = {b: at for b, at in contact.heard.items() if b in stand}
    if event.broadcast_id in stand:
        kept[event.broadcast_id] = world.now
    contact.heard = kept


def standing(world: World, queue_id: QueueId, now: Instant) -> tuple[Broadcast, ...]:
    """Return the broadcasts that stand in the queue; none if there is no such queue."""
    queue = world.queues.get(queue_id)
    if queue is None or not queue.status.broadcasts:
        return ()
    return tuple([b for b in queue.status.broadcasts if b.until > now])


def due(world: World, contact_id: ContactId, now: Instant) -> Iterator[tuple[Instant, Broadcast]]:
    """Iterate over what a contact in line is still to hear, with the instant from when on."""
    contact = world.contacts.get(contact_id)
    if contact is None or contact.queue is None or contact.state not in IN_LINE:
        return
    if contact.consult:
        return  # An operator who asks for a colleague.
    for broadcast in standing(world, contact.queue, now):
        if broadcast.before is not None and contact.sequence >= broadcast.before:
            continue
        last = contact.heard.get(broadcast.broadcast_id)
        if last is None:
            yield broadcast.started, broadcast
        elif broadcast.every_us is not None and last + broadcast.every_us < broadcast.until:
            yield Instant(last + broadcast.every_us), broadcast
