"""Local days and the intervals of the day, where summer time begins and ends too. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gkc_engine.ids import SECOND, Instant

LENGTHS_MIN: Final = (15, 30, 60)
"""Lengths of an interval, in minutes of the wall clock."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = 60 * SECOND


def at(moment: Instant | int) -> datetime:
    """Return ``moment`` as an aware UTC datetime, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=moment)


def local_midnight(now: Instant, zone: ZoneInfo) -> Instant:
    """Return the instant at which the local day of ``now`` began.

    Where summer time skips midnight the day begins at the first minute that exists.
    """
    start = at(now).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return Instant((start.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1))


def next_midnight(midnight: Instant, zone: ZoneInfo) -> Instant:
    """Return when the local day that began at ``midnight`` ends."""
    # 26 hours on is always the next day, also on the 25-hour one, and never the one after.
    return local_midnight(Instant(midnight + 26 * 3600 * SECOND), zone)


def interval_bounds(since: Instant, until: Instant, minutes: int, zone: ZoneInfo) -> list[Instant]:
    """Return where the intervals begin that hold ``[since, until)``, and where the last one ends.

    An interval begins at each full 15, 30 or 60 minutes of the wall clock and at midnight: a day
    has 46, 48 or 50 half-hours, and the hour that comes twice in autumn counts twice. Where the
    clock is moved by less than an interval, one is longer or shorter.

    Args:
        since: Any instant; the first bound is at or before it.
        until: After ``since``; the last bound is at or after it.
        minutes: One of ``LENGTHS_MIN``.
        zone: The center's.
    """
    assert minutes in LENGTHS_MIN, minutes
    assert since < until, (since, until)
    bounds: list[Instant] = []
    day = local_midnight(since, zone)
    while day < until:
        end = next_midnight(day, zone)
        bound = day
        while bound < end:
            bounds.append(bound)
            bound = _next_full(bound, minutes, zone)
        day = end
    bounds.append(day)
    first = max(i for i, bound in enumerate(bounds) if bound <= since)
    last = min(i for i, bound in enumerate(bounds) if bound >= until)
    return bounds[first : last + 1]


def _next_full(bound: Instant, minutes: int, zone: ZoneInfo) -> Instant:
    """Return the next instant at which the wall clock shows full ``minutes``."""
    while True:
        past = at(bound).astimezone(zone).minute % minutes
        bound = Instant(bound + (minutes - past) * _MINUTE)
        if at(bound).astimezone(zone).minute % minutes == 0:
            return bound


def clock_time(moment: Instant, zone: ZoneInfo) -> str:
    """Return ``2026-10-25 02:30`` for people, with the offset where the clock shows it twice."""
    local = at(moment).astimezone(zone)
    text = f"{local:%Y-%m-%d %H:%M}"
    other = local.replace(fold=1 - local.fold)
    if local.utcoffset() == other.utcoffset():
        return text
    offset = f"{local:%z}"
    return f"{text} {offset[:3]}:{offset[3:]}"


def span(seconds: float | None) -> str:
    """Return a duration for people: ``0:07``, ``12:03``, ``1:00:03``; whole seconds, cut off."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
