"""The intervals of a day, where the clock is moved too."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.ids import SECOND, Instant
from gkc_engine.statistics.intervals import (
    LENGTHS_MIN,
    clock_time,
    interval_bounds,
    local_midnight,
    next_midnight,
)

MOSCOW, BERLIN = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin")
MINUTE = 60 * SECOND


def instant(text: str) -> Instant:
    return Instant(int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * SECOND)


def day_of(noon: str, zone: ZoneInfo) -> tuple[Instant, Instant]:
    start = local_midnight(instant(noon), zone)
    return start, next_midnight(start, zone)


@pytest.mark.parametrize(
    ("noon", "zone", "minutes", "n"),
    [
        ("2026-11-18T12:00:00+03:00", MOSCOW, 15, 96),
        ("2026-11-18T12:00:00+03:00", MOSCOW, 30, 48),
        ("2026-11-18T12:00:00+03:00", MOSCOW, 60, 24),
        ("2026-03-29T12:00:00+02:00", BERLIN, 30, 46),
        ("2026-03-29T12:00:00+02:00", BERLIN, 60, 23),
        ("2026-10-25T12:00:00+01:00", BERLIN, 30, 50),
        ("2026-10-25T12:00:00+01:00", BERLIN, 60, 25),
        # A quarter of an hour beside Nepal's full hours is one of its own hours.
        ("2026-11-18T12:00:00+05:45", ZoneInfo("Asia/Kathmandu"), 60, 24),
    ],
)
def test_a_day_has_so_many(noon: str, zone: ZoneInfo, minutes: int, n: int) -> None:
    bounds = interval_bounds(*day_of(noon, zone), minutes, zone)
    assert len(bounds) == n + 1
    assert {after - before for before, after in pairwise(bounds)} == {minutes * MINUTE}


def test_the_hour_that_comes_twice_is_two_hours_and_says_so() -> None:
    bounds = interval_bounds(*day_of("2026-10-25T12:00:00+01:00", BERLIN), 60, BERLIN)
    assert [clock_time(b, BERLIN) for b in bounds[1:5]] == [
        "2026-10-25 01:00",
        "2026-10-25 02:00 +02:00",
        "2026-10-25 02:00 +01:00",
        "2026-10-25 03:00",
    ]


def test_a_clock_moved_by_half_an_hour_makes_one_hour_longer() -> None:
    # Lord Howe goes from 02:00 to 02:30 on 4 October 2026: the hour from 01:00 ends at 03:00.
    zone = ZoneInfo("Australia/Lord_Howe")
    bounds = interval_bounds(*day_of("2026-10-04T12:00:00+11:00", zone), 60, zone)
    assert [clock_time(b, zone)[11:] for b in bounds[:4]] == ["00:00", "01:00", "03:00", "04:00"]
    assert bounds[2] - bounds[1] == 90 * MINUTE


def test_the_first_and_the_last_interval_are_whole() -> None:
    bounds = interval_bounds(
        instant("2026-11-18T23:40:00+03:00"), instant("2026-11-19T00:00:01+03:00"), 30, MOSCOW
    )
    assert [clock_time(b, MOSCOW) for b in bounds] == [
        "2026-11-18 23:30",
        "2026-11-19 00:00",
        "2026-11-19 00:30",
    ]


@given(
    st.sampled_from(["Europe/Moscow", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe"]),
    st.integers(1_700_000_000, 1_800_000_000),
    st.integers(1, 4 * 86_400),
    st.sampled_from(LENGTHS_MIN),
)
def test_intervals_tile_the_time(name: str, since_s: int, length_s: int, minutes: int) -> None:
    zone, since = ZoneInfo(name), Instant(since_s * SECOND)
    until = Instant(since + length_s * SECOND)
    bounds = interval_bounds(since, until, minutes, zone)
    assert bounds == sorted(set(bounds))
    assert bounds[0] <= since < bounds[1]
    assert bounds[-2] < until <= bounds[-1]
    for bound in bounds:
        local = datetime.fromtimestamp(bound / SECOND, zone)
        assert local.minute % minutes == 0 or bound == local_midnight(bound, zone)
