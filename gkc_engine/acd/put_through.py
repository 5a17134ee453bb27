"""A citizen whom an agent put through outside by a blind transfer: he stays the same contact.

The agent is free at once. Answered, the citizen talks with the outside party until one of them
hangs up; not answered, he waits again in his queue, at his old place. What is not allowed brings
him back to the agent who wanted it, before anybody else.
"""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.caps import count, over_cap
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.contacts import come_back
from gkc_engine.acd.places import announce_queued
from gkc_engine.acd.routing import after_talk, end_talk
from gkc_engine.acd.state import Contact, ContactState
from gkc_engine.acd.transfers import BLIND, back_to_agent, not_the_same, release_him, talk_of
from gkc_engine.acd.world import World


def requested(world: World, event: ev.PutThrough) -> None:
    """The agent left; the citizen is to be connected with a number outside."""
    contact = talk_of(world, event.contact_id, event.from_agent)
    if contact is None or contact.outbound:
        return
    agent = world.agents.get(event.from_agent)
    barred = event.barred or (over_cap(world, agent) if agent is not None else "")
    if barred:
        back_to_agent(world, contact, event.from_agent, event.at, barred)
        return
    if agent is not None:
        count(world, contact, agent)
    world.next_segment(contact, SegmentKind.RING, SegmentOutcome.TRANSFERRED, event.at, "", BLIND)
    freed = end_talk(world, contact)
    if contact.queue in world.queues:
        not_the_same(world, contact, event.from_agent, contact.queue)
    contact.state, contact.talk_leg = ContactState.DIALLING, None
    contact.outside = event.outside or ""
    world.outbound.add(contact.contact_id)
    world.out.append(cmd.DialOut(contact_id=contact.contact_id, agent_id=event.from_agent))
    after_talk(world, freed)


def answered(world: World, contact: Contact, event: ev.OutboundAnswered) -> None:
    """The outside party answered."""
    world.next_segment(contact, SegmentKind.EXTERNAL, SegmentOutcome.ANSWERED, event.at)
    contact.state, contact.talk_leg = ContactState.EXTERNAL, event.leg


def failed(world: World, contact: Contact, event: ev.OutboundFailed) -> None:
    """Nobody answered: he waits again, at his old place; who left him is not asked first."""
    reason, held = event.failure.value, contact.held
    if contact.queue not in world.queues:
        release_him(world, contact, SegmentOutcome.RETURNED, event.at, reason)
        return
    kind = SegmentKind.QUEUE if held else SegmentKind.FALLBACK
    outcome = SegmentOutcome.RETURNED if held else SegmentOutcome.DETACHED
    world.next_segment(contact, kind, outcome, event.at, reason)
    contact.outside = None
    world.outbound.discard(contact.contact_id)
    world.count_in(contact, contact.queue)
    contact.state, contact.step = ContactState.DETACHED, 0
    announce_queued(world, contact)
    if held:
        come_back(world, contact)


def ended(world: World, event: ev.OutsideEnded) -> None:
    """The outside party has hung up; the citizen is let go, as after a talk with an agent."""
    contact = world.contacts.get(event.contact_id)
    if contact is None or contact.state is not ContactState.EXTERNAL:
        return
    contact.decided_party, contact.decided_reason = event.party, event.reason
    release_him(world, contact, SegmentOutcome.RELEASED, event.at, event.reason)
