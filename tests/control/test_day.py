"""The day's counts over midnights and summer time."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.acd.commands import ContactEnded, Disposition
from gkc_engine.acd.events import Party
from gkc_engine.acd.settings import Medium
from gkc_engine.control.day import DayCounters
from gkc_engine.ids import SECOND, ContactId, Instant, Micros, QueueId
from gkc_engine.statistics.counting import Ended
from gkc_engine.statistics.figures import (
    Counts,
    offered,
)
from gkc_engine.statistics.intervals import local_midnight

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
QUEUE = QueueId("passport")
NUMBERS = itertools.count()


def instant(text: str) -> Instant:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return Instant(int(moment.timestamp()) * SECOND)


def ended(disposition: Disposition, at: Instant, wait_s: int = 10) -> Ended:
    return Ended(
        queue=QUEUE,
        disposition=disposition,
        first_queued=at,
        wait_us=wait_s * SECOND,
    )


def fact(disposition: Disposition, first_queued: Instant | None, wait_s: int) -> ContactEnded:
    return ContactEnded(
        contact_id=ContactId(f"c{next(NUMBERS)}"),
        disposition=disposition,
        medium=Medium.VOICE,
        started=Instant(0),
        ended=Instant(1),
        party=Party.CITIZEN,
        reason="",
        via="engine",
        queue=None if first_queued is None else QUEUE,
        first_queued=first_queued,
        answered=first_queued if disposition is Disposition.ANSWERED else None,
        agent_id=None,
        menu_us=Micros(0),
        wait_us=Micros(wait_s * SECOND),
        ring_us=Micros(0),
        talk_us=Micros(0),
        hold_us=Micros(0),
        offers=0,
    )


@pytest.mark.parametrize(("wait_s", "in_target"), [(19, 1), (20, 1), (21, 0)])
def test_the_threshold_itself_is_in_time(wait_s: int, in_target: int) -> None:
    now = instant("2026-11-18T12:00:00+03:00")
    day = DayCounters(MOSCOW, now)
    day.configure({QUEUE: 20 * SECOND})
    day.fold([fact(Disposition.ANSWERED, now, wait_s)], now)
    assert day.of(QUEUE, now).answered_in_target == in_target
    assert day.of(QUEUE, now).wait_answered_us == wait_s * SECOND


def test_a_contact_that_never_queued_is_not_counted() -> None:
    now = instant("2026-11-18T12:00:00+03:00")
    day = DayCounters(MOSCOW, now)
    day.fold([fact(Disposition.ABANDONED_MENU, None, 0), "any other fact"], now)
    assert day.of(QUEUE, now) == Counts()


def test_the_day_turns_at_local_midnight_and_belongs_to_the_queue_entry() -> None:
    before, later = instant("2026-11-18T23:59:50+03:00"), instant("2026-11-19T00:00:10+03:00")
    day = DayCounters(MOSCOW, before)
    day.add(ended(Disposition.ABANDONED, before), before)
    assert day.of(QUEUE, before).abandoned == 1
    assert day.of(QUEUE, later) == Counts()
    day.add(ended(Disposition.ANSWERED, before, wait_s=20), later)
    assert day.of(QUEUE, later) == Counts(), "it came yesterday"
    day.add(ended(Disposition.ANSWERED, later), later)
    assert day.of(QUEUE, later).answered == 1
    assert day.since == instant("2026-11-19T00:00:00+03:00")


def test_counts_recalled_from_the_contact_table_are_those_folded_from_facts() -> None:
    now = instant("2026-11-18T12:00:00+03:00")
    yesterday = instant("2026-11-17T23:59:59+03:00")
    folded, recalled = DayCounters(MOSCOW, now), DayCounters(MOSCOW, now)
    for wait_s, (disposition, queued) in enumerate(
        (d, at) for d in Disposition for at in (now, yesterday)
    ):
        folded.fold([fact(disposition, queued, wait_s)], now)
        row = Ended(
            queue=QUEUE, disposition=disposition, first_queued=queued, wait_us=wait_s * SECOND
        )
        recalled.recall([row], now)
    assert offered(folded.of(QUEUE, now)) == 8
    assert recalled.of(QUEUE, now) == folded.of(QUEUE, now)


def test_whose_end_came_late_is_counted_once() -> None:
    """He left while no engine lived: the next one tells his end, and finds it in the table, too."""
    now = instant("2026-11-18T12:00:00+03:00")
    told = fact(Disposition.ABANDONED, now, 30)
    row = Ended(
        queue=QUEUE,
        disposition=Disposition.ABANDONED,
        first_queued=now,
        wait_us=30 * SECOND,
        contact_id=told.contact_id,
    )
    other = dataclasses.replace(row, contact_id=ContactId("c-before"))
    for table_first in (True, False):
        day = DayCounters(MOSCOW, now)
        if table_first:
            day.recall([row, other], now)
        day.fold([told], now)
        if not table_first:
            day.recall([row, other], now)
        day.recalled()
        assert offered(day.of(QUEUE, now)) == 2
        assert offered(day.recent(QUEUE, now)) == 2
        assert day.complete


def test_what_is_given_out_is_a_copy() -> None:
    now = instant("2026-11-18T12:00:00+03:00")
    day = DayCounters(MOSCOW, now)
    day.add(ended(Disposition.ABANDONED, now), now)
    day.of(QUEUE, now).abandoned = 99
    assert day.of(QUEUE, now).abandoned == 1


@pytest.mark.parametrize(
    ("zone", "noon", "midnight", "hours"),
    [
        (BERLIN, "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", 23),
        (BERLIN, "2026-10-25T12:00:00+01:00", "2026-10-25T00:00:00+02:00", 25),
        (MOSCOW, "2026-10-25T12:00:00+03:00", "2026-10-25T00:00:00+03:00", 24),
        # Midnight itself does not exist on this day: it begins at 01:00.
        (ZoneInfo("America/Havana"), "2026-03-08T12:00:00-04:00", "2026-03-08T01:00:00-04:00", 23),
    ],
)
def test_days_of_summer_time_are_23_or_25_hours(
    zone: ZoneInfo, noon: str, midnight: str, hours: int
) -> None:
    start = local_midnight(instant(noon), zone)
    assert start == instant(midnight)
    day = DayCounters(zone, instant(noon))
    last = Instant(start + hours * 3600 * SECOND - 1)
    day.add(ended(Disposition.ABANDONED, start), last)
    assert day.of(QUEUE, last).abandoned == 1
    assert day.of(QUEUE, Instant(last + 1)) == Counts()
