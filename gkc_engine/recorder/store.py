"""The ledger's database, seen from the one thread that may write it. Synchronous."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.errors import GkcError
from gkc_engine.recorder import city, migrate, postgres, schema
from gkc_engine.recorder.batch import Batch, known_ids, repeated_facts, without
from gkc_engine.recorder.behind import Projections, last_seq
from gkc_engine.recorder.bulk import Insert
from gkc_engine.recorder.table_reader import TableReader

__all__ = [
    "Appended",
    "Batch",
    "LedgerError",
    "LedgerStore",
    "StoreHeldError",
    "cause_of",
]

SNAPSHOTS_KEPT: Final = 5
"""The last one serves recovery; the others, replay of the hours before."""

BEHIND_MAX: Final = 5_000
"""Rows after which the projections are written whether anybody asks or not."""

_END_S: Final = 0.5
"""For a server to end the session that we have just left, or that was killed with its process."""

_LOOK_AGAIN_S: Final = 0.02


class LedgerError(GkcError):
    """The ledger did not take it: locked, full, damaged. Whether it is on disk is not known."""


class StoreHeldError(LedgerError):
    """Another engine writes this store; says which."""


@dataclass(slots=True, frozen=True)
class Appended:
    """What a commit did."""

    seq: int
    """Of the last row in the ledger."""
    written: int
    """Rows that are new."""
    repeated: tuple[tuple[str, str], ...] = ()
    """``(source, source_key)`` of facts that the ledger held already."""


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
        # Ready once: this statement stands between every fact and what is done about it.
        self._insert = Insert(schema.event, self._engine)
        self._errors = (sa.exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, OSError)
        self._double = (sa.exc.IntegrityError, self._engine.dialect.loaded_dbapi.IntegrityError)

    @property
    def engine(self) -> Engine:
        """The engine that holds the one writing connection."""
        return self._engine

    def open(self, wait_s: float = _END_S) -> None:
        """Create what is missing, take over an older store, refuse a newer kind.

        Of an older store the ledger stays as it is, and the projections are made from it anew.

        Args:
            wait_s: For PostgreSQL to notice that the writer before us is gone.

        Raises:
            LedgerError: Locked, damaged, not writable, not there, or written by a newer engine.
        """
        if self._connection is None:
            self._connected(wait_s)
        with self.transaction() as connection:
            try:
                migrate.bring_up(connection)
            except migrate.NewerStoreError as error:
                raise LedgerError(f"{self._where()}: {error}") from error
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

    def stand_ready(self) -> None:
        """Have rows folded as they are appended, also the next ones: not only when they settle.

        Raises:
            LedgerError: Not now.
        """
        if not self._projections.ready:
            with self.transaction() as connection:
                self._projections.settle(connection, TableReader(connection))

    def become_city(self) -> None:
        """Let it be a city's store from now on: an empty one, or one that is that already.

        Raises:
            LedgerError: A center's records lie there.
        """
        with self.transaction() as connection:
            if not city.is_city(connection):
                if last_seq(connection):
                    raise LedgerError(
                        f"{self._where()}: these are the records of a center; the city's store "
                        "is one of its own (collector.store)"
                    )
                connection.execute(schema.meta.insert(), {"key": city.KIND, "value": city.CITY})
                self._projections.forget()
            connection.execute(city.INDEX)

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
        except _DoubleError:
            try:
                appended = self._commit(*self._sifted(batch))
            except _DoubleError as error:
                self._drop()
                raise self._taken() from error
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
        rows = [(seq, *row) for seq, row in enumerate(batch.rows, before + 1)]
        try:
            self._insert.execute(connection, rows)
        except self._double as error:
            raise _DoubleError from error
        self._projections.fold(batch.pairs(), len(rows))
        return Appended(before + len(rows), len(rows), repeated)

    def _sifted(self, batch: Batch) -> tuple[Batch, tuple[tuple[str, str], ...]]:
        """Leave out what the ledger holds; return the rest, and the facts that were repeated.

        Raises:
            LedgerError: It holds none of it, and refused the rows all the same.
        """
        with self.transaction() as connection:
            known = known_ids(connection, batch.rows)
            rest = [row for row in batch.rows if row.event_id not in known]
            repeated = repeated_facts(connection, rest)
            if not known and not repeated:
                raise self._taken()
        names = {(row.source, row.source_key or "") for row in repeated.values()}
        return without(batch, known, repeated), tuple(sorted(names))

    def _taken(self) -> LedgerError:
        return LedgerError(f"{self._where()}: row numbers are taken: does another engine write it?")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Give the connection within a transaction; an error undoes it and drops the connection.

        Raises:
            LedgerError: In place of whatever the database, its driver or the disk said.
        """
        try:
            connection = self._connection or self._connected()
            with connection.begin():
                yield connection
        except _DoubleError:
            raise
        except self._errors as error:
            self._drop()
            raise LedgerError(f"{self._where()}: {cause_of(error)}") from error
        except BaseException:
            self._drop()
            raise

    def _connected(self, wait_s: float = _END_S) -> sa.Connection:
        """Connect; in a server, as the one writer."""
        try:
            self._connection = connection = self._engine.connect()
            if self._engine.dialect.name == "postgresql":
                self._claim(connection, wait_s)
        except self._errors as error:
            self._drop()
            raise LedgerError(f"{self._where()}: {cause_of(error)}") from error
        except LedgerError:
            self._drop()
            raise
        return connection

    def _claim(self, connection: sa.Connection, wait_s: float) -> None:
        until = time.monotonic() + wait_s
        while True:
            with connection.begin():
                refusal = postgres.claim(connection)
            if refusal is None:
                return
            if time.monotonic() >= until:
                raise StoreHeldError(f"{self._where()}: {refusal}")
            time.sleep(_LOOK_AGAIN_S)

    def _drop(self) -> None:
        self._projections.forget()
        self._seq = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors):
                connection.invalidate()
                connection.close()

    def _where(self) -> str:
        return f"ledger {self._engine.url.render_as_string(hide_password=True)}"


class _DoubleError(Exception):
    """Some row of a batch is in the ledger already: in doubt before, or a repeated fact."""


def cause_of(error: BaseException) -> str:
    """Return on one line what a database or its driver said, and what to do if that is known."""
    original = getattr(error, "orig", None)
    text = " ".join(str(original or error).split())
    for sign, remedy in _REMEDIES.items():
        if sign in text:
            return f"{text}; {remedy}"
    return text


_REMEDIES: Final = {
    "locked": "another process holds it: end that one, reports read a copy",
    "lock timeout": "another session holds a table: end that one (pg_stat_activity)",
    "No space left": "free space on the server's disk",
    "full": "free space on its disk",
    "disk I/O error": "look at the disk (dmesg)",
    "readonly": "make it writable for this user",
    "read-only": "it is a standby, or set to read only: use the primary",
    "malformed": "restore the last backup",
    "password authentication failed": "look at store.url, at the role and at pg_hba.conf",
    "Connection refused": "start the server, or look at store.url",
    "could not translate host name": "look at store.url",
    "permission denied": "GRANT the role of store.url what is named, or make it the owner",
    "too many clients": "raise max_connections",
}
