"""Calls that agents make themselves: contacts that stand in no queue and are nobody's offer.

The agent's slot is taken from the moment he dials: he is handling the call while it rings too.
"""

from __future__ import annotations

from typing import Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import put_through
from gkc_engine.acd.caps import count, over_cap
from gkc_engine.acd.commands import Disposition, SegmentKind, SegmentOutcome
from gkc_engine.acd.offers import find_slot, take_slot
from gkc_engine.acd.presence import left, record_end
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Agent, Contact, ContactState, Work
from gkc_engine.acd.world import World
from gkc_engine.ids import Micros

LOGGED_OUT: Final = "logged_out"
"""Reason of ``barred``: who dials is not at work."""

_DISPOSITIONS: Final = {
    ev.OutboundFailure.NO_ANSWER: Disposition.NO_ANSWER,
    ev.OutboundFailure.BUSY: Disposition.BUSY,
    ev.OutboundFailure.DECLINED: Disposition.DECLINED,
    ev.OutboundFailure.UNREACHABLE: Disposition.UNREACHABLE,
}

_BY_THE_CITIZEN: Final = (ev.OutboundFailure.BUSY, ev.OutboundFailure.DECLINED)


def started(world: World, event: ev.OutboundStarted) -> None:
    """An agent dialled a number outside."""
    agent = world.agents.get(event.agent_id)
    if agent is None:
        reason = f"agent {event.agent_id}?"
        world.out.append(cmd.EventRejected(kind="OutboundStarted", reason=reason))
        return
    if event.contact_id in world.contacts:
        return
    at = world.now if event.at is None else min(event.at, world.now)
    contact = Contact(
        contact_id=event.contact_id,
        medium=Medium.VOICE,
        state=ContactState.DIALLING,
        started=at,
        segment_started=at,
        segment_kind=SegmentKind.RING,
        citizen=event.citizen,
        outbound=True,
        agent=agent.agent_id,
        first_agent=agent.agent_id,
        talk_leg=event.uniqueid,
    )
    barred = event.barred or _barred(world, agent)
    if barred:
        _bar(world, contact, barred)
        return
    count(world, contact, agent)
    agent.last_contact = contact.contact_id
    world.contacts[contact.contact_id] = contact
    world.out.append(cmd.DialOut(contact_id=contact.contact_id, agent_id=agent.agent_id))
    _seize(world, contact, agent)


def _barred(world: World, agent: Agent) -> str:
    """Return which rule of the core's forbids the agent to dial now; empty: none."""
    return over_cap(world, agent) if agent.logged_in else LOGGED_OUT


def _bar(world: World, contact: Contact, reason: str) -> None:
    """Put on record that a call was not allowed: it began and ended, and touched nobody."""
    ended = world.next_segment(contact, None, SegmentOutcome.RELEASED, None, reason)
    event = ev.ContactLeft(
        contact_id=contact.contact_id, party=ev.Party.SYSTEM, reason=reason, at=ended
    )
    record_end(world, contact, event, Disposition.BARRED, ended, Micros(0))


def _seize(world: World, contact: Contact, agent: Agent) -> None:
    """Take the agent's slot, also from a wrap-up, which is cut short by it."""
    index = find_slot(agent, contact.medium)
    if index is None:
        index = find_slot(agent, contact.medium, Work.WRAP_UP)
    contact.slot = index
    if index is None:  # A citizen is on hold, or he is being rung: it has no slot until that ends.
        agent.beyond += (contact.contact_id,)
    else:
        take_slot(agent.slots[index], contact)
        agent.slots[index].ringing = True
    world.settle(agent)


def answered(world: World, event: ev.OutboundAnswered) -> None:
    """The called party answered."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.state is not ContactState.DIALLING:
        return
    if not contact.outbound:
        put_through.answered(world, contact, event)
        return
    at = world.next_segment(contact, SegmentKind.TALK, SegmentOutcome.ANSWERED, event.at)
    contact.state, contact.answered = ContactState.TALK, at
    agent = world.agents.get(contact.agent) if contact.agent is not None else None
    if agent is not None and contact.slot is not None:
        agent.slots[contact.slot].ringing = False
        world.settle(agent)


def failed(world: World, event: ev.OutboundFailed) -> None:
    """Nobody answered: the contact is over, unless it is a citizen who was put through."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.state is not ContactState.DIALLING:
        return
    if not contact.outbound:
        put_through.failed(world, contact, event)
        return
    contact.decided = _DISPOSITIONS[event.failure]
    by_citizen = event.failure in _BY_THE_CITIZEN
    left(
        world,
        ev.ContactLeft(
            contact_id=event.contact_id,
            party=ev.Party.CITIZEN if by_citizen else ev.Party.SYSTEM,
            reason=event.reason,
            at=event.at,
        ),
    )
