"""Contacts: they start, are sent to queues, leave our hands and come back, are treated, end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, SegmentKind, SegmentOutcome
from gkc_engine.acd.matching import choose_agent
from gkc_engine.acd.offers import rescind
from gkc_engine.acd.places import announce_queued, take_place
from gkc_engine.acd.preference import drop_preference, may_prefer
from gkc_engine.acd.routing import hold, serve_contact, service_key, step_in_force, wait_again
from gkc_engine.acd.settings import Prefer, Then, Treatment
from gkc_engine.acd.state import Contact, ContactState
from gkc_engine.acd.timers import Kind, What
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import Instant, QueueId

# Of what every step asks for: a member of an enum costs a look-up in its class.
_IN_MENU, _WAITING, _OFFERED, _TREATED, _TALKS, _EXTERNAL = (
    ContactState.MENU,
    ContactState.WAITING,
    ContactState.OFFERED,
    ContactState.TREATED,
    ContactState.TALK,
    ContactState.EXTERNAL,
)
_MENU, _QUEUE, _QUEUED = SegmentKind.MENU, SegmentKind.QUEUE, SegmentOutcome.QUEUED

IN_LINE = frozenset((_WAITING, _OFFERED, ContactState.DETACHED))
"""States in which a contact that has a queue occupies a place of it (P9)."""

# --- start -----------------------------------------------------------------------------------


def started(world: World, event: ev.ContactStarted) -> None:
    """A citizen reached us."""
    if event.contact_id in world.contacts:
        return
    at = world.now if event.at is None else min(event.at, world.now)
    world.contacts[event.contact_id] = Contact(
        contact_id=event.contact_id,
        medium=event.medium,
        started=at,
        segment_started=at,
        citizen=event.citizen,
    )


def article_heard(world: World, event: ev.ArticleHeard) -> None:
    """A self-service article was heard."""
    contact = world.contacts.get(event.contact_id)
    if contact is not None:
        contact.article = event.article


# --- queues ----------------------------------------------------------------------------------


def queue_requested(world: World, event: ev.QueueRequested) -> None:
    """The contact is to wait in a queue; from another queue it is a move."""
    contact, queue = world.contacts.get(event.contact_id), world.queues.get(event.queue)
    if (
        contact is not None
        and queue is not None
        and queue.straight
        and contact.state is _IN_MENU
        and event.enqueued is None is contact.enqueued
        and world.count < world.settings.maxlen
    ):
        if event.contact_class or event.head_start_us is not None or event.slope_milli is not None:
            _own_priority(contact, event)
        _straight_in(world, contact, queue, event.queue)
    elif contact is not None and (contact.state is _IN_MENU or _may_queue(contact, event.queue)):
        if queue is None or queue.status.draining:
            _unknown(world, event)
        else:
            _long_in(world, contact, event)


def _long_in(world: World, contact: Contact, event: ev.QueueRequested) -> None:
    """The way in past all that may be in force, from wherever the contact is."""
    if contact.decided is not None or contact.wait_ended is not None:
        _undecide(contact)
    changed, state = _own_priority(contact, event), contact.state
    moved = contact.queue != event.queue or state not in IN_LINE
    arrival = contact.enqueued is None and event.enqueued is None
    if contact.enqueued is None:
        enqueue(world, contact, event.enqueued)
    if state is _WAITING and not moved:
        if changed:
            _reorder(world, contact)
        return
    contact.held = True
    if state is not _OFFERED:
        enter_queue(world, contact, event.queue, arrival=arrival, reason=event.reason)
    elif moved:
        move_offered(world, contact, event.queue)
    elif changed:
        _reorder(world, contact)


def _straight_in(world: World, contact: Contact, queue: Queue, queue_id: QueueId) -> None:
    """The short way of most: what ``enter_queue`` comes to when there is nothing to ask."""
    contact.enqueued, contact.sequence = world.now, world.next_sequence
    world.next_sequence += 1
    contact.queue, contact.state = queue_id, _WAITING
    queue.count += 1
    world.count += 1
    kind = contact.segment_kind
    outcome = _QUEUED if kind is _MENU else _ENTRY_OUTCOMES.get(kind, _QUEUED)
    world.next_segment(contact, _QUEUE, outcome)
    announce_queued(world, contact)
    if not serve_contact(world, contact):
        world.line_up(contact)
        hold(world, contact)


def _unknown(world: World, event: ev.QueueRequested | ev.ConsultStarted) -> None:
    kind = type(event).__name__
    world.out.append(cmd.EventRejected(kind=kind, reason=f"queue {event.queue}?"))


def _undecide(contact: Contact) -> None:
    contact.decided, contact.then_queue, contact.decided_reason = None, None, ""
    contact.wait_ended = None


def consult_started(world: World, event: ev.ConsultStarted) -> None:
    """An agent's call for advice waits in a queue, at the place that his citizen would have."""
    queue = world.queues.get(event.queue)
    if queue is None or queue.status.draining:
        _unknown(world, event)
        return
    if event.contact_id in world.contacts:
        return
    consult = Contact(
        contact_id=event.contact_id,
        medium=queue.settings.medium,
        started=world.now,
        segment_started=world.now,
        consult=True,
    )
    about = world.contacts.get(event.about) if event.about is not None else None
    if about is not None:
        consult.about, consult.about_n = about.contact_id, about.segment_n
        consult.own_class, consult.own_slope = about.own_class, about.own_slope
        consult.own_head_start = about.own_head_start
    world.contacts[event.contact_id] = consult
    enqueue(world, consult, about.enqueued if about is not None else None)
    enter_queue(world, consult, event.queue, arrival=False)


def _may_queue(contact: Contact, queue_id: QueueId) -> bool:
    """Return False for a late request: served already, or decided otherwise."""
    if contact.state is _TREATED:
        return contact.then_queue == queue_id  # The way that the announcement promised.
    return contact.state not in (_TALKS, _EXTERNAL, ContactState.DIALLING)


def priority_changed(world: World, event: ev.ContactPriorityChanged) -> None:
    """A supervisor gave the contact a priority of its own."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.state is _TREATED:
        return
    if _own_priority(contact, event) and contact.queue is not None:
        _reorder(world, contact)


def _reorder(world: World, contact: Contact) -> None:
    """Let a new priority of a contact act at once, and put it on record."""
    assert contact.queue is not None
    if contact.state is _WAITING:
        world.line_up(contact)
    if contact.consult:
        return
    contact_class, head_start, slope = world.precedence(contact)
    world.out.append(
        cmd.PriorityChanged(
            contact_id=contact.contact_id,
            queue=contact.queue,
            contact_class=contact_class,
            head_start_us=head_start,
            slope_milli=slope,
        )
    )


def _own_priority(contact: Contact, event: ev.QueueRequested | ev.ContactPriorityChanged) -> bool:
    """Take the contact's own class, head start and slope; say whether any of them changed."""
    if event.contact_class is None is event.head_start_us is event.slope_milli:
        return False
    changed = False
    if event.contact_class is not None:
        changed = contact.own_class is not event.contact_class
        contact.own_class = event.contact_class
    if event.head_start_us is not None:
        changed = changed or contact.own_head_start != event.head_start_us
        contact.own_head_start = event.head_start_us
    if event.slope_milli is not None:
        changed = changed or contact.own_slope != event.slope_milli
        contact.own_slope = event.slope_milli
    return changed


def enqueue(world: World, contact: Contact, at: Instant | None) -> None:
    """Give the contact its enqueue time and sequence number, for ever."""
    contact.enqueued = world.now if at is None else min(at, world.now)
    contact.sequence = world.next_sequence
    world.next_sequence += 1


def move_offered(world: World, contact: Contact, queue_id: QueueId) -> None:
    """Move a contact whose offer is open: the ring is taken back, then it waits there."""
    if contact.prefer_agent is not None:
        drop_preference(world, contact)
    world.count_out(contact)
    world.count_in(contact, queue_id)
    announce_queued(world, contact)
    assert contact.offer is not None
    rescind(world, world.offers[contact.offer], "moved")


def enter_queue(
    world: World,
    contact: Contact,
    queue_id: QueueId,
    *,
    arrival: bool,
    opened: bool = False,
    reason: str = "",
) -> None:
    """Let a contact that is not being offered wait in the queue, unless P4 or P9 forbid.

    ``arrival``: its first queue; any other way in is a move, which no full room refuses (P9).
    ``opened``: the caller has already opened the queue segment.
    """
    if contact.queue is not None:
        leave_line(world, contact)
    queue = world.queues[queue_id]
    status, settings = queue.status, queue.settings
    if status.emergency is not None or not status.open:
        queue_id, closed = _open_queue(world, contact, queue_id)
        if closed is not None:
            contact.queue = queue_id
            _turn_away(world, contact, Disposition.CLOSED, closed, arrival=arrival)
            return
        queue = world.queues[queue_id]
        settings = queue.settings
    contact.queue = queue_id
    at_the_door = arrival and not (world.places and take_place(world, contact, queue))
    if contact.step or len(queue.steps) > 1:
        contact.step = step_in_force(world, contact)
    if at_the_door and settings.joinempty and not queue.may_join(contact.step):
        _refuse(world, contact, Disposition.NO_AGENT, settings.unstaffed)
        return
    queue.count += 1
    world.count += 1
    contact.state = _WAITING
    if settings.prefer is not None:
        _prefer_last(world, contact, settings.prefer)
    if at_the_door and _no_room(world, contact, queue):
        leave_line(world, contact)
        _refuse(world, contact, Disposition.FULL, settings.full)
        return
    if contact.step:
        contact.step = 0  # What step it enters at is put on record after its place.
    if opened:
        contact.segment_queue = queue_id
    else:
        outcome = _ENTRY_OUTCOMES.get(contact.segment_kind, _QUEUED)
        world.next_segment(contact, _QUEUE, outcome, None, reason)
    announce_queued(world, contact)
    wait_again(world, contact)


def _refuse(world: World, contact: Contact, disposition: Disposition, treatment: Treatment) -> None:
    """Send an arrival that may not wait on to another queue, or turn it away."""
    contact.step = 0
    contact.state = ContactState.MENU  # It never stood in line: there is no place to give up.
    target = _way_on(world, contact, treatment)
    if target is not None:
        enter_queue(world, contact, target, arrival=False, reason=disposition.value)
    else:
        _turn_away(world, contact, disposition, treatment, arrival=True)


_ENTRY_OUTCOMES: Final[Mapping[SegmentKind, SegmentOutcome]] = {
    SegmentKind.TALK: SegmentOutcome.TRANSFERRED,
    SegmentKind.HOLD: SegmentOutcome.TRANSFERRED,
    SegmentKind.PARKED: SegmentOutcome.TRANSFERRED,
    SegmentKind.QUEUE: SegmentOutcome.MOVED,
    SegmentKind.RING: SegmentOutcome.MOVED,
    SegmentKind.FALLBACK: SegmentOutcome.ATTACHED,
}
"""How a segment ends with which another queue is entered; of all others: queued."""


def _turn_away(
    world: World, contact: Contact, disposition: Disposition, treatment: Treatment, *, arrival: bool
) -> None:
    """Treat a contact that never came into the queue: refused at the door, it did not wait."""
    if arrival:
        contact.enqueued = None
    treat(world, contact, disposition, treatment)


def _way_on(world: World, contact: Contact, treatment: Treatment) -> QueueId | None:
    """Return the queue that a treatment without an announcement leads to.

    No queue twice: two queues that send their contacts to each other would never end.
    """
    target = treatment.queue
    if treatment.then is not Then.QUEUE or treatment.say is not None or target is None:
        return None
    if contact.queue is not None and contact.queue not in contact.sent_on:
        contact.sent_on += (contact.queue,)
    known = target in world.queues and not world.queues[target].status.draining
    return target if known and target not in contact.sent_on else None


def _open_queue(
    world: World, contact: Contact, queue_id: QueueId
) -> tuple[QueueId, Treatment | None]:
    """Follow closed queues to the one that takes the contact, or to the treatment."""
    while True:
        queue = world.queues[queue_id]
        if queue.status.emergency is not None:
            return queue_id, queue.status.emergency
        if queue.status.open:
            return queue_id, None
        contact.queue, closed = queue_id, queue.settings.closed
        target = _way_on(world, contact, closed)
        if target is None:
            return queue_id, closed
        queue_id = target


def _no_room(world: World, contact: Contact, queue: Queue) -> bool:
    """P9: the queue or the center is full (the contact itself counted) and nobody is ready."""
    maxlen = queue.settings.maxlen
    if world.count <= world.settings.maxlen and (maxlen is None or queue.count <= maxlen):
        return False
    return choose_agent(world, contact) is None


def _prefer_last(world: World, contact: Contact, prefer: Prefer) -> None:
    """P7: reserve the contact for the agent who last served this citizen in this service."""
    key = service_key(world, contact, contact.queue)
    if key is None or contact.answered is not None:
        return
    assert contact.enqueued is not None
    agent_id, served = world.history.get(key, (None, Instant(0)))
    until = Instant(contact.enqueued + prefer.for_us)
    if agent_id is None or world.now - served > prefer.window_us or until <= world.now:
        return
    if may_prefer(world, contact, agent_id):
        contact.prefer_agent, contact.prefer_until = agent_id, until
        world.preferring.setdefault(agent_id, {})[contact.contact_id] = contact
        world.timers.push(until, Kind.STEP, contact.sequence, What.PREFERENCE, contact.contact_id)


def leave_line(world: World, contact: Contact) -> None:
    """Give up the place (state is to be set by the caller); exclusions stay."""
    if contact.state in IN_LINE and contact.queue is not None:
        world.step_out(contact)
        world.count_out(contact)
    if contact.prefer_agent is not None:
        drop_preference(world, contact)


def treat(
    world: World,
    contact: Contact,
    disposition: Disposition,
    treatment: Treatment,
) -> None:
    """Decide how the contact ends and have the announcement played; the place is given up."""
    if contact.answered is not None:
        disposition = Disposition.ANSWERED  # The first that applies wins.
    contact.wait_ended = world.next_segment(
        contact, SegmentKind.ANNOUNCEMENT, SegmentOutcome.TREATED
    )
    contact.state, contact.decided = _TREATED, disposition
    contact.decided_reason, contact.treatment = disposition.value, treatment
    contact.then_queue = treatment.queue if treatment.then is Then.QUEUE else None
    world.out.append(
        cmd.TreatContact(
            contact_id=contact.contact_id, disposition=disposition, treatment=treatment
        )
    )


def end_waiting(
    world: World, contact: Contact, disposition: Disposition, treatment: Treatment
) -> None:
    """P4: end the waiting of a contact by config."""
    assert contact.state is _WAITING, contact
    target = _way_on(world, contact, treatment)
    if target is not None:
        enter_queue(world, contact, target, arrival=False, reason=disposition.value)
        return
    leave_line(world, contact)
    treat(world, contact, disposition, treatment)


def turned_out(queue: Queue) -> Treatment | None:
    """Return what ends the waiting in a queue that is closed; ``None``: its waiting goes on."""
    status = queue.status
    if status.emergency is not None:
        return status.emergency
    left = queue.settings.leave_at_closing and not status.open
    return queue.settings.closed if left else None


def come_back(world: World, contact: Contact) -> None:
    """Let the contact wait at its old place, unless its queue was closed meanwhile."""
    wait_again(world, contact)
    assert contact.queue is not None
    treatment = turned_out(world.queues[contact.queue])
    if contact.state is _WAITING and treatment is not None:
        end_waiting(world, contact, Disposition.CLOSED, treatment)
