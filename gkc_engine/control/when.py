"""Instants and durations as people type and read them. Pure: ``now`` and the zone are arguments."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.statistics.intervals import at
from gkc_engine.statistics.intervals import span as span

EXPECTED_WHEN: Final = (
    "a duration such as 15m or 2h, a time of day such as 09:30, a date such as 2026-11-23, "
    "or both joined by T"
)

_DURATION: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?(ms|s|m|h|d)", re.ASCII)
_UNIT_US: Final = {"ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?", re.ASCII)


def parse_duration(text: str) -> Micros | None:
    """Return ``20s``, ``1.5m``, ``250ms`` as microseconds; ``None`` when it is no duration.

    The same form as in the configuration (docs/reference/routing-policy.md, Defaults).
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    unit = _UNIT_US[found[3]]
    fraction = (found[2] or "0").ljust(6, "0")
    return Micros(int(found[1]) * unit + int(fraction) * unit // 10**6)


def _instant(moment: datetime) -> Instant:
    return Instant((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


def _in_zone(day: date, clock: time, zone: ZoneInfo) -> Instant:
    return _instant(datetime.combine(day, clock, zone).astimezone(UTC))


def _parse(text: str, now: Instant, zone: ZoneInfo) -> tuple[Instant, bool]:
    """Return the instant, and whether it was a bare time of day."""
    try:
        if _CLOCK.fullmatch(text):
            clock = time.fromisoformat(text.zfill(5) if text.count(":") == 1 else text.zfill(8))
            return _in_zone(at(now).astimezone(zone).date(), clock, zone), True
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"found {text[:40]!r}, expected {EXPECTED_WHEN}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return _instant(moment.astimezone(UTC)), False


def parse_past(text: str, now: Instant, zone: ZoneInfo) -> Instant:
    """Return the instant that ``--since`` names: ``2h`` ago, ``09:30`` today (or yesterday).

    Raises:
        ValueError: with what was found and what is expected.
    """
    span = parse_duration(text)
    if span is not None:
        return Instant(now - span)
    moment, clock_only = _parse(text, now, zone)
    if clock_only and moment > now:
        return _other_day(text, now, zone, days=-1)
    return moment


def parse_future(text: str, now: Instant, zone: ZoneInfo) -> Instant:
    """Return the instant that ``--until`` names: ``14:30`` today (or tomorrow), ``15m`` from now.

    Raises:
        ValueError: with what was found and what is expected.
    """
    span = parse_duration(text)
    if span is not None:
        return Instant(now + span)
    moment, clock_only = _parse(text, now, zone)
    if clock_only and moment <= now:
        return _other_day(text, now, zone, days=1)
    return moment


def _other_day(text: str, now: Instant, zone: ZoneInfo, *, days: int) -> Instant:
    day = at(now).astimezone(zone).date() + timedelta(days=days)
    clock = time.fromisoformat(text.zfill(5) if text.count(":") == 1 else text.zfill(8))
    return _in_zone(day, clock, zone)


def from_iso(text: str) -> Instant:
    """Return the instant of an ISO 8601 time as the control socket writes it."""
    return _instant(datetime.fromisoformat(text).astimezone(UTC))


def local_time(text: str | None, zone: ZoneInfo, *, with_date: bool = True) -> str:
    """Return an ISO 8601 time as local time, to the second (cut off, so that sums agree)."""
    if text is None:
        return "-"
    moment = datetime.fromisoformat(text).astimezone(zone)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")


def offset(since_us: int) -> str:
    """Return a distance from the start of a contact: ``+0:07``."""
    return "+" + span(since_us / SECOND)
