"""``calendars:`` when a queue is open, in local time. The arithmetic is in ``hours.py``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from gkc_engine.config.values import (
    MINUTES_A_DAY,
    Dates,
    Hours,
    Model,
    Text,
    Weekdays,
    Zone,
    expected,
    weekdays,
)


def _apart(intervals: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    ordered = sorted(intervals)
    if any(a[1] > b[0] for a, b in pairwise(ordered)):
        raise expected("intervals that do not overlap")
    return tuple(ordered)


DayHours = Annotated[tuple[Hours, ...], AfterValidator(_apart), Field(max_length=24)]
"""The intervals of one day, ``["09:00-13:00", "14:00-18:00"]``; ``[]`` = closed all day.

An interval past midnight belongs to the day on which it begins.
"""


class CalendarModel(Model):
    """Dated exceptions win over holidays, holidays over the week."""

    title: Text | None = None
    timezone: Zone | None = None
    """Absent: the center's."""
    week: dict[Weekdays, DayHours]
    """Hours by weekday; a day not named is closed."""
    holidays: Literal["RU"] | None = None
    """Public holidays of Russia with the official transfers of days off; a Saturday or Sunday
    that was made a working day has Monday's hours (as on the day it replaces)."""
    holiday_hours: DayHours = ()
    """Hours on a public holiday: closed unless given."""
    dates: dict[Dates, DayHours] = Field(default_factory=dict)
    """Exceptions: ``"2026-12-31": ["09:00-16:00"]``, ``"2026-07-06..2026-07-10": []``."""

    @field_validator("week")
    @classmethod
    def _each_day_once(
        cls, week: dict[str, tuple[tuple[int, int], ...]]
    ) -> dict[str, tuple[tuple[int, int], ...]]:
        days = [day for key in week for day in weekdays(key)]
        if len(days) != len(set(days)):
            raise expected("each weekday at most once")
        return week

    def day_hours(self, weekday: int) -> tuple[tuple[int, int], ...]:
        """Return the week's intervals for ``weekday`` (Monday = 0)."""
        for key, hours in self.week.items():
            if weekday in weekdays(key):
                return hours
        return ()


LAST_MINUTE = 2 * MINUTES_A_DAY
"""No interval ends later than this many minutes after the midnight at which its day began."""
