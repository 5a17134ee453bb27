"""The talk: hold, its end, and transfers of the citizen to somebody else."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import second_line
from gkc_engine.acd.commands import Disposition, SegmentKind, SegmentOutcome, TransferKind
from gkc_engine.acd.contacts import enter_queue
from gkc_engine.acd.guests import HANDED_OVER
from gkc_engine.acd.offers import exclude, make_offer, take_slot
from gkc_engine.acd.places import announce_queued
from gkc_engine.acd.routing import after_talk, end_talk, resume_agent
from gkc_engine.acd.segments import CONSULTED
from gkc_engine.acd.state import Agent, Contact, ContactState, Work
from gkc_engine.acd.world import World
from gkc_engine.ids import ABROAD, AgentId, ContactId, Instant, QueueId, is_abroad

BLIND = TransferKind.BLIND
NOBODY_SENT = "nobody sent him"
"""Reason of the segment of one who is given back although no agent has sent him."""
NAMED = "agent"
"""Reason of the segment that ends with an offer to the colleague who was named."""


_NOT_OVER = {
    ev.TalkEnd.MEDIA_LOST: SegmentOutcome.MEDIA_LOST,
    ev.TalkEnd.HANDED_BACK: SegmentOutcome.RETURNED,
}
"""Ends of a talk after which the citizen is to talk on, with somebody."""


def talk_of(world: World, contact_id: ContactId, agent_id: AgentId) -> Contact | None:
    """Return the contact if it talks with this agent; else the event is stale."""
    contact = world.contacts.get(contact_id)
    if contact is None or contact.state is not ContactState.TALK or contact.agent != agent_id:
        return None
    return contact


def hold_changed(world: World, event: ev.HoldStarted | ev.HoldEnded) -> None:
    """The agent put the citizen on hold, or took him back."""
    contact = talk_of(world, event.contact_id, event.agent_id)
    on_hold = isinstance(event, ev.HoldStarted)
    if contact is None or (contact.segment_kind is SegmentKind.HOLD) is on_hold:
        return
    if contact.segment_kind is SegmentKind.PARKED:
        assert contact.slot is not None  # It goes on as hold or talk when it is taken up again.
        world.agents[event.agent_id].slots[contact.slot].on_hold = on_hold
        return
    if on_hold:
        world.next_segment(contact, SegmentKind.HOLD, SegmentOutcome.HELD, event.at)
    else:
        world.next_segment(contact, SegmentKind.TALK, SegmentOutcome.RESUMED, event.at)
    agent = world.agents.get(event.agent_id)
    if agent is not None and contact.slot is not None:
        agent.slots[contact.slot].on_hold = on_hold
        world.settle(agent)


def talk_ended(world: World, event: ev.TalkEnded) -> None:
    """The agent's side is gone while the citizen's line stands."""
    contact = talk_of(world, event.contact_id, event.agent_id)
    if contact is None:
        return
    outcome = _NOT_OVER.get(event.end)
    if contact.consult and event.end is ev.TalkEnd.HANDED_BACK:
        outcome = None  # There is no citizen to be given back: the expert has hung up.
    if outcome is not None and contact.owner is not None:
        _return_guest(world, contact, outcome, event.at, event.end.value)
        return
    if outcome is not None and second_line.has_way_back(world, contact):
        second_line.give_back(world, contact, outcome, event.at, event.reason)
        return
    if outcome is not None and contact.queue is not None:
        _back_to_queue(world, contact, event.agent_id, outcome, event.at, event.reason)
        return
    contact.decided_party, contact.decided_reason = event.party, event.reason
    release_him(world, contact, SegmentOutcome.RELEASED, event.at, event.reason)


def _back_to_queue(
    world: World,
    contact: Contact,
    agent_id: AgentId,
    outcome: SegmentOutcome,
    at: Instant | None,
    reason: str,
) -> None:
    """The citizen waits again, at the old place; the agent who left him is not asked first."""
    assert contact.queue is not None
    blind = BLIND if outcome is SegmentOutcome.TRANSFERRED else None
    world.next_segment(contact, SegmentKind.QUEUE, outcome, at, reason, blind)
    agent = end_talk(world, contact)
    not_the_same(world, contact, agent_id, contact.queue)
    world.count_in(contact, contact.queue)
    contact.state = ContactState.DETACHED  # In line, but not yet able to be served.
    contact.step = 0
    after_talk(world, agent)
    announce_queued(world, contact)
    second_line.come_back(world, contact)


def not_the_same(world: World, contact: Contact, agent_id: AgentId, queue_id: QueueId) -> None:
    """Let the agent who handed the citizen on not be asked for him before others."""
    until = Instant(world.now + world.queues[queue_id].settings.same_agent_after_us)
    exclude(world, contact, agent_id, until)


def transfer_requested(world: World, event: ev.TransferRequested) -> None:
    """Blind transfer: the agent left; the citizen goes to a queue or to one agent."""
    contact = talk_of(world, event.contact_id, event.from_agent)
    if contact is None or contact.outbound:  # Who was called by us does not wait for us.
        return
    queue = world.queues.get(event.to_queue) if event.to_queue is not None else None
    if queue is not None and not queue.status.draining:
        closed = second_line.why_closed(queue) if second_line.is_one(queue) else ""
        if event.barred or closed:
            back_to_agent(world, contact, event.from_agent, event.at, event.barred or closed)
            return
        origin = contact.queue
        world.next_segment(
            contact, SegmentKind.QUEUE, SegmentOutcome.TRANSFERRED, event.at, "queue", BLIND
        )
        agent = end_talk(world, contact)
        not_the_same(world, contact, event.from_agent, queue.settings.queue_id)
        contact.state = ContactState.EXTERNAL  # Between two places for the length of this step.
        second_line.sent(world, contact, event.from_agent, origin, queue)
        after_talk(world, agent)
        enter_queue(world, contact, queue.settings.queue_id, arrival=False, opened=True)
        return
    if event.to_agent is None and event.to_queue is None:
        _unwatched(world, contact, event)
        return
    if contact.queue is None or contact.queue not in world.queues:
        outcome = SegmentOutcome.TRANSFERRED
        release_him(world, contact, outcome, event.at, "unknown target", BLIND)
        return
    target = world.agents.get(event.to_agent) if event.to_agent is not None else None
    if target is not None:
        _end_consultation(world, target)
    if target is None or not world.can_take(target, contact.medium):
        outcome, reason = SegmentOutcome.TRANSFERRED, "agent not ready"
        _back_to_queue(world, contact, event.from_agent, outcome, event.at, reason)
        return
    outcome = SegmentOutcome.TRANSFERRED
    world.next_segment(contact, SegmentKind.QUEUE, outcome, event.at, NAMED, BLIND)
    agent = end_talk(world, contact)
    not_the_same(world, contact, event.from_agent, contact.queue)
    world.count_in(contact, contact.queue)
    contact.state, contact.step = ContactState.DETACHED, 0
    announce_queued(world, contact)
    make_offer(world, contact, [target])
    after_talk(world, agent)


def back_to_agent(
    world: World, contact: Contact, agent_id: AgentId, at: Instant | None, barred: str
) -> None:
    """What he wanted is not to be: his phone rings again, without a wrap-up; if it cannot, others'.

    ``barred``: why, for the record.
    """
    if contact.queue not in world.queues:
        release_him(world, contact, SegmentOutcome.TRANSFERRED, at, barred, BLIND)
        return
    world.next_segment(contact, SegmentKind.QUEUE, SegmentOutcome.TRANSFERRED, at, barred, BLIND)
    agent = end_talk(world, contact, wrap_up=False)
    world.count_in(contact, contact.queue)
    contact.state, contact.step = ContactState.DETACHED, 0
    announce_queued(world, contact)
    if agent is not None and world.can_take(agent, contact.medium):
        make_offer(world, contact, [agent])
        after_talk(world, agent)
        return
    not_the_same(world, contact, agent_id, contact.queue)
    after_talk(world, agent)
    second_line.come_back(world, contact)


def handed_back(world: World, event: ev.HandedBack) -> None:
    """A specialist gives the citizen back: to who sent him, or to the center that owns him."""
    contact = talk_of(world, event.contact_id, event.from_agent)
    if contact is None or contact.outbound:
        return
    outcome, reason = SegmentOutcome.TRANSFERRED, second_line.HANDED_BACK
    if contact.owner is not None:
        _return_guest(world, contact, outcome, event.at, reason, BLIND)
    elif second_line.has_way_back(world, contact):
        second_line.give_back(world, contact, outcome, event.at, reason, BLIND)
    else:
        back_to_agent(world, contact, event.from_agent, event.at, NOBODY_SENT)


def _return_guest(
    world: World,
    contact: Contact,
    outcome: SegmentOutcome,
    at: Instant | None,
    reason: str,
    how: TransferKind | None = None,
) -> None:
    """A guest goes on at its own center, which knows its place and who sent it."""
    world.next_segment(contact, SegmentKind.ANNOUNCEMENT, outcome, at, reason, how)
    agent = end_talk(world, contact)
    contact.state, contact.decided = ContactState.TREATED, Disposition.ANSWERED
    contact.decided_reason = reason
    world.out.append(cmd.ReturnGuest(contact_id=contact.contact_id))
    after_talk(world, agent)


def _end_consultation(world: World, target: Agent) -> None:
    """The colleague who was being called for advice is called for the citizen from now on.

    In one step with the transfer, so that nobody else is offered to him in between.
    """
    for call_id in [c for c, kind in target.calls.items() if kind == CONSULTED]:
        target.calls = {c: kind for c, kind in target.calls.items() if c != call_id}
        consult_over(world, target, call_id, CONSULTED)
        world.settle(target)


def consult_over(
    world: World, agent: Agent, call_id: str, kind: str, at: Instant | None = None
) -> None:
    """Put on record an agent's part in a call for advice, if it was about a contact."""
    consult = agent.consults.get(call_id)
    if consult is None:
        return
    agent.consults = {c: other for c, other in agent.consults.items() if c != call_id}
    world.out.append(
        cmd.ConsultEnded(
            contact_id=consult.contact,
            n=consult.n,
            agent_id=agent.agent_id,
            call_id=call_id,
            kind=kind,
            started=consult.started,
            ended=world.instant(at, consult.started),
        )
    )


def release_him(
    world: World,
    contact: Contact,
    outcome: SegmentOutcome,
    at: Instant | None,
    reason: str,
    how: TransferKind | None = None,
) -> None:
    """Nothing more is due to one who was answered: his line is to be ended."""
    world.next_segment(contact, SegmentKind.ANNOUNCEMENT, outcome, at, reason, how)
    agent = end_talk(world, contact)
    if contact.outside is not None:
        contact.outside = None
        world.outbound.discard(contact.contact_id)
    contact.state, contact.decided = ContactState.TREATED, Disposition.ANSWERED
    contact.treatment = None
    world.out.append(cmd.ReleaseContact(contact_id=contact.contact_id))
    after_talk(world, agent)


def _unwatched(world: World, contact: Contact, event: ev.TransferRequested) -> None:
    """A transfer while nobody of us was there: Asterisk has the citizen, where it does not say."""
    world.next_segment(
        contact, SegmentKind.FALLBACK, SegmentOutcome.TRANSFERRED, event.at, "unwatched", BLIND
    )
    agent = end_talk(world, contact)
    if contact.queue is not None:
        world.count_in(contact, contact.queue)
    contact.state, contact.step, contact.held = ContactState.DETACHED, 0, False
    after_talk(world, agent)


def transfer_completed(world: World, event: ev.TransferCompleted) -> None:
    """Attended transfer: the citizen talks with another agent, or with an outside party."""
    contact = talk_of(world, event.contact_id, event.from_agent)
    if contact is None:
        return
    target = world.agents.get(event.to_agent) if event.to_agent is not None else None
    kind = SegmentKind.EXTERNAL if event.to_agent is None else SegmentKind.TALK
    if event.to_queue is not None and event.to_queue in world.queues:
        origin, contact.queue = contact.queue, event.to_queue
        second_line.handed_over(world, contact, event.from_agent, origin)
    _follow_abroad(world, contact, event)
    how = TransferKind.ATTENDED if event.attended else BLIND
    world.next_segment(contact, kind, SegmentOutcome.TRANSFERRED, event.at, "", how)
    agent = end_talk(world, contact)
    contact.talk_leg = event.leg
    if event.to_agent is None:
        contact.state, contact.outside = ContactState.EXTERNAL, event.to_external or ""
        world.outbound.add(contact.contact_id)
    else:
        contact.agent = event.to_agent
    if target is not None:
        _seize(world, contact, target)
    after_talk(world, agent)


def _follow_abroad(world: World, contact: Contact, event: ev.TransferCompleted) -> None:
    """The expert of another center was asked for advice, and has the citizen now: tell him so."""
    asked = None if event.consult is None else world.contacts.get(event.consult)
    contact.reservation = None if asked is None else asked.reservation
    if contact.reservation is None or event.to_agent is None or not is_abroad(event.to_agent):
        return
    world.out.append(
        cmd.ReleaseReservation(
            reservation_id=contact.reservation,
            center=event.to_agent.partition(ABROAD)[0],
            contact_id=contact.contact_id,
            reason=HANDED_OVER,
        )
    )


def _seize(world: World, contact: Contact, target: Agent) -> None:
    """The target really talks with the citizen: take his slot, cut his wrap-up if need be."""
    target.last_contact = contact.contact_id
    for index, slot in enumerate(target.slots):
        if slot.medium is contact.medium and slot.work in (Work.FREE, Work.WRAP_UP):
            take_slot(slot, contact)
            contact.slot = index
            break
    else:
        target.beyond += (contact.contact_id,)
    resume_agent(world, target)
