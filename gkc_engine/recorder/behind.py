"""The projections, kept a moment behind the ledger (ADR 0017).

Only the ledger's rows stand between a fact and what is done about it. What they mean for the
tables of contacts, segments, offers and intervals is folded at once, in memory, and written
together for many calls: a call changes its contact's row eight times and is read once. How far the
tables are is on record in the same transaction, so a crash costs nothing: the rows after that mark
are folded when the store is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.recorder import schema
from gkc_engine.recorder.adding import Adding
from gkc_engine.recorder.bulk import Upsert, upsert
from gkc_engine.recorder.city import CityProjector, CityReader, projector_for
from gkc_engine.recorder.codec import Message
from gkc_engine.recorder.projections import Projector
from gkc_engine.recorder.records import Changes
from gkc_engine.recorder.rollup import RollUpWriter
from gkc_engine.recorder.rows import Row

MARK: Final = schema.PROJECTED

_SHIPMENT: Final = 5_000
_MAX_SEQ: Final = sa.select(sa.func.max(schema.event.c.seq))


def last_seq(connection: sa.Connection) -> int:
    """Return the number of the ledger's last row, 0 of an empty one."""
    return connection.scalar(_MAX_SEQ) or 0


def projected_seq(connection: sa.Connection) -> int | None:
    """Return the mark; ``None``: there is none, the projections must be made anew."""
    found = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.key == MARK))
    return None if found is None else int(found)


def shipments(connection: sa.Connection, after: int) -> Iterator[list[Row]]:
    """Return the ledger's rows after ``after``, in order, some thousand at a time."""
    event = schema.event
    columns = [event.c[name] for name in Row._fields]
    while True:
        found = connection.execute(
            sa.select(event.c.seq, *columns)
            .where(event.c.seq > after)
            .order_by(event.c.seq)
            .limit(_SHIPMENT)
        ).all()
        if not found:
            return
        after = found[-1].seq
        yield [Row(*row[1:]) for row in found]


class Projections:
    """Folds rows as they are appended and writes what became of them when told."""

    def __init__(self, engine: Engine) -> None:
        self.behind = 0
        """Rows folded or appended whose meaning is not in the tables yet."""
        self._upserts = {table: Upsert(table, engine) for table in schema.PROJECTIONS}
        self._add_up = RollUpWriter(engine)
        self._add_time = Adding(schema.agent_time, engine)
        self._mark = upsert(schema.meta, engine)
        self._projector: Projector | CityProjector | None = None

    @property
    def ready(self) -> bool:
        """Whether rows are folded as they come."""
        return self._projector is not None

    def fold(self, pairs: Iterable[tuple[Row, Message | None]], rows: int) -> None:
        """Take the rows of one append, within its transaction."""
        self.behind += rows
        if self._projector is not None:  # else the next settling reads them back
            for row, message in pairs:
                self._projector.fold(row, message)

    def settle(self, connection: sa.Connection, reader: CityReader) -> None:
        """Bring the tables up to the ledger's last row, and the mark with them."""
        last = last_seq(connection)
        if self._projector is None:
            self._projector = self._caught_up(connection, reader)
        self._write(connection, self._projector.take_changes())
        connection.execute(self._mark, {"key": MARK, "value": str(last)})
        self.behind = 0

    def rebuild(self, connection: sa.Connection, reader: CityReader) -> int:
        """Empty the tables and fold the whole ledger again; return how many rows that were."""
        connection.execute(schema.meta.delete().where(schema.meta.c.key == MARK))
        self.forget()
        self.settle(connection, reader)
        return last_seq(connection)

    def forget(self) -> None:
        """What is at hand may be ahead of the tables: read back from the mark on."""
        self._projector = None

    def _caught_up(
        self, connection: sa.Connection, reader: CityReader
    ) -> Projector | CityProjector:
        mark = projected_seq(connection)
        if mark is None:
            for table in schema.PROJECTIONS:
                connection.execute(table.delete())
        projector = projector_for(connection, reader)
        for rows in shipments(connection, mark or 0):
            for row in rows:
                projector.fold(row)
            self._write(connection, projector.take_changes())
        return projector

    def _write(self, connection: sa.Connection, changes: Changes) -> None:
        for table, records in (
            (schema.contact, changes.contacts),
            (schema.segment, changes.segments),
            (schema.offer, changes.offers),
            (schema.agent_interval, changes.intervals),
            (schema.config_version, changes.versions),
        ):
            if records:
                self._upserts[table].execute(connection, records)
        self._add_up.execute(connection, changes.rollups)
        self._add_time.execute(connection, changes.times)
