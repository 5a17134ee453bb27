"""Reports, drill-down and start on the records of millions of contacts.

    python -m bench.records [--contacts 10000000] [--store FILE] [--keep] [--cpu]

Makes the store first (``--store`` with ``--keep``: once, and measures it again the next time), in
about 40 s and 1 GB for each million contacts. Each figure is the middle one of five, in this
process, with the file in the page cache as far as it goes. The whole start, with Asterisk:
``python -m bench.restart --store FILE``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import sqlalchemy as sa

from bench.acd import Figure, say, table
from bench.records_fill import NOBODY, ZONE, fill, midnight, write_ledger
from gkc_engine.acd.commands import Disposition
from gkc_engine.cli._console import state_dir
from gkc_engine.clock import SystemClock
from gkc_engine.control.day import DayCounters
from gkc_engine.ids import SECOND, Instant, QueueId
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import Ledger, engine_version
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.reports.kinds import build
from gkc_engine.reports.model import Report
from gkc_engine.reports.order import Order
from gkc_engine.reports.periods import Length, last_whole
from gkc_engine.reports.source import Asked
from gkc_engine.statistics import drill
from gkc_engine.statistics.counting import Ended
from gkc_engine.statistics.figures import Part, offered
from gkc_engine.statistics.intervals import interval_bounds
from gkc_engine.statistics.rollups import By, Period, outcomes, read

ROUNDS: Final = 5
MONTH: Final = 30


Clock = Callable[[], float]


def middle(work: Callable[[], object], clock: Clock) -> float:
    """Return how many seconds ``work`` takes, the middle of some rounds."""
    took: list[float] = []
    for _ in range(ROUNDS):
        begun = clock()
        work()
        took.append(clock() - begun)
    return median(took)


def report_figures(path: Path, day: date, size: str, clock: Clock) -> list[Figure]:
    """Return what reports cost of a full day and the month before its end."""
    since, until = midnight(day), midnight(day + timedelta(days=1))
    a_day = Period(since=since, until=until)
    a_month = Period(since=midnight(day - timedelta(days=MONTH - 1)), until=until)
    halves = interval_bounds(since, until, 30, ZONE)
    days = [midnight(day - timedelta(days=n)) for n in range(MONTH - 1, -2, -1)]
    off = Period(since=Instant(since + 1), until=Instant(until - 1))
    hour = Period(
        since=Instant(since + 10 * 3600 * SECOND), until=Instant(since + 11 * 3600 * SECOND)
    )
    queue: tuple[By, ...] = ("queue",)
    engine = schema.make_engine(schema.sqlite_url(str(path)), read_only=True)
    found: list[Figure] = []

    def add(what: str, work: Callable[[], object], must: float | None = None) -> None:
        say(what)
        took = middle(work, clock)
        found.append(Figure(row=size, what=what, measured=took, unit="s", must=must, aim=None))

    with engine.connect() as c:
        add(
            "day by half-hour and queue, from roll-ups",
            lambda: read(c, a_day, by=queue, bounds=halves, waits=False),
            0.3,
        )
        add("… with percentiles", lambda: read(c, a_day, by=queue, bounds=halves))
        add("… a microsecond shorter at both ends", lambda: read(c, off, by=queue, bounds=halves))
        add("day's outcomes", lambda: outcomes(c, a_day))
        add(
            "month by queue, from roll-ups",
            lambda: read(c, a_month, by=queue, waits=False),
            2,
        )
        add("… with percentiles", lambda: read(c, a_month, by=queue), 2)
        add(
            "month by day and queue, from roll-ups",
            lambda: read(c, a_month, by=queue, bounds=days, waits=False),
            2,
        )
        add("… with percentiles", lambda: read(c, a_month, by=queue, bounds=days))
        add("month by number", lambda: read(c, a_month, by=("did",)))
        add(
            "drill-down to the answered of an hour",
            lambda: drill.counted(c, hour, Part.ANSWERED),
            0.5,
        )
        add("a month's whole report, compared with the one before", lambda: _whole(c, day))
        _agree(c, a_day, since)
    engine.dispose()
    return found


def _whole(connection: sa.Connection, day: date) -> Report:
    """Make the report of the month before ``day``'s, as ``gkc report month`` does."""
    now = midnight(day)
    of = last_whole(Length.MONTH, now, ZONE)
    order = Order(kind="month", asked=Asked(zone=ZONE, known=now), of=of, length=Length.MONTH)
    return build(connection, order, lambda _contacts: None)


def _agree(connection: sa.Connection, period: Period, since: Instant) -> None:
    """The roll-ups and the contacts of the day tell the same."""
    c = schema.contact.c
    n = connection.scalar(
        sa.select(sa.func.count())
        .where(c.first_queued >= period.since, c.first_queued < period.until)
        .where(c.disposition != str(Disposition.FULL))
    )
    (line,) = read(connection, period, waits=False).values()
    assert n == offered(line.counts) > 0, (n, offered(line.counts), since)


def start_figures(path: Path, size: str, clock: Clock) -> list[Figure]:
    """Return what a start reads: the store opened and settled, and the recovery loaded."""

    async def start() -> None:
        ledger = Ledger(schema.sqlite_url(str(path)), "centr")
        await ledger.open()
        await ledger.load()
        await ledger.close()

    say("start")
    took = middle(lambda: asyncio.run(start()), clock)
    return [Figure(row=size, what="open and recover", measured=took, unit="s", must=2.0, aim=None)]


def writer_figures(path: Path, begin: Instant, size: str, clock: Clock) -> list[Figure]:
    """Return how fast the writer takes a day more, projections and roll-ups with it."""
    say("writer")
    store = LedgerStore(schema.sqlite_url(str(path)))
    store.open()
    begun = clock()
    rows = write_ledger(store, begin, 5_000, 900_000_000)
    took = clock() - begun
    # Else the next run would recover all this.
    store.snapshot(SystemClock().now(), engine_version(), NOBODY)
    store.close()
    return [
        Figure(
            row=size,
            what="ledger rows a second, with projections",
            measured=rows / took,
            unit="rows/s",
            must=5_000,
            aim=20_000,
            more_is_better=True,
        )
    ]


def live_figures(clock: Clock) -> list[Figure]:
    """Return what an event costs the counters of the day, early and after a million contacts."""
    say("live counters")
    found = []
    day = DayCounters(ZONE, midnight(date(2026, 11, 2)))
    day.recalled()
    at = Instant(midnight(date(2026, 11, 2)) + 3600 * SECOND)
    ended = [
        Ended(
            queue=QueueId(f"queue{n % 20}"),
            disposition=Disposition.ANSWERED,
            first_queued=at,
            wait_us=n,
        )
        for n in range(1000)
    ]

    def a_thousand() -> None:
        for one in ended:
            day.add(one, at)

    for name, before in (("the first 5 000", 0), ("after a million", 1000)):
        for _ in range(before):
            a_thousand()
        took = middle(a_thousand, clock) * 1000
        what = f"live counters, an ended contact, {name}"
        found.append(Figure(row="", what=what, measured=took, unit="µs", must=None, aim=None))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run and print the table; 1 where a must is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.records")
    parser.add_argument("--contacts", type=int, default=10_000_000)
    parser.add_argument("--store", type=Path, default=state_dir() / "bench-records.sqlite")
    parser.add_argument("--keep", action="store_true", help="leave the store, and use it again")
    parser.add_argument(
        "--cpu", action="store_true", help="processor time: for a machine that is not calm"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    path: Path = given.store
    today = datetime.fromtimestamp(SystemClock().now() / SECOND, ZONE).date()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        filled = fill(path, given.contacts, today - timedelta(days=1), say)
        say(
            f"{filled.contacts} contacts, {filled.rollups} roll-ups, {filled.events} rows of the "
            f"ledger in {time.perf_counter() - begun:.0f} s, {path.stat().st_size / 1e9:.1f} GB"
        )
    clock = time.process_time if given.cpu else time.perf_counter
    size = f"{given.contacts:,}".replace(",", " ")
    try:
        # The last day is the ledger's, of one queue; the one before has all of them.
        found = report_figures(path, today - timedelta(days=2), size, clock)
        found += start_figures(path, size, clock)
        # Over by now: an engine that goes on with these records must not find times to come, or
        # its own time runs ahead of the wall, and a restart seems to decide late by as much. What
        # is written lasts a minute more than a day.
        begin = Instant(SystemClock().now() - 2 * 86_400 * SECOND)
        found += writer_figures(path, begin, size, clock)
        found += live_figures(clock)
    finally:
        if not given.keep:
            for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                name.unlink(missing_ok=True)
    if given.json:
        print(json.dumps([{**asdict(f), "verdict": f.verdict} for f in found], indent=2))
    else:
        print(table(found, "contacts"))
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return int(any(f.verdict == "MISSED" for f in found))


if __name__ == "__main__":
    sys.exit(main())
