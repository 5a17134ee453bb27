"""A report's rows against a count by hand over random contacts; down to the contacts and back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.rollup import RollUps
from gkc_engine.statistics import drill
from gkc_engine.statistics.counting import OUTBOUND_ONLY
from gkc_engine.statistics.drill import counted
from gkc_engine.statistics.figures import Part
from gkc_engine.statistics.intervals import interval_bounds
from gkc_engine.statistics.report import interval_rows, rows_by
from gkc_engine.statistics.rollups import By, Period, read

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400 * SECOND
SINCE = Instant(int(datetime(2026, 10, 25, tzinfo=BERLIN).timestamp()) * SECOND)
UNTIL = Instant(SINCE + 25 * 3600 * SECOND)
"""The day on which summer time ends."""

QUEUES = {"passport": "mvd", "housing": "gkh", "operator": None}
IN_QUEUE = [
    d
    for d in Disposition
    if d
    not in {
        Disposition.FULL,
        Disposition.BLOCKED,
        Disposition.SELF_SERVED,
        Disposition.ANSWERED_BY_ANNOUNCEMENT,
        Disposition.ABANDONED_MENU,
        Disposition.MISDIRECTED,
        *OUTBOUND_ONLY,
        Disposition.RETURNED,
    }
]


def drawn(rng: random.Random, n: int) -> dict[str, Any]:
    """A contact of about that day, with all that its table must hold."""
    queue = rng.choice([*QUEUES])
    row: dict[str, Any] = {c.name: None for c in schema.contact.columns}
    queued = SINCE + rng.randrange(-DAY // 8, 25 * 3600 * SECOND + DAY // 8)
    queued = {0: SINCE, 1: UNTIL, 2: UNTIL - 1}.get(n, queued)
    wait = rng.choice((0, 4, 5, 6, 19, 20, 21, 90, rng.randrange(200))) * SECOND
    row |= {
        "contact_id": f"c{n:04d}",
        "number": f"2026-ЦАО-{n:06d}",
        "medium": "voice",
        "direction": "in",
        "initiation": "inbound",
        "center_entry": "centr",
        "did": rng.choice(("+74957777777", "+74951112233")),
        "language": "ru",
        "config_version": "v1",
        "offers": 1,
        "agent_offers": 1,
        "offers_unanswered": 0,
        "offers_withdrawn": 0,
        "transfers": 0,
        "step": 0,
        "wrap_up_us": rng.randrange(60) * SECOND,
        # Who was cut off and called again has the place, and the first entry, of the call before.
        "started": queued + (3 * 86_400 if n == 2 else rng.randrange(-600, 300)) * SECOND,
        "first_queued": queued,
        "queue": queue,
        "service": QUEUES[queue],
        "sl_threshold_us": rng.choice((20, 60)) * SECOND,
    }
    kind = rng.random() if n > 2 else 1.0
    if kind < 0.1:  # Left in the menu.
        row |= {"first_queued": None, "queue": None, "service": None, "ended": row["started"]}
        row |= {"disposition": "abandoned_menu", "wait_us": 0}
        if kind < 0.05:  # Called by an operator.
            called = rng.choice([*sorted(OUTBOUND_ONLY), Disposition.ANSWERED, None])
            row |= {"direction": "out", "disposition": called}
        elif kind < 0.08:  # Another center's.
            row |= {"direction": "guest", "queue": queue, "service": QUEUES[queue], "did": ""}
            row["disposition"] = rng.choice(("returned", "answered", None))
    elif kind < 0.2:  # In progress: waiting, or talking.
        row["answered"] = queued + wait if rng.random() < 0.5 else None
    else:
        disposition = rng.choice(IN_QUEUE)
        row |= {"disposition": disposition.value, "wait_us": wait, "ended": queued + wait + 9}
        row |= {"talk_us": 0, "hold_us": 0}
        if disposition is Disposition.ANSWERED:
            row["answered"] = queued + wait
            row["talk_us"], row["hold_us"] = rng.randrange(300) * SECOND, rng.randrange(9) * SECOND
            row["agent_id"] = rng.choice(("anna", "sever:7"))
        if rng.random() < 0.2 or row["agent_id"] == "sever:7":
            row["overflow_count"] = rng.randrange(1, 3)
            row["overflow_returned"] = rng.choice((None, 1))
    return row


@pytest.fixture(scope="module")
def city() -> list[dict[str, Any]]:
    rng = random.Random(7)
    return [drawn(rng, n) for n in range(1_000)]


@pytest.fixture(scope="module")
def connection(city: list[dict[str, Any]], module_store_url: str) -> Iterator[sa.Connection]:
    engine = schema.make_engine(module_store_url)
    schema.metadata.create_all(engine)
    with engine.begin() as writing:
        writing.execute(schema.contact.insert(), city)
        rolled = RollUps()
        for contact in city:
            rolled.count(contact)
        writing.execute(schema.rollup.insert(), rolled.take())
    with engine.connect() as reading:
        yield reading
    engine.dispose()


def of_the_day(city: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [c for c in city if c["first_queued"] and SINCE <= c["first_queued"] < UNTIL]


def guests_of_the_day(city: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [c for c in city if c["direction"] == "guest" and SINCE <= c["started"] < UNTIL]


def by_hand(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of docs/statistics.md, once more, over lists instead of counts."""
    ended = Counter(c["disposition"] for c in found)
    answered = [c for c in found if c["disposition"] == "answered" or c["answered"]]
    waits = sorted(c["answered"] - c["first_queued"] for c in answered)
    met = sum(c["answered"] - c["first_queued"] <= c["sl_threshold_us"] for c in answered)
    left = [c for c in found if c["disposition"] in ("abandoned", "abandoned_short")]
    soon = [c for c in left if c["wait_us"] <= c["sl_threshold_us"]]
    done = [c for c in answered if c["ended"]]
    short = ended["abandoned_short"]
    handled = sum(c["talk_us"] + c["hold_us"] + c["wrap_up_us"] for c in done)

    def reached(percent: int) -> float | None:
        """The shortest wait that at least so many of the answered did not exceed."""
        enough = [w for w in waits if 100 * sum(x <= w for x in waits) >= percent * len(waits)]
        return enough[0] / SECOND if enough else None

    def share(part: float, whole: float) -> float | None:
        return round(part / whole, 4) if whole else None

    return {
        "offered": len(found),
        "answered": len(answered),
        "answered_in_target": met,
        "abandoned": len(left),
        "abandoned_short": short,
        "abandoned_in_target": len(soon),
        "ended_waiting": sum(ended[d] for d in ("timeout", "no_agent", "closed")),
        "failed": ended["failed_open"] + ended["system_failed"],
        "waiting": sum(c["disposition"] is None and c["answered"] is None for c in found),
        "overflow_sent": sum(bool(c["overflow_count"]) for c in found),
        "overflow_answered": sum(c["agent_id"] == "sever:7" for c in answered),
        "overflow_returned": sum(bool(c["overflow_returned"]) for c in found),
        "abandon_rate": share(ended["abandoned"], len(found)),
        "asa_s": share(sum(waits) / SECOND, len(waits)),
        "wait_p50_s": reached(50),
        "wait_p90_s": reached(90),
        "wait_p95_s": reached(95),
        "wait_max_s": waits[-1] / SECOND if waits else None,
        "aht_s": share(handled / SECOND, len(done)),
        "service_level": share(met, len(answered) + len(left) - short),
        "sl_1": share(met, len(answered)),
        "sl_2": share(met, len(answered) + len(left)),
        "sl_3": share(met, len(answered) + len(left) - len(soon)),
        "sl_4": share(met + len(soon), len(answered) + len(left)),
    }


def figures_in(row: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in like}


def test_rows_by_queue_service_and_number(
    city: list[dict[str, Any]], connection: sa.Connection
) -> None:
    mine = of_the_day(city)
    period = Period(since=SINCE, until=UNTIL)
    columns: tuple[By, ...] = ("queue", "service", "did")
    for column in columns:
        *rows, of_all = rows_by(column, read(connection, period, by=(column,)))
        values = sorted({c[column] for c in mine} - {None}) + [""] * any(
            not c[column] for c in (*mine, *guests_of_the_day(city))
        )
        assert [row[column] for row in rows] == values
        for row in rows:
            expected = by_hand([c for c in mine if (c[column] or "") == row[column]])
            assert figures_in(row, expected) == expected
        assert of_all[column] is None
        assert figures_in(of_all, by_hand(mine)) == by_hand(mine)


@pytest.mark.parametrize(("minutes", "n"), [(15, 100), (30, 50), (60, 25)])
def test_intervals_hold_each_contact_once(
    city: list[dict[str, Any]], connection: sa.Connection, minutes: int, n: int
) -> None:
    period = Period(since=SINCE, until=UNTIL)
    bounds = interval_bounds(SINCE, UNTIL, minutes, BERLIN)
    *rows, of_all = interval_rows(bounds, BERLIN, read(connection, period, bounds=bounds))
    assert len(rows) == n
    mine = of_the_day(city)
    length = minutes * 60 * SECOND
    for index, row in enumerate(rows):
        begin = SINCE + index * length
        expected = by_hand([c for c in mine if begin <= c["first_queued"] < begin + length])
        assert figures_in(row, expected) == expected, row["interval"]
    for part in Part:
        assert sum(row[part] for row in rows) == of_all[part]
    # Offered is the sum of its parts, in every interval.
    for row in (*rows, of_all):
        parts = ("answered", "abandoned", "ended_waiting", "failed", "waiting")
        assert row["offered"] == sum(row[part] for part in parts)


def test_filters(city: list[dict[str, Any]], connection: sa.Connection) -> None:
    one = Period(since=SINCE, until=UNTIL, queue="passport")
    (row,) = rows_by("queue", read(connection, one, by=("queue",)))
    assert row["offered"] == sum(c["queue"] == "passport" for c in of_the_day(city))
    other = Period(since=SINCE, until=UNTIL, service="gkh")
    (row,) = rows_by("service", read(connection, other, by=("service",)))
    assert row["offered"] == sum(c["service"] == "gkh" for c in of_the_day(city))
    none = Period(since=SINCE, until=UNTIL, queue="passport", service="gkh")
    assert rows_by("queue", read(connection, none, by=("queue",))) == []


def test_guests_count_by_queue_and_in_nothing_else(
    city: list[dict[str, Any]], connection: sa.Connection
) -> None:
    guests = guests_of_the_day(city)
    period = Period(since=SINCE, until=UNTIL)
    *rows, of_all = rows_by("queue", read(connection, period, by=("queue",)))
    for row in (*rows, of_all):
        mine = [c for c in guests if row["queue"] in (None, c["queue"])]
        answered = [c for c in mine if c["disposition"] == "answered"]
        assert (row["guests"], row["guests_answered"]) == (len(mine), len(answered))
    assert of_all["offered"] == len(of_the_day(city))
    assert of_all["guests"] > of_all["guests_answered"] > 0


@pytest.mark.parametrize("part", Part)
def test_a_figure_is_as_long_as_its_list(connection: sa.Connection, part: Part) -> None:
    period = Period(since=SINCE, until=UNTIL)
    *_, of_all = rows_by("queue", read(connection, period, by=("queue",)))
    listed = counted(connection, period, part)
    assert of_all[part] == len(listed) == len({c["contact_id"] for c in listed}) > 0


@pytest.mark.parametrize("direction", ["in", "out", "guest"])
def test_an_outcome_is_as_long_as_its_list(
    city: list[dict[str, Any]], connection: sa.Connection, direction: str
) -> None:
    period = Period(since=SINCE, until=UNTIL)
    mine = [
        c
        for c in city
        if c["direction"] == direction and SINCE <= (c["first_queued"] or c["started"]) < UNTIL
    ]
    expected = Counter(c["disposition"] or "in_progress" for c in mine)
    listed = {
        name: drill.ended_as(connection, period, name, direction)
        for name in (*Disposition, "in_progress")
    }
    assert {name: len(rows) for name, rows in listed.items() if rows} == expected
    assert len(expected) > 2
    everyone = [c["contact_id"] for c in drill.ended_as(connection, period, "contacts", direction)]
    assert sorted(everyone) == sorted(c["contact_id"] for c in mine)


def test_who_belongs_to_no_service_can_be_listed(
    city: list[dict[str, Any]], connection: sa.Connection
) -> None:
    none = Period(since=SINCE, until=UNTIL, service="")
    (row,) = rows_by("queue", read(connection, none, by=("service",)))
    listed = counted(connection, none, Part.OFFERED)
    mine = [c["contact_id"] for c in of_the_day(city) if c["service"] is None]
    assert sorted(c["contact_id"] for c in listed) == sorted(mine)
    assert row["offered"] == len(mine) > 0


def test_a_period_without_contacts_has_intervals_and_no_figures(connection: sa.Connection) -> None:
    later = Period(since=Instant(UNTIL + 30 * DAY), until=Instant(UNTIL + 31 * DAY))
    assert rows_by("queue", read(connection, later, by=("queue",))) == []
    bounds = interval_bounds(later.since, later.until, 60, BERLIN)
    rows = interval_rows(bounds, BERLIN, read(connection, later, bounds=bounds))
    assert len(rows) == 25
    assert {row["offered"] for row in rows} == {0}
    assert {row["service_level"] for row in rows} == {None}
