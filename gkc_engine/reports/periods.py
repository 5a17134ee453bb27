"""Days, weeks and months of the center, and the stretch that each is compared with. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from gkc_engine.ids import Instant
from gkc_engine.statistics.intervals import at, local_midnight


class Length(StrEnum):
    """Of a period that begins and ends at a local midnight."""

    DAY = "day"
    WEEK = "week"
    """Monday to Sunday."""
    MONTH = "month"
    """From the 1st on."""


class Base(StrEnum):
    """What a period is compared with."""

    WEEK_BEFORE = "week_before"
    """Of a day: the same weekday a week before; of a week: the one before."""
    DAY_BEFORE = "day_before"
    MONTH_BEFORE = "month_before"
    BEFORE = "before"
    """The equally long stretch just before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Time ``[since, until)``, of which only what lies before ``seen`` has happened yet."""

    since: Instant
    until: Instant
    seen: Instant

    @property
    def whole(self) -> bool:
        """Whether all of it is over."""
        return self.seen == self.until


def _midnight(day: date, zone: ZoneInfo) -> Instant:
    return local_midnight(_instant(datetime.combine(day, time(12), zone)), zone)


def _instant(moment: datetime) -> Instant:
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return Instant(since // timedelta(microseconds=1))


def _local(moment: Instant, zone: ZoneInfo) -> datetime:
    return at(moment).astimezone(zone)


def _first(length: Length, day: date) -> date:
    match length:
        case Length.DAY:
            return day
        case Length.WEEK:
            return day - timedelta(days=day.weekday())
        case Length.MONTH:
            return day.replace(day=1)


def _next(length: Length, first: date) -> date:
    match length:
        case Length.DAY:
            return first + timedelta(days=1)
        case Length.WEEK:
            return first + timedelta(days=7)
        case Length.MONTH:
            return (first + timedelta(days=31)).replace(day=1)


def period_of(length: Length, moment: Instant, now: Instant, zone: ZoneInfo) -> Stretch:
    """Return the day, week or month in which ``moment`` lies."""
    first = _first(length, _local(moment, zone).date())
    since, until = _midnight(first, zone), _midnight(_next(length, first), zone)
    return Stretch(since=since, until=until, seen=max(since, min(until, now)))


def last_whole(length: Length, now: Instant, zone: ZoneInfo) -> Stretch:
    """Return the last day, week or month that is over."""
    present = period_of(length, now, now, zone)
    return period_of(length, Instant(present.since - 1), now, zone)


def stretch(since: Instant, until: Instant, now: Instant) -> Stretch:
    """Return any stretch of time."""
    return Stretch(since=since, until=until, seen=max(since, min(until, now)))


def bases_of_period(length: Length, of: Stretch, zone: ZoneInfo) -> dict[Base, Stretch]:
    """Return what a period is compared with, the one that the note goes by first.

    A day with the same weekday a week before, because the weekdays differ more than the weeks, and
    with the day before; a week or month with the one before. A period that is not over is compared
    with the same part of the other: until the same weekday or day of the month, by the wall clock.
    """
    first = _local(of.since, zone).date()
    if length is Length.DAY:
        days = {Base.WEEK_BEFORE: 7, Base.DAY_BEFORE: 1}
        begins = {base: first - timedelta(days=n) for base, n in days.items()}
    else:
        base = Base.WEEK_BEFORE if length is Length.WEEK else Base.MONTH_BEFORE
        begins = {base: _first(length, first - timedelta(days=1))}
    return {base: _same_part(length, of, begin, zone) for base, begin in begins.items()}


def _same_part(length: Length, of: Stretch, first: date, zone: ZoneInfo) -> Stretch:
    since, until = _midnight(first, zone), _midnight(_next(length, first), zone)
    if of.whole:
        return Stretch(since=since, until=until, seen=until)
    now = _local(of.seen, zone)
    days = now.date() - _local(of.since, zone).date()
    same = _instant(datetime.combine(first + days, now.time(), zone))
    return Stretch(since=since, until=until, seen=max(since, min(until, same)))


def base_of_stretch(of: Stretch) -> dict[Base, Stretch]:
    """Return the stretch of the same length just before; of what is not over, the same part."""
    length = of.until - of.since
    since = Instant(of.since - length)
    seen = Instant(of.seen - length)
    return {Base.BEFORE: Stretch(since=since, until=of.since, seen=seen)}


def day_of(moment: Instant, zone: ZoneInfo) -> date:
    """Return the local day in which an instant lies."""
    return _local(moment, zone).date()
