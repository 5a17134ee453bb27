"""Whether a center is open whenever the city's policy wants it open. Pure, and of no day's date.

Hours are compared day by day as they are written: what the policy writes past midnight
(``"22:00-06:00"``) a center writes so, too, for two days' intervals are not put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.hours import Spans, day_spans
from gkc_engine.config.problems import Path
from gkc_engine.config.values import MINUTES_A_DAY, WEEKDAYS, dates, weekdays

DATED_DAYS_MAX: Final = 3660
"""Days that ``dates`` of one calendar name: more are not compared."""

_MONDAY: Final = 0
_WEEKEND: Final = (5, 6)


@dataclass(frozen=True, slots=True)
class Gap:
    """When a center is closed though the policy wants it open."""

    own: Path
    """What is at fault, below the center's calendar."""
    policy: Path
    """What it falls short of, below the policy's calendar."""
    found: str
    expected: str


def first_gap(own: CalendarModel, policy: CalendarModel) -> Gap | None:
    """Return the first stretch that ``policy`` is open and ``own`` is not; both in one zone."""
    return next(_gaps(own, policy), None)


def _gaps(own: CalendarModel, policy: CalendarModel) -> Iterator[Gap]:
    yield from _week(own, policy)
    yield from _holidays(own, policy)
    yield from _dates(own, policy)


def _week(own: CalendarModel, policy: CalendarModel) -> Iterator[Gap]:
    for day, name in enumerate(WEEKDAYS):
        yield from _gap(
            own.day_hours(day),
            policy.day_hours(day),
            (_week_path(own, day), _week_path(policy, day)),
            f" on {name}",
        )


def _holidays(own: CalendarModel, policy: CalendarModel) -> Iterator[Gap]:
    """What one calendar says of holidays and the other does not: they fall on any weekday."""
    if own.holidays is not None and policy.holidays is not None:
        paths: tuple[Path, Path] = (("holiday_hours",), ("holiday_hours",))
        yield from _gap(own.holiday_hours, policy.holiday_hours, paths, " on public holidays")
    elif own.holidays is not None:
        for day in range(7):
            paths = (("holiday_hours",), _week_path(policy, day))
            said = " on public holidays, which the policy does not except"
            yield from _gap(own.holiday_hours, policy.day_hours(day), paths, said)
        for day in _WEEKEND:
            paths = (_week_path(own, _MONDAY), _week_path(policy, day))
            said = f" on a {WEEKDAYS[day]} made a working day"
            yield from _gap(own.day_hours(_MONDAY), policy.day_hours(day), paths, said)
    elif policy.holidays is not None:
        for day in range(7):
            paths = (_week_path(own, day), ("holiday_hours",))
            said = f" on a public holiday, a {WEEKDAYS[day]}"
            yield from _gap(own.day_hours(day), policy.holiday_hours, paths, said)
        for day in _WEEKEND:
            paths = (_week_path(own, day), ("holidays",))
            said = f" on a {WEEKDAYS[day]} made a working day (holidays: RU knows them)"
            yield from _gap(own.day_hours(day), policy.day_hours(_MONDAY), paths, said)


def _dates(own: CalendarModel, policy: CalendarModel) -> Iterator[Gap]:
    ours, theirs = _dated(own), _dated(policy)
    if ours is None or theirs is None:
        found = f"more than {DATED_DAYS_MAX} days under dates"
        yield Gap(("dates",), ("dates",), found, f"at most {DATED_DAYS_MAX}")
        return
    plain, plain_policy = (c.model_copy(update={"dates": {}}) for c in (own, policy))
    for day in sorted({*ours, *theirs}):
        own_key, spans = ours.get(day) or ("", day_spans(plain, day))
        policy_key, wanted = theirs.get(day) or ("", day_spans(plain_policy, day))
        paths: tuple[Path, Path] = (
            ("dates", own_key) if own_key else (),
            ("dates", policy_key) if policy_key else (),
        )
        yield from _gap(spans, wanted, paths, f" on {day}")


def _dated(calendar: CalendarModel) -> dict[date, tuple[str, Spans]] | None:
    """Return the days that ``dates`` names, the first key that names one; ``None``: too many."""
    found: dict[date, tuple[str, Spans]] = {}
    for key, spans in calendar.dates.items():
        day, last = dates(key)
        while day <= last:
            found.setdefault(day, (key, spans))
            day += timedelta(days=1)
        if len(found) > DATED_DAYS_MAX:
            return None
    return found


def _gap(own: Spans, wanted: Spans, paths: tuple[Path, Path], said: str) -> Iterator[Gap]:
    if not _covers(own, wanted):
        yield Gap(*paths, f"{_shown(own)}{said}", f"{_shown(wanted)} at least")


def _covers(own: Spans, wanted: Spans) -> bool:
    joined: list[tuple[int, int]] = []
    for start, end in own:  # In order, and apart: the model sees to it.
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return all(any(a <= start and end <= b for a, b in joined) for start, end in wanted)


def _week_path(calendar: CalendarModel, day: int) -> Path:
    key = next((key for key in calendar.week if day in weekdays(key)), None)
    return ("week",) if key is None else ("week", key)


def _shown(spans: Spans) -> str:
    return ", ".join(f"{_clock(a)}-{_clock(b)}" for a, b in spans) or "closed"


def _clock(minute: int) -> str:
    shown = minute if minute <= MINUTES_A_DAY else minute - MINUTES_A_DAY
    return f"{shown // 60:02}:{shown % 60:02}"
