"""What PostgreSQL needs that SQLite does not: settings, the lock of the one writer, bulk rows."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

CONNECT_S: Final = 2
"""For a connection to come about; the least that libpq knows."""

_CLIENT: Final = {
    "connect_timeout": str(CONNECT_S),
    # A server that is gone without a word is noticed in about ten seconds.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_SERVER: Final = {
    # An acknowledged commit is on disk, whatever the server's own default is.
    "synchronous_commit": "on",
    "timezone": "UTC",
    "client_min_messages": "warning",
    # By its estimates it compiled a look-up of 200 places for 0.4 s, to run for 0.1 s.
    "jit": "off",
    # A writer that is gone without a word does not hold its lock for hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


def make_engine(url: str, *, busy_ms: int, read_only: bool) -> Engine:
    """Return an engine; what the URL says itself (timeouts, ``options``) is left as it is.

    A reader sees one instant for as long as its transaction lasts, and holds nobody up.
    """
    query = sa.make_url(url).query
    own: dict[str, Any] = {key: value for key, value in _CLIENT.items() if key not in query}
    own.setdefault("application_name", f"gkc pid {os.getpid()} on {socket.gethostname()}")
    server = _SERVER if read_only else _SERVER | {"lock_timeout": f"{busy_ms}ms"}
    said = query.get("options", "")
    words = [said if isinstance(said, str) else " ".join(said)]
    own["options"] = " ".join([*(f"-c {k}={v}" for k, v in server.items()), *words]).strip()
    if not read_only:
        return sa.create_engine(url, connect_args=own, pool_pre_ping=True)
    return sa.create_engine(
        url,
        connect_args=own,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )


_NO_NUL: Final = partial(re.compile("\0").sub, "\ufffd")

_TAKE: Final = sa.text("SELECT pg_try_advisory_lock(:key)")
_HOLDER: Final = sa.text(
    "SELECT application_name, pid FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (classid::bigint << 32) | objid::bigint = :key"
)


def claim(connection: sa.Connection) -> str | None:
    """Make this session the store's one writer; return who it is already, if it is another.

    The lock is the session's: it ends with it, however it ends.
    """
    place = connection.scalar(sa.text("SELECT current_schema()"))
    if place is None:
        return "no schema in search_path that is there; CREATE SCHEMA it"
    if connection.scalar(sa.text("SHOW server_encoding")) != "UTF8":
        return "the database is not in UTF8; CREATE DATABASE … ENCODING 'UTF8'"
    digest = hashlib.sha256(f"gkc store {place}".encode()).digest()
    key = int.from_bytes(digest[:8], signed=True)
    if connection.scalar(_TAKE, {"key": key}):
        return None
    holder = connection.execute(_HOLDER, {"key": key}).first()
    name = "another engine" if holder is None else f"{holder[0]} (server process {holder[1]})"
    return f"held by {name}: one engine writes a store; stop that one first"


def copy_in(
    connection: sa.Connection, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add rows by COPY, as part of the transaction.

    The one sign that its texts cannot hold, NUL, becomes U+FFFD: a row that can never be written
    would keep all that come after it in the journal.

    Raises:
        psycopg.Error: As the driver says it, e.g. ``UniqueViolation``.
    """
    columns = ", ".join(f'"{name}"' for name in names)
    cursor: Any = connection.connection.cursor()
    try:
        with cursor.copy(f'COPY "{table}" ({columns}) FROM STDIN') as copy:
            write = copy.write_row
            for row in rows:
                write([_NO_NUL(v) if type(v) is str and "\0" in v else v for v in row])
    finally:
        cursor.close()


_THIS: Final = sa.text("SELECT pg_current_xact_id()::text::bigint")
_OLDER: Final = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND age(backend_xmin) >= age((:xid % 4294967296)::text::xid)"
)
_LOCKED: Final = "55P03"


def this_transaction(connection: sa.Connection) -> int:
    """Return the number of a transaction that writes."""
    return int(connection.scalar(_THIS) or 0)


def shred(engine: Engine, since: int, *tables: sa.Table) -> bool:
    """Write the tables' files anew without the rows that were deleted.

    The old files go; of the server's log, an archive or a backup the owner has to see to it.

    Args:
        engine: Of the writer.
        since: ``this_transaction`` of the one that deleted the rows.
        tables: Which.

    Returns:
        Whether that was done. Not while somebody reads who began before: what he may still see is
        taken over into the new files (seen: sessions of this role).
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.scalar(_OLDER, {"xid": since}):
            return False
        for table in tables:
            try:
                connection.exec_driver_sql(f'VACUUM (FULL) "{table.name}"')
            except sa.exc.OperationalError as error:
                if getattr(error.orig, "sqlstate", None) == _LOCKED:
                    return False
                raise
    return True
