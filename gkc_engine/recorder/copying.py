"""A store's rows into another store, of either kind; all of them or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from gkc_engine.errors import GkcError
from gkc_engine.recorder import migrate, schema
from gkc_engine.recorder.bulk import Insert
from gkc_engine.recorder.store import LedgerStore

_SHIPMENT: Final = 5_000


class CopyError(GkcError):
    """The rows cannot be taken over; says why, and that nothing was changed."""


def copy_rows(source: sa.Connection, target: LedgerStore, say: Callable[[str], None]) -> int:
    """Copy every table, in one transaction of ``target``; return how many rows that were.

    Args:
        source: In a transaction that sees one instant.
        target: Not opened yet; empty, or not made at all.
        say: Is told how far it is.

    Raises:
        CopyError: The target has records, the source is of another form, or a count is not right.
        LedgerError: The target cannot be written.
    """
    form = migrate.current(source)
    if form != schema.REVISION:
        raise CopyError(
            f"the store to copy is of form {form}, this engine's is {schema.REVISION}: start the "
            "engine on it once, or run `gkc db upgrade`"
        )
    copied = 0
    with target.transaction() as connection:
        migrate.bring_up(connection)
        if connection.scalar(sa.select(schema.event.c.seq).limit(1)) is not None:
            raise CopyError("the target has records already; nothing was copied")
        connection.execute(schema.meta.delete())
        for table in schema.metadata.sorted_tables:
            copied += _copy_table(table, source, connection, say)
        if connection.dialect.name == "postgresql":
            connection.execute(_NEXT_AUDIT)
    return copied


def _copy_table(
    table: sa.Table, source: sa.Connection, target: sa.Connection, say: Callable[[str], None]
) -> int:
    insert = Insert(table, target.engine)
    query = sa.select(table).order_by(*table.primary_key.columns)
    done = 0
    with source.execution_options(yield_per=_SHIPMENT).execute(query) as rows:
        for part in rows.partitions():
            insert.execute(target, [tuple(row) for row in part])
            done += len(part)
            if done % (20 * _SHIPMENT) == 0:
                say(f"{table.name}: {done} rows")
    held = target.scalar(sa.select(sa.func.count()).select_from(table))
    if held != done:
        raise CopyError(f"{table.name}: {done} rows were read, {held} are there; nothing was kept")
    say(f"{table.name}: {done} rows, all")
    return done


_NEXT_AUDIT: Final = sa.text(
    "SELECT setval(pg_get_serial_sequence('audit', 'audit_id'), "
    "(SELECT coalesce(max(audit_id), 0) + 1 FROM audit), false)"
)
