"""The one way from the records to counts: the same from roll-ups, from contacts and from both."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.rollup import GRAIN_US, RollUps
from gkc_engine.statistics import drill, rollups
from gkc_engine.statistics.figures import offered
from gkc_engine.statistics.intervals import interval_bounds
from gkc_engine.statistics.report import row
from gkc_engine.statistics.rollups import Line, Period, outcomes, read, total
from tests.statistics.test_report import BERLIN, SINCE, UNTIL, by_hand, drawn, figures_in

QUARTER = 900 * SECOND
City = list[dict[str, Any]]


@pytest.fixture(scope="module")
def city() -> City:
    rng = random.Random(11)
    found = [drawn(rng, n) for n in range(400)]
    for contact in found:
        contact["offers_unanswered"] = rng.randrange(3)
        contact["transfers"] = rng.randrange(2)
        if contact["first_queued"] is None:
            contact["disposition"] = rng.choice(
                ("abandoned_menu", "full", "blocked", "self_served")
            )
    return found


@pytest.fixture(scope="module")
def connection(city: City, module_store_url: str) -> Iterator[sa.Connection]:
    engine = schema.make_engine(module_store_url)
    schema.metadata.create_all(engine)
    rolled = RollUps()
    for contact in city:
        rolled.count(contact)
    with engine.begin() as writing:
        writing.execute(schema.contact.insert(), city)
        writing.execute(schema.rollup.insert(), rolled.take())
    with engine.connect() as reading:
        yield reading
    engine.dispose()


def queued(city: City, since: int, until: int) -> City:
    return [c for c in city if c["first_queued"] and since <= c["first_queued"] < until]


def same(line: Line, found: City) -> None:
    """The line is what the contacts are by hand."""
    expected = by_hand(found)
    assert figures_in(row("all", None, line), expected) == expected
    assert line.handling.transfers == sum(c["transfers"] for c in found)
    assert line.handling.offers == len(found)
    assert line.handling.offers_unanswered == sum(c["offers_unanswered"] for c in found)


@pytest.mark.parametrize(
    ("from_edge", "to_edge"),
    [
        (0, 0),
        (1, 0),
        (0, -1),
        (7 * 60 * SECOND + 5, -(4 * 60 * SECOND)),
        (-QUARTER // 3, QUARTER // 3),
        (3 * QUARTER + 1, -90 * QUARTER),
        (3 * QUARTER, -96 * QUARTER),
        (3 * QUARTER + 1, -96 * QUARTER - 1),
    ],
)
def test_the_same_contacts_count_wherever_a_period_begins_and_ends(
    city: City, connection: sa.Connection, from_edge: int, to_edge: int
) -> None:
    since, until = Instant(SINCE + from_edge), Instant(UNTIL + to_edge)
    mine = queued(city, since, until)
    same(total(read(connection, Period(since=since, until=until)).values()), mine)


@pytest.mark.parametrize("off", [0, 7 * 60 * SECOND])
def test_groups_by_interval_and_columns(city: City, connection: sa.Connection, off: int) -> None:
    """``off``: bounds that no zone of today has are read from the contacts."""
    period = Period(since=Instant(SINCE + off), until=Instant(UNTIL - QUARTER + off))
    bounds = [Instant(b + off) for b in interval_bounds(SINCE, UNTIL, 60, BERLIN)]
    mine = queued(city, period.since, period.until)
    made = read(connection, period, by=("queue", "did"), bounds=bounds)
    groups = {
        (max(b for b in bounds if b <= c["first_queued"]), c["queue"], c["did"]) for c in mine
    }
    assert {group for group, line in made.items() if not line.counts.guests} <= groups
    assert groups <= made.keys()
    for group, line in made.items():
        begin, queue, did = group
        of_group = [
            c
            for c in mine
            if begin <= c["first_queued"] < bounds[bounds.index(begin) + 1]
            and (c["queue"], c["did"]) == (queue, did)
        ]
        same(line, of_group)


@pytest.mark.parametrize(
    "zone", ["Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "America/St_Johns"]
)
def test_zones_off_by_three_quarters_or_half_an_hour_are_read_from_roll_ups(
    city: City, connection: sa.Connection, zone: str
) -> None:
    bounds = interval_bounds(SINCE, UNTIL, 60, ZoneInfo(zone))
    assert not [bound for bound in bounds if bound % GRAIN_US]
    made = read(connection, Period(since=SINCE, until=UNTIL), bounds=bounds)
    for begin, end in pairwise(bounds):
        mine = queued(city, max(begin, SINCE), min(end, UNTIL))
        if mine:
            same(made[begin,], mine)
    assert sum(offered(line.counts) for line in made.values()) == len(queued(city, SINCE, UNTIL))


def test_contacts_of_no_service_have_an_empty_one(city: City, connection: sa.Connection) -> None:
    made = read(connection, Period(since=SINCE, until=UNTIL), by=("service",))
    assert made.keys() == {("mvd",), ("gkh",), ("",)}
    same(made[("",)], [c for c in queued(city, SINCE, UNTIL) if c["service"] is None])


@pytest.mark.parametrize("edge", [0, QUARTER // 2])
def test_every_contact_has_an_outcome(city: City, connection: sa.Connection, edge: int) -> None:
    since, until = Instant(SINCE + edge), Instant(UNTIL + edge)
    expected: Counter[tuple[str, bool]] = Counter()
    for c in city:
        at = c["started"] if c["first_queued"] is None else c["first_queued"]
        if since <= at < until:
            going = "talking" if c["answered"] else "waiting"
            expected[c["disposition"] or going, c["first_queued"] is not None] += 1
    (found,) = outcomes(connection, Period(since=since, until=until)).values()
    assert found == expected
    assert found["full", False] > 0
    by_center = outcomes(connection, Period(since=since, until=until), by=("center", "medium"))
    assert by_center == {("centr", "voice"): expected}


def test_whole_quarter_hours_are_read_from_the_roll_ups(store_url: str) -> None:
    """And what sticks out is not: a roll-up that lies is seen only where it is asked."""
    engine = schema.make_engine(store_url)
    schema.metadata.create_all(engine)
    contact = drawn(random.Random(3), 0)  # at SINCE itself
    rolled = RollUps()
    rolled.count(contact)
    (lie,) = rolled.take()
    with engine.begin() as writing:
        writing.execute(schema.contact.insert(), contact)
        writing.execute(schema.rollup.insert(), lie | {"contacts": 1000})
    with engine.connect() as reading:
        found = [
            rollups.outcomes(reading, Period(since=SINCE, until=Instant(SINCE + length)))
            for length in (QUARTER, QUARTER - 1)
        ]
    assert [sum(counter.values()) for (counter,) in (f.values() for f in found)] == [1000, 1]
    engine.dispose()


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[sa.Connection]:
    """An SQLite store: PostgreSQL reads tables as small as ours whole."""
    engine = schema.make_engine(schema.sqlite_url(str(tmp_path / "gkc.sqlite")))
    schema.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_no_report_reads_a_whole_table(planned: sa.Connection) -> None:
    """Each statement goes by an index; the waits by one that holds all they need."""
    connection, said = planned, list[str]()

    def listen(
        _c: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object
    ) -> None:
        if not statement.startswith("EXPLAIN"):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            said.extend(line[3] for line in plan)

    sa.event.listen(connection.engine, "before_cursor_execute", listen)
    try:
        period = Period(since=Instant(SINCE + 1), until=Instant(UNTIL - 1), service="mvd")
        read(connection, period, by=("queue", "did"))
        outcomes(connection, period)
        list(drill.queued(connection, period))
    finally:
        sa.event.remove(connection.engine, "before_cursor_execute", listen)
    reading = [line for line in said if line.startswith(("SCAN", "SEARCH"))]
    assert len(reading) >= 9, said
    assert not [line for line in reading if line.startswith("SCAN")], said
    assert "SEARCH contact USING COVERING INDEX contact_waits" in "\n".join(reading)
    # Those that never entered a queue stand in that index all together.
    assert not [line for line in reading if "contact_waits (first_queued=?" in line], said
