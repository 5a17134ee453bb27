"""Rows of one group commit, and what is left of them where the ledger holds some already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import Message
from gkc_engine.recorder.rows import Row

_CHUNK: Final = 500
"""Values in one ``IN (…)``: SQLite took 999 before 3.32."""


class Batch:
    """Rows of one group commit with the messages they came from, if these are at hand."""

    __slots__ = ("messages", "rows")

    def __init__(self, rows: Sequence[Row], messages: Sequence[Message] | None = None) -> None:
        self.rows = rows
        self.messages = messages

    def pairs(self) -> Iterator[tuple[Row, Message | None]]:
        """Return each row with its message."""
        if self.messages is None:
            return ((row, None) for row in self.rows)
        return zip(self.rows, self.messages, strict=True)


def known_ids(connection: sa.Connection, rows: Sequence[Row]) -> set[str]:
    """Return the event ids of ``rows`` that the ledger holds."""
    known: set[str] = set()
    column = schema.event.c.event_id
    for start in range(0, len(rows), _CHUNK):
        ids = [row.event_id for row in rows[start : start + _CHUNK]]
        known.update(connection.scalars(sa.select(column).where(column.in_(ids))))
    return known


def repeated_facts(connection: sa.Connection, rows: Sequence[Row]) -> dict[str, Row]:
    """Return, by event id, the rows whose fact is in the ledger or in a row before them."""
    c = schema.event.c
    keyed = [row for row in rows if row.source_key is not None]
    seen: set[tuple[str, str | None]] = set()
    for source in sorted({row.source for row in keyed}):
        keys = [row.source_key for row in keyed if row.source == source]
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            query = sa.select(c.source_key).where(c.source == source, c.source_key.in_(chunk))
            seen.update((source, key) for key in connection.scalars(query))
    found: dict[str, Row] = {}
    for row in keyed:
        if (row.source, row.source_key) in seen:
            found[row.event_id] = row
        seen.add((row.source, row.source_key))
    return found


def without(batch: Batch, known: set[str], repeated: Mapping[str, Row]) -> Batch:
    """Leave out known rows and repeated facts that changed nothing; others lose their key."""
    rows: list[Row] = []
    messages: list[Message] = []
    pairs = list(batch.pairs())
    for at, (row, message) in enumerate(pairs):
        if row.event_id in known:
            continue
        if row.event_id in repeated:
            answered = at + 1 < len(pairs) and pairs[at + 1][0].role == "out"
            if not answered:
                continue
            row = row._replace(source_key=None)
        rows.append(row)
        if message is not None:
            messages.append(message)
    return Batch(rows, messages if batch.messages is not None else None)
