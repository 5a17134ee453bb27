"""Who could serve whom: requirements, profiles and lines, each interned once per config version.

Agents with the same skills share a profile; contacts with the same present requirement, medium and
class share a line. A profile knows the lines it may serve and a requirement the profiles that meet
it, so that a decision compares heads only (architecture, "Speed").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gkc_engine.acd.lazyheap import ContactRun, IdleEntry, IdleHeap
from gkc_engine.acd.settings import Medium, Requirement
from gkc_engine.ids import AgentId, SkillId

Need = tuple[tuple[SkillId, int], ...]

WIDE = 64
"""Profiles beyond which a requirement keeps one heap of all who are idle: comparing the heads of
so many profiles costs more than a push for each agent who becomes ready."""

SPARE = 256
"""Requirements and profiles of former configs that may stay until everything is made anew."""


def meets(skills: Mapping[SkillId, int], need: Requirement) -> bool:
    """Return whether every needed skill is there, at least at the needed level."""
    return all(skills.get(skill, 0) >= level for skill, level in need.items())


class Req:
    """One requirement, and the profiles that meet it."""

    __slots__ = ("_scores", "at_work", "met_by", "need", "profiles", "wide")

    def __init__(self, need: dict[SkillId, int]) -> None:
        self.need = need
        self.profiles: list[Profile] = []
        self.met_by: set[Profile] = set()
        self.at_work: dict[Medium, int] = {}
        self.wide: dict[Medium, IdleHeap] | None = None
        """Everybody idle who meets it, by medium; ``None`` while the profiles are few."""
        self._scores: dict[Profile, int] = {}

    def logged_in(self, medium: Medium) -> int:
        """Return how many agents are at work who meet it and have a slot for the medium."""
        return self.at_work.get(medium, 0)

    def score(self, profile: Profile) -> int:
        """Return the sum of the profile's levels over the skills that this requirement names."""
        found = self._scores.get(profile)
        if found is None:
            found = sum(profile.skills.get(skill, 0) for skill in self.need)
            self._scores[profile] = found
        return found

    def admit(self, profile: Profile) -> None:
        """Note that a profile meets it."""
        self.profiles.append(profile)
        self.met_by.add(profile)
        profile.reqs.append(self)
        for medium, n in profile.logged_in.items():
            self.at_work[medium] = self.at_work.get(medium, 0) + n
        if self.wide is not None:
            profile.wide.append(self)
            self._gather([profile])
        elif len(self.profiles) > WIDE:
            self.wide = {}
            for one in self.profiles:
                one.wide.append(self)
            self._gather(self.profiles)

    def _gather(self, profiles: Iterable[Profile]) -> None:
        for profile in profiles:
            for medium, idle in profile.idle.items():
                for entry in idle.entries():
                    self.push(medium, entry)

    def push(self, medium: Medium, entry: IdleEntry) -> None:
        """Add an idle agent's present entry to the heap of a wide requirement."""
        assert self.wide is not None
        heap = self.wide.get(medium)
        if heap is None:
            heap = self.wide[medium] = IdleHeap(medium)
        heap.push(entry)


class Line(ContactRun):
    """Contacts that wait alike. Compared by heads; order inside is that of the law."""

    __slots__ = ("medium", "rank", "req", "slope")

    def __init__(self, req: Req, medium: Medium, rank: int, slope: int) -> None:
        super().__init__()
        self.req = req
        self.medium = medium
        self.rank = rank
        self.slope = slope


LineKey = tuple[Req, Medium, int, int, AgentId | None]
"""Requirement, medium, class rank, slope (0 unless it counts), preferred agent."""


class Profile:
    """Agents with the same skills."""

    __slots__ = ("breadth", "idle", "lines", "logged_in", "reqs", "skills", "wide")

    def __init__(self, skills: dict[SkillId, int]) -> None:
        self.skills = skills
        self.reqs: list[Req] = []
        self.wide: list[Req] = []
        self.lines: dict[Medium, list[Line]] = {}
        """Lines that it may serve; of preferred agents see ``MatchSpace.own_lines``."""
        self.idle: dict[Medium, IdleHeap] = {}
        self.logged_in: dict[Medium, int] = {}
        self.breadth: dict[Medium, int] = {}
        """Queues of the medium whose first requirement it meets; filled when first asked for."""

    def count_login(self, medium: Medium, by: int) -> None:
        """Add ``by`` agents to those at work who have a slot for the medium."""
        self.logged_in[medium] = self.logged_in.get(medium, 0) + by
        for req in self.reqs:
            req.at_work[medium] = req.at_work.get(medium, 0) + by

    def add_line(self, line: Line) -> None:
        """Note that it may serve a line."""
        self.lines.setdefault(line.medium, []).append(line)

    def push_idle(self, medium: Medium, entry: IdleEntry) -> None:
        """Put an agent among those who can take a contact of the medium."""
        heap = self.idle.get(medium)
        if heap is None:
            heap = self.idle[medium] = IdleHeap(medium)
        heap.push(entry)
        for req in self.wide:
            req.push(medium, entry)


Ready = dict[Profile, IdleHeap]
"""Profiles that have somebody ready, with their idle ones."""


class MatchSpace:
    """The interned requirements, profiles and lines of a center under one config version."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self._profile_of: dict[Need, int] = {}
        self._reqs: dict[Need, Req] = {}
        self._holders: dict[SkillId, list[Profile]] = {}
        self._askers: dict[SkillId | None, list[Req]] = {}
        """Requirements by the first of the skills that they name; under None those without."""
        self._lines: dict[LineKey, Line] = {}
        self.own_lines: dict[AgentId, list[Line]] = {}
        """P7: lines that only one agent may serve."""
        self.ready: dict[Medium, Ready] = {medium: {} for medium in Medium}
        """Those who can take a contact of the medium now, by profile; nobody = no entry."""

    def profile(self, skills: dict[SkillId, int]) -> int:
        """Return the index of the profile with these skills."""
        key = _need(skills)
        index = self._profile_of.get(key)
        if index is None:
            index = self._profile_of[key] = len(self.profiles)
            profile = Profile(dict(skills))
            self.profiles.append(profile)
            for skill in skills:
                self._holders.setdefault(skill, []).append(profile)
            for first in (None, *skills):
                for req in self._askers.get(first, ()):
                    if meets(skills, req.need):
                        req.admit(profile)
            for line_key, line in self._lines.items():
                if line_key[4] is None and profile in line.req.met_by:
                    profile.add_line(line)
        return index

    def req(self, need: dict[SkillId, int]) -> Req:
        """Return the one object for this requirement."""
        key = _need(need)
        req = self._reqs.get(key)
        if req is None:
            req = self._reqs[key] = Req(dict(need))
            first = next(iter(need), None)
            self._askers.setdefault(first, []).append(req)
            able = self.profiles if first is None else self._holders.get(first, [])
            for profile in able:
                if meets(profile.skills, need):
                    req.admit(profile)
        return req

    def line(
        self, req: Req, medium: Medium, rank: int, slope: int, only: AgentId | None = None
    ) -> Line:
        """Return the line of contacts that wait in this way, made when first asked for."""
        key = (req, medium, rank, slope, only)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(req, medium, rank, slope)
            if only is not None:
                self.own_lines.setdefault(only, []).append(line)
            else:
                for profile in req.profiles:
                    profile.add_line(line)
        return line

    def forget_breadth(self) -> None:
        """The queues changed: what profiles have reckoned of them holds no more."""
        for profile in self.profiles:
            profile.breadth.clear()

    def is_beyond(self, reqs: int, profiles: int) -> bool:
        """Return whether far more is interned than ``reqs`` and ``profiles`` in use."""
        lines = len(self._lines) > SPARE + 64 * reqs
        return (
            lines
            or len(self._reqs) > SPARE + 2 * reqs
            or len(self.profiles) > (SPARE + 2 * profiles)
        )

    def became_ready(self, profile: Profile, medium: Medium) -> None:
        """Count an agent among those who can take a contact of the medium; his entry stands."""
        idle = profile.idle[medium]
        idle.living += 1
        if idle.living == 1:
            self.ready[medium][profile] = idle

    def no_longer_ready(self, profile: Profile, medium: Medium, token: int) -> None:
        """Count an agent out of them; his entry with this token is dead already."""
        idle = profile.idle[medium]
        idle.living -= 1
        if idle.living:
            idle.drop(token)
        else:
            idle.heap.clear()
            del self.ready[medium][profile]


def _need(need: Requirement) -> Need:
    return tuple(sorted(need.items()))
