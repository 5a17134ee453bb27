"""The core's whole state with its indices, and the few operations that keep both in step.

The modules above (matching, routing, talks, contacts, …) are functions over one ``World``. None of
them changes a contact's place or an agent's slot but through the methods here.
"""

from __future__ import annotations

from collections.abc import Iterable

from gkc_engine.acd.hands import Hands
from gkc_engine.acd.lazyheap import LineEntry
from gkc_engine.acd.lines import Line
from gkc_engine.acd.matchspace import MatchSpace
from gkc_engine.acd.queues import Queue
from gkc_engine.acd.settings import (
    CLASS_RANK,
    ContactClass,
    Order,
    Treatment,
)
from gkc_engine.acd.staffing import Staffing
from gkc_engine.acd.state import (
    Activity,
    Agent,
    Contact,
    ContactState,
    KeptPlace,
    Offer,
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


class World(Hands):
    """Everything the core knows. One per center."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = Kind.AGENT_ABLE
        """P5: what kind of event is being handled."""
        self.overgrown = True
        """The indices hold much that no config in force needs; see ``tidy``."""
        self.offers: dict[OfferId, Offer] = {}
        self.timers = Timers(self._alive, self.offers)
        self.queues: dict[QueueId, Queue] = {}
        self.agents: dict[AgentId, Agent] = {}
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
        self.outbound: set[ContactId] = set()
        """Calls that agents make, in progress."""
        self.emergency: Treatment | None = None
        self.unheard: Instant | None = None
        """The engine was away since then, and has not been told yet what happened (restarts)."""
        self.next_offer = OfferId(1)
        self.next_sequence = 0
        self.next_broadcast = 1
        self.count = 0
        """Waiting, offered and detached contacts of all queues (P9)."""
        self._token = 0

    def new_space(self) -> None:
        """Forget who could serve whom: queues, agents and waiting contacts are put in anew."""
        self.space, self.staffing = MatchSpace(), Staffing()
        for agent in self.agents.values():
            agent.profile, agent.helps = -1, 0
            agent.place, agent.stands = 0, ()
        for contact in self.contacts.values():
            contact.entry = 0

    def tidy(self) -> None:
        """Forget what only former configs needed; note whether the next is to have all anew."""
        used = {req for queue in self.queues.values() for _, req in queue.steps}
        if self.space.has_unused(len(used)):
            self.space.forget(used)
            for watch in self.staffing.watches:
                watch.forget(used)
        profiles = len({agent.profile for agent in self.agents.values()})
        self.overgrown = (
            self.space.is_beyond(len(used), profiles) or len(self.staffing.watches) > WATCHES_MAX
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
        queue, own_class = self.queues[contact.queue], contact.own_class
        rank = queue.rank if own_class is None else CLASS_RANK[own_class]
        enqueued, own = contact.enqueued, contact.own_head_start
        assert enqueued is not None
        if self.settings.order is _ACCUMULATING:
            own_slope = contact.own_slope
            slope = queue.settings.slope_milli if own_slope is None else own_slope
            return rank, enqueued if slope > 0 else 0, contact.sequence
        return rank, enqueued - (queue.head_start_us if own is None else own), contact.sequence

    def line_up(self, contact: Contact) -> None:
        """Put a waiting contact into the line of its present step, and into its due lines."""
        line, key = self._line_of(contact)
        line.put((key, contact.sequence, contact.entry, contact))
        assert contact.queue is not None
        self._await(contact, self.queues[contact.queue])

    def age(self, contact: Contact) -> None:
        """The same for one whose next step has begun: all but the requirement is as it was.

        Who waited longest ages first, so he mostly stands at the head of his line.
        """
        assert contact.queue is not None
        space, queue = self.space, self.queues[contact.queue]
        before = space.lines[contact.line]
        run = before.run
        if before.late or not run or run[0][2] != contact.entry or queue.may_leave:
            self.line_up(contact)
            return
        entry = run.popleft()
        before.top = None  # Behind all who waited longer, it may be long until anybody asks.
        steps, step, only = queue.steps, contact.step, contact.prefer_agent
        if before is queue.lines[step - 1] and only is None:
            usual = queue.lines[step]
            line = queue.usual_line(step, space) if usual is None else usual
        else:
            req = steps[step][1]
            line = space.line(req, contact.medium, before.rank, before.slope, only)
        contact.line = line.index
        line.put(entry)  # Under its old token: what is due for it by ``maxwait`` stays due.
        if step + 1 < len(steps):
            after_us, enqueued = steps[step + 1][0], contact.enqueued
            assert enqueued is not None
            due, now = enqueued + after_us, self.now
            due = due if due > now else now  # noqa: FURB136 - a call is dear
            self.timers.add(self.timers.aging(after_us), due, contact)

    def _await(self, contact: Contact, queue: Queue) -> None:
        """Put a waiting contact into its due lines."""
        assert contact.enqueued is not None
        steps, step, now = queue.steps, contact.step, self.now
        if step + 1 < len(steps):
            after_us = steps[step + 1][0]
            due = contact.enqueued + after_us
            due = due if due > now else now  # noqa: FURB136 - a call is dear
            self.timers.add(self.timers.aging(after_us), due, contact)
        if queue.maxwait_us is not None:
            due = contact.enqueued + queue.maxwait_us
            self.timers.add(queue.maxwait, max(due, now), contact)
        if queue.may_leave:
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
            due_line.extend(entries)
            self.timers.arm(due_line)

    def _line_of(self, contact: Contact) -> tuple[Line, int]:
        """Give the contact a new token; return its line and its key there."""
        assert contact.state is _WAITING, contact
        assert contact.queue is not None
        if contact.entry:
            self.step_out(contact)
        queue, step = self.queues[contact.queue], contact.step
        self._token += 1
        contact.entry = self._token
        own = contact.own_class or contact.own_head_start is not None or contact.prefer_agent
        if not own and self.settings.order is not _ACCUMULATING:  # The short way of most.
            line = queue.usual_line(step, self.space)
            if line.medium is contact.medium:
                contact.line = line.index
                assert contact.enqueued is not None
                return line, contact.enqueued - queue.head_start_us
        rank, key, _ = self.order_key(contact)
        slope = self.precedence(contact)[2] if self.settings.order is _ACCUMULATING else 0
        req = queue.steps[step][1]
        line = self.space.line(req, contact.medium, rank, slope, contact.prefer_agent)
        contact.line = line.index
        return line, key

    def _dues(self, contact: Contact) -> list[tuple[DueLine, Instant]]:
        """Return what is due for a waiting contact: its next step, its longest wait."""
        assert contact.queue is not None
        assert contact.enqueued is not None
        queue, step = self.queues[contact.queue], contact.step
        found: list[tuple[DueLine, Instant]] = []
        if step + 1 < len(queue.steps):
            due = contact.enqueued + queue.steps[step + 1][0]
            aging = self.timers.aging(queue.steps[step + 1][0])
            found.append((aging, Instant(max(due, self.now))))
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

    def step_out(self, contact: Contact) -> None:
        """Take the contact out of its lines (its entries there are dead now)."""
        if contact.entry:
            contact.entry = 0
            self.space.lines[contact.line].left_by(contact)

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

    # --- timers -----------------------------------------------------------------------------

    def arm_agent(self, agent: Agent) -> None:
        """Arm the timers of all that ends by itself; needed again when the rank changes."""
        for due, what in ((agent.rest_until, What.REST), (agent.pause_until, What.PAUSE)):
            if due is not None:
                self.timers.push(due, Kind.AGENT_ABLE, agent.rank, what, agent.agent_id)
        for override in agent.overrides.values():
            if override.until is not None:
                self.arm_override(agent, override.until)
        for index, slot in enumerate(agent.slots):
            if slot.work is _WRAP_UP and slot.until is not None:
                self.timers.push(
                    slot.until, Kind.AGENT_ABLE, agent.rank, What.WRAP_UP, agent.agent_id, index
                )

    def arm_override(self, agent: Agent, until: Instant) -> None:
        """Arm the timer of the end of an override of the agent's skills."""
        self.timers.push(until, Kind.AGENT_ABLE, agent.rank, What.OVERRIDE, agent.agent_id)

    def _alive(self, timer: Timer) -> bool:
        """Return whether the timer's owner still waits for it."""
        due, _, rank, what, sub, _, ref = timer
        if isinstance(ref, DueLine):
            return ref.is_next(due, rank)
        if isinstance(ref, int):
            offer = self.offers.get(ref)
            return offer is not None and offer.lease == due
        if what in (What.EXCLUSION, What.PREFERENCE, What.GIVE_BACK):
            return self._alive_of_contact(due, what, ContactId(ref))
        agent = self.agents.get(AgentId(ref))
        if agent is None or agent.rank != rank:
            return False
        if what is What.REST:
            return agent.rest_until == due
        if what is What.PAUSE:
            return agent.pause_until == due
        if what is What.OVERRIDE:
            return any(override.until == due for override in agent.overrides.values())
        slot = agent.slots[sub]
        return slot.work is _WRAP_UP and slot.until == due

    def _alive_of_contact(self, due: Instant, what: What, contact_id: ContactId) -> bool:
        contact = self.contacts.get(contact_id)
        if contact is None:
            return False
        if what is What.GIVE_BACK:
            return contact.back_at == due
        if what is What.PREFERENCE:
            return contact.prefer_until == due
        return due in contact.excluded.values()
