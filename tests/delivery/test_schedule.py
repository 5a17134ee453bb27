"""When a report is due, by the calendar on the wall: each period once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.config.report_model import ReportModel
from gkc_engine.delivery.schedule import due_between, last_due, next_at
from gkc_engine.ids import SECOND, Instant
from tests.delivery.support import moment

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")


def report(what: str, at: str = "07:30", days: str = "mon-sun", **more: str) -> ReportModel:
    entry = {"what": what, "at": at, "days": days, "to": ["a@example.org"], **more}
    return ReportModel.model_validate(entry)


def due(one: ReportModel, since: str, until: str, zone: ZoneInfo = MOSCOW) -> list[tuple[str, str]]:
    return [
        (f"{datetime.fromtimestamp(d.at / SECOND, zone):%m-%d %H:%M %z}", d.label)
        for d in due_between(one, moment(since), moment(until), zone)
    ]


def test_a_day_is_due_on_the_next() -> None:
    assert due(report("day"), "2026-11-27T00:00+03:00", "2026-11-28T12:00+03:00") == [
        ("11-27 07:30 +0300", "2026-11-26"),
        ("11-28 07:30 +0300", "2026-11-27"),
    ]


def test_both_ends_of_the_stretch_are_in_it() -> None:
    at = "2026-11-28T07:30+03:00"
    assert len(due(report("day"), at, at)) == 1
    assert due(report("day"), "2026-11-28T07:30:01+03:00", "2026-11-29T07:29:59+03:00") == []


def test_what_is_due_on_a_day_without_mail_waits_for_the_next_with() -> None:
    # 2026-11-28 is a Saturday.
    working = report("day", days="mon-fri")
    assert due(working, "2026-11-27T00:00+03:00", "2026-11-30T23:00+03:00") == [
        ("11-27 07:30 +0300", "2026-11-26"),
        ("11-30 07:30 +0300", "2026-11-27"),
        ("11-30 07:30 +0300", "2026-11-28"),
        ("11-30 07:30 +0300", "2026-11-29"),
    ]


def test_weeks_and_months() -> None:
    month = ("2026-10-30T00:00+03:00", "2026-12-02T00:00+03:00")
    assert due(report("week"), "2026-11-20T00:00+03:00", "2026-12-02T00:00+03:00") == [
        ("11-23 07:30 +0300", "2026-11-16..2026-11-22"),
        ("11-30 07:30 +0300", "2026-11-23..2026-11-29"),
    ]
    # 2026-11-01 is a Sunday.
    assert due(report("month", days="mon-fri"), *month) == [
        ("11-02 07:30 +0300", "2026-10"),
        ("12-01 07:30 +0300", "2026-11"),
    ]
    assert due(report("queues", period="month"), *month)[0] == ("11-01 07:30 +0300", "2026-10")
    assert due(report("week", days="wed"), *month)[0] == (
        "11-04 07:30 +0300",
        "2026-10-26..2026-11-01",
    )


@pytest.mark.parametrize(
    ("since", "until", "times"),
    [
        # 02:30 does not exist on the 29th: 03:30, as much later as 02:30 is into the gap.
        (
            "2026-03-28",
            "2026-03-31",
            ["03-28 02:30 +0100", "03-29 03:30 +0200", "03-30 02:30 +0200"],
        ),
        # 02:30 comes twice on the 25th: the first, which is still summer time.
        (
            "2026-10-24",
            "2026-10-27",
            ["10-24 02:30 +0200", "10-25 02:30 +0200", "10-26 02:30 +0100"],
        ),
    ],
)
def test_a_night_of_23_or_25_hours_has_one(since: str, until: str, times: list[str]) -> None:
    night = report("day", at="02:30")
    found = due(night, f"{since}T00:00+00:00", f"{until}T00:00+00:00", BERLIN)
    assert [when for when, _ in found] == times
    assert len({period for _, period in found}) == 3


def test_every_day_of_two_years_is_due_once_in_order() -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    first_at, last_at = (Instant(round(t.timestamp()) * SECOND) for t in (since, until))
    found = list(due_between(report("day", at="02:30", days="sat-mon"), first_at, last_at, BERLIN))
    first = {d.first for d in found}
    assert len(first) == len(found)
    assert first == {min(first) + timedelta(days=n) for n in range(len(found))}
    assert [d.at for d in found] == sorted(d.at for d in found)
    assert abs(len(found) - 730) <= 3


def test_the_last_whole_period() -> None:
    now = moment("2026-11-28T06:00+03:00")
    assert last_due(report("day"), now, MOSCOW).label == "2026-11-27"
    assert last_due(report("week"), now, MOSCOW).label == "2026-11-16..2026-11-22"
    assert last_due(report("month"), now, MOSCOW).label == "2026-10"


def test_the_next_time() -> None:
    at = moment("2026-11-28T07:30+03:00")
    assert next_at(report("day"), Instant(at - 1), MOSCOW) == at
    assert next_at(report("day"), at, MOSCOW) == moment("2026-11-29T07:30+03:00")
    assert next_at(report("month"), at, MOSCOW) == moment("2026-12-01T07:30+03:00")
