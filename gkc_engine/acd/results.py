"""What became of offers (P6): ringing, accepted, failed, or never answered by the adapter."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import second_line
from gkc_engine.acd.commands import OfferOutcome, SegmentKind, SegmentOutcome
from gkc_engine.acd.contacts import leave_line
from gkc_engine.acd.guests import DID_NOT_COME, gone, turn_back
from gkc_engine.acd.offers import end_leg, exclude, find_slot, forget_offer, rescind
from gkc_engine.acd.routing import (
    begin_talk,
    begin_talk_elsewhere,
    leave_config,
    release_preferences,
    resume_agents,
    serve_agent,
)
from gkc_engine.acd.second_line import come_back
from gkc_engine.acd.state import Agent, Contact, ContactState, Leg, Offer, Work
from gkc_engine.acd.timers import Kind, What
from gkc_engine.acd.world import World
from gkc_engine.ids import ContactId, Instant, is_abroad

# Of what every step asks for: a member of an enum costs a look-up in its class.
_ACCEPTED = OfferOutcome.ACCEPTED
_FREE = Work.FREE

_OUTCOMES = {
    ev.OfferFailure.REJECTED: OfferOutcome.REFUSED,
    ev.OfferFailure.BUSY: OfferOutcome.BUSY,
    ev.OfferFailure.NO_ANSWER: OfferOutcome.NO_ANSWER,
    ev.OfferFailure.UNREACHABLE: OfferOutcome.UNREACHABLE,
    ev.OfferFailure.RESCINDED: OfferOutcome.RESCINDED,
}


def ringing(world: World, event: ev.OfferRinging) -> None:
    """The device rings."""
    offer = world.offers.get(event.offer_id)
    if offer is None:
        return
    for leg in offer.legs:
        if leg.ringing is None:
            leg.ringing = world.instant(event.at, offer.created)
            if offer.reservation is not None:
                continue  # Another center's.
            agent = world.agents[leg.agent]
            agent.slots[leg.slot].ringing = True
            world.settle(agent)


# --- accepted --------------------------------------------------------------------------------


def accepted(world: World, event: ev.OfferAccepted) -> None:
    """An agent and the citizen are connected; also when we had taken the offer back (crossing)."""
    offer = world.offers.get(event.offer_id)
    if offer is None:
        _accepted_late(world, event)
        return
    contact = world.contacts[offer.contact]
    if contact.offer != offer.offer_id:
        return  # Being taken back while the citizen talks with another: cannot be true.
    leg = next((leg for leg in offer.legs if leg.agent == event.agent_id), None)
    if leg is None:
        reason = f"agent {event.agent_id} is not asked by offer {offer.offer_id}"
        world.out.append(cmd.EventRejected(kind="OfferAccepted", reason=reason))
        return
    contact.agent = leg.agent
    winner = end_leg(world, offer, leg, _ACCEPTED, "", event.at)
    if offer.reservation is not None:
        leave_line(world, contact)
        begin_talk_elsewhere(world, contact, event.agent_id, event.at)
        contact.talk_leg, contact.reservation = event.leg, offer.reservation
        forget_offer(world, offer)
        return
    assert winner is not None
    index = _if_free(winner, leg.slot)
    losers: list[Agent] = []
    for other in list(offer.legs):
        agent = end_leg(world, offer, other, OfferOutcome.RESCINDED, "answered elsewhere", None)
        if agent is not None:
            losers.append(agent)
    leave_line(world, contact)
    begin_talk(world, contact, winner, index, event.at)
    contact.talk_leg = event.leg
    forget_offer(world, offer)
    if len(winner.slots) > 1:
        losers.append(winner)  # He may be free now for what his letter shuts out no more (P8).
    if losers:
        resume_agents(world, sorted(losers, key=lambda a: a.rank))


def _if_free(agent: Agent, index: int) -> int | None:
    """Return the slot that an offer held, unless a talk that had none has taken it."""
    return index if agent.slots[index].work is _FREE else None


def _accepted_late(world: World, event: ev.OfferAccepted) -> None:
    """An answer to an offer that had ended: they are connected, so the core takes it as truth."""
    contact = world.contacts.get(world.past_offers.get(event.offer_id, ContactId("")))
    if contact is None or contact.state not in (
        ContactState.WAITING,
        ContactState.OFFERED,
        ContactState.DETACHED,
    ):
        return
    agent = world.agents.get(event.agent_id)
    index = find_slot(agent, contact.medium) if agent is not None else None
    mine: Leg | None = None
    if contact.offer is not None:
        other = world.offers[contact.offer]
        mine = next((leg for leg in other.legs if leg.agent == event.agent_id), None)
        if mine is not None:  # The same agent is being asked again: it is that slot.
            agent = end_leg(world, other, mine, OfferOutcome.RESCINDED, "crossed", None)
            index = _if_free(agent, mine.slot) if agent is not None else None
    elsewhere = is_abroad(event.agent_id)
    if not elsewhere and (agent is None or (index is None and mine is None)):
        reason = f"agent {event.agent_id} has no free slot for offer {event.offer_id}"
        world.out.append(cmd.EventRejected(kind="OfferAccepted", reason=reason))
        return
    if contact.offer is not None:
        other = world.offers[contact.offer]
        if other.legs:
            rescind(world, other, "crossed")
            contact.past_offers += (other.offer_id,)
            contact.offer = None
        else:
            forget_offer(world, other)
    contact.agent = None
    leave_line(world, contact)
    if agent is None:
        begin_talk_elsewhere(world, contact, event.agent_id, event.at)
    else:
        begin_talk(world, contact, agent, index, event.at)
    contact.talk_leg = event.leg
    if agent is not None:
        resume_agents(world, [agent])


# --- failed ----------------------------------------------------------------------------------


def failed(world: World, event: ev.OfferFailed) -> None:
    """The offer, or one of several devices, is out."""
    offer = world.offers.get(event.offer_id)
    if offer is None:
        return
    outcome = _OUTCOMES[event.failure]
    if event.agent_id is None:
        fail_offer(world, offer, outcome, event.reason, event.at)
        return
    legs = [leg for leg in offer.legs if leg.agent == event.agent_id]
    if len(legs) == len(offer.legs):
        fail_offer(world, offer, outcome, event.reason, event.at)
    elif legs:
        if offer.rescinding:
            outcome = OfferOutcome.RESCINDED  # Taken back: never his miss.
        agent = _fail_leg(world, offer, legs[0], outcome, event.reason, event.at)
        if agent is not None:
            _resume_failed(world, [agent])


def fail_offer(
    world: World, offer: Offer, outcome: OfferOutcome, reason: str, at: Instant | None
) -> None:
    """The whole offer is over: the contact keeps its place and P1 applies to it at once."""
    if offer.rescinding:
        outcome, reason = OfferOutcome.RESCINDED, offer.rescind_reason
    agents: list[Agent] = []
    for leg in list(offer.legs):
        agent = _fail_leg(world, offer, leg, outcome, reason, at)
        if agent is not None:
            world.set_aside(agent)
            agents.append(agent)
    contact = world.contacts[offer.contact]
    if contact.offer == offer.offer_id:
        # The agents are able again only after it (P5: kind 0, then 1), else one who is taken
        # back from it would get it again before those who stood in line longer.
        _return(world, contact, offer, at, outcome)
    else:
        forget_offer(world, offer)
        contact.past_offers = contact.past_offers[
            :-1
        ]  # It stood there already, see _accepted_late.
    _resume_failed(world, sorted(agents, key=lambda a: a.rank))


def _return(
    world: World, contact: Contact, offer: Offer, at: Instant | None, outcome: OfferOutcome
) -> None:
    """The contact comes back to its place: of a guest, to that which its owner keeps."""
    if contact.state is ContactState.GUEST:
        turn_back(world, contact, offer, at, outcome.value)
        return
    if contact.held and second_line.is_due(world, contact):
        second_line.give_back(world, contact, SegmentOutcome.RETURNED, at, outcome.value)
        return
    kind = SegmentKind.QUEUE if contact.held else SegmentKind.FALLBACK
    held = SegmentOutcome.RETURNED if contact.held else SegmentOutcome.DETACHED
    world.next_segment(contact, kind, held, at, outcome.value)
    forget_offer(world, offer)
    contact.agent = None
    if contact.held:
        come_back(world, contact)
    else:
        contact.state = ContactState.DETACHED


def _fail_leg(
    world: World, offer: Offer, leg: Leg, outcome: OfferOutcome, reason: str, at: Instant | None
) -> Agent | None:
    """End one agent's part with its rest, its miss, and its exclusion for this contact."""
    agent = end_leg(world, offer, leg, outcome, reason, at)
    if outcome is OfferOutcome.RESCINDED or offer.reservation is not None:
        return agent
    queue = world.queues[offer.queue].settings
    until = Instant(world.now + queue.same_agent_after_us)
    exclude(world, world.contacts[offer.contact], leg.agent, until)
    if agent is None or not agent.logged_in:
        return agent
    if outcome is OfferOutcome.NO_ANSWER:
        agent.misses += 1
        if 0 < world.settings.max_no_answer <= agent.misses and not agent.paused:
            _pause_by_itself(world, agent)
            return agent
    match outcome:
        case OfferOutcome.REFUSED:
            rest_us, why = queue.reject_delay_us, "rejected"
        case OfferOutcome.BUSY:
            rest_us, why = queue.busy_delay_us, "busy"
        case OfferOutcome.NO_ANSWER:
            rest_us, why = queue.no_answer_delay_us, "no_answer"
        case _:
            rest_us, why = queue.unreachable_delay_us, "unreachable"
    until = Instant(world.now + rest_us)
    if agent.rest_until is None or until >= agent.rest_until:
        agent.rest_until, agent.rest_reason = until, why
        world.timers.push(until, Kind.AGENT_ABLE, agent.rank, What.REST, agent.agent_id)
    return agent


def _pause_by_itself(world: World, agent: Agent) -> None:
    """P6: too many misses in a row; the row begins anew."""
    agent.misses = 0
    agent.paused, agent.pause_reason = True, "no_answer"
    until = agent.pause_until = Instant(world.now + world.settings.autopause_us)
    world.timers.push(until, Kind.AGENT_ABLE, agent.rank, What.PAUSE, agent.agent_id)


def _resume_failed(world: World, agents: list[Agent]) -> None:
    for agent in agents:
        world.settle(agent)
    for agent in agents:
        if agent.paused:
            release_preferences(world, agent)
        serve_agent(world, agent)
        leave_config(world, agent)


# --- leases ----------------------------------------------------------------------------------


def lease_expired(world: World, offer: Offer) -> None:
    """The adapter did not answer: the core names the end itself, and has the ring stopped."""
    if offer.awaited:
        gone(world, offer.contact, DID_NOT_COME)
        return
    if offer.rescinding:
        fail_offer(world, offer, OfferOutcome.RESCINDED, offer.rescind_reason, None)
        return
    outcome = OfferOutcome.UNREACHABLE if offer.doubt else OfferOutcome.NO_ANSWER
    reason = "in doubt after restart" if offer.doubt else "no answer from the adapter"
    offer_id, contact_id = offer.offer_id, offer.contact
    world.out.append(cmd.RescindOffer(offer_id=offer_id, contact_id=contact_id, reason=reason))
    fail_offer(world, offer, outcome, reason, None)
