"""Makes the projections anew from the ledger: the same rows, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from gkc_engine.recorder import schema
from gkc_engine.recorder.projections import Projector
from gkc_engine.recorder.rows import Row
from gkc_engine.recorder.store import LedgerStore, TableReader

_SHIPMENT: Final = 5_000


def rebuild(store: LedgerStore) -> int:
    """Empty the projections and fold the whole ledger again, in one transaction.

    Run it with the engine stopped, or through ``Ledger.call``: nobody else may write.

    Returns:
        Rows of the ledger that were read.
    """
    with store.transaction() as connection:
        for table in schema.PROJECTIONS:
            connection.execute(table.delete())
        projector = Projector(TableReader(connection))
        count = 0
        for rows in _shipments(connection):
            for row in rows:
                projector.fold(row)
            store.write_changes(connection, projector.take_changes())
            count += len(rows)
    store.forget()
    return count


def dump(connection: sa.Connection) -> Iterator[str]:
    """Return the projections as text, one row a line, in an order of their own."""
    for table in schema.PROJECTIONS:
        keys = list(table.primary_key.columns)
        for row in connection.execute(sa.select(table).order_by(*keys)):
            yield f"{table.name} {tuple(row)!r}"


def _shipments(connection: sa.Connection) -> Iterator[list[Row]]:
    event = schema.event
    columns = [event.c[name] for name in Row._fields]
    after = 0
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
