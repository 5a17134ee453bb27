"""Who could serve whom: requirements, profiles and lines, each interned once per config version.

Agents with the same skills share a profile; contacts with the same present requirement, medium and
class share a line. A profile knows the lines it may serve and a requirement the profiles that meet
it, so that a decision compares heads only (architecture, "Speed").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from heapq import heappush
from operator import itemgetter

from gkc_engine.acd.idle import NOBODY, Idle, Place, first
from gkc_engine.acd.lines import EMPTY, Head, Line
from gkc_engine.acd.settings import Medium, Requirement
from gkc_engine.acd.state import Agent
from gkc_engine.ids import AgentId, SkillId

Need = tuple[tuple[SkillId, int], ...]

_NONE: frozenset[int] = frozenset()

WIDE = 64
"""Profiles beyond which a requirement keeps one heap of all who are idle: comparing the heads of
so many profiles costs more than a push for each agent who becomes ready."""

FEW = 16
"""Occupied lines up to which they are compared with those that a profile may serve, not all its
heads with one another."""

NEAR = 8
"""Lines that a profile looks at first, where it may serve more than twice as many."""

UNUSED = 256
"""Requirements of former configs that may stay, besides as many as are in use."""

SPARE = 256
"""Lines and profiles of former configs that may stay until everything is made anew."""


def meets(skills: Mapping[SkillId, int], need: Requirement) -> bool:
    """Return whether every needed skill is there, at least at the needed level."""
    # A reload asks some 20 000 times: a generator takes half as long again.
    lacking = [skill for skill, level in need.items() if skills.get(skill, 0) < level]
    return not lacking


def serves(skills: Mapping[SkillId, int], needs: Iterable[Requirement]) -> bool:
    """Return whether one of the requirements is met: those of a queue's steps, say."""
    return any(meets(skills, need) for need in needs)


class Req:
    """One requirement, and the profiles that meet it."""

    __slots__ = ("_heads", "_scores", "_wide", "at_work", "met_by", "need", "profiles")

    def __init__(self, need: dict[SkillId, int]) -> None:
        self.need = need
        self.profiles: list[Profile] = []
        self.met_by: dict[int, Profile] = {}
        """The same by their index."""
        self.at_work: dict[Medium, int] = {}
        self._heads: Callable[[list[Place]], tuple[Place, ...]] | None = None
        self._wide: dict[Medium, list[Place]] | None = None
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

    def admit(self, profile: Profile, idle: Mapping[Medium, Idle]) -> None:
        """Note that a profile meets it."""
        self.profiles.append(profile)
        self.met_by[profile.index] = profile
        self._heads = None
        profile.reqs.append(self)
        for medium, n in profile.logged_in.items():
            self.at_work[medium] = self.at_work.get(medium, 0) + n
        if self._wide is not None:
            self._gather([profile], idle)
        elif len(self.profiles) > WIDE:
            self._wide = {}
            self._gather(self.profiles, idle)

    def _gather(self, profiles: Iterable[Profile], idle: Mapping[Medium, Idle]) -> None:
        assert self._wide is not None
        for profile in profiles:
            profile.wide.append(self)
            for medium, ones in idle.items():
                for place in ones.of_profile(profile.index):
                    self.push(medium, place)

    def push(self, medium: Medium, place: Place) -> None:
        """Add an idle agent's place to the heap of a wide requirement."""
        assert self._wide is not None
        heap = self._wide.setdefault(medium, [])
        heappush(heap, place)

    def longest_idle(self, medium: Medium, idle: Idle) -> Place:
        """Return the first of all who meet it."""
        if self._wide is not None:
            return first(self._wide.get(medium, []), idle.agents, ())
        heads = self._heads
        if heads is None:
            heads = self._heads = _reader([profile.index for profile in self.profiles], NOBODY)
        return min(heads(idle.heads))


def _reader(indices: list[int], none: int) -> Callable[[list[int]], tuple[int, ...]]:
    """Return what reads the heads of these profiles or lines, in one call; of none, ``none``."""
    if not indices:
        return lambda _: (none,)
    # Of a single index ``itemgetter`` returns no tuple.
    return itemgetter(*indices, indices[0])


LineKey = tuple[Req, Medium, int, int, AgentId | None]
"""Requirement, medium, class rank, slope (0 unless it counts), preferred agent."""


class Profile:
    """Agents with the same skills."""

    __slots__ = (
        "_indices",
        "breadth",
        "index",
        "lines",
        "logged_in",
        "near",
        "reqs",
        "skills",
        "wide",
    )

    def __init__(self, index: int, skills: dict[SkillId, int]) -> None:
        self.index = index
        self.skills = skills
        self.reqs: list[Req] = []
        self.wide: list[Req] = []
        self.lines: dict[Medium, list[Line]] = {}
        """Lines that it may serve; of preferred agents see ``MatchSpace.own_lines``."""
        self.near: dict[Medium, Near] = {}
        self._indices: dict[Medium, set[int]] = {}
        """Those of ``lines``."""
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
        self._indices.setdefault(line.medium, set()).add(line.index)
        self.near.pop(line.medium, None)

    def forget(self, used: Set[Req]) -> None:
        """Forget the requirements of former configs, and their lines."""
        self.reqs = [req for req in self.reqs if req in used]
        self.wide = [req for req in self.wide if req in used]
        for medium, lines in self.lines.items():
            kept = [line for line in lines if line.req in used]
            if len(kept) < len(lines):
                self.lines[medium] = kept
                self._indices[medium] = {line.index for line in kept}
                self.near.pop(medium, None)

    def first_in_line(self, medium: Medium, heads: list[Head], occupied: set[int]) -> Head:
        """Return the first head of the lines that it may serve; ``EMPTY``: nobody waits.

        ``occupied``: the lines in which somebody stands: where few do, only those are looked at.
        """
        if len(occupied) <= FEW:
            here = self._indices.get(medium, _NONE) & occupied
            return min([heads[index] for index in here]) if here else EMPTY
        near = self.near.get(medium)
        if near is None:
            near = self.near[medium] = Near([line.index for line in self.lines.get(medium, ())])
        head = min(near.read(heads))
        return head if head < near.bound else near.look_at_all(heads)


class Near:
    """Of the lines of one medium that a profile may serve, those whose heads are the first ones.

    No other comes before the ``bound``, for heads move back only; where one moves forward, its line
    moves the bound (``Line``). So the first of the few, if it comes before that, is the first.
    """

    __slots__ = ("_all", "_indices", "_looks", "bound", "read")

    def __init__(self, indices: list[int]) -> None:
        self._indices = indices
        self._all = self.read = _reader(indices, EMPTY)
        self._looks = 0
        """Until the few are chosen anew: that costs three times a look at all."""
        self.bound: Head = 0

    def look_at_all(self, heads: list[Head]) -> Head:
        """Return the first head of all; choose now and then the few to be looked at from now on."""
        self._looks -= 1
        if self._looks > 0 or len(self._indices) <= 2 * NEAR:
            return min(self._all(heads))
        self._looks = NEAR
        order = sorted([(heads[index], index) for index in self._indices])
        self.read = _reader([index for _, index in order[:NEAR]], EMPTY)
        self.bound = order[NEAR][0]
        return order[0][0]


class MatchSpace:
    """The interned requirements, profiles and lines of a center under one config version."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self._profile_of: dict[Need, int] = {}
        self._reqs: dict[Need, Req] = {}
        self._holders: dict[SkillId, set[int]] = {}
        """The indices of the profiles that have a skill, at whatever level."""
        self._askers: dict[SkillId | None, list[Req]] = {}
        """Requirements by the first of the skills that they name; under None those without."""
        self._lines: dict[LineKey, Line] = {}
        self._free: list[int] = []
        """Indices that no line has any more."""
        self.lines: list[Line] = []
        """All, by their index."""
        self.heads: list[Head] = []
        """Their heads."""
        self.occupied: set[int] = set()
        """The indices of those in which somebody stands."""
        self.own_lines: dict[AgentId, list[Line]] = {}
        """P7: lines that only one agent may serve."""
        self.idle: dict[Medium, Idle] = {medium: Idle() for medium in Medium}
        """Those who can take a contact of the medium now."""

    def profile(self, skills: dict[SkillId, int]) -> int:
        """Return the index of the profile with these skills."""
        key = _need(skills)
        index = self._profile_of.get(key)
        if index is None:
            index = self._profile_of[key] = len(self.profiles)
            profile = Profile(index, dict(skills))
            self.profiles.append(profile)
            for idle in self.idle.values():
                idle.add_profile()
            for skill in skills:
                self._holders.setdefault(skill, set()).add(index)
            for first in (None, *skills):
                for req in self._askers.get(first, ()):
                    if meets(skills, req.need):
                        req.admit(profile, self.idle)
            for line_key, line in self._lines.items():
                if line_key[4] is None and index in line.req.met_by:
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
            able = self.profiles
            if need:
                held = [self._holders.get(skill, _NONE) for skill in need]
                able = [self.profiles[index] for index in sorted(held[0].intersection(*held[1:]))]
            for profile in able:
                if meets(profile.skills, need):
                    req.admit(profile, self.idle)
        return req

    def line(
        self, req: Req, medium: Medium, rank: int, slope: int, only: AgentId | None = None
    ) -> Line:
        """Return the line of contacts that wait in this way, made when first asked for."""
        key = (req, medium, rank, slope, only)
        line = self._lines.get(key)
        if line is None:
            index = self._free.pop() if self._free else len(self.lines)
            line = Line(req, medium, rank, slope, index, self.heads, self.occupied)
            self._lines[key] = line
            if index < len(self.lines):
                self.lines[index] = line
            else:
                self.lines.append(line)
                self.heads.append(EMPTY)
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

    def forget(self, used: Set[Req]) -> None:
        """Forget the requirements of former configs, and their lines: nobody stands in them."""
        self._reqs = {need: req for need, req in self._reqs.items() if req in used}
        for askers in self._askers.values():
            askers[:] = [req for req in askers if req in used]
        for profile in self.profiles:
            profile.forget(used)
        for key, line in [*self._lines.items()]:
            if line.req not in used:
                del self._lines[key]
                self.heads[line.index] = EMPTY
                self.occupied.discard(line.index)
                self._free.append(line.index)
                if key[4] is not None:
                    self.own_lines[key[4]].remove(line)

    def has_unused(self, used: int) -> bool:
        """Return whether much is interned of requirements that no queue has any more."""
        return len(self._reqs) - used > UNUSED + used

    def is_beyond(self, reqs: int, profiles: int) -> bool:
        """Return whether far more is interned than ``reqs`` and ``profiles`` in use."""
        lines = len(self._lines) > SPARE + 64 * reqs
        return lines or len(self.profiles) > SPARE + 2 * profiles

    def became_ready(self, agent: Agent) -> None:
        """Put an agent, whose place is given, among the idle of the media he stands in."""
        place = agent.place
        wide = self.profiles[agent.profile].wide
        for medium in agent.stands:
            self.idle[medium].add(place, agent)
            for req in wide:
                req.push(medium, place)


def _need(need: Requirement) -> Need:
    return tuple(sorted(need.items()))
