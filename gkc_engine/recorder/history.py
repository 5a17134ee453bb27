"""The ledger read back as history: the snapshot to begin from, then step after step.

For replay, explanation and planning. Give it a connection that can only read
(``schema.make_engine(…, read_only=True)``): all of it then happens in one read transaction, and
the engine that writes is not held up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec
import sqlalchemy as sa

from gkc_engine.acd.commands import Command
from gkc_engine.acd.core import Acd
from gkc_engine.acd.events import Event
from gkc_engine.acd.state import AcdState
from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import CodecError, decode, encode, kind_of
from gkc_engine.recorder.queries import iso
from gkc_engine.recorder.troubles import name_of, unreadable

_SHIPMENT: Final = 5_000


class HistoryError(GkcError):
    """What is asked for is not in the ledger, or not whole; says what is missing."""


Said = tuple[str, str]
"""A command as it stands in the ledger: kind and JSON."""


def said(command: Command) -> Said:
    """Return what the ledger would hold of a command, to the last byte."""
    return kind_of(command), encode(command)


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One step of the ledger; what the core said to it is left as it was written."""

    seq: int
    """Of the event's row."""
    now: Instant
    kind: str
    event: Event
    source: str
    config_version: str
    said: list[Said] = field(default_factory=list)

    def commands(self) -> list[Command]:
        """Return what the core said to it.

        Raises:
            HistoryError: This engine cannot read it.
        """
        try:
            return [cast(Command, decode(kind, data)) for kind, data in self.said]
        except CodecError as error:
            raise HistoryError(f"an answer to row {self.seq}: {error}") from error


@dataclass(slots=True, kw_only=True)
class Base:
    """Where a replay begins: a snapshot, or (``seq`` 0) the ledger's beginning."""

    seq: int
    """Of the last row that is in the state."""
    engine: str | None
    """Version of the engine that took the snapshot."""
    state: AcdState | None

    def core(self) -> Acd:
        """Return a core in that state."""
        return Acd() if self.state is None else Acd.restore(self.state)


@dataclass(slots=True, kw_only=True)
class Span:
    """What the ledger holds: its first and last row and their instants."""

    first_seq: int
    last_seq: int
    first: Instant
    last: Instant

    def __str__(self) -> str:
        return f"{iso(self.first)} to {iso(self.last)}"


def span(connection: sa.Connection) -> Span:
    """Return what the ledger holds.

    Raises:
        HistoryError: It is empty, or the store has no ledger at all.
    """
    event = schema.event
    ends = []
    for order in (event.c.seq.asc(), event.c.seq.desc()):
        query = sa.select(event.c.seq, event.c.ts_us).order_by(order).limit(1)
        try:
            ends.append(connection.execute(query).first())
        except sa.exc.DatabaseError as error:
            raise HistoryError(unreadable(error, name_of(connection.engine))) from error
    first, last = ends
    if first is None or last is None:
        raise HistoryError("the ledger is empty: nothing was ever recorded")
    return Span(
        first_seq=first.seq,
        last_seq=last.seq,
        first=Instant(first.ts_us),
        last=Instant(last.ts_us),
    )


def seq_before(connection: sa.Connection, within: Span, at: Instant) -> int:
    """Return the last row before ``at``, 0 if there is none: rows stand in order of time."""
    e = schema.event.c
    low, high = within.first_seq - 1, within.last_seq
    while low < high:
        middle = (low + high + 1) // 2
        query = sa.select(e.seq, e.ts_us).where(e.seq >= middle).order_by(e.seq).limit(1)
        row = connection.execute(query).first()
        if row is not None and row.ts_us < at:
            low = row.seq
        else:
            high = middle - 1
    return low


def base_before(connection: sa.Connection, at: Instant) -> Base:
    """Return the last snapshot that was taken before ``at``, else the ledger's beginning.

    Raises:
        HistoryError: No snapshot is left from before ``at``, and the ledger has lost its beginning;
            or the snapshot cannot be read.
    """
    table = schema.snapshot
    query = sa.select(table).where(table.c.ts_us < at).order_by(table.c.seq.desc()).limit(1)
    found = connection.execute(query).first()
    if found is not None:
        try:
            state = msgspec.json.decode(found.state, type=AcdState)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HistoryError(f"the snapshot at row {found.seq}: {error}") from error
        return Base(seq=found.seq, engine=found.engine_version, state=state)
    held = span(connection)
    if held.first_seq != 1:
        raise HistoryError(
            f"the ledger begins at row {held.first_seq} ({iso(held.first)}): rows 1 to "
            f"{held.first_seq - 1} are missing, and no snapshot from before {iso(at)} is kept"
        )
    return Base(seq=0, engine=None, state=None)


def engine_versions(connection: sa.Connection, base: Base, last_seq: int) -> set[str]:
    """Return the engine versions that the snapshots name for the rows after ``base``.

    Rows carry no version; each snapshot tells which engine wrote the rows before it. Empty when
    no snapshot is left to tell.
    """
    table = schema.snapshot
    rows = connection.execute(
        sa.select(table.c.seq, table.c.engine_version)
        .where(table.c.seq > base.seq)
        .order_by(table.c.seq)
    ).all()
    found = {row.engine_version for row in rows if row.seq <= last_seq}
    found |= {row.engine_version for row in [r for r in rows if r.seq > last_seq][:1]}
    return found | ({base.engine} if base.engine is not None else set())


def steps(connection: sa.Connection, after_seq: int = 0) -> Iterator[Recorded]:
    """Return the steps after row ``after_seq``, in order.

    Raises:
        HistoryError: A row is missing, out of its order in time, or an answer without its event.
    """
    step: Recorded | None = None
    for row in _rows(connection, after_seq):
        if row.seq != after_seq + 1:
            raise _gap(after_seq, row, step)
        after_seq = row.seq
        if row.role == "in":
            if step is not None:
                yield step
                if row.ts_us < step.now:
                    raise HistoryError(f"row {row.seq} is of before row {step.seq}: out of order")
            step = _begun(row)
        elif step is None:
            raise HistoryError(f"row {row.seq} ({row.kind}) is an answer; its event is missing")
        else:
            step.said.append((row.kind, row.data))
    if step is not None:
        yield step


def _rows(connection: sa.Connection, after_seq: int) -> Iterator[sa.Row[tuple[object, ...]]]:
    event = schema.event
    columns = ("seq", "ts_us", "kind", "role", "source", "config_version", "data")
    query = sa.select(*(event.c[name] for name in columns)).order_by(event.c.seq).limit(_SHIPMENT)
    while True:
        rows = connection.execute(query.where(event.c.seq > after_seq)).all()
        yield from rows
        if len(rows) < _SHIPMENT:
            return
        after_seq = rows[-1].seq


def _begun(row: sa.Row[tuple[object, ...]]) -> Recorded:
    try:
        event = cast(Event, decode(row.kind, row.data))
    except CodecError as error:
        raise HistoryError(f"row {row.seq}: {error}") from error
    return Recorded(
        seq=row.seq,
        now=Instant(row.ts_us),
        kind=row.kind,
        event=event,
        source=row.source,
        config_version=row.config_version,
    )


def _gap(after: int, row: sa.Row[tuple[object, ...]], step: Recorded | None) -> HistoryError:
    since = "the snapshot" if step is None else iso(step.now)
    first, last = after + 1, row.seq - 1
    rows = f"row {first} is" if first == last else f"rows {first} to {last} are"
    until = iso(row.ts_us)
    return HistoryError(f"the ledger has a gap: {rows} missing, between {since} and {until}")
