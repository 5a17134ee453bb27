"""When a calendar is open: local rules and a time zone → instants. Pure; DST nights are exact.

The rules speak of local wall time. An instant is open when its local time lies in an interval of
its local day, or in one of the day before that runs past midnight. So in the night when clocks go
forward an interval loses the hour that does not exist, and when they go back, wall time that comes
twice is open both times.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays

from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.values import MINUTES_A_DAY, dates, zone
from gkc_engine.ids import SECOND, Instant

HORIZON_DAYS: Final = 400
"""How far `next_change` looks: past any holiday season; an ever open calendar never changes."""
_MINUTE_US: Final = 60 * SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY: Final = 0
_WEEKEND: Final = (5, 6)

Spans = tuple[tuple[int, int], ...]


def zone_of(calendar: CalendarModel, center_zone: str) -> ZoneInfo:
    """Return the zone in which ``calendar`` is meant: its own or else the center's."""
    return zone(calendar.timezone or center_zone)


def is_open(calendar: CalendarModel, tz: ZoneInfo, instant: Instant) -> bool:
    """Return whether ``calendar`` is open at ``instant`` by the clocks of ``tz``."""
    local = _local(instant, tz)
    minute = local.hour * 60 + local.minute
    return _open_at(calendar, local.date(), minute)


def next_change(calendar: CalendarModel, tz: ZoneInfo, instant: Instant) -> Instant | None:
    """Return the first instant after ``instant`` at which open and closed change places.

    ``None`` when there is none within ``HORIZON_DAYS``.
    """
    state = is_open(calendar, tz, instant)
    today = _local(instant, tz).date()
    best: Instant | None = None
    days_left = HORIZON_DAYS
    offset = -1
    while offset <= days_left:
        for moment in _boundaries(calendar, tz, today + timedelta(days=offset)):
            if moment <= instant or (best is not None and moment >= best):
                continue
            if is_open(calendar, tz, moment) != state:
                best = moment
                # Local days and UTC days overlap: look at two more, in case of an earlier one.
                days_left = min(days_left, offset + 2)
        offset += 1
    return best


def day_spans(calendar: CalendarModel, day: date) -> Spans:
    """Return the intervals that begin on the local ``day``, in minutes from its midnight.

    Dated exceptions win over holidays, holidays over the week; a Saturday or Sunday made a working
    day by the official transfers has Monday's hours.
    """
    for key, spans in calendar.dates.items():
        first, last = dates(key)
        if first <= day <= last:
            return spans
    if calendar.holidays is not None:
        off, worked = _russian_year(day.year)
        if day in off:
            return calendar.holiday_hours
        if day in worked and day.weekday() in _WEEKEND:
            return calendar.day_hours(_MONDAY)
    return calendar.day_hours(day.weekday())


def _open_at(calendar: CalendarModel, day: date, minute: int) -> bool:
    if any(start <= minute < end for start, end in day_spans(calendar, day)):
        return True
    late = minute + MINUTES_A_DAY
    return any(late < end for _, end in day_spans(calendar, day - timedelta(days=1)))


def _boundaries(calendar: CalendarModel, tz: ZoneInfo, day: date) -> set[Instant]:
    """Return every instant of ``day`` at which the answer may change.

    Those are the starts and ends of its intervals (both times, when wall time comes twice) and the
    instants at which the zone's offset jumps, since a jump may leap over a start or an end.
    """
    moments = _jumps(day, tz)
    for start, end in day_spans(calendar, day):
        moments |= _instants(day, start, tz) | _instants(day, end, tz)
    return moments


def _instants(day: date, minute: int, tz: ZoneInfo) -> set[Instant]:
    """Return the instants at which the clocks of ``tz`` show ``minute`` of ``day``: one or two.

    For a wall time that is skipped, the two readings fall on either side of the jump; the jump
    itself is a boundary of its own, so they do no harm.
    """
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001
    return {_instant(wall.replace(tzinfo=tz, fold=fold)) for fold in (0, 1)}


def _jumps(day: date, tz: ZoneInfo) -> set[Instant]:
    """Return the instants within the UTC ``day`` at which the offset of ``tz`` changes."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    low, high = _instant(start), _instant(start + timedelta(days=1))
    if _offset(low, tz) == _offset(high, tz):
        return set()
    while high - low > _MINUTE_US:
        middle = Instant((low + high) // 2 // _MINUTE_US * _MINUTE_US)
        if middle == low:
            break
        if _offset(middle, tz) == _offset(low, tz):
            low = middle
        else:
            high = middle
    return {high}


def _offset(instant: Instant, tz: ZoneInfo) -> timedelta | None:
    return _local(instant, tz).utcoffset()


def _local(instant: Instant, tz: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=instant)).astimezone(tz)


def _instant(moment: datetime) -> Instant:
    return Instant((moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1))


@lru_cache(maxsize=16)
def _russian_year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Return Russia's days off of ``year`` (transfers included) and the weekend days worked.

    Source: package ``holidays``, which follows the yearly government orders; a year whose order is
    not out yet has the standing holidays only.
    """
    known = holidays.country_holidays("RU", years=year)
    return frozenset(known.keys()), frozenset(known.weekend_workdays)
