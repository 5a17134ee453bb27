from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.control.views import iso
from gkc_engine.control.when import (
    from_iso,
    local_time,
    parse_duration,
    parse_future,
    parse_past,
    span,
)
from gkc_engine.ids import SECOND, Instant

MOSCOW = ZoneInfo("Europe/Moscow")
NOW = from_iso("2026-11-18T14:06:40+03:00")


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("20s", 20_000_000),
        ("1.5m", 90_000_000),
        ("250ms", 250_000),
        ("0s", 0),
        ("2h", 7200 * 10**6),
    ],
)
def test_durations(text: str, us: int) -> None:
    assert parse_duration(text) == us


@pytest.mark.parametrize("text", ["", "20", "20 s", "-5s", "1,5m", "٣s", "1e3s", "s", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-18T12:06:40+03:00"),
        ("9:30", "2026-11-18T09:30:00+03:00"),
        ("09:30:15", "2026-11-18T09:30:15+03:00"),
        ("23:00", "2026-11-17T23:00:00+03:00"),
        ("2026-11-18", "2026-11-18T00:00:00+03:00"),
        ("2026-11-18T09:30", "2026-11-18T09:30:00+03:00"),
        ("2026-11-18T09:30Z", "2026-11-18T12:30:00+03:00"),
    ],
)
def test_since_is_in_the_past(text: str, expected: str) -> None:
    assert parse_past(text, NOW, MOSCOW) == from_iso(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15m", "2026-11-18T14:21:40+03:00"),
        ("14:30", "2026-11-18T14:30:00+03:00"),
        ("9:30", "2026-11-19T09:30:00+03:00"),
    ],
)
def test_until_is_in_the_future(text: str, expected: str) -> None:
    assert parse_future(text, NOW, MOSCOW) == from_iso(expected)


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "15", "9:3"])
def test_what_is_no_time_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 15m"):
        parse_past(text, NOW, MOSCOW)


@given(st.integers(0, 4_000_000_000 * SECOND))
def test_iso_keeps_every_microsecond(moment: int) -> None:
    text = iso(Instant(moment))
    assert text is not None
    assert text.endswith("Z")
    assert len(text) == len("2026-11-18T11:06:40.000000Z")
    assert from_iso(text) == moment


def test_local_time_is_the_center_s() -> None:
    assert local_time("2026-11-18T22:30:00.900000Z", MOSCOW) == "2026-11-19 01:30:00"
    assert local_time(None, MOSCOW) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0:00"), (59.99, "0:59"), (61, "1:01"), (3661, "1:01:01")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_a_clock_in_the_hour_that_summer_time_skips_is_taken() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = from_iso("2026-03-29T00:30:00+01:00")
    assert parse_future("02:30", now, berlin) == from_iso("2026-03-29T03:30:00+02:00")
