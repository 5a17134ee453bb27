"""When which report is due: local days, weeks and months, DST nights included. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gkc_engine.config.report_model import ReportModel, Span
from gkc_engine.config.values import weekdays
from gkc_engine.ids import SECOND, Instant
from gkc_engine.statistics.intervals import at

_DAY: Final = timedelta(days=1)
_LONGEST_WAIT: Final = timedelta(days=7)
"""From the end of a period to the next day on which mail goes out."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One report of one schedule: of the local days ``[first, after)``, due at ``at``."""

    at: Instant
    first: date
    after: date

    @property
    def label(self) -> str:
        """``2026-11-28``, ``2026-11-23..2026-11-29``, ``2026-11``: how people call the period."""
        last = self.after - _DAY
        if self.first == last:
            return self.first.isoformat()
        if self.first.day == 1 and self.after.day == 1:
            return f"{self.first:%Y-%m}"
        return f"{self.first.isoformat()}..{last.isoformat()}"


def instant_at(day: date, clock: time, zone: ZoneInfo) -> Instant:
    """Return when the local ``clock`` shows this time on ``day``.

    A time that the night skips is as much later as it is into the gap; of one that comes twice
    the first counts (PEP 495, ``fold=0``).
    """
    moment = datetime.combine(day, clock, zone).astimezone(UTC)
    return Instant((moment - _EPOCH) // timedelta(seconds=1) * SECOND)


def due_between(
    report: ReportModel, since: Instant, until: Instant, zone: ZoneInfo
) -> Iterator[Due]:
    """Give what is due from ``since`` to ``until``, both included, in that order.

    Each period is due once: at ``at`` of the first day after its end on which mail goes out.
    """
    clock = time.fromisoformat(report.at)
    days = frozenset(weekdays(report.days))
    day = at(since).astimezone(zone).date() - _LONGEST_WAIT - _DAY
    last = at(until).astimezone(zone).date() + _DAY
    while day <= last:
        first = _first_day(report.span, day)
        if first is not None:
            goes_out = day
            while goes_out.weekday() not in days:
                goes_out += _DAY
            due = Due(at=instant_at(goes_out, clock, zone), first=first, after=day)
            if since <= due.at <= until:
                yield due
        day += _DAY


def last_due(report: ReportModel, now: Instant, zone: ZoneInfo) -> Due:
    """Return the last period that is over, whether it was due already or not."""
    day = at(now).astimezone(zone).date()
    while (first := _first_day(report.span, day)) is None:
        day -= _DAY
    clock = time.fromisoformat(report.at)
    return Due(at=instant_at(day, clock, zone), first=first, after=day)


def next_at(report: ReportModel, now: Instant, zone: ZoneInfo) -> Instant:
    """Return when something of ``report`` is due next, after ``now``."""
    far = Instant(now + 40 * 86_400 * SECOND)
    return min(due.at for due in due_between(report, Instant(now + 1), far, zone))


def _first_day(span: Span, after: date) -> date | None:
    """Return the first day of the period that ends with ``after``; ``None``: none does."""
    match span:
        case "day":
            return after - _DAY
        case "week":
            return after - 7 * _DAY if after.weekday() == 0 else None
        case "month":
            return (after - _DAY).replace(day=1) if after.day == 1 else None
