"""The core's whole state with its indices, and the few operations that keep both in step.

The modules above (matching, routing, talks, contacts, …) are functions over one ``World``. None of
them changes a contact's place or an agent's slot but through the methods here.
"""

from __future__ import annotations

from collections.abc import Iterable

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.lazyheap import LineEntry
from gkc_engine.acd.matchspace import Line, MatchSpace, Profile
from gkc_engine.acd.queues import Queue
from gkc_engine.acd.segments import Segments
from gkc_engine.acd.settings import (
    CLASS_RANK,
    ContactClass,
    EmptyFactor,
    Medium,
    Order,
    Settings,
    Treatment,
)
from gkc_engine.acd.slots import slot_state
from gkc_engine.acd.staffing import BIT, Staff, Staffing, of_work
from gkc_engine.acd.state import (
    Activity,
    Agent,
    Contact,
    ContactState,
    KeptPlace,
    Offer,
    Slot,
    Work,
)
from gkc_engine.acd.timers import DueLine, Kind, Timer, Timers, What
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId

__all__ = ["Queue", "World"]

# Of what every step asks for: a member of an enum costs a look-up in its class.
_ACCUMULATING = Order.ACCUMULATING
_WAITING = ContactState.WAITING
_TALKING, _WRAP_UP = Work.TALK, Work.WRAP_UP

_FREE, _OFFER = Work.FREE, Work.OFFER
WATCHES_MAX = 64
"""Lists of factors that are kept from former configs before the indices are made anew."""

_NEITHER, _READY, _HANDLING = Activity.NEITHER, Activity.READY, Activity.HANDLING


class World(Segments):
    """Everything the core knows. One per center."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = Kind.AGENT_ABLE
        """P5: what kind of event is being handled."""
        self.settings = Settings(version="")
        self.space = MatchSpace()
        self.staffing = Staffing()
        self.overgrown = True
        """The indices hold much that no config in force needs; see ``measure``."""
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
        self.places: dict[tuple[QueueId, str], KeptPlace] = {}
        """Of those who were cut off, by queue and citizen, the first to be forgotten first."""
        self.emergency: Treatment | None = None
        self.next_offer = 1
        self.next_sequence = 0
        self.count = 0
        """Waiting, offered and detached contacts of all queues (P9)."""
        self._token = 0

    def new_space(self) -> None:
        """Forget who could serve whom: queues, agents and waiting contacts are put in anew."""
        self.space, self.staffing = MatchSpace(), Staffing()
        for agent in self.agents.values():
            agent.profile, agent.helps = -1, 0
            agent.entries.clear()

    def measure(self) -> None:
        """Note whether the next config should have the indices made anew."""
        used = len({id(req) for queue in self.queues.values() for _, req in queue.steps})
        profiles = len({agent.profile for agent in self.agents.values()})
        self.overgrown = (
            self.space.is_beyond(used, profiles) or len(self.staffing.watches) > WATCHES_MAX
        )

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
        assert contact.queue is not None
        assert contact.enqueued is not None
        settings = self.queues[contact.queue].settings
        own_class, key = contact.own_class, contact.enqueued
        if self.settings.order is _ACCUMULATING:
            slope = settings.slope_milli if contact.own_slope is None else contact.own_slope
            key = key if slope > 0 else Instant(0)
        else:
            own = contact.own_head_start
            key = Instant(key - (settings.head_start_us if own is None else own))
        rank = CLASS_RANK[settings.contact_class if own_class is None else own_class]
        return rank, key, contact.sequence

    def line_up(self, contact: Contact) -> None:
        """Put a waiting contact into the line of its present step, and into its due lines."""
        line, key = self._line_of(contact)
        line.push(key, contact)
        for due_line, due in self._dues(contact):
            self.timers.add(due_line, due, contact)
        self._join_leaving(contact)

    def line_up_all(self, contacts: Iterable[Contact]) -> None:
        """Do the same for many: each line is put in order, and each timer armed, once."""
        lines: dict[Line, list[LineEntry]] = {}
        due_lines: dict[DueLine, list[LineEntry]] = {}
        for contact in contacts:
            line, key = self._line_of(contact)
            lines.setdefault(line, []).append((key, contact.sequence, contact.entry, contact))
            for due_line, due in self._dues(contact):
                entry = (due, contact.sequence, contact.entry, contact)
                due_lines.setdefault(due_line, []).append(entry)
            self._join_leaving(contact)
        for line, entries in lines.items():
            line.extend(entries)
        for due_line, entries in due_lines.items():
            due_line.line.extend(entries)
            self.timers.arm(due_line)

    def _line_of(self, contact: Contact) -> tuple[Line, int]:
        """Give the contact a new token; return its line and its key there."""
        assert contact.state is _WAITING, contact
        assert contact.queue is not None
        rank, key, _ = self.order_key(contact)
        slope = 0
        if self.settings.order is _ACCUMULATING:
            slope = self.precedence(contact)[2]
        self._token += 1
        contact.entry = self._token
        req = self.queues[contact.queue].steps[contact.step][1]
        return self.space.line(req, contact.medium, rank, slope, contact.prefer_agent), key

    def _dues(self, contact: Contact) -> list[tuple[DueLine, Instant]]:
        """Return what is due for a waiting contact: its next step, its longest wait."""
        assert contact.queue is not None
        assert contact.enqueued is not None
        queue, step = self.queues[contact.queue], contact.step
        found: list[tuple[DueLine, Instant]] = []
        if step + 1 < len(queue.steps):
            due = contact.enqueued + queue.steps[step + 1][0]
            found.append((queue.aging[step], Instant(max(due, self.now))))
        if queue.settings.maxwait_us is not None:
            due = contact.enqueued + queue.settings.maxwait_us
            found.append((queue.maxwait, Instant(max(due, self.now))))
        return found

    def _join_leaving(self, contact: Contact) -> None:
        """P4: let a waiting contact stand among those who leave when nobody is left."""
        assert contact.queue is not None
        for leave in self.queues[contact.queue].leaving[contact.step]:
            leave.join(contact, self.now)
            self.timers.arm(leave)

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
        free = taken = 0
        for slot in agent.slots:
            if slot.medium is medium:
                if slot.work is _FREE:
                    free += 1
                else:
                    taken += 1
        # A config that took slots away leaves those in use until they are free.
        if not free or (taken and taken >= agent.capacity.get(medium, 0)):
            return False
        if not agent.logged_in or agent.paused or agent.rest_until is not None:
            return False
        if not agent.reachable or agent.removed or medium not in agent.capacity:
            return False
        return not self.shut_out(agent, medium)

    def shut_out(self, agent: Agent, medium: Medium) -> int:
        """Return what keeps the agent from the medium although a slot may be free (P8).

        Calls of his own, and contacts of media that exclude this one and that it does not
        interrupt; as bits of ``staffing``. 0 = nothing.
        """
        bits = 0
        own_call = agent.in_use or bool(agent.calls)
        if own_call and (medium is Medium.VOICE or self.excludes(Medium.VOICE, medium)):
            bits = BIT[EmptyFactor.INUSE]
        if self.settings.blending:
            for slot in agent.slots:
                if slot.work is not Work.FREE and slot.medium is not medium:
                    parkable = slot.work is _TALKING and self.interrupts(medium, slot.medium)
                    if not parkable and self.excludes(slot.medium, medium):
                        bits |= of_work(slot.work)
        return bits

    def excludes(self, one: Medium, other: Medium) -> bool:
        """P8: return whether the two media shut each other out, whichever says so."""
        rules = self.settings.blending
        return bool(rules) and (
            (one in rules and other in rules[one].excludes)
            or (other in rules and one in rules[other].excludes)
        )

    def interrupts(self, one: Medium, other: Medium) -> bool:
        """P8: return whether a talk of ``other`` is parked for a contact of ``one``."""
        rules = self.settings.blending
        return one in rules and other in rules[one].interrupts

    def settle(self, agent: Agent) -> None:
        """After any change to an agent: show it, and put it among the idle or take it out."""
        slots = agent.slots
        in_hand, handling = 0, False
        for index, slot in enumerate(slots):
            work = slot.work
            if work is not _FREE:
                in_hand += 1
                handling = handling or work is not _OFFER
            self._show(agent, index, slot)
        if len(slots) > 1:
            self._park(agent)
        able = False
        profile, entries = self.space.profiles[agent.profile], agent.entries
        for medium in agent.capacity:
            was_able = entries.get(medium, 0)
            if self.can_take(agent, medium):
                able = True
                self._token += 1
                token = entries[medium] = self._token
                profile.push_idle(medium, (in_hand, agent.idle_since, agent.rank, token, agent))
                if not was_able:
                    self.space.became_ready(profile, medium)
            elif was_able:
                entries[medium] = 0
                self.space.no_longer_ready(profile, medium, was_able)
        activity = _HANDLING if handling else (_READY if able else _NEITHER)
        if activity is not agent.activity:
            agent.handling_us, agent.ready_us = self.occupied(agent)
            agent.activity, agent.activity_since = activity, self.now
        if self.staffing.watches:
            self._count_help(agent, profile)

    def set_aside(self, agent: Agent) -> None:
        """Take the agent out of the idle until he is settled."""
        profile = self.space.profiles[agent.profile]
        for medium, token in agent.entries.items():
            if token:
                agent.entries[medium] = 0
                self.space.no_longer_ready(profile, medium, token)

    def _park(self, agent: Agent) -> None:
        """P8: park what a call in hand interrupts, and take it up again when that is over."""
        for index, slot in enumerate(agent.slots):
            if slot.work is not _TALKING:
                continue
            parked = any(
                other.work in (_TALKING, _WRAP_UP)
                and other.medium is not slot.medium
                and self.interrupts(other.medium, slot.medium)
                for other in agent.slots
            )
            if parked is slot.parked:
                continue
            slot.parked = parked
            assert slot.contact is not None
            contact = self.contacts[slot.contact]
            if parked:
                self.next_segment(contact, SegmentKind.PARKED, SegmentOutcome.PARKED)
            else:
                kind = SegmentKind.HOLD if slot.on_hold else SegmentKind.TALK
                self.next_segment(contact, kind, SegmentOutcome.RESUMED)
            self._show(agent, index, slot)  # After what began: a talk may be parked at once.

    def _count_help(self, agent: Agent, profile: Profile) -> None:
        """P4: move the agent's part in the watches; who is left without help is to leave."""
        for watch in self.staffing.watches:
            helps = watch.helps(agent, self.shut_out(agent, watch.medium))
            if helps is bool(agent.helps & watch.bit):
                continue
            agent.helps ^= watch.bit
            self._leave(watch.count(profile, +1 if helps else -1))

    def _leave(self, staffs: list[Staff]) -> None:
        """P4: the last help of these is gone; it is P5's kind 3 at which anybody leaves for it."""
        for staff in staffs:
            for line in staff.lines:
                line.ripen(self.now)
                self.timers.arm(line)

    def occupied(self, agent: Agent) -> tuple[int, int]:
        """Return (handling, ready) in µs since the present login, at this instant."""
        handling, ready, spent = agent.handling_us, agent.ready_us, self.now - agent.activity_since
        if agent.activity is _HANDLING:
            handling += spent
        elif agent.activity is _READY:
            ready += spent
        return handling, ready

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
        """Set the agent's profile from the skills; what is counted by profile moves along.

        The agent is to be settled afterwards.
        """
        self.take_out(agent)
        agent.profile = self.space.profile(agent.skills)
        self.count_login(agent, +1)

    def take_out(self, agent: Agent) -> None:
        """Take the agent out of all that is counted by profile, until he has one again."""
        if agent.profile < 0:
            return
        self.count_login(agent, -1)
        self.set_aside(agent)
        before = self.space.profiles[agent.profile]
        for watch in self.staffing.watches:
            if agent.helps & watch.bit:
                self._leave(watch.count(before, -1))
        agent.entries.clear()
        agent.profile, agent.helps = -1, 0

    def count_login(self, agent: Agent, by: int) -> None:
        """Add the agent to (or take from) those at work in its profile, if logged in."""
        if agent.logged_in and agent.profile >= 0:
            for medium in agent.capacity:
                self.space.profiles[agent.profile].count_login(medium, by)

    # --- timers -----------------------------------------------------------------------------

    def arm_agent(self, agent: Agent) -> None:
        """Arm the timers of all that ends by itself; needed again when the rank changes."""
        for due, what in ((agent.rest_until, What.REST), (agent.pause_until, What.PAUSE)):
            if due is not None:
                self.timers.push(due, Kind.AGENT_ABLE, agent.rank, what, agent.agent_id)
        for index, slot in enumerate(agent.slots):
            if slot.work is _WRAP_UP and slot.until is not None:
                self.timers.push(
                    slot.until, Kind.AGENT_ABLE, agent.rank, What.WRAP_UP, agent.agent_id, index
                )

    def _alive(self, timer: Timer) -> bool:
        """Return whether the timer's owner still waits for it."""
        ref, due = timer.ref, timer.due
        if isinstance(ref, DueLine):
            return ref.first() == (due, timer.rank)
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
        return slot.work is _WRAP_UP and slot.until == due
