"""The center as a whole: hours, emergency closing, other centers' help, a restart."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.contacts import end_waiting, turned_out
from gkc_engine.acd.offers import arm_lease
from gkc_engine.acd.presence import detach
from gkc_engine.acd.settings import Then, Treatment
from gkc_engine.acd.state import DOUBT_US, Contact, ContactState
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import Instant, QueueId

# --- hours -----------------------------------------------------------------------------------


def hours_changed(world: World, event: ev.HoursChanged) -> None:
    """A queue opened or closed to new contacts; those who wait are served, unless it says leave."""
    for queue in _named(world, "HoursChanged", event.queue):
        queue.status.open = event.open
        queue.look_at_the_door()
        if not event.open and queue.settings.leave_at_closing:
            _send_away(world, {event.queue})


def emergency_closed(world: World, event: ev.EmergencyClosed) -> None:
    """A queue (or all) is closed at once: those who wait are told, or led on."""
    queues = _named(world, "EmergencyClosed", event.queue)
    target = event.then_queue
    if target is not None and (target not in world.queues or _leads_to(world, target, event.queue)):
        reason = f"queue {target}?" if target not in world.queues else f"{target} leads back"
        world.out.append(cmd.EventRejected(kind="EmergencyClosed", reason=reason))
        return
    said = None
    if event.say is not None or target is not None:
        then = Then.HANGUP if target is None else Then.QUEUE
        said = Treatment(say=event.say, then=then, queue=target)
    if event.queue is None:
        world.emergency = said or Treatment()
    for queue in queues:
        queue.status.emergency = said or queue.settings.emergency_closed
        queue.status.emergency_reason = event.reason
        queue.look_at_the_door()
    _send_away(world, {queue.settings.queue_id for queue in queues})


def _leads_to(world: World, start: QueueId, goal: QueueId | None) -> bool:
    """Return whether who is sent to ``start`` may come to ``goal``; ``None``: to any queue."""
    here: QueueId | None = start
    seen: set[QueueId] = set()
    while here is not None and here in world.queues and here not in seen:
        if goal is None or here == goal:
            return True
        seen.add(here)
        status = world.queues[here].status
        way = status.emergency or status.settings.closed
        here = way.queue if way.then is Then.QUEUE else None
    return False


def _send_away(world: World, closed: set[QueueId]) -> None:
    """End the waiting in queues that have just closed."""
    for contact in in_order(world):
        if contact.state is ContactState.WAITING and contact.queue in closed:
            treatment = turned_out(world.queues[contact.queue])
            assert treatment is not None
            end_waiting(world, contact, Disposition.CLOSED, treatment)


def emergency_opened(world: World, event: ev.EmergencyOpened) -> None:
    """The emergency closing is over."""
    if event.queue is None:
        world.emergency = None
    for queue in _named(world, "EmergencyOpened", event.queue):
        queue.status.emergency, queue.status.emergency_reason = None, ""
        queue.look_at_the_door()


def staffed_elsewhere(world: World, event: ev.StaffedElsewhere) -> None:
    """P4: another center is there for a queue, or none any more."""
    for queue in _named(world, "StaffedElsewhere", event.queue):
        queue.status.staffed_elsewhere = event.staffed
        queue.elsewhere.live = int(event.staffed)
        if not event.staffed:
            world.nobody_helps([queue.elsewhere])


def _named(world: World, kind: str, queue_id: QueueId | None) -> list[Queue]:
    if queue_id is None:
        return list(world.queues.values())
    if queue_id not in world.queues:
        world.out.append(cmd.EventRejected(kind=kind, reason=f"queue {queue_id}?"))
        return []
    return [world.queues[queue_id]]


# --- restart ---------------------------------------------------------------------------------


def in_order(world: World) -> list[Contact]:
    """Return the contacts that have stood in a queue, by sequence number."""
    return sorted((c for c in world.contacts.values() if c.sequence >= 0), key=lambda c: c.sequence)


def restarted(world: World, now: Instant) -> None:
    """The engine was away: who waited stands in the native queue now, rings are in doubt.

    Applied at the last instant known, before the timers that came due meanwhile: none of them
    may offer a contact that we do not hold.
    """
    if world.unheard is None:  # Else the last engine died before it knew: its own word is none.
        world.unheard = world.now
    for contact in in_order(world):
        if contact.state is ContactState.WAITING:
            detach(world, contact, None)
        elif contact.state is ContactState.OFFERED:
            contact.held = False
    for contact in world.contacts.values():
        if contact.state is ContactState.TREATED:
            contact.held = False
    for offer in world.offers.values():
        if offer.awaited:
            continue  # No phone rings: its guest comes in time, or it does not.
        offer.doubt = True
        # A phone that rings goes on to its timeout: the doubt lasts at least as long.
        offer.lease = Instant(max(now + DOUBT_US, offer.lease))
        arm_lease(world, offer, world.contacts[offer.contact])


def caught_up(world: World, _event: ev.CaughtUp) -> None:
    """All that happened while the engine was away has been told."""
    world.unheard = None
