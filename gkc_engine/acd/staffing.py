"""P4: is anybody left for those who wait? ``joinempty``, ``leavewhenempty``, ``maxwait_unstaffed``.

A *watch* counts, for one medium and one list of factors, the agents at work to whom none of the
factors applies: they help. ``maxwait_unstaffed`` is the watch without factors. Nothing is scanned:
an agent who changes moves one count, a requirement whose last helpful profile is gone wakes the
lines of those who wait with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from gkc_engine.acd.events import Phone
from gkc_engine.acd.lazyheap import ContactRun
from gkc_engine.acd.matchspace import Profile, Req
from gkc_engine.acd.settings import EmptyFactor, Medium
from gkc_engine.acd.state import Agent, Contact, Work
from gkc_engine.acd.timers import DueLine, What
from gkc_engine.ids import Instant, Micros

BIT: Mapping[EmptyFactor, int] = {factor: 1 << i for i, factor in enumerate(EmptyFactor)}
_FREE = 1 << len(EmptyFactor)
_OF_WORK: Mapping[Work, int] = {
    Work.FREE: _FREE,
    Work.OFFER: BIT[EmptyFactor.RINGING],
    Work.TALK: BIT[EmptyFactor.INUSE],
    Work.WRAP_UP: BIT[EmptyFactor.WRAPUP],
}


class Staff:
    """The help that one requirement has under one watch."""

    __slots__ = ("lines", "live")

    def __init__(self) -> None:
        self.live = 0
        """Profiles that meet the requirement and have somebody who helps."""
        self.lines: list[LeaveLine] = []
        """Those who leave when nobody helps at their step or a later one."""


class LeaveLine(DueLine):
    """Contacts of one queue and step that are to leave when nobody is left who helps.

    Those who have not waited long enough stand in ``early``, by the instant at which they have;
    the others in the run itself, by sequence, for when it comes they all leave at one instant.
    """

    __slots__ = ("after_us", "early", "since", "staffs")

    def __init__(self, what: What, after_us: Micros, staffs: list[Staff]) -> None:
        super().__init__(what)
        self.after_us = after_us
        self.staffs = staffs
        self.early = ContactRun()
        self.since = Instant(0)
        """When somebody last became due; only while nobody helps."""
        for staff in staffs:
            if self not in staff.lines:
                staff.lines.append(self)

    def stranded(self) -> bool:
        """Return whether nobody helps."""
        return not any(staff.live for staff in self.staffs)

    def next_due(self) -> tuple[int, int] | None:
        """Return (due, sequence) of who is to leave next; None while somebody helps."""
        if not self.stranded():
            return None
        head = self.head()
        if head is not None:
            return self.since, head[1]
        head = self.early.head()
        return None if head is None else (head[0], head[1])

    def join(self, contact: Contact, now: Instant) -> None:
        """Let a waiting contact stand here from now on."""
        assert contact.enqueued is not None
        due = contact.enqueued + self.after_us
        line, key = (self, 0) if due <= now else (self.early, due)
        line.put((key, contact.sequence, contact.entry, contact))
        self.ripen(now)

    def ripen(self, now: Instant) -> None:
        """While nobody helps: put those who have waited long enough among those who leave."""
        if not self.stranded():
            return
        self.since = now
        head = self.early.head()
        while head is not None and head[0] <= now:
            self.early.pop()
            self.put((0, *head[1:]))
            head = self.early.head()


class Watch:
    """Who helps in one medium, by one list of factors: the agents, counted by profile."""

    __slots__ = ("_of_profile", "_staffs", "away", "bit", "helping", "medium")

    def __init__(self, medium: Medium, away: int, bit: int) -> None:
        self.medium = medium
        self.away = away
        """The factors, as bits."""
        self.bit = bit
        """Its own in ``Agent.helps``."""
        self.helping: dict[Profile, int] = {}
        self._staffs: dict[Req, Staff] = {}
        self._of_profile: dict[Profile, list[Staff]] = {}

    def staff(self, req: Req) -> Staff:
        """Return the help that a requirement has, counted from now on."""
        staff = self._staffs.get(req)
        if staff is None:
            staff = self._staffs[req] = Staff()
            staff.live = sum(self.helping.get(p, 0) > 0 for p in req.profiles)
            self._of_profile.clear()
        return staff

    def forget(self, used: Set[Req]) -> None:
        """Forget the requirements of former configs."""
        self._staffs = {req: staff for req, staff in self._staffs.items() if req in used}
        self._of_profile.clear()

    def count(self, profile: Profile, by: int) -> list[Staff]:
        """Add ``by`` to those of the profile who help; return whom the last help has left."""
        before = self.helping.get(profile, 0)
        after = self.helping[profile] = before + by
        assert after >= 0, profile.skills
        if (before > 0) is (after > 0):
            return []
        staffs = self._of_profile.get(profile)
        if staffs is None:
            staffs = [staff for req, staff in self._staffs.items() if profile.index in req.met_by]
            self._of_profile[profile] = staffs
        for staff in staffs:
            staff.live += 1 if after else -1
        return [] if after else [staff for staff in staffs if not staff.live]

    def helps(self, agent: Agent, shut_out: int) -> bool:
        """Return whether the agent is a help; ``shut_out``: see ``World.shut_out``."""
        if not agent.logged_in or self.medium not in agent.capacity:
            return False
        away = self.away
        if away == 0:
            return True
        if (_of_agent(agent) | shut_out) & away:
            return False
        slots = 0
        for slot in agent.slots:
            if slot.medium is self.medium:
                slots |= _OF_WORK[slot.work]
        return slots & ~away != 0


def _of_agent(agent: Agent) -> int:
    """Return the factors that apply to the agent whatever his slots hold, as bits."""
    bits = BIT[EmptyFactor.PAUSED] if agent.paused else 0
    if not agent.reachable:
        invalid = agent.phone is Phone.INVALID
        bits |= BIT[EmptyFactor.INVALID if invalid else EmptyFactor.UNAVAILABLE]
    elif agent.phone is Phone.UNKNOWN:
        bits |= BIT[EmptyFactor.UNKNOWN]
    return bits


def of_work(work: Work) -> int:
    """Return the factor that a slot's work is to its medium, as a bit."""
    return _OF_WORK[work]


class Staffing:
    """All watches of a config version: one for each medium and list of factors that it uses."""

    __slots__ = ("_of", "watches")

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self._of: dict[tuple[Medium, int], Watch] = {}

    def watch(self, medium: Medium, factors: Iterable[EmptyFactor]) -> Watch:
        """Return the one watch for these factors, made when first asked for."""
        key = (medium, sum({BIT[factor] for factor in factors}))
        watch = self._of.get(key)
        if watch is None:
            watch = self._of[key] = Watch(medium, key[1], 1 << len(self.watches))
            self.watches.append(watch)
        return watch
