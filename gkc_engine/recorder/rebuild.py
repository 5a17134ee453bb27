"""Makes the projections anew from the ledger: the same rows, byte for byte."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import last_seq, projected_seq
from gkc_engine.recorder.store import LedgerError, LedgerStore


def rebuild(store: LedgerStore) -> int:
    """Empty the projections and fold the whole ledger again, in one transaction.

    Run it with the engine stopped, or through ``Ledger.call``: nobody else may write.

    Returns:
        Rows of the ledger that were read.
    """
    return store.rebuild()


def settle_left(url: str) -> None:
    """Bring the projections of a store up to its ledger when its engine was killed.

    An engine does that itself when it starts; this is for who reads before. Where it cannot be
    done (no right to write, another engine) the reader sees what was true a moment before.
    """
    reading = schema.make_engine(url, read_only=True)
    try:
        with reading.connect() as connection:
            mark = projected_seq(connection)
            if mark is None or mark >= last_seq(connection):
                return
    except sa.exc.SQLAlchemyError:
        return
    finally:
        reading.dispose()
    store = LedgerStore(url)
    with contextlib.suppress(LedgerError):
        store.open()
    store.close()


def dump(connection: sa.Connection) -> Iterator[str]:
    """Return the projections as text, one row a line, in an order of their own."""
    for table in schema.PROJECTIONS:
        keys = list(table.primary_key.columns)
        for row in connection.execute(sa.select(table).order_by(*keys)):
            yield f"{table.name} {tuple(row)!r}"
