"""Makes the projections anew from the ledger: the same rows, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from gkc_engine.recorder import migrate, schema
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
    """Bring the projections of a store up to its ledger when its engine was killed, and up to date.

    An engine does that itself when it starts; this is for who reads before. Where it cannot be
    done (no right to write, another engine) the reader sees what was true a moment before.

    Raises:
        LedgerError: The store is of an older form, and could not be brought to this one's.
    """
    reading = schema.make_engine(url, read_only=True)
    try:
        with reading.connect() as connection:
            version = migrate.current(connection)
            older = version is not None and version < schema.REVISION
            mark = None if version is None else projected_seq(connection)
            if not older and (mark is None or mark >= last_seq(connection)):
                return
    except sa.exc.SQLAlchemyError:
        return
    finally:
        reading.dispose()
    store = LedgerStore(url)
    try:
        store.open()
    except LedgerError as error:
        if older:
            raise LedgerError(
                f"{error}; these records are of an older form (version {version}, this is "
                f"{schema.REVISION}): start the engine on them once, or let this user write"
            ) from error
    finally:
        store.close()


def dump(connection: sa.Connection) -> Iterator[str]:
    """Return the projections as text, one row a line, in an order of their own."""
    for table in schema.PROJECTIONS:
        keys = list(table.primary_key.columns)
        for row in connection.execute(sa.select(table).order_by(*keys)):
            yield f"{table.name} {tuple(row)!r}"
