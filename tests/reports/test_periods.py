"""Days, weeks and months by hand, those too in which the clock is moved."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from gkc_engine.ids import SECOND, Instant
from gkc_engine.reports.periods import (
    Base,
    Length,
    Stretch,
    base_of_stretch,
    bases_of_period,
    last_whole,
    period_of,
    stretch,
)
from tests.reports.support import MOSCOW, instant

BERLIN = ZoneInfo("Europe/Berlin")
LATER = instant("2027-06-01T00:00")


def bounds(of: Stretch) -> tuple[Instant, Instant]:
    return of.since, of.until


@pytest.mark.parametrize(
    ("length", "moment", "since", "until"),
    [
        (Length.DAY, "2026-11-23T00:00", "2026-11-23", "2026-11-24"),
        (Length.DAY, "2026-11-23T23:59", "2026-11-23", "2026-11-24"),
        (Length.WEEK, "2026-11-29T12:00", "2026-11-23", "2026-11-30"),  # a Sunday
        (Length.WEEK, "2026-11-23T00:00", "2026-11-23", "2026-11-30"),  # a Monday
        (Length.MONTH, "2026-12-31T23:59", "2026-12-01", "2027-01-01"),
        (Length.MONTH, "2026-02-01T00:00", "2026-02-01", "2026-03-01"),
    ],
)
def test_a_period_begins_where_people_begin_it(
    length: Length, moment: str, since: str, until: str
) -> None:
    found = period_of(length, instant(moment), LATER, MOSCOW)
    assert bounds(found) == (instant(since), instant(until))
    assert found.whole


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)]
)
def test_days_on_which_the_clock_is_moved(day: str, hours: int) -> None:
    found = period_of(Length.DAY, instant(f"{day}T12:00", BERLIN), LATER, BERLIN)
    assert found.until - found.since == hours * 3600 * SECOND


def test_the_last_whole_ones() -> None:
    now = instant("2026-11-25T08:00")  # a Wednesday
    day = last_whole(Length.DAY, now, MOSCOW)
    week = last_whole(Length.WEEK, now, MOSCOW)
    month = last_whole(Length.MONTH, now, MOSCOW)
    assert bounds(day) == (instant("2026-11-24"), instant("2026-11-25"))
    assert bounds(week) == (instant("2026-11-16"), instant("2026-11-23"))
    assert bounds(month) == (instant("2026-10-01"), instant("2026-11-01"))


def test_what_a_day_is_compared_with() -> None:
    of = period_of(Length.DAY, instant("2026-10-26T12:00", BERLIN), LATER, BERLIN)
    bases = bases_of_period(Length.DAY, of, BERLIN)
    assert list(bases) == [Base.WEEK_BEFORE, Base.DAY_BEFORE]  # The weekday first: the note's.
    week, day = bases.values()
    assert bounds(week) == (instant("2026-10-19", BERLIN), instant("2026-10-20", BERLIN))
    assert day.until - day.since == 25 * 3600 * SECOND


def test_what_weeks_months_and_stretches_are_compared_with() -> None:
    march = period_of(Length.MONTH, instant("2026-03-15"), LATER, MOSCOW)
    (before,) = bases_of_period(Length.MONTH, march, MOSCOW).values()
    assert bounds(before) == (instant("2026-02-01"), instant("2026-03-01"))
    week = period_of(Length.WEEK, instant("2026-11-25"), LATER, MOSCOW)
    (before,) = bases_of_period(Length.WEEK, week, MOSCOW).values()
    assert bounds(before) == (instant("2026-11-16"), instant("2026-11-23"))
    of = stretch(instant("2026-11-25T10:00"), instant("2026-11-25T12:00"), LATER)
    (before,) = base_of_stretch(of).values()
    assert bounds(before) == (instant("2026-11-25T08:00"), instant("2026-11-25T10:00"))


def test_what_is_not_over_is_compared_with_the_same_part() -> None:
    now = instant("2026-11-25T14:30")
    day = period_of(Length.DAY, now, now, MOSCOW)
    assert not day.whole
    assert day.seen == now
    seen = [base.seen for base in bases_of_period(Length.DAY, day, MOSCOW).values()]
    assert seen == [instant("2026-11-18T14:30"), instant("2026-11-24T14:30")]
    week = period_of(Length.WEEK, now, now, MOSCOW)
    (before,) = bases_of_period(Length.WEEK, week, MOSCOW).values()
    assert before.seen == instant("2026-11-18T14:30")
    # The 31st has no like in February: all of that month.
    end = instant("2026-03-31T14:30")
    month = period_of(Length.MONTH, end, end, MOSCOW)
    (before,) = bases_of_period(Length.MONTH, month, MOSCOW).values()
    assert before.seen == before.until == instant("2026-03-01")
