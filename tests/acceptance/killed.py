"""The demo's city whose engine is killed again and again, and what must hold of its records."""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition, OfferContact, SegmentKind
from gkc_engine.acd.events import CaughtUp
from gkc_engine.ids import SECOND, Instant
from gkc_engine.reconcile.sums import identity
from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import KINDS
from tests.acceptance.home import Home, until

BACK_S: Final = 60.0
"""Within so long the watchdog has another engine at work."""

ADOPTED_US: Final = 10 * SECOND
"""Who stands in the native queue when the engine is back is known to it by then."""

QUARTER_US: Final = 900 * SECOND


@dataclass(slots=True, kw_only=True)
class Run:
    """A demo that has ended."""

    home: Home
    url: str
    note: dict[str, Any]
    row: dict[str, Any]
    """What ``gkc demo --json`` printed."""
    kills: list[Instant] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return Path(self.note["state"])

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        engine = schema.make_engine(self.url, read_only=True)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def killed(
    home: Home,
    url: str,
    *calls: str,
    kills: int,
    seed: int,
    before: Callable[[Run], None] = lambda _run: None,
) -> Run:
    """Run a demo to its end and end its engine ``kills`` times at seeded instants.

    Every third time the spare worker goes with it, so that nobody stands by, and the one that
    comes then is killed, too, before it can have asked Asterisk what happened.

    Args:
        home: Where.
        url: Of the records.
        calls: ``--seconds``, how many, and what else the demo is told.
        kills: How often.
        seed: Of the instants.
        before: Is called before each kill, with an engine at work.
    """
    with home.start(*calls, "--store", url, "--free-ports", "--json") as demo:
        said: list[str] = []

        def listen() -> None:  # To the end: the demo would stop before a full pipe.
            assert demo.stderr is not None
            said.extend(demo.stderr)

        hears = threading.Thread(target=listen)
        hears.start()
        try:
            until(lambda: any(" citizens call within" in line for line in said))
            run = Run(home=home, url=url, note=json.loads(home.note.read_text()), row={})
            _kill_again_and_again(run, kills, seed, float(calls[1]), before)
            assert demo.stdout is not None
            out = demo.stdout.read()
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGTERM)
            hears.join()
    assert demo.returncode == 0, "".join(said[-20:]) + out
    run.row = json.loads(out)
    return run


def _kill_again_and_again(
    run: Run, kills: int, seed: int, seconds: float, before: Callable[[Run], None]
) -> None:
    began = time.monotonic()
    rng = random.Random(f"kills {seed}")
    width = seconds / -(-3 * kills // 4)  # Of four kills two come at one moment.
    for n in itertools.count():
        _reached(began + width * (n + rng.uniform(0.05, 0.95)))
        until(lambda: _engine(run) not in run.dead, BACK_S)
        before(run)
        born = logged(run, "control_listening")
        _kill(run, with_spare=n % 3 == 2)
        if n % 3 == 2 and len(run.kills) < kills:
            _kill_newborn(run, born)
        if len(run.kills) == kills:
            return


def _reached(moment: float) -> None:
    until(lambda: time.monotonic() >= moment, moment - time.monotonic() + 1)


def _kill(run: Run, *, with_spare: bool) -> None:
    """End the engine's worker. The watchdog is no engine: it stays."""
    workers = [_engine(run)]
    if with_spare:
        workers += [pid for pid in _workers(run.note["pids"]["watchdog"]) if pid not in workers]
    _end(run, *workers)


def _engine(run: Run) -> int:
    return int(json.loads(run.home.note.read_text())["pids"]["engine"])


def _kill_newborn(run: Run, born: Callable[[], None]) -> None:
    """End the next worker when its core is there again, and Asterisk not heard yet."""
    born()
    _end(run, *_workers(run.note["pids"]["watchdog"]))


def logged(run: Run, event: str) -> Callable[[], None]:
    """Return what waits until the engine logs ``event``, from now on."""
    log = Path(run.note["log"])
    before = log.stat().st_size

    def there() -> bool:
        with log.open("rb") as file:
            file.seek(before)
            return f'"event": "{event}"'.encode() in file.read()

    return lambda: until(there, BACK_S)


def is_behind(run: Run) -> bool:
    """Whether the engine writes to its journal, the store being away or too slow."""
    words = ("ledger_behind", "ledger_caught_up")
    log = Path(run.note["log"]).read_text(encoding="utf-8")
    behind, caught_up = (log.rfind(f'"event": "{word}"') for word in words)
    return behind > caught_up


def _end(run: Run, *workers: int) -> None:
    run.kills.append(Instant(time.time_ns() // 1000))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    run.dead.update(workers)


def _workers(watchdog: int) -> list[int]:
    """Return the watchdog's children: the worker and who stands by for it."""
    told = Path(f"/proc/{watchdog}/task/{watchdog}/children").read_text()
    return [int(pid) for pid in told.split()]


# --- what must hold ---------------------------------------------------------------------------


def nothing_is_lost(run: Run) -> None:
    """Each call stands in the records once, and the records agree with Asterisk's lists."""
    row = run.row
    assert (row["lost"], row["doubled"]) == (0, 0)
    parts = ("answered", "abandoned", "self_served", "refused", "failed_open")
    assert row["offered"] == sum(row[part] for part in parts)
    verified = run.home.object("records", "verify")
    assert verified["differences"] == 0, json.dumps(verified["listed"], indent=1)
    assert verified["counts"]["contacts"] == row["offered"] + row["outbound"]
    assert verified["notes"] == []
    assert run.home.gkc("records", "rebuild", "--check") == []


def identity_holds(run: Run) -> None:
    """In each minute, and in each interval of the report, offered is who entered a queue."""
    c = schema.contact.c
    with run.reading() as connection:
        first, last = connection.execute(
            sa.select(sa.func.min(c.started), sa.func.max(c.started))
        ).one()
        for since in range(first - first % (60 * SECOND), last + 1, 60 * SECOND):
            found = list(identity(connection, Instant(since), Instant(since + 60 * SECOND)))
            assert found == []
        quarter = c.first_queued - c.first_queued % QUARTER_US
        entered = connection.execute(
            sa.select(quarter, sa.func.count())
            .where(c.first_queued.is_not(None))
            .group_by(quarter)
            .order_by(quarter)
        ).all()
    *intervals, of_all = run.home.gkc("report", "interval", "--every", "15", "--from", "1h")
    told = [row["offered"] for row in intervals if row["offered"]]
    assert told == [count for _, count in entered]
    assert of_all["offered"] == sum(told)


def outcomes_fit(run: Run) -> list[str]:
    """Return the contacts whose disposition is not what Asterisk's own list of legs says.

    Answered is who talked with an operator; failed open, who left while no engine was there.
    """
    talked = _answered_legs(run.folder / "asterisk" / "log" / "cel-custom" / "legs.csv")
    c, s = schema.contact.c, schema.segment.c
    wrong: list[str] = []
    with run.reading() as connection:
        native = set(
            connection.scalars(sa.select(s.contact_id).where(s.kind == SegmentKind.FALLBACK))
        )
        contacts = connection.execute(sa.select(schema.contact).where(c.direction == "in")).all()
        away = absences(run, connection)
    for row in contacts:
        answered = row.disposition == Disposition.ANSWERED
        if answered is not (row.linkedid in talked):
            wrong.append(f"{row.contact_id}: {row.disposition}, talked: {row.linkedid in talked}")
        if row.disposition == Disposition.FAILED_OPEN:
            gone = any(since <= row.ended and row.started <= until for since, until in away)
            if not gone or (row.contact_id not in native and row.via != "fallback"):
                wrong.append(f"{row.contact_id}: failed open at {row.ended}, {row.reason}")
    return wrong


def absences(run: Run, connection: sa.Connection) -> list[tuple[int, int]]:
    """Return from each kill to when everybody was taken back."""
    e = schema.event.c
    query = sa.select(e.ts_us).where(e.kind == KINDS[CaughtUp]).order_by(e.ts_us)
    starts = connection.scalars(query).all()
    return [
        (kill, next(start for start in starts if start > kill) + ADOPTED_US) for kill in run.kills
    ]


def to_the_next_offer(run: Run) -> list[float]:
    """Return how many seconds after each kill somebody was offered, before the next one."""
    e = schema.event.c
    with run.reading() as connection:
        query = sa.select(e.ts_us).where(e.kind == KINDS[OfferContact]).order_by(e.ts_us)
        offers = connection.scalars(query).all()
    ends = [*run.kills[1:], Instant(2**62)]
    after = [
        next((at for at in offers if kill < at < end), None)
        for kill, end in zip(run.kills, ends, strict=True)
    ]
    return [
        (at - kill) / SECOND for kill, at in zip(run.kills, after, strict=True) if at is not None
    ]


def _answered_legs(legs_csv: Path) -> set[str]:
    """Return the Uniqueids of the calls in which an operator's phone was answered."""
    with legs_csv.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) >= 8]
    return {row[4] for row in rows if row[0] == "ANSWER" and row[3] != row[4]}
