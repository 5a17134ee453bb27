"""Many whole rows of one table at once, by a statement made ready once for each database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine

from gkc_engine.recorder import postgres
from gkc_engine.recorder.records import Record


class Insert:
    """Adds rows; a key that is there already is an error of the database."""

    def __init__(self, table: sa.Table, engine: Engine) -> None:
        self.names = [column.name for column in table.columns]
        self._table = table.name
        self._copies = engine.dialect.name == "postgresql"
        ready = table.insert().compile(engine, column_keys=self.names)
        self._text = str(ready)

    def execute(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows, their values in the order of the table's columns."""
        if self._copies:
            postgres.copy_in(connection, self._table, self.names, rows)
        else:
            connection.exec_driver_sql(self._text, list(rows))


class Upsert:
    """Writes whole rows in place of those with the same key. No key twice in one call."""

    def __init__(self, table: sa.Table, engine: Engine) -> None:
        self._names = [column.name for column in table.columns]
        self._copies = engine.dialect.name == "postgresql"
        self._aside = f"new_{table.name}"
        if self._copies:
            columns = ", ".join(f'"{name}"' for name in self._names)
            keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
            others = [c.name for c in table.columns if not c.primary_key]
            taken = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
            self._make = (
                f'CREATE TEMP TABLE IF NOT EXISTS "{self._aside}" '
                f'(LIKE "{table.name}") ON COMMIT DELETE ROWS'
            )
            self._text = (
                f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} FROM "{self._aside}" '
                f"ON CONFLICT ({keys}) DO UPDATE SET {taken}"
            )
        else:
            self._text = str(upsert(table, engine).compile(engine, column_keys=self._names))

    def execute(self, connection: sa.Connection, records: Sequence[Record]) -> None:
        """Write ``records``, in one transaction with whatever else it holds."""
        rows: list[Any] = [tuple([record[name] for name in self._names]) for record in records]
        if not self._copies:
            connection.exec_driver_sql(self._text, rows)
            return
        connection.exec_driver_sql(self._make)
        connection.exec_driver_sql(f'TRUNCATE "{self._aside}"')
        postgres.copy_in(connection, self._aside, self._names, rows)
        connection.exec_driver_sql(self._text)


def upsert(table: sa.Table, engine: Engine) -> sa.Insert:
    """Return an insert that replaces the row of the same key, in the engine's dialect."""
    keys = list(table.primary_key.columns)
    others: Mapping[str, Any]
    if engine.dialect.name == "postgresql":
        pg = postgresql.insert(table)
        others = {c.name: pg.excluded[c.name] for c in table.columns if not c.primary_key}
        return pg.on_conflict_do_update(index_elements=keys, set_=others)
    lite = sqlite.insert(table)
    others = {c.name: lite.excluded[c.name] for c in table.columns if not c.primary_key}
    return lite.on_conflict_do_update(index_elements=keys, set_=others)
