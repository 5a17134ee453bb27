"""Places in line: put on record, and kept for who was cut off and calls again in time."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.state import MENU_US, PLACES_MAX, Contact, KeptPlace
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import Instant, QueueId


def announce_queued(world: World, contact: Contact) -> None:
    """Put the contact's place on record."""
    queue_id, enqueued = contact.queue, contact.enqueued
    assert queue_id is not None
    assert enqueued is not None
    if contact.consult:
        _announce_consult(world, contact, queue_id, enqueued)
        return
    queue, own_class, own_start = world.queues[queue_id], contact.own_class, contact.own_head_start
    world.out.append(
        cmd.ContactQueued(
            contact_id=contact.contact_id,
            queue=queue_id,
            enqueued=enqueued,
            sequence=contact.sequence,
            contact_class=queue.contact_class if own_class is None else own_class,
            head_start_us=queue.head_start_us if own_start is None else own_start,
            medium=contact.medium,
            resumes=contact.resumes,
        )
    )


def _announce_consult(world: World, contact: Contact, queue_id: QueueId, enqueued: Instant) -> None:
    """Say where a call for advice stands, if others than our own agents may serve it there."""
    if world.queues[queue_id].settings.return_after_us is None:
        return
    contact_class, head_start_us, _ = world.precedence(contact)
    world.out.append(
        cmd.ConsultQueued(
            contact_id=contact.contact_id,
            about=contact.about,
            queue=queue_id,
            enqueued=enqueued,
            sequence=contact.sequence,
            contact_class=contact_class,
            head_start_us=head_start_us,
        )
    )


def keep_place(world: World, contact: Contact) -> None:
    """Remember the place of a citizen whose line is gone while he stood in a queue.

    One for each citizen and queue: that of the line that was cut off last.
    """
    if contact.citizen is None or contact.queue is None or contact.enqueued is None:
        return
    if world.queues[contact.queue].settings.resume_within_us == 0:
        return
    key = (contact.queue, contact.citizen)
    world.places.pop(key, None)
    world.places[key] = KeptPlace(
        queue=contact.queue,
        citizen=contact.citizen,
        contact=contact.contact_id,
        enqueued=contact.enqueued,
        sequence=contact.sequence,
        left=world.now,
    )
    _tidy(world)


def take_place(world: World, contact: Contact, queue: Queue) -> bool:
    """Give an arriving contact the place that its citizen had in this queue; say whether it has.

    As if he had stayed: what would have ended the wait meanwhile (``maxwait``) ends the place.
    """
    if contact.citizen is None:
        return False
    settings = queue.settings
    key = (settings.queue_id, contact.citizen)
    place = world.places.get(key)
    if place is None or _forgotten(world, place):
        return False
    late = contact.started - place.left > settings.resume_within_us
    longest = settings.maxwait_us
    if late or (longest is not None and place.enqueued + longest <= world.now):
        return False
    del world.places[key]
    contact.enqueued, contact.sequence = place.enqueued, place.sequence
    contact.resumes = place.contact
    return True


def _forgotten(world: World, place: KeptPlace) -> bool:
    """Return whether nobody can come back to the place, however long the menu keeps him."""
    queue = world.queues.get(place.queue)
    if queue is None or queue.settings.resume_within_us == 0:
        return True
    return world.now - place.left > queue.settings.resume_within_us + MENU_US


def _tidy(world: World) -> None:
    """Forget the oldest places: those that nobody can come back to, and what is too many."""
    places = world.places
    while places:
        key, oldest = next(iter(places.items()))
        if len(places) <= PLACES_MAX and not _forgotten(world, oldest):
            return
        del places[key]
