"""Contacts out of our hands, back in them, and over."""

from __future__ import annotations

from typing import Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, OfferOutcome, SegmentKind, SegmentOutcome
from gkc_engine.acd.contacts import (
    IN_LINE,
    enqueue,
    leave_line,
)
from gkc_engine.acd.offers import clear_offer, find_slot
from gkc_engine.acd.places import keep_place
from gkc_engine.acd.routing import (
    after_talk,
    begin_talk,
    begin_talk_elsewhere,
    end_talk,
    resume_agents,
)
from gkc_engine.acd.second_line import come_back, is_one
from gkc_engine.acd.state import Contact, ContactState, Work
from gkc_engine.acd.world import World
from gkc_engine.ids import Instant, Micros

# Of what every step asks for: a member of an enum costs a look-up in its class.
_TALKS, _DIALS = ContactState.TALK, ContactState.DIALLING
_WITHDRAWN = OfferOutcome.WITHDRAWN
_ANSWERED = Disposition.ANSWERED
_CITIZEN = ev.Party.CITIZEN
_RELEASED, _LEFT = SegmentOutcome.RELEASED, SegmentOutcome.LEFT
_NO_TIME = Micros(0)

WITH_US = Micros(50_000)
"""Who left no later than this after we lost hold of him was still with us: his socket ends a
moment before Asterisk stamps his Hangup."""

# --- out of our hands and back ----------------------------------------------------------------


def detached(world: World, event: ev.ContactDetached) -> None:
    """We lost hold of a contact whose line stands."""
    contact = world.contacts.get(event.contact_id)
    if contact is None:
        return
    match contact.state:
        case ContactState.WAITING | ContactState.MENU:
            detach(world, contact, event.at)
        case ContactState.OFFERED | ContactState.DIALLING:
            contact.held = False  # The ring goes on; without an answer it is detached after it.
        case ContactState.TREATED:
            contact.held = False  # It has its place no more; what it is told goes on with us.
        case _:
            return


def _tell_again(world: World, contact: Contact) -> None:
    """What was being said to a contact was cut off with our hold of it: it is owed to it yet.

    Guests are told by their own center, who is blocked by the door.
    """
    if contact.owner is not None or contact.decided is Disposition.BLOCKED:
        return
    if contact.treatment is None or contact.decided is None:
        world.out.append(cmd.ReleaseContact(contact_id=contact.contact_id))
        return
    world.out.append(
        cmd.TreatContact(
            contact_id=contact.contact_id,
            disposition=contact.decided,
            treatment=contact.treatment,
        )
    )


def detach(world: World, contact: Contact, at: Instant | None) -> None:
    """The contact stands in the native queue: it keeps its place, but is not offered."""
    if contact.state is ContactState.MENU:
        if contact.enqueued is None:
            enqueue(world, contact, at)
    else:
        world.step_out(contact)
    world.next_segment(contact, SegmentKind.FALLBACK, SegmentOutcome.DETACHED, at)
    contact.state, contact.held = ContactState.DETACHED, False


def attached(world: World, event: ev.ContactAttached) -> None:
    """We hold the contact again."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.held:
        return
    contact.held = True
    if contact.state is ContactState.TREATED:
        _tell_again(world, contact)
    if contact.state is not ContactState.DETACHED:
        return
    if contact.queue is None:
        world.next_segment(contact, SegmentKind.MENU, SegmentOutcome.ATTACHED)
        contact.state = ContactState.MENU
        return
    world.next_segment(contact, SegmentKind.QUEUE, SegmentOutcome.ATTACHED)
    come_back(world, contact)


def fallback_answered(world: World, event: ev.FallbackAnswered) -> None:
    """The native queue connected the contact; what we thought of it is overtaken."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.state in (_TALKS, _DIALS, ContactState.EXTERNAL):
        return
    if contact.state is ContactState.TREATED and contact.answered is not None:
        return  # In the survey after a talk.
    if contact.enqueued is None:
        enqueue(world, contact, event.at)
    freed = clear_offer(world, contact, OfferOutcome.RESCINDED, "fallback")
    leave_line(world, contact)
    if contact.answered is None:
        contact.via = "fallback"
    agent = world.agents.get(event.agent_id) if event.agent_id is not None else None
    contact.agent = None
    if agent is not None:
        # He really talks: what he was still writing up is cut short.
        index = find_slot(agent, contact.medium)
        if index is None:
            index = find_slot(agent, contact.medium, Work.WRAP_UP)
        begin_talk(world, contact, agent, index, event.at)
    else:
        begin_talk_elsewhere(world, contact, None, event.at)
    contact.talk_leg = event.leg
    able = {a.agent_id: a for a in (*freed, agent) if a is not None}
    resume_agents(world, sorted(able.values(), key=lambda a: a.rank))


# --- the end ---------------------------------------------------------------------------------


def left(world: World, event: ev.ContactLeft) -> None:
    """The citizen's line is gone: name the end, free whom it bound, forget the contact."""
    contact = world.contacts.get(event.contact_id)
    if contact is None:
        return
    talker = contact.state is _TALKS or contact.state is _DIALS
    connected = talker or contact.state is ContactState.EXTERNAL
    outcome = _RELEASED if connected and event.party is not _CITIZEN else _LEFT
    ended = world.next_segment(contact, None, outcome, event.at, event.reason)
    wait_us = _waited_us(contact, ended)
    answered = contact.answered is not None
    disposition = _ANSWERED if answered else _disposition(world, contact, event, wait_us)
    freed = []
    if contact.offer is not None:
        freed = clear_offer(world, contact, _WITHDRAWN, event.reason)
    for offer_id in contact.past_offers:
        if offer_id in world.offers:  # Still being taken back while he talked with another.
            contact.offer = offer_id
            freed += clear_offer(world, contact, OfferOutcome.RESCINDED, "crossed")
    if not talker and contact.state in IN_LINE and event.party is _CITIZEN:
        keep_place(world, contact)
    if not talker or contact.prefer_agent is not None:
        leave_line(world, contact)
    agent = end_talk(world, contact) if talker else None
    if contact.consult:
        _consult_over(world, contact)
    else:
        record_end(world, contact, event, disposition, ended, wait_us)
    _forget(world, contact)
    if agent is not None:
        after_talk(world, agent)
    if freed:
        resume_agents(world, freed)


def _consult_over(world: World, contact: Contact) -> None:
    """Say that a call for advice is over, if it was said that it stood in a second line."""
    queue = None if contact.queue is None else world.queues.get(contact.queue)
    if contact.sent_on or (queue is not None and is_one(queue)):
        world.out.append(cmd.ConsultOver(contact_id=contact.contact_id))


def _waited_us(contact: Contact, ended: Instant) -> Micros:
    """Return how long he waited: from his first queue to the answer, else to the end."""
    enqueued, until = contact.enqueued, contact.answered
    if until is None:
        until = ended if contact.wait_ended is None else contact.wait_ended
    if enqueued is None or until <= enqueued:
        return _NO_TIME
    return until - enqueued  # type: ignore[return-value]  # A NewType's call is dear.


def _fell_open(contact: Contact, event: ev.ContactLeft) -> bool:
    """Whether the native queue had him: not if we let go of him because he had left already."""
    if contact.state is not ContactState.DETACHED:
        return False
    if contact.queue is None:
        return True  # No queue of ours ever had him: he came past us, however short it was.
    return event.at is None or event.at > contact.segment_started + WITH_US


def _disposition(
    world: World, contact: Contact, event: ev.ContactLeft, wait_us: Micros
) -> Disposition:
    """Return the first disposition that applies, if it is not answered (docs/statistics.md)."""
    if contact.decided is not None:
        return contact.decided
    if contact.owner is not None:
        return Disposition.RETURNED
    if contact.outbound:
        gone = event.party is ev.Party.SYSTEM
        return Disposition.SYSTEM_FAILED if gone else Disposition.CANCELLED
    if _fell_open(contact, event):
        return Disposition.FAILED_OPEN
    if contact.state is ContactState.MENU and contact.article is not None:
        return Disposition.SELF_SERVED
    if event.party is ev.Party.SYSTEM:
        told = contact.state is ContactState.MENU and event.reason == ev.MENU_ENDED
        return Disposition.ANSWERED_BY_ANNOUNCEMENT if told else Disposition.SYSTEM_FAILED
    if contact.state is ContactState.MENU:
        # Who stood in the native queue before has left no menu "before any queue".
        been_there = contact.enqueued is not None
        return Disposition.FAILED_OPEN if been_there else Disposition.ABANDONED_MENU
    assert contact.queue is not None
    short = wait_us <= world.queues[contact.queue].settings.short_abandon_us
    return Disposition.ABANDONED_SHORT if short else Disposition.ABANDONED


_WITHOUT_A_PERSON: Final = (Disposition.SELF_SERVED, Disposition.ANSWERED_BY_ANNOUNCEMENT)


def record_end(
    world: World,
    contact: Contact,
    event: ev.ContactLeft,
    disposition: Disposition,
    ended: Instant,
    wait_us: Micros,
) -> None:
    """Put the contact's one row on record."""
    # Served without a person: beside "offered", also if Asterisk's own queue had him meanwhile.
    # A guest is offered at its owner's, and has waited there.
    beside = disposition in _WITHOUT_A_PERSON or contact.owner is not None
    world.out.append(
        cmd.ContactEnded(
            contact_id=contact.contact_id,
            disposition=disposition,
            medium=contact.medium,
            started=contact.started,
            ended=ended,
            party=contact.decided_party or event.party,
            reason=event.reason or contact.decided_reason,
            via=contact.via,
            queue=contact.queue,
            first_queued=None if beside else contact.enqueued,
            answered=contact.answered,
            agent_id=contact.first_agent,
            menu_us=contact.menu_us,
            wait_us=_NO_TIME if beside else wait_us,
            ring_us=contact.ring_us,
            talk_us=contact.talk_us,
            hold_us=contact.hold_us,
            offers=contact.offers,
            article=contact.article,
            owner=contact.owner,
            origin=contact.origin,
            advice=contact.advice,
        )
    )


def _forget(world: World, contact: Contact) -> None:
    del world.contacts[contact.contact_id]
    if contact.outbound or contact.outside is not None:
        world.outbound.discard(contact.contact_id)
    if contact.excluded:
        world.barred.pop(contact.contact_id, None)
    for offer_id in contact.past_offers:
        world.past_offers.pop(offer_id, None)
