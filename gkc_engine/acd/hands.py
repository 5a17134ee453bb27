"""What agents have in hand, what they can take, what is counted of them: a part of ``World``."""

from __future__ import annotations

from typing import Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import AgentState, SegmentKind, SegmentOutcome
from gkc_engine.acd.idle import place_of, tail_of
from gkc_engine.acd.matchspace import MatchSpace, Profile
from gkc_engine.acd.segments import Segments
from gkc_engine.acd.settings import EmptyFactor, Medium, Settings
from gkc_engine.acd.slots import IS_READY, RESERVED, TALKS, slot_state
from gkc_engine.acd.staffing import BIT, Staff, Staffing, of_work
from gkc_engine.acd.state import Activity, Agent, Contact, Offer, Slot, Work
from gkc_engine.acd.timers import Timers
from gkc_engine.ids import ContactId

# Of what every step asks for: a member of an enum costs a look-up in its class.
_FREE, _OFFER, _TALKING, _WRAP_UP = Work.FREE, Work.OFFER, Work.TALK, Work.WRAP_UP
_RESERVED = AgentState.RESERVED
_NEITHER, _READY, _HANDLING = Activity.NEITHER, Activity.READY, Activity.HANDLING

_LATER: Final = -1
"""In the stead of a place: he has yet to take it."""

_ALONE: Final = {medium: (medium,) for medium in Medium}


class Hands(Segments):
    """The agents' side of the state; see ``World``."""

    timers: Timers

    def __init__(self) -> None:
        super().__init__()
        self.settings = Settings(version="")
        self.space = MatchSpace()
        self.staffing = Staffing()
        self.contacts: dict[ContactId, Contact] = {}

    def can_take(self, agent: Agent, medium: Medium) -> bool:
        """Return whether the agent may be offered a contact of the medium at this instant."""
        if len(agent.slots) == 1 and agent.slots[0].work is not _FREE:
            return False
        return medium in self._able(agent) and any(slot.work is _FREE for slot in agent.slots)

    def _has_room(self, agent: Agent, medium: Medium) -> bool:
        """Return whether one of his places for the medium is free, and nothing shuts him out."""
        free = taken = 0
        for slot in agent.slots:
            if slot.medium is medium:
                if slot.work is _FREE:
                    free += 1
                else:
                    taken += 1
        # A config that took slots away leaves those in use until they are free.
        if not free or (taken and taken >= agent.capacity[medium]):
            return False
        return not self.shut_out(agent, medium)

    def shut_out(self, agent: Agent, medium: Medium) -> int:
        """Return what keeps the agent from the medium although a slot may be free (P8).

        Calls of his own, and contacts of media that exclude this one and that it does not
        interrupt; as bits of ``staffing``. 0 = nothing.
        """
        bits = 0
        if (agent.in_use or agent.calls) and (
            medium is Medium.VOICE or self.excludes(Medium.VOICE, medium)
        ):
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

    def freed(self, agent: Agent) -> None:
        """Settle an agent who is about to look for a contact: the short way of most.

        He may need no place among the idle; ``stand`` follows.
        """
        if (
            len(agent.slots) != 1
            or agent.stands
            or agent.paused
            or not agent.logged_in
            or not agent.reachable
            or agent.in_use
            or agent.calls
            or agent.rest_until is not None
            or agent.removed
            or self.staffing.watches
        ):
            self.settle(agent, seeks=True)
            return
        (slot,) = agent.slots
        medium = slot.medium
        if slot.work is not _FREE or medium not in agent.capacity:
            self.settle(agent, seeks=True)
            return
        if (
            slot.shown is not IS_READY
            or slot.shown_contact is not None
            or slot.shown_reason
            or slot.shown_until is not None
        ):
            slot.shown, slot.shown_reason = IS_READY, ""
            slot.shown_until = slot.shown_contact = None
            self.out.append(
                cmd.AgentStateChanged(
                    agent_id=agent.agent_id, slot=0, state=IS_READY, since=self.now
                )
            )
        agent.place, agent.stands = _LATER, _ALONE[medium]
        self._turns(agent, _READY)

    def settle(self, agent: Agent, *, seeks: bool = False) -> None:
        """After any change to an agent: show it, and put it among the idle or take it out.

        ``seeks``: he is about to look for a contact, and may need no place; ``stand`` follows.
        """
        slots = agent.slots
        if len(slots) == 1:
            slot = slots[0]
            work = slot.work
            self._show(agent, 0, slot)
            in_hand, handling = (0, False) if work is _FREE else (1, work is not _OFFER)
        else:
            in_hand, handling = self._show_all(agent)
        if in_hand < len(slots) and (stands := self._able(agent)):
            if seeks and not agent.stands:
                agent.place, agent.stands = _LATER, stands
            else:
                self._stand(agent, in_hand, stands)
        elif agent.stands:
            self._withdraw(agent)
        self._turns(agent, _HANDLING if handling else (_READY if agent.stands else _NEITHER))
        if self.staffing.watches:
            self._count_help(agent, self.space.profiles[agent.profile])

    def reserve(self, agent: Agent, index: int, offer: Offer) -> None:
        """Let an offer hold a free slot of the agent, and settle him: the short way of most."""
        slots = agent.slots
        slot, contact_id, queue_id = slots[index], offer.contact, offer.queue
        slot.work, slot.offer = _OFFER, offer.offer_id
        slot.contact, slot.queue = contact_id, queue_id
        if len(slots) > 1 or self.staffing.watches:
            self.settle(agent)
            return
        slot.shown, slot.shown_reason = _RESERVED, ""
        slot.shown_until, slot.shown_contact = None, contact_id
        self.out.append(
            cmd.AgentStateChanged(
                agent_id=agent.agent_id,
                slot=0,
                state=_RESERVED,
                since=self.now,
                contact_id=contact_id,
                queue=queue_id,
            )
        )
        if agent.place > 0:
            self.space.idle[slot.medium].remove(agent)  # He has no other.
        agent.place, agent.stands = 0, ()
        self._turns(agent, _NEITHER)

    def _show_all(self, agent: Agent) -> tuple[int, bool]:
        """Show all slots; return how many are in use, and whether one is by more than an offer."""
        in_hand, handling = 0, False
        for index, slot in enumerate(agent.slots):
            work = slot.work
            if work is not _FREE:
                in_hand += 1
                handling = handling or work is not _OFFER
            self._show(agent, index, slot)
        self._park(agent)
        return in_hand, handling

    def _turns(self, agent: Agent, to: Activity) -> None:
        """Let the agent turn to handling, to being ready, or to neither: the time before counts."""
        before = agent.activity
        if before is to:
            return
        if before is _HANDLING:
            agent.handling_us += self.now - agent.activity_since
        elif before is _READY:
            agent.ready_us += self.now - agent.activity_since
        agent.activity, agent.activity_since = to, self.now

    def _able(self, agent: Agent) -> tuple[Medium, ...]:
        """Return the media of which the agent, of whom a slot is free, can take a contact."""
        if agent.paused or not agent.logged_in or agent.rest_until is not None:
            return ()
        if not agent.reachable or agent.removed:
            return ()
        if len(agent.slots) == 1 and not agent.in_use and not agent.calls:
            medium = agent.slots[0].medium  # The short way: nothing else can shut him out.
            return _ALONE[medium] if medium in agent.capacity else ()
        able: tuple[Medium, ...] = ()
        for medium in agent.capacity:
            if self._has_room(agent, medium):
                able = (*able, medium) if able else _ALONE[medium]
        return able

    def set_aside(self, agent: Agent) -> None:
        """Take the agent out of the idle until he is settled."""
        self._withdraw(agent)

    def _withdraw(self, agent: Agent) -> None:
        if agent.place > 0:
            idle = self.space.idle
            for medium in agent.stands:
                idle[medium].remove(agent)
        agent.place, agent.stands = 0, ()

    def stand(self, agent: Agent) -> None:
        """Give the agent his place among the idle, if he still has to take it."""
        if agent.place == _LATER:
            slots = agent.slots
            in_hand = 0 if len(slots) == 1 else sum(slot.work is not _FREE for slot in slots)
            agent.place = place_of(in_hand, agent.idle_since, agent.tail)
            self.space.became_ready(agent)

    def _stand(self, agent: Agent, in_hand: int, stands: tuple[Medium, ...]) -> None:
        place = place_of(in_hand, agent.idle_since, agent.tail)
        if place != agent.place or stands != agent.stands:
            if agent.place > 0:
                self._withdraw(agent)
            agent.place, agent.stands = place, stands
            self.space.became_ready(agent)

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
            self.nobody_helps(watch.count(profile, +1 if helps else -1))

    def nobody_helps(self, staffs: list[Staff]) -> None:
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
        work = slot.work
        if work is _TALKING and not slot.on_hold and not slot.parked and not slot.ringing:
            state, reason, until = TALKS
        elif work is _OFFER and not slot.ringing:
            state, reason, until = RESERVED
        else:
            state, reason, until = slot_state(agent, slot)
        contact_id = slot.contact
        if (
            state is slot.shown
            and contact_id == slot.shown_contact
            and reason == slot.shown_reason
            and until == slot.shown_until
        ):
            return
        slot.shown, slot.shown_reason, slot.shown_until = state, reason, until
        slot.shown_contact = contact_id
        self.out.append(
            cmd.AgentStateChanged(
                agent_id=agent.agent_id,
                slot=index,
                state=state,
                since=self.now,
                reason=reason,
                until=until,
                contact_id=contact_id,
                queue=slot.queue,
            )
        )

    def profile_agent(self, agent: Agent) -> None:
        """Set the agent's profile from the skills; what is counted by profile moves along.

        The agent is to be settled afterwards.
        """
        self.take_out(agent)
        agent.profile = self.space.profile(agent.skills)
        agent.tail = tail_of(agent.rank, agent.profile)
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
                self.nobody_helps(watch.count(before, -1))
        agent.profile, agent.helps = -1, 0

    def count_login(self, agent: Agent, by: int) -> None:
        """Add the agent to (or take from) those at work in its profile, if logged in."""
        if agent.logged_in and agent.profile >= 0:
            for medium in agent.capacity:
                self.space.profiles[agent.profile].count_login(medium, by)
