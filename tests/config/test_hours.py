"""Hours by local clocks: lunch breaks, midnight, DST nights, holidays, exceptions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.hours import is_open, next_change, zone_of
from gkc_engine.ids import SECOND, Instant

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")  # has DST: 2027-03-28 02:00→03:00, 2027-10-31 03:00→02:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # DST of half an hour
APIA = ZoneInfo("Pacific/Apia")  # 2011-12-30 did not exist there


def calendar(**keys: Any) -> CalendarModel:  # noqa: ANN401
    return CalendarModel.model_validate_json(json.dumps(keys))


def at(text: str, tz: ZoneInfo = MOSCOW, fold: int = 0) -> Instant:
    local = datetime.fromisoformat(text).replace(tzinfo=tz, fold=fold)
    return Instant(round(local.timestamp()) * SECOND)


def utc(text: str) -> Instant:
    return Instant(round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND)


WORK = calendar(week={"mon-fri": ["09:00-13:00", "14:00-18:00"]}, holidays="RU")
NIGHT = calendar(week={"fri-sat": ["22:00-06:00"]})
EARLY = calendar(week={"mon-sun": ["02:30-04:00"]})


@pytest.mark.parametrize(
    ("hours", "moment", "expected"),
    [
        (WORK, "2026-06-01T08:59:59", False),
        (WORK, "2026-06-01T09:00:00", True),
        (WORK, "2026-06-01T12:59:59", True),
        (WORK, "2026-06-01T13:00:00", False),
        (WORK, "2026-06-01T14:00:00", True),
        (WORK, "2026-06-01T18:00:00", False),
        (WORK, "2026-06-06T10:00:00", False),  # Saturday
        (WORK, "2026-06-12T10:00:00", False),  # Russia Day, a Friday
        (WORK, "2026-03-09T10:00:00", False),  # a Monday off for 8 March, a Sunday
        (WORK, "2025-11-01T10:00:00", True),  # a Saturday made a working day
        (WORK, "2025-11-01T19:00:00", False),
        (WORK, "2025-11-03T10:00:00", False),  # the day off given for it
        (NIGHT, "2026-06-05T21:59:59", False),
        (NIGHT, "2026-06-05T22:00:00", True),
        (NIGHT, "2026-06-06T05:59:59", True),
        (NIGHT, "2026-06-06T06:00:00", False),
        (NIGHT, "2026-06-07T05:00:00", True),  # Saturday's night
        (NIGHT, "2026-06-08T05:00:00", False),  # Sunday has none
    ],
)
def test_open_by_the_week_and_the_holidays(
    hours: CalendarModel,
    moment: str,
    expected: bool,
) -> None:
    assert is_open(hours, MOSCOW, at(moment)) is expected


def test_exceptions_win_over_holidays_and_those_over_the_week() -> None:
    hours = calendar(
        week={"mon-sun": ["09:00-18:00"]},
        holidays="RU",
        holiday_hours=["10:00-12:00"],
        dates={"2027-01-07": ["15:00-16:00"], "2026-07-06..2026-07-10": []},
    )
    assert is_open(hours, MOSCOW, at("2027-01-06T11:00"))
    assert not is_open(hours, MOSCOW, at("2027-01-06T09:30"))
    assert is_open(hours, MOSCOW, at("2027-01-07T15:30"))
    assert not is_open(hours, MOSCOW, at("2027-01-07T11:00"))
    assert not is_open(hours, MOSCOW, at("2026-07-06T10:00"))
    assert not is_open(hours, MOSCOW, at("2026-07-10T10:00"))
    assert is_open(hours, MOSCOW, at("2026-07-11T10:00"))


def test_the_night_when_clocks_go_forward_loses_its_hour() -> None:
    """02:30 does not exist in Berlin on 2027-03-28: open from 03:00 summer time, 01:00 UTC."""
    before = utc("2027-03-28T00:00")
    assert next_change(EARLY, BERLIN, before) == utc("2027-03-28T01:00")
    assert not is_open(EARLY, BERLIN, utc("2027-03-28T00:59:59"))
    assert is_open(EARLY, BERLIN, utc("2027-03-28T01:00"))
    assert next_change(EARLY, BERLIN, utc("2027-03-28T01:00")) == utc("2027-03-28T02:00")


def test_the_night_when_clocks_go_back_opens_twice() -> None:
    """02:30 comes twice in Berlin on 2027-10-31; at the second 02:00 it is closed again."""
    changes = [utc("2027-10-31T00:00")]
    while (change := next_change(EARLY, BERLIN, changes[-1])) and len(changes) < 5:
        changes.append(change)
    assert changes[1:] == [
        utc("2027-10-31T00:30"),  # 02:30 summer time
        utc("2027-10-31T01:00"),  # 02:00 winter time
        utc("2027-10-31T01:30"),  # 02:30 winter time
        utc("2027-10-31T03:00"),  # 04:00
    ]


def test_a_calendar_without_changes_has_none() -> None:
    always = calendar(week={"mon-sun": ["00:00-24:00"]})
    assert is_open(always, BERLIN, utc("2027-03-28T01:00"))
    assert next_change(always, BERLIN, utc("2026-01-01T00:00")) is None
    assert next_change(calendar(week={}), MOSCOW, utc("2026-01-01T00:00")) is None


def test_a_change_after_long_holidays_is_found() -> None:
    assert next_change(WORK, MOSCOW, at("2026-12-30T18:00")) == at("2027-01-11T09:00")


def test_a_calendar_may_have_a_zone_of_its_own() -> None:
    assert zone_of(calendar(week={}, timezone="Asia/Omsk"), "Europe/Moscow").key == "Asia/Omsk"
    assert zone_of(calendar(week={}), "Europe/Moscow") == MOSCOW


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@st.composite
def hours_of_a_day(draw: st.DrawFn) -> list[str]:
    """Up to three intervals apart, on quarters of an hour, the last perhaps past midnight."""
    marks = sorted(draw(st.sets(st.integers(0, 95), max_size=6)))
    pairs = [(a, b) for a, b in zip(marks[::2], marks[1::2], strict=False)]
    if pairs and marks[-1] % 2:  # Half of the time the last runs past midnight.
        pairs[-1] = (pairs[-1][0], draw(st.integers(0, pairs[0][0])))
    shown = [f"{a // 4:02}:{a % 4 * 15:02}-{b // 4:02}:{b % 4 * 15:02}" for a, b in pairs]
    return [text for (a, b), text in zip(pairs, shown, strict=True) if a != b]


def oracle(week: dict[str, list[str]], dated: dict[str, list[str]], local: datetime) -> bool:
    """Say whether it is open by reading the rules as a person would, from text alone."""
    clock = f"{local:%H:%M}"
    today, yesterday = local.date(), local.date() - timedelta(days=1)

    def rules(day: date) -> list[list[str]]:
        texts = dated.get(day.isoformat(), week.get(DAYS[day.weekday()], []))
        return [text.split("-") for text in texts]

    for start, end in rules(today):
        if start <= clock and (clock < end or end <= start):
            return True
    return any(end < start and clock < end for start, end in rules(yesterday))


@settings(deadline=None, max_examples=60)
@given(
    week=st.dictionaries(st.sampled_from(DAYS), hours_of_a_day(), max_size=7),
    exception=hours_of_a_day(),
    place=st.sampled_from(
        [
            (BERLIN, "2027-03-27", "2027-03-28"),
            (BERLIN, "2027-10-30", "2027-10-31"),
            (LORD_HOWE, "2027-04-03", "2027-04-04"),
            (APIA, "2011-12-28", "2011-12-29"),
            (MOSCOW, "2026-12-31", "2027-01-01"),
        ]
    ),
    start=st.integers(0, 1439),
)
def test_the_next_change_is_the_first_minute_at_which_the_oracle_flips(
    week: dict[str, list[str]],
    exception: list[str],
    place: tuple[ZoneInfo, str, str],
    start: int,
) -> None:
    tz, first, second = place
    dated = {second: exception}
    hours = calendar(week=week, dates=dated)
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC) + timedelta(minutes=start)
    state = oracle(week, dated, begin.astimezone(tz))
    instant = Instant(round(begin.timestamp()) * SECOND)
    assert is_open(hours, tz, instant) is state
    change = next_change(hours, tz, instant)
    for minute in range(1, 3 * 1440):
        moment = begin + timedelta(minutes=minute)
        if oracle(week, dated, moment.astimezone(tz)) is not state:
            assert change == round(moment.timestamp()) * SECOND
            return
    assert change is None or change >= instant + 3 * 86400 * SECOND
