"""Both sides of a stretch of time in one temporary database, so that memory does not grow with it.

A million lines of CEL with their 166 667 contacts are 400 MB in a file of the system's temporary
folder; memory stays at 100 MB, libraries and all (measured: docs/reference/records.md).
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gkc_engine.channels.phone import cel
from gkc_engine.ids import Instant

PREFIX: Final = "gkc-verify-"
"""How the temporary folder begins, in case a killed command left one."""

_SHIPMENT: Final = 2_000
_CACHE_KIB: Final = 20_000

OPEN_MAX: Final = 50_000
"""Legs in memory while their end has not been read; then all of them go into the file."""

_SCHEMA: Final = """
CREATE TABLE leg (
    uid TEXT PRIMARY KEY, linked TEXT NOT NULL, channel TEXT NOT NULL, exten TEXT NOT NULL,
    context TEXT NOT NULL, started INTEGER, answered INTEGER, ended INTEGER
) WITHOUT ROWID;
CREATE TABLE contact (
    contact_id TEXT PRIMARY KEY, uid TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER,
    row TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE segment (contact_id TEXT NOT NULL, uid TEXT, row TEXT NOT NULL);
CREATE TABLE offer (contact_id TEXT NOT NULL, row TEXT NOT NULL);
CREATE TABLE own (uid TEXT NOT NULL, agent_id TEXT NOT NULL, started INTEGER, ended INTEGER);
CREATE TABLE cdr (
    uid TEXT NOT NULL, started INTEGER, ended INTEGER, answered INTEGER, billsec INTEGER, place TEXT
);
CREATE TABLE line (
    callid TEXT NOT NULL, key TEXT NOT NULL, ledger INTEGER NOT NULL, file INTEGER NOT NULL,
    PRIMARY KEY (callid, key)
) WITHOUT ROWID;
"""

_INDICES: Final = """
CREATE INDEX leg_linked ON leg (linked);
CREATE INDEX contact_uid ON contact (uid);
CREATE INDEX segment_contact ON segment (contact_id);
CREATE INDEX segment_uid ON segment (uid);
CREATE INDEX offer_contact ON offer (contact_id);
CREATE INDEX own_uid ON own (uid);
CREATE INDEX own_agent ON own (agent_id, started);
CREATE INDEX cdr_uid ON cdr (uid);
"""

_LEG: Final = """
INSERT INTO leg VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (uid) DO UPDATE SET
    started = coalesce(started, excluded.started), answered = coalesce(answered, excluded.answered),
    ended = coalesce(ended, excluded.ended)
"""


class Spool:
    """The database; nobody else sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._open: dict[str, cel.PastLeg] = {}

    def put(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows into one of the tables, a few thousand in memory at a time."""
        batch: list[Sequence[Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) >= _SHIPMENT:
                self._insert(table, batch)
                batch.clear()
        if batch:
            self._insert(table, batch)

    def _insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        self.connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)

    def take_row(self, at: Instant, row: list[str]) -> None:
        """Put one row of CEL into its leg."""
        leg = cel.take(self._open, row, at)
        if leg.ended is not None:
            del self._open[leg.leg]
            self._keep([leg])
        elif len(self._open) > OPEN_MAX:
            self.legs_read()

    def legs_read(self) -> None:
        """Put what is still in memory into the file."""
        self._keep(self._open.values())
        self._open.clear()

    def _keep(self, legs: Iterable[cel.PastLeg]) -> None:
        self.connection.executemany(
            _LEG,
            [
                (
                    *(leg.leg, leg.linked, leg.channel, leg.exten, leg.context),
                    *(leg.started, leg.answered, leg.ended),
                )
                for leg in legs
            ],
        )

    def count_line(self, callid: str, key: str, *, file: bool) -> None:
        """Count one line of queue_log that the ledger gives, or that stands in the file."""
        side = "file" if file else "ledger"
        self.connection.execute(
            f"INSERT INTO line VALUES (?, ?, {int(not file)}, {int(file)})"
            f" ON CONFLICT DO UPDATE SET {side} = {side} + 1",
            (callid, key),
        )

    def index(self) -> None:
        """Make the indices: once everything is in."""
        self.connection.executescript(_INDICES)  # It commits.
        self.connection.execute("BEGIN")

    def rows(self, query: str, *values: object) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of a query; several may be open at a time."""
        yield from self.connection.execute(query, values)

    def all(self, query: str, *values: object) -> list[Mapping[str, Any]]:
        """Return the rows of a query that gives few."""
        return self.connection.execute(query, values).fetchall()

    def value(self, query: str, *values: object) -> Any:  # noqa: ANN401
        """Return the one value of a query."""
        return self.connection.execute(query, values).fetchone()[0]


@contextmanager
def spool() -> Iterator[Spool]:
    """Give an empty spool; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        connection = sqlite3.connect(Path(folder) / "spool.sqlite", isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            yield Spool(connection)
        finally:
            connection.close()
