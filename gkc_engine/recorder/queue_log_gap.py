"""What a killed engine had committed and not yet written into the queue_log file.

A line follows its commit by some milliseconds. Killed in between, the ledger has the step and the
file lacks its lines: the next engine puts them there before it begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, cast

import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Command
from gkc_engine.acd.settings import Settings
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.recorder import history, schema
from gkc_engine.recorder.codec import decode
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.queue_log_file import QueueLogFile
from gkc_engine.recorder.rows import Step

WINDOW_US: Final = Micros(2 * SECOND)
"""So long before the ledger's last row a line may be missing: a commit takes 0.2 s at most."""

TAIL: Final = 1024 * 1024
"""Bytes at the end of the file in which those lines would stand: some 20 000 of them."""

_KEY: Final = 5
"""Epoch, call, queue, operator, event; what follows counts from the state of its own time."""

_IDS: Final = 500


def opened(path: Path, engine: sa.Engine, settings: Settings | None) -> QueueLogFile:
    """Return the file, complete to the ledger's last row, with what is remembered of open calls."""
    lines = QueueLog()
    with engine.connect() as connection:
        lines.prime(connection, settings)
        file = QueueLogFile(path, lines)
        file.append(missing(connection, path, settings))
    return file


def missing(connection: sa.Connection, path: Path, settings: Settings | None) -> list[str]:
    """Return the lines of the last steps that the file lacks, in order."""
    try:
        span = history.span(connection)
    except history.HistoryError:
        return []  # A new center.
    since = Instant(span.last - WINDOW_US)
    e = schema.event.c
    after = history.seq_before(connection, span, since)
    recent = connection.execute(_ROWS.where(e.seq > after)).all()
    contacts = sorted({row.contact_id for row in recent if row.contact_id is not None})
    before = [
        row
        for n in range(0, len(contacts), _IDS)
        for row in connection.execute(
            _ROWS.where(e.contact_id.in_(contacts[n : n + _IDS]), e.seq <= after)
        )
    ]
    lines = QueueLog()
    lines.lines(_steps(sorted(before, key=lambda row: row.seq)))
    lines.begin(connection, since, settings)
    told = lines.lines(_steps(recent))
    there = Counter(map(_key, _tail(path)))
    lacking = []
    for line in told:
        if there[_key(line)]:
            there[_key(line)] -= 1
        else:
            lacking.append(line)
    return lacking


_COLUMNS: Final = ("seq", "ts_us", "role", "kind", "contact_id", "data")
_ROWS: Final = sa.select(*(schema.event.c[name] for name in _COLUMNS)).order_by(schema.event.c.seq)


def _steps(rows: Iterable[sa.Row[tuple[object, ...]]]) -> Iterator[Step]:
    """Yield the steps that rows of some contacts tell of; an answer may lack its event."""
    step: Step | None = None
    for row in rows:
        message = decode(row.kind, row.data)
        if row.role == "in" or step is None or step.now != row.ts_us:
            if step is not None:
                yield step
            event = cast(ev.Event, message) if row.role == "in" else ev.Tick()
            step = Step(now=Instant(row.ts_us), event=event, source="", source_key=None)
        if row.role != "in":
            step.commands.append(cast(Command, message))
    if step is not None:
        yield step


def _key(line: str) -> str:
    return "|".join(line.split("|")[:_KEY])


def _tail(path: Path) -> Iterator[str]:
    """Yield the whole lines at the end of the file; none when it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return
    yield from text.splitlines()[int(size > TAIL) :]
