"""Rows of sums, to which changes are added in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.sql.compiler import SQLCompiler

from gkc_engine.recorder.records import Record


class Adding:
    """Adds changes to the rows of their keys; a row that is not there is made."""

    def __init__(self, table: sa.Table, engine: Engine) -> None:
        names = [column.name for column in table.columns]
        self._ready = _statement(table, engine).compile(engine, column_keys=names)

    def execute(self, connection: sa.Connection, changes: Sequence[Record]) -> None:
        """Add each change: a record of the key's columns, and of what each sum grows by."""
        run(connection, self._ready, changes)


def run(connection: sa.Connection, ready: Compiled, records: Sequence[Record]) -> None:
    """Execute a statement that is compiled already, once for each record."""
    if records:
        order = ready.positiontup if isinstance(ready, SQLCompiler) else None
        rows: list[Any] = list(records)
        if order:  # SQLite's places; PostgreSQL's are named
            rows = [tuple([record[name] for name in order]) for record in records]
        connection.exec_driver_sql(str(ready), rows)


def _statement(table: sa.Table, engine: Engine) -> sa.Insert:
    keys = list(table.primary_key.columns)
    values = [column.name for column in table.columns if not column.primary_key]
    if engine.dialect.name == "postgresql":
        pg = postgresql.insert(table)
        sums = {name: table.c[name] + pg.excluded[name] for name in values}
        return pg.on_conflict_do_update(index_elements=keys, set_=sums)
    lite = sqlite.insert(table)
    sums = {name: table.c[name] + lite.excluded[name] for name in values}
    return lite.on_conflict_do_update(index_elements=keys, set_=sums)
