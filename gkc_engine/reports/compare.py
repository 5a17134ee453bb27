"""What a difference between two stretches of time means; when it means nothing. Pure.

Figures of docs/statistics.md, "Comparison". A service level of 7 of 10 beside 9 of 10 is no
finding, and no report calls it one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

from gkc_engine.ids import SECOND
from gkc_engine.reports.model import Unit, Verdict
from gkc_engine.statistics import figures
from gkc_engine.statistics.figures import Counts
from gkc_engine.statistics.rollups import Line

FEW: Final = 30
"""Fewer contacts than this say nothing of a share or a mean."""

SURE: Final = 2.576
"""Standard errors, 99 % of both sides: stricter than the usual 95 %, for callers who wait at the
same time are late together."""

SHARE_STEP: Final = 0.01
COUNT_STEP: Final = 0.05
TIME_STEP: Final = 0.1
SECONDS_STEP: Final = 2.0
"""Smaller differences are the same to people, however sure they are: one per cent of all, 5 % of a
number of contacts, 10 % of a time and two seconds."""


class Good(StrEnum):
    """Which way a figure is better."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a summary: how it is made, what it is, which way is better."""

    key: str
    unit: Unit
    good: Good
    of: Callable[[Line], float | None]
    base: Callable[[Counts], int] = figures.offered
    """Of how many contacts it is a share or mean."""


def denominator(counts: Counts) -> int:
    """Return of how many contacts SL-5 is the share."""
    return counts.answered + counts.abandoned - counts.abandoned_short


def late(counts: Counts) -> int:
    """Return the contacts that SL-5 holds against us: answered late, or left after waiting."""
    return denominator(counts) - counts.answered_in_target


def _waited(percent: int) -> Callable[[Line], float | None]:
    return lambda line: line.waited_s(percent)


def _answered(counts: Counts) -> int:
    return counts.answered


def _abandoned(counts: Counts) -> int:
    return counts.abandoned


def _count(key: str, good: Good, of: Callable[[Counts], int]) -> Figure:
    return Figure(key=key, unit=Unit.COUNT, good=good, of=lambda line: of(line.counts))


def _share(
    key: str,
    good: Good,
    of: Callable[[Counts], float | None],
    base: Callable[[Counts], int],
) -> Figure:
    return Figure(key=key, unit=Unit.SHARE, good=good, of=lambda line: of(line.counts), base=base)


def _time(
    key: str, of: Callable[[Line], float | None], base: Callable[[Counts], int] = _answered
) -> Figure:
    return Figure(key=key, unit=Unit.SECONDS, good=Good.LOWER, of=of, base=base)


SUMMARY: Final = (
    _count("offered", Good.NEITHER, figures.offered),
    _count("answered", Good.NEITHER, _answered),
    _count("answered_in_target", Good.NEITHER, lambda c: c.answered_in_target),
    _count("abandoned", Good.NEITHER, _abandoned),
    _count("abandoned_short", Good.NEITHER, lambda c: c.abandoned_short),
    _count("ended_waiting", Good.NEITHER, lambda c: c.ended_waiting),
    _count("failed", Good.LOWER, lambda c: c.failed),
    _count("waiting", Good.NEITHER, lambda c: c.waiting),
    _count("overflow_sent", Good.NEITHER, lambda c: c.overflow_sent),
    _count("overflow_answered", Good.NEITHER, lambda c: c.overflow_answered),
    _count("overflow_returned", Good.NEITHER, lambda c: c.overflow_returned),
    _count("guests", Good.NEITHER, lambda c: c.guests),
    _count("guests_answered", Good.NEITHER, lambda c: c.guests_answered),
    _share("service_level", Good.HIGHER, figures.service_level, denominator),
    _share("abandon_rate", Good.LOWER, figures.abandon_rate, figures.offered),
    _time("asa_s", lambda line: figures.average_speed_of_answer_s(line.counts)),
    _time("wait_p50_s", _waited(50)),
    _time("wait_p90_s", _waited(90)),
    _time("wait_p95_s", _waited(95)),
    _time("wait_max_s", _waited(100)),
    _time(
        "abandon_time_s",
        lambda line: figures.average_abandon_time_s(line.counts),
        base=_abandoned,
    ),
    Figure(
        key="aht_s",
        unit=Unit.SECONDS,
        good=Good.NEITHER,
        of=lambda line: figures.average_handle_time_s(line.handling),
        base=_answered,
    ),
    _share("sl_1", Good.HIGHER, figures.service_level_1, _answered),
    _share("sl_2", Good.HIGHER, figures.service_level_2, lambda c: c.answered + c.abandoned),
    _share(
        "sl_3",
        Good.HIGHER,
        figures.service_level_3,
        lambda c: c.answered + c.abandoned - c.abandoned_in_target,
    ),
    _share("sl_4", Good.HIGHER, figures.service_level_4, lambda c: c.answered + c.abandoned),
)

BY_KEY: Final = {figure.key: figure for figure in SUMMARY}


def verdict(figure: Figure, now: Line, before: Line) -> Verdict | None:
    """Return what the difference means; ``None`` where one side has nothing to compare."""
    new, old = figure.of(now), figure.of(before)
    if new is None or old is None:
        return None
    n, m = figure.base(now.counts), figure.base(before.counts)
    if min(n, m) < FEW:
        return Verdict.TOO_FEW
    if not _differs(figure, (new, n), (old, m)):
        return Verdict.SAME
    more = new > old
    match figure.good:
        case Good.NEITHER:
            return Verdict.MORE if more else Verdict.LESS
        case Good.HIGHER:
            return Verdict.BETTER if more else Verdict.WORSE
        case Good.LOWER:
            return Verdict.WORSE if more else Verdict.BETTER


def _differs(figure: Figure, new: tuple[float, int], old: tuple[float, int]) -> bool:
    match figure.unit:
        case Unit.COUNT:
            return counts_differ(int(new[0]), int(old[0]))
        case Unit.SHARE:
            return shares_differ(new, old)
        case _:
            step = max(SECONDS_STEP, TIME_STEP * old[0])
            return abs(new[0] - old[0]) >= step


def counts_differ(new: int, old: int) -> bool:
    """Return whether two numbers of contacts differ: by 5 %, and by more than chance.

    The difference of two Poisson counts has the variance of their sum.
    """
    if new == old:
        return False
    gap = abs(new - old)
    return gap >= COUNT_STEP * old and gap / sqrt(new + old) >= SURE


def shares_differ(new: tuple[float, int], old: tuple[float, int]) -> bool:
    """Return whether two shares differ: by one per cent of all, and by more than chance.

    Test of two proportions with the pooled share.

    Args:
        new: The share, and of how many contacts.
        old: The same of the other.
    """
    (p, n), (q, m) = new, old
    pooled = (p * n + q * m) / (n + m)
    error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    gap = abs(p - q)
    return gap >= SHARE_STEP and (error == 0 or gap / error >= SURE)


def below(counts: Counts, goal: float) -> bool:
    """Return whether the service level misses a goal by more than chance, of enough contacts.

    Test of one proportion against the goal.
    """
    level, n = figures.service_level(counts), denominator(counts)
    if level is None or n < FEW:
        return False
    return (goal - level) / sqrt(goal * (1 - goal) / n) >= SURE


# --- load, and what it is made of -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What operators had to do in a stretch of time, and how long they were there for it."""

    offered: int
    aht_s: float
    hours: float | None
    """Hours at work and not in a pause, of all operators; ``None``: not known."""

    @property
    def per_hour(self) -> float:
        """Work that comes for each hour of an operator (of the clock, where that is not known)."""
        return self.offered * self.aht_s / (self.hours or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """Ratios new / old; the product of the three is ``load`` (docs/statistics.md, Comparison)."""

    load: float
    calls: float
    talks: float
    operators: float
    """Old hours / new hours: above 1, fewer operators."""


def causes(new: Load, old: Load) -> Causes | None:
    """Return by how much the load of an operator changed, split into three factors.

    ``None`` where a side has nothing to divide by.
    """
    if not (new.offered and old.offered and new.aht_s and old.aht_s):
        return None
    operators = 1.0
    if new.hours is not None and old.hours is not None:
        if not (new.hours and old.hours):
            return None
        operators = old.hours / new.hours
    made = Causes(
        load=new.per_hour / old.per_hour,
        calls=new.offered / old.offered,
        talks=new.aht_s / old.aht_s,
        operators=operators,
    )
    assert abs(made.calls * made.talks * made.operators / made.load - 1) < 1e-9, made
    return made


def load_of(line: Line, hours: float | None) -> Load | None:
    """Return the load of these contacts; ``None`` when no talk is over yet."""
    aht = figures.average_handle_time_s(line.handling)
    if aht is None:
        return None
    return Load(offered=figures.offered(line.counts), aht_s=aht, hours=hours)


def hours_at_work(handling: figures.Handling | None) -> float | None:
    """Return the hours in which operators could serve: talk, hold, wrap-up and ready."""
    if handling is None:
        return None
    us = handling.talk_us + handling.hold_us + handling.wrap_up_us + handling.ready_us
    return us / SECOND / 3600
