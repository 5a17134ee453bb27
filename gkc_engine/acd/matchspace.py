"""Who could serve whom: requirements, profiles and lines, each interned once.

Agents with the same skills share a profile; contacts with the same present requirement, medium and
class share a line. A profile knows the lines it may serve and a requirement the profiles that meet
it, so that a decision compares heads only (architecture, "Speed").
"""

from __future__ import annotations

from collections.abc import Mapping

from gkc_engine.acd.lazyheap import ContactHeap, IdleHeap
from gkc_engine.acd.settings import Medium, Requirement
from gkc_engine.ids import AgentId, SkillId

Need = tuple[tuple[SkillId, int], ...]
LineKey = tuple[Need, Medium, int, int, AgentId | None]
"""Requirement, medium, class rank, slope (0 unless it counts), preferred agent."""


def meets(skills: Mapping[SkillId, int], need: Requirement) -> bool:
    """Return whether every needed skill is there, at least at the needed level."""
    return all(skills.get(skill, 0) >= level for skill, level in need.items())


class Req:
    """One requirement, and the profiles that meet it."""

    __slots__ = ("need", "profiles")

    def __init__(self, need: dict[SkillId, int]) -> None:
        self.need = need
        self.profiles: list[Profile] = []

    def logged_in(self, medium: Medium) -> int:
        """Return how many agents are at work who meet it and have a slot for the medium."""
        return sum(p.logged_in.get(medium, 0) for p in self.profiles)


class Line:
    """Contacts that wait alike. Compared by heads; order inside is that of the law."""

    __slots__ = ("heap", "medium", "rank", "req", "slope")

    def __init__(self, req: Req, medium: Medium, rank: int, slope: int) -> None:
        self.req = req
        self.medium = medium
        self.rank = rank
        self.slope = slope
        self.heap = ContactHeap()


class Profile:
    """Agents with the same skills."""

    __slots__ = ("idle", "lines", "logged_in", "skills")

    def __init__(self, skills: dict[SkillId, int]) -> None:
        self.skills = skills
        self.lines: list[Line] = []
        self.idle: dict[Medium, IdleHeap] = {}
        self.logged_in: dict[Medium, int] = {}

    def score(self, req: Req) -> int:
        """Return the sum of this profile's levels over the skills that the requirement names."""
        return sum(self.skills.get(skill, 0) for skill in req.need)


class MatchSpace:
    """The interned requirements, profiles and lines of a center."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self._profile_of: dict[Need, int] = {}
        self._reqs: dict[Need, Req] = {}
        self._lines: dict[LineKey, Line] = {}
        self.own_lines: dict[AgentId, list[Line]] = {}
        """P7: lines that only one agent may serve."""

    def profile(self, skills: dict[SkillId, int]) -> int:
        """Return the index of the profile with these skills."""
        key = _need(skills)
        index = self._profile_of.get(key)
        if index is None:
            index = self._profile_of[key] = len(self.profiles)
            profile = Profile(dict(skills))
            self.profiles.append(profile)
            for req in self._reqs.values():
                if meets(skills, req.need):
                    req.profiles.append(profile)
            for line_key, line in self._lines.items():
                if line_key[4] is None and meets(skills, line.req.need):
                    profile.lines.append(line)
        return index

    def req(self, need: dict[SkillId, int]) -> Req:
        """Return the one object for this requirement."""
        key = _need(need)
        req = self._reqs.get(key)
        if req is None:
            req = self._reqs[key] = Req(dict(need))
            req.profiles = [p for p in self.profiles if meets(p.skills, need)]
        return req

    def line(
        self, req: Req, medium: Medium, rank: int, slope: int, only: AgentId | None = None
    ) -> Line:
        """Return the line of contacts that wait in this way, made when first asked for."""
        key = (_need(req.need), medium, rank, slope, only)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(req, medium, rank, slope)
            if only is not None:
                self.own_lines.setdefault(only, []).append(line)
            else:
                for profile in req.profiles:
                    profile.lines.append(line)
        return line

    def drop_lines(self) -> None:
        """Forget all lines (the contacts are put into new ones)."""
        self._lines.clear()
        self.own_lines.clear()
        for profile in self.profiles:
            profile.lines.clear()


def _need(need: Requirement) -> Need:
    return tuple(sorted(need.items()))
