"""What there is to say of a stretch of time: what changed, where, and by which cause. Pure.

From figures only: the words are `note_ru` and `note_en`. How it is reckoned: docs/statistics.md,
"Comparison".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from gkc_engine.reports.compare import (
    BY_KEY,
    FEW,
    Causes,
    causes,
    denominator,
    hours_at_work,
    load_of,
    verdict,
)
from gkc_engine.reports.model import Verdict
from gkc_engine.reports.periods import Base
from gkc_engine.reports.source import Counted, total
from gkc_engine.statistics import figures
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.report import Line

SPEAKS: Final = 0.3
"""A service, or a run of hours, is named when it made at least so much of the difference."""

NEIGHBOUR: Final = 0.5
"""An hour belongs to the run when it made at least so much of what its worst hour did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One stretch of time, and what the note says of it."""

    offered: int
    service_level: float | None
    abandon_rate: float | None
    aht_s: float | None
    hours: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one service, or one run of hours, gave to the change of the service level."""

    points: float
    """Of the change; those of all pieces add up to it. Below 0: to the worse."""
    new: float | None
    old: float | None
    """Its own service level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A run of hours of the wall clock, ``[begin, end)``."""

    begin: int
    end: int
    piece: Piece
    causes: Causes | None = None
    staffed: bool = False
    """Whether operators were counted in these hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The worst day of a week or month."""

    day: date
    service_level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the note may say."""

    base: Base
    base_day: date | None
    """The day that a day is compared with."""
    whole: bool
    """Whether the stretch is over."""
    until: str
    """Until when it was counted, if it is not over: ``14:30``."""
    new: Side
    old: Side
    goal: float
    offered: Verdict | None
    service_level: Verdict | None
    abandon_rate: Verdict | None
    service: tuple[str | None, Piece] | None
    """The service that made most of the change, if one stands out."""
    hours: Hours | None
    worst_day: Day | None
    causes: Causes | None
    failed: int
    refused: int
    """At the door: no room, closed, nobody at work, blocked."""

    @property
    def few(self) -> bool:
        """Whether there is too little to say anything."""
        return self.new.offered < FEW

    @property
    def comparable(self) -> bool:
        """Whether the other side has enough to be compared with."""
        return self.old.offered >= FEW


def pieces(new: Mapping[Any, Line], old: Mapping[Any, Line]) -> dict[Any, Piece]:
    """Split the change of the service level over groups; the pieces add up to it exactly.

    With w a group's share of all that SL-5 counts, s its own service level and S that of all (means
    of both sides: m): points = w_m · Δs + (s_m − S_m) · Δw: what got better or worse in the group
    itself, and that it grew while it is better or worse than the others. A group that only one
    side has is, in the other, as good as all together.
    """
    n = sum(denominator(line.counts) for line in new.values())
    m = sum(denominator(line.counts) for line in old.values())
    if not (n and m):
        return {}
    whole_new = sum(line.counts.answered_in_target for line in new.values()) / n
    whole_old = sum(line.counts.answered_in_target for line in old.values()) / m
    middle = (whole_new + whole_old) / 2
    made = {}
    for key in {**new, **old}:
        here, there = new.get(key, Line()).counts, old.get(key, Line()).counts
        s_new, s_old = figures.service_level(here), figures.service_level(there)
        w_new, w_old = denominator(here) / n, denominator(there) / m
        if s_new is None and s_old is None:
            continue
        s1 = whole_new if s_new is None else s_new
        s0 = whole_old if s_old is None else s_old
        points = (w_new + w_old) / 2 * (s1 - s0) + ((s1 + s0) / 2 - middle) * (w_new - w_old)
        made[key] = Piece(points=points, new=s_new, old=s_old)
    change = whole_new - whole_old
    assert abs(sum(piece.points for piece in made.values()) - change) < 1e-9, (made, change)
    return made


def leading_service(
    now: Counted, before: Counted, change: float
) -> tuple[str | None, Piece] | None:
    """Return the service that made most of the change, if there are several and one stands out."""
    found = pieces(now.by_service, before.by_service)
    if len(found) < 2 or not change:
        return None
    key, piece = max(found.items(), key=lambda item: (item[1].points / change, str(item[0])))
    return (key, piece) if piece.points / change >= SPEAKS else None


def leading_hours(now: Counted, before: Counted, change: float) -> Hours | None:
    """Return the run of hours that made most of the change, if one stands out."""
    found = pieces(now.by_hour, before.by_hour)
    if len(found) < 2 or not change:
        return None
    part = {hour: piece.points / change for hour, piece in found.items()}
    peak = max(part, key=lambda hour: (part[hour], -hour))
    begin, end = peak, peak + 1
    while part.get(begin - 1, 0.0) >= NEIGHBOUR * part[peak]:
        begin -= 1
    while part.get(end, 0.0) >= NEIGHBOUR * part[peak]:
        end += 1
    run = range(begin, end)
    points = sum(found[hour].points for hour in run)
    new, old = total(now.by_hour, run).counts, total(before.by_hour, run).counts
    if points / change < SPEAKS or min(denominator(new), denominator(old)) < FEW:
        return None
    if end - begin == len(found):  # All of the day: no place to point to.
        return None
    levels = figures.service_level(new), figures.service_level(old)
    return Hours(begin=begin, end=end, piece=Piece(points=points, new=levels[0], old=levels[1]))


def hours_causes(
    now: Counted, before: Counted, run: Hours, staff: tuple[Handling, Handling] | None
) -> Causes | None:
    """Return by how much the load changed in a run of hours; ``staff``: in the run, new and old."""
    hours = range(run.begin, run.end)
    new_staff, old_staff = staff if staff is not None else (None, None)
    new = load_of(total(now.by_hour, hours), hours_at_work(new_staff))
    old = load_of(total(before.by_hour, hours), hours_at_work(old_staff))
    return None if new is None or old is None else causes(new, old)


def side(of: Counted) -> Side:
    """Return what the note says of one stretch."""
    return Side(
        offered=figures.offered(of.of_all.counts),
        service_level=figures.service_level(of.of_all.counts),
        abandon_rate=figures.abandon_rate(of.of_all.counts),
        aht_s=figures.average_handle_time_s(of.of_all.handling),
        hours=hours_at_work(of.staff),
    )


def all_causes(now: Counted, before: Counted) -> Causes | None:
    """Return by how much the load of an operator changed over all of the time."""
    new = load_of(now.of_all, hours_at_work(now.staff))
    old = load_of(before.of_all, hours_at_work(before.staff))
    return None if new is None or old is None else causes(new, old)


def worst_day(days: Mapping[date, Line]) -> Day | None:
    """Return the day with the lowest service level, of those with enough contacts."""
    found = [
        (level, day)
        for day, line in days.items()
        if denominator(line.counts) >= FEW
        and (level := figures.service_level(line.counts)) is not None
    ]
    if len(found) < 2:
        return None
    level, day = min(found)
    return Day(day=day, service_level=level)


def judged(key: str, now: Counted, before: Counted) -> Verdict | None:
    """Return what the change of a figure of all together means."""
    return verdict(BY_KEY[key], now.of_all, before.of_all)
