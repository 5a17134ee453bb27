"""Which report is asked for, and what has been counted for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gkc_engine.ids import Instant
from gkc_engine.reports.model import Language
from gkc_engine.reports.periods import Base, Length, Stretch
from gkc_engine.reports.source import Asked, Counted, Facts
from gkc_engine.statistics.intervals import interval_bounds, next_midnight

HALF_HOUR_MIN: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which report is asked for."""

    kind: str
    asked: Asked
    of: Stretch
    length: Length | None
    """``None``: any stretch of time."""
    language: Language = Language.RU


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a report is built of."""

    order: Order
    facts: Facts
    now: Counted
    bases: Mapping[Base, tuple[Stretch, Counted]]

    @property
    def base(self) -> Base:
        """What the note and the differences go by: the first that has any contacts."""
        some = [base for base, (_, counted) in self.bases.items() if counted.contacts]
        return some[0] if some else next(iter(self.bases))

    @property
    def before(self) -> Counted:
        """The figures of ``base``."""
        return self.bases[self.base][1]


def bounds_of(order: Order, of: Stretch) -> list[Instant]:
    """Return where the intervals of a day, week or month begin: half-hours, else days."""
    assert order.length is not None, order
    zone = order.asked.zone
    if order.length is Length.DAY:
        return interval_bounds(of.since, of.until, HALF_HOUR_MIN, zone)
    bounds = [of.since]
    while bounds[-1] < of.until:
        bounds.append(next_midnight(bounds[-1], zone))
    return bounds
