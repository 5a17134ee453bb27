"""The core's whole state with its indices, and the few operations that keep both in step.

The modules above (matching, routing, talks, contacts, …) are functions over one ``World``. None of
them changes a contact's place or an agent's slot but through the methods here.
"""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import AgentState, SegmentKind, SegmentOutcome, TransferKind
from gkc_engine.acd.lazyheap import IdleHeap
from gkc_engine.acd.matchspace import MatchSpace, Req
from gkc_engine.acd.settings import (
    CLASS_RANK,
    ContactClass,
    Medium,
    Order,
    QueueSettings,
    Settings,
    Treatment,
)
from gkc_engine.acd.state import (
    Activity,
    Agent,
    Contact,
    ContactState,
    Offer,
    QueueStatus,
    Slot,
    Work,
)
from gkc_engine.acd.timers import DueLine, Kind, Timer, Timers, What
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId

_WITH_A_PARTY = (SegmentKind.TALK, SegmentKind.HOLD, SegmentKind.EXTERNAL)


class Queue:
    """A queue at run time: its settings, its status and its due lines."""

    __slots__ = ("aging", "count", "maxwait", "status", "steps", "unstaffed")

    def __init__(self, status: QueueStatus, space: MatchSpace) -> None:
        self.status = status
        settings = status.settings
        needs = [(0, settings.require), *((s.after_us, s.require) for s in settings.relax)]
        self.steps: list[tuple[int, Req]] = [(after, space.req(need)) for after, need in needs]
        self.aging = [DueLine(What.STEP) for _ in self.steps]
        """Contacts at each step, by the instant at which the next one begins."""
        self.maxwait = DueLine(What.MAXWAIT)
        self.unstaffed = DueLine(What.UNSTAFFED)
        self.count = 0
        """Waiting, offered and detached contacts (P9)."""

    @property
    def settings(self) -> QueueSettings:
        """The rules its contacts wait under."""
        return self.status.settings

    def staffed(self, step: int) -> bool:
        """Return whether anybody is logged in who may serve at this or a later step."""
        medium = self.settings.medium
        return any(req.logged_in(medium) for _, req in self.steps[step:])


class World:
    """Everything the core knows. One per center."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self.kind = Kind.AGENT_ABLE
        """P5: what kind of event is being handled."""
        self.out: list[cmd.Command] = []
        self.settings = Settings(version="")
        self.space = MatchSpace()
        self.timers = Timers(self._alive)
        self.queues: dict[QueueId, Queue] = {}
        self.agents: dict[AgentId, Agent] = {}
        self.contacts: dict[ContactId, Contact] = {}
        self.offers: dict[OfferId, Offer] = {}
        self.past_offers: dict[OfferId, ContactId] = {}
        """Ended offers of living contacts: an answer may still come (crossing)."""
        self.barred: dict[ContactId, Contact] = {}
        """Contacts with an exclusion (P6), the exceptions among those who wait."""
        self.preferring: dict[AgentId, dict[ContactId, Contact]] = {}
        """P7: who waits for one agent only."""
        self.history: dict[str, tuple[AgentId, Instant]] = {}
        """P7: citizen and service to the agent who last served."""
        self.emergency: Treatment | None = None
        self.next_offer = 1
        self.next_sequence = 0
        self.count = 0
        """Waiting, offered and detached contacts of all queues (P9)."""
        self._token = 0

    # --- segments ---------------------------------------------------------------------------

    def instant(self, at: Instant | None, floor: Instant) -> Instant:
        """Return the far side's instant, not before ``floor`` and not after now."""
        return self.now if at is None else max(floor, min(at, self.now))

    def next_segment(
        self,
        contact: Contact,
        kind: SegmentKind,
        outcome: SegmentOutcome,
        at: Instant | None = None,
        reason: str = "",
        transfer: TransferKind | None = None,
    ) -> Instant:
        """Close the present segment, open the next one of ``kind``; return the instant between."""
        ended = self.close_segment(contact, outcome, at, reason, transfer)
        contact.segment_n += 1
        contact.segment_kind = kind
        contact.segment_started = ended
        contact.segment_queue = contact.queue
        return ended

    def close_segment(
        self,
        contact: Contact,
        outcome: SegmentOutcome,
        at: Instant | None,
        reason: str = "",
        transfer: TransferKind | None = None,
    ) -> Instant:
        """Record the present segment and add it to the contact's sums."""
        started, kind = contact.segment_started, contact.segment_kind
        ended = self.instant(at, started)
        spent = ended - started
        match kind:
            case SegmentKind.MENU:
                contact.menu_us += spent
            case SegmentKind.RING:
                contact.ring_us += spent
            case SegmentKind.TALK:
                contact.talk_us += spent
            case SegmentKind.HOLD:
                contact.hold_us += spent
            case _:
                pass
        if contact.consult:
            return ended
        in_line = kind in (SegmentKind.QUEUE, SegmentKind.RING)
        self.out.append(
            cmd.SegmentClosed(
                contact_id=contact.contact_id,
                n=contact.segment_n,
                kind=kind,
                started=started,
                ended=ended,
                outcome=outcome,
                reason=reason,
                queue=contact.segment_queue,
                agent_id=contact.agent,
                offer_id=contact.offer,
                step=contact.step if in_line else None,
                channel_uniqueid=contact.talk_leg if kind in _WITH_A_PARTY else None,
                transfer_kind=transfer,
            )
        )
        return ended

    # --- lines ------------------------------------------------------------------------------

    def precedence(self, contact: Contact) -> tuple[ContactClass, Micros, int]:
        """Return the contact's class, head start and slope: its own, else its queue's."""
        assert contact.queue is not None
        settings = self.queues[contact.queue].settings
        return (
            settings.contact_class if contact.own_class is None else contact.own_class,
            settings.head_start_us if contact.own_head_start is None else contact.own_head_start,
            settings.slope_milli if contact.own_slope is None else contact.own_slope,
        )

    def order_key(self, contact: Contact) -> tuple[int, int, int]:
        """Return (class rank, instant, sequence): the order of equals in one line."""
        assert contact.enqueued is not None
        contact_class, head_start, slope = self.precedence(contact)
        if self.settings.order is Order.ACCUMULATING:
            key = contact.enqueued if slope > 0 else 0
        else:
            key = contact.enqueued - head_start
        return CLASS_RANK[contact_class], key, contact.sequence

    def line_up(self, contact: Contact) -> None:
        """Put a waiting contact into the line of its present step, and into its due lines."""
        assert contact.state is ContactState.WAITING, contact
        assert contact.queue is not None
        assert contact.enqueued is not None
        queue = self.queues[contact.queue]
        rank, key, _ = self.order_key(contact)
        slope = 0
        if self.settings.order is Order.ACCUMULATING:
            slope = self.precedence(contact)[2]
        self._token += 1
        contact.entry = self._token
        req = queue.steps[contact.step][1]
        only = contact.prefer_agent
        line = self.space.line(req, queue.settings.medium, rank, slope, only)
        line.heap.push(key, contact)
        enqueued = contact.enqueued
        if contact.step + 1 < len(queue.steps):
            due = enqueued + queue.steps[contact.step + 1][0]
            self.timers.add(queue.aging[contact.step], Instant(max(due, self.now)), contact)
        if queue.settings.maxwait_us is not None:
            due = enqueued + queue.settings.maxwait_us
            self.timers.add(queue.maxwait, Instant(max(due, self.now)), contact)
        if queue.settings.maxwait_unstaffed_us is not None:
            due = enqueued + queue.settings.maxwait_unstaffed_us
            self.timers.add(queue.unstaffed, Instant(max(due, self.now)), contact)

    @staticmethod
    def step_out(contact: Contact) -> None:
        """Take the contact out of its lines (its entries there are dead now)."""
        contact.entry = 0

    def count_in(self, contact: Contact, queue_id: QueueId) -> None:
        """Let the contact occupy a place of the queue (P9)."""
        contact.queue = queue_id
        self.queues[queue_id].count += 1
        self.count += 1

    def count_out(self, contact: Contact) -> None:
        """Give the contact's place in its queue free."""
        assert contact.queue is not None
        queue = self.queues[contact.queue]
        queue.count -= 1
        self.count -= 1
        assert queue.count >= 0, contact.queue

    # --- agents -----------------------------------------------------------------------------

    def can_take(self, agent: Agent, medium: Medium) -> bool:
        """Return whether the agent may be offered a contact of the medium at this instant."""
        if not agent.logged_in or agent.paused or agent.rest_until is not None:
            return False
        if not agent.reachable or agent.removed:
            return False
        own_call = agent.in_use or bool(agent.calls)
        if own_call and (medium is Medium.VOICE or self._excludes(Medium.VOICE, medium)):
            return False
        free = False
        for slot in agent.slots:
            if slot.work is Work.FREE:
                free = free or slot.medium is medium
            elif slot.medium is not medium and self._excludes(slot.medium, medium):
                return False
        return free

    def _excludes(self, one: Medium, other: Medium) -> bool:
        rules = self.settings.blending
        return bool(rules) and (
            (one in rules and other in rules[one].excludes)
            or (other in rules and one in rules[other].excludes)
        )

    def settle(self, agent: Agent) -> None:
        """After any change to an agent: show it, and put it among the idle or take it out."""
        in_hand = sum(slot.work is not Work.FREE for slot in agent.slots)
        handling = False
        for index, slot in enumerate(agent.slots):
            self._show(agent, index, slot)
            handling = handling or slot.work in (Work.TALK, Work.WRAP_UP)
        able = False
        for medium in agent.capacity:
            agent.entries[medium] = 0
            if self.can_take(agent, medium):
                able = True
                self._token += 1
                agent.entries[medium] = self._token
                idle = self.space.profiles[agent.profile].idle
                heap = idle.get(medium)
                if heap is None:
                    heap = idle[medium] = IdleHeap(medium)
                heap.push((in_hand, agent.idle_since, agent.rank, self._token, agent))
        activity = Activity.READY if able else Activity.NEITHER
        self._account(agent, Activity.HANDLING if handling else activity)

    def _account(self, agent: Agent, activity: Activity) -> None:
        if activity is agent.activity:
            return
        agent.handling_us, agent.ready_us = self.occupied(agent)
        agent.activity, agent.activity_since = activity, self.now

    def occupied(self, agent: Agent) -> tuple[int, int]:
        """Return (handling, ready) in µs since the present login, at this instant."""
        spent = self.now - agent.activity_since
        return (
            agent.handling_us + (spent if agent.activity is Activity.HANDLING else 0),
            agent.ready_us + (spent if agent.activity is Activity.READY else 0),
        )

    def _show(self, agent: Agent, index: int, slot: Slot) -> None:
        state, reason, until = slot_state(agent, slot)
        if (
            state is slot.shown
            and reason == slot.shown_reason
            and until == slot.shown_until
            and slot.contact == slot.shown_contact
        ):
            return
        slot.shown, slot.shown_reason, slot.shown_until = state, reason, until
        slot.shown_contact = slot.contact
        self.out.append(
            cmd.AgentStateChanged(
                agent_id=agent.agent_id,
                slot=index,
                state=state,
                since=self.now,
                reason=reason,
                until=until,
                contact_id=slot.contact,
                queue=slot.queue,
            )
        )

    def profile_agent(self, agent: Agent) -> None:
        """Set the agent's profile from the skills; the count of those at work moves along."""
        self.count_login(agent, -1)
        agent.profile = self.space.profile(agent.skills)
        self.count_login(agent, +1)

    def count_login(self, agent: Agent, by: int) -> None:
        """Add the agent to (or take from) those at work in its profile, if logged in."""
        if agent.logged_in and agent.profile >= 0:
            logged_in = self.space.profiles[agent.profile].logged_in
            for medium in agent.capacity:
                logged_in[medium] = logged_in.get(medium, 0) + by

    # --- timers -----------------------------------------------------------------------------

    def arm_agent(self, agent: Agent) -> None:
        """Arm the timers of all that ends by itself; needed again when the rank changes."""
        for due, what in ((agent.rest_until, What.REST), (agent.pause_until, What.PAUSE)):
            if due is not None:
                self.timers.push(due, Kind.AGENT_ABLE, agent.rank, what, agent.agent_id)
        for index, slot in enumerate(agent.slots):
            if slot.work is Work.WRAP_UP and slot.until is not None:
                self.timers.push(
                    slot.until, Kind.AGENT_ABLE, agent.rank, What.WRAP_UP, agent.agent_id, index
                )

    def _alive(self, timer: Timer) -> bool:
        """Return whether the timer's owner still waits for it."""
        ref, due = timer.ref, timer.due
        if isinstance(ref, DueLine):
            head = ref.line.head()
            return head is not None and (head[0], head[1]) == (due, timer.rank)
        if isinstance(ref, int):
            offer = self.offers.get(ref)
            return offer is not None and offer.lease == due
        if timer.what in (What.EXCLUSION, What.PREFERENCE):
            contact = self.contacts.get(ContactId(ref))
            if contact is None:
                return False
            if timer.what == What.PREFERENCE:
                return contact.prefer_until == due
            return due in contact.excluded.values()
        agent = self.agents.get(AgentId(ref))
        if agent is None or agent.rank != timer.rank:
            return False
        if timer.what == What.REST:
            return agent.rest_until == due
        if timer.what == What.PAUSE:
            return agent.pause_until == due
        slot = agent.slots[timer.sub]
        return slot.work is Work.WRAP_UP and slot.until == due


def slot_state(agent: Agent, slot: Slot) -> tuple[AgentState, str, Instant | None]:
    """Return what a slot is doing, why, and until when if it ends by itself."""
    match slot.work:
        case Work.TALK:
            return (AgentState.HOLD if slot.on_hold else AgentState.TALK), "", None
        case Work.OFFER:
            return (AgentState.RINGING if slot.ringing else AgentState.RESERVED), "", None
        case Work.WRAP_UP:
            return AgentState.WRAP_UP, "", slot.until
        case Work.FREE:
            return _free_slot_state(agent, slot)


def _free_slot_state(agent: Agent, slot: Slot) -> tuple[AgentState, str, Instant | None]:
    if slot.medium is Medium.VOICE and agent.calls:
        return AgentState.TALK, next(reversed(agent.calls.values())), None
    if not agent.logged_in:
        return AgentState.OFFLINE, "", None
    if not agent.reachable:
        return AgentState.FAULTY, "unreachable", None
    if agent.paused:
        return AgentState.NOT_READY, agent.pause_reason, agent.pause_until
    if slot.medium is Medium.VOICE and agent.in_use:
        return AgentState.NOT_READY, "in_use", None
    return AgentState.READY, agent.rest_reason, agent.rest_until
