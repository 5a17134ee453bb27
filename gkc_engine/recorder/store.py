"""The ledger's database, seen from the one thread that may write it. Synchronous."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine

from gkc_engine.acd.events import SettingsApplied
from gkc_engine.acd.settings import Settings
from gkc_engine.errors import GkcError
from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import Projections, last_seq
from gkc_engine.recorder.codec import KINDS, Message, decode
from gkc_engine.recorder.records import Record
from gkc_engine.recorder.rows import Row

SNAPSHOTS_KEPT: Final = 5
"""The last one serves recovery; the others, replay of the hours before."""

BEHIND_MAX: Final = 20_000
"""Rows after which the projections are written whether anybody asks or not."""

_CHUNK: Final = 500
"""Values in one ``IN (…)``: SQLite took 999 before 3.32."""


class LedgerError(GkcError):
    """The ledger did not take it: locked, full, damaged. Whether it is on disk is not known."""


@dataclass(slots=True, frozen=True)
class Appended:
    """What a commit did."""

    seq: int
    """Of the last row in the ledger."""
    written: int
    """Rows that are new."""
    repeated: tuple[tuple[str, str], ...] = ()
    """``(source, source_key)`` of facts that the ledger held already."""


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


class LedgerStore:
    """Opens, appends, drops the connection after any error and opens it anew.

    A failed fsync must not be retried as if the pages were still dirty (the kernel may have
    dropped them): after any error the connection is closed, and what the database then holds
    is found out by ``event_id``.
    """

    def __init__(self, url: str, *, busy_ms: int = 100, engine: Engine | None = None) -> None:
        self._url = url
        self._engine = engine or schema.make_engine(url, busy_ms=busy_ms)
        self._connection: sa.Connection | None = None
        self._projections = Projections(self._engine)
        self._along: list[Callable[[sa.Connection], Callable[[], None]]] = []
        self._seq: int | None = None
        """Of the last row, as this only writer committed it; ``None`` = ask the database."""
        # Compiled once: this statement stands between every fact and what is done about it.
        ready = _insert_new(schema.event, self._engine).compile(
            self._engine, column_keys=Row._fields
        )
        self._insert = str(ready)
        self._by_place = ready.positional

    @property
    def engine(self) -> Engine:
        """The engine that holds the one writing connection."""
        return self._engine

    def open(self) -> None:
        """Create what is missing, take over an older store, refuse a newer kind.

        Of an older store the ledger stays as it is, and the projections are made from it anew.

        Raises:
            LedgerError: Locked, damaged, not writable, or written by a newer engine.
        """
        with self.transaction() as connection:
            found = schema.version_of(connection)
            if found is not None and found > schema.STORE_VERSION:
                raise LedgerError(
                    f"{self._where()}: store version {found}, this engine knows "
                    f"{schema.STORE_VERSION}; start the newer engine"
                )
            if found is not None and found < schema.STORE_VERSION:
                schema.make_room(connection)
            schema.metadata.create_all(connection)
            if found is None or found < schema.STORE_VERSION:
                schema.say_version(connection)
            # The rows that a crash left without their meaning.
            self._projections.settle(connection, TableReader(connection))

    def along(self, write: Callable[[sa.Connection], Callable[[], None]]) -> None:
        """Let ``write`` put its own rows into each append's transaction.

        What it returns is called once they are committed. It must not fail but by the database.
        """
        self._along.append(write)

    @property
    def behind(self) -> int:
        """Rows of the ledger whose meaning is not in the projections yet."""
        return self._projections.behind

    def settle(self) -> None:
        """Bring the projections up to the ledger's last row.

        Raises:
            LedgerError: Not now; nothing is lost, the ledger has it all.
        """
        if not self.behind:
            return
        with self.transaction() as connection:
            self._projections.settle(connection, TableReader(connection))

    def rebuild(self) -> int:
        """Make the projections anew from the whole ledger, in one transaction; return its rows."""
        with self.transaction() as connection:
            return self._projections.rebuild(connection, TableReader(connection))

    def close(self) -> None:
        """Settle, if that can be, and close the connection; the files are whole without it."""
        with contextlib.suppress(LedgerError):
            self.append(Batch(()))  # what was to go along with the next one
            self.settle()
        self._drop()
        self._engine.dispose()

    def append(self, batch: Batch) -> Appended:
        """Write rows in one transaction; durable when it returns. The projections follow.

        Rows whose ``event_id`` is in the ledger are passed over (they were in doubt). Of a
        repeated fact (``source_key``) nothing is stored, unless the core said something to it:
        then replay needs it, and it is stored without its key.

        Raises:
            LedgerError: Nothing is promised about these rows; append them again later.
        """
        try:
            appended = self._commit(batch, ())
        except _RepeatedError as error:
            batch = _without_repeated(batch, error.rows)
            repeated = {(row.source, row.source_key or "") for row in error.rows.values()}
            appended = self._commit(batch, tuple(sorted(repeated)))
        self._seq = appended.seq
        if self.behind >= BEHIND_MAX:
            with contextlib.suppress(LedgerError):  # these rows are durable all the same
                self.settle()
        return appended

    def snapshot(self, ts_us: int, engine_version: str, state: str) -> int:
        """Keep the core's state as of the last row written; return its ``seq``."""
        table = schema.snapshot
        with self.transaction() as connection:
            seq = last_seq(connection)
            connection.execute(table.delete().where(table.c.seq == seq))
            connection.execute(
                table.insert(),
                {"seq": seq, "ts_us": ts_us, "engine_version": engine_version, "state": state},
            )
            newest = sa.select(table.c.seq).order_by(table.c.seq.desc()).limit(SNAPSHOTS_KEPT)
            kept = connection.scalars(newest).all()
            connection.execute(table.delete().where(table.c.seq < min(kept)))
        return seq

    def _commit(self, batch: Batch, repeated: tuple[tuple[str, str], ...]) -> Appended:
        with self.transaction() as connection:
            appended = self._append(connection, batch, repeated)
            committed = [write(connection) for write in self._along]
        for tell in committed:
            tell()
        return appended

    def _append(
        self, connection: sa.Connection, batch: Batch, repeated: tuple[tuple[str, str], ...]
    ) -> Appended:
        before = last_seq(connection) if self._seq is None else self._seq
        if not batch.rows:
            return Appended(before, 0, repeated)
        self._seq = None  # until this one is committed
        rows = batch.rows if self._by_place else [row._asdict() for row in batch.rows]
        written = connection.exec_driver_sql(self._insert, rows).rowcount
        pairs: Iterable[tuple[Row, Message | None]] = batch.pairs()
        if written != len(batch.rows):
            new = set(
                connection.scalars(
                    sa.select(schema.event.c.event_id).where(schema.event.c.seq > before)
                )
            )
            missing = [row for row in batch.rows if row.event_id not in new]
            known = _known(connection, missing)
            repeated_rows = {r.event_id: r for r in missing if r.event_id not in known}
            if repeated_rows:
                raise _RepeatedError(repeated_rows)
            pairs = [pair for pair in pairs if pair[0].event_id in new]
        self._projections.fold(pairs, written)
        # SQLite numbers rows without a gap, PostgreSQL's sequence may leave some out.
        whole = connection.dialect.name == "sqlite"
        seq = before + written if whole else last_seq(connection)
        return Appended(seq, written, repeated)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Give the connection within a transaction; an error undoes it and drops the connection.

        Raises:
            LedgerError: In place of whatever the database, its driver or the disk said.
        """
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
                self._connection = self._connection.execution_options(preserve_rowcount=True)
            with self._connection.begin():
                yield self._connection
        except _RepeatedError:
            raise
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._drop()
            raise LedgerError(f"{self._where()}: {_cause(error)}") from error
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        self._projections.forget()
        self._seq = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError, sqlite3.Error, OSError):
                connection.invalidate()
                connection.close()

    def _where(self) -> str:
        return f"ledger {self._engine.url.render_as_string(hide_password=True)}"


class TableReader:
    """What the projector needs to read back; in the writer's own transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def contact(self, contact_id: str) -> Record | None:
        """Return the contact's row."""
        # Asked for every new contact: a ready statement costs a third of one made anew.
        row = self._connection.execute(_CONTACT, {"id": contact_id}).mappings().first()
        return None if row is None else dict(row)

    def offer(self, offer_id: int, agent_id: str) -> Record | None:
        """Return the row of one agent's offer."""
        table = schema.offer
        return self._one(table, (table.c.offer_id == offer_id) & (table.c.agent_id == agent_id))

    def open_interval(self, agent_id: str, slot: int) -> Record | None:
        """Return the slot's interval that has no end yet."""
        table = schema.agent_interval
        key = (table.c.agent_id == agent_id) & (table.c.slot == slot)
        last = sa.select(sa.func.max(table.c.start)).where(key).scalar_subquery()
        return self._one(table, key & (table.c.start == last))

    def last_talk(self, contact_id: str, agent_id: str) -> Record | None:
        """Return the citizen's last segment with this agent."""
        table = schema.segment
        query = (
            sa.select(table)
            .where((table.c.contact_id == contact_id) & (table.c.agent_id == agent_id))
            .where(table.c.kind.in_(("talk", "hold")))
            .order_by(table.c.n.desc())
            .limit(1)
        )
        row = self._connection.execute(query).mappings().first()
        return None if row is None else dict(row)

    def settings(self) -> Settings | None:
        """Return the config applied last."""
        return last_settings(self._connection)

    def _one(self, table: sa.Table, where: sa.ColumnElement[bool]) -> Record | None:
        row = self._connection.execute(sa.select(table).where(where)).mappings().first()
        return None if row is None else dict(row)


def last_applied(connection: sa.Connection) -> SettingsApplied | None:
    """Return the config that the ledger names as applied last, with what was recorded of it."""
    version, event = schema.config_version, schema.event
    newest = sa.select(version.c.event_id).order_by(version.c.applied.desc()).limit(1)
    data = connection.scalar(
        sa.select(event.c.data).where(event.c.event_id == newest.scalar_subquery())
    )
    if data is None:
        return None
    applied = decode(_CONFIG_APPLIED, data)
    assert isinstance(applied, SettingsApplied)
    return applied


def last_settings(connection: sa.Connection) -> Settings | None:
    """Return what the core needs of the config that was applied last."""
    applied = last_applied(connection)
    return None if applied is None else applied.settings


class _RepeatedError(Exception):
    def __init__(self, rows: dict[str, Row]) -> None:
        super().__init__(f"{len(rows)} repeated facts")
        self.rows = rows


def _known(connection: sa.Connection, rows: Sequence[Row]) -> set[str]:
    """Return the event ids of ``rows`` that the ledger holds."""
    known: set[str] = set()
    column = schema.event.c.event_id
    for start in range(0, len(rows), _CHUNK):
        ids = [row.event_id for row in rows[start : start + _CHUNK]]
        known.update(connection.scalars(sa.select(column).where(column.in_(ids))))
    return known


def _without_repeated(batch: Batch, repeated: Mapping[str, Row]) -> Batch:
    """Leave out repeated facts that changed nothing; take the key from those that did."""
    rows: list[Row] = []
    messages: list[Message] = []
    pairs = list(batch.pairs())
    for at, (row, message) in enumerate(pairs):
        if row.event_id in repeated:
            answered = at + 1 < len(pairs) and pairs[at + 1][0].role == "out"
            if not answered:
                continue
            row = row._replace(source_key=None)
        rows.append(row)
        if message is not None:
            messages.append(message)
    return Batch(rows, messages if batch.messages is not None else None)


def _insert_new(table: sa.Table, engine: Engine) -> sa.Insert:
    """Return ``INSERT … ON CONFLICT DO NOTHING`` in the engine's dialect."""
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _cause(error: BaseException) -> str:
    original = getattr(error, "orig", None)
    text = str(original or error)
    for sign, remedy in _REMEDIES.items():
        if sign in text:
            return f"{text}; {remedy}"
    return text


_REMEDIES: Final = {
    "locked": "another process holds it: end that one, reports read a copy",
    "full": "free space on its disk",
    "disk I/O error": "look at the disk (dmesg)",
    "readonly": "make it writable for this user",
    "malformed": "restore the last backup",
}

_CONFIG_APPLIED: Final = next(k for c, k in KINDS.items() if c.__name__ == "SettingsApplied")
_CONTACT: Final = sa.select(schema.contact).where(schema.contact.c.contact_id == sa.bindparam("id"))
