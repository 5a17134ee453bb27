"""The tables, in words that SQLite and PostgreSQL both know. Times are UTC microseconds.

The ``event`` table is the ledger: rows are only ever added. ``snapshot`` holds the core's state;
``citizen`` and ``citizen_key`` hold identifiers, encrypted; every other table is a projection that
can be rebuilt from the ledger.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

STORE_VERSION: Final = 3
"""Of the tables. A store of an older form is brought up to it when it is opened
(``LedgerStore.open``)."""

_VERSION: Final = "store_version"
PROJECTED: Final = "projected_seq"
"""Key in ``meta``: the last row of the ledger that the projections hold."""

metadata: Final = sa.MetaData()

_BIG: Final = sa.BigInteger()
_SEQ: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

meta: Final = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

event: Final = sa.Table(
    "event",
    metadata,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("ts_us", _BIG, nullable=False),
    sa.Column("center", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("contact_id", sa.Text, index=True),
    sa.Column("agent_id", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("offer_id", _BIG, index=True),
    sa.Column("config_version", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("source_key", sa.Text),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("segment_id", sa.Text),
)
sa.Index(
    "event_source_key",
    event.c.source,
    event.c.source_key,
    unique=True,
    sqlite_where=event.c.source_key.is_not(None),
    postgresql_where=event.c.source_key.is_not(None),
)

snapshot: Final = sa.Table(
    "snapshot",
    metadata,
    sa.Column("seq", _BIG, primary_key=True),
    sa.Column("ts_us", _BIG, nullable=False),
    sa.Column("engine_version", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)

contact: Final = sa.Table(
    "contact",
    metadata,
    sa.Column("contact_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Text, nullable=False, index=True),
    sa.Column("number_year", sa.Integer),
    sa.Column("number_seq", _BIG),
    sa.Column("medium", sa.Text, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("initiation", sa.Text, nullable=False),
    sa.Column("center_entry", sa.Text, nullable=False),
    sa.Column("did", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("service", sa.Text),
    sa.Column("topic", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("agent_id", sa.Text),
    sa.Column("citizen_id", sa.Text, index=True),
    sa.Column("citizen_kind", sa.Text),
    sa.Column("case_id", sa.Text),
    sa.Column("previous_contact_id", sa.Text),
    sa.Column("related_contact_id", sa.Text),
    sa.Column("linkedid", sa.Text),
    sa.Column("message_id", sa.Text),
    sa.Column("fax_id", sa.Text),
    sa.Column("started", _BIG, nullable=False),
    sa.Column("first_queued", _BIG),
    sa.Column("answered", _BIG),
    sa.Column("ended", _BIG),
    sa.Column("menu_us", _BIG),
    sa.Column("wait_us", _BIG),
    sa.Column("ring_us", _BIG),
    sa.Column("talk_us", _BIG),
    sa.Column("hold_us", _BIG),
    sa.Column("wrap_up_us", _BIG, nullable=False),
    sa.Column("offers", sa.Integer, nullable=False),
    sa.Column("agent_offers", sa.Integer),
    sa.Column("offers_unanswered", sa.Integer),
    sa.Column("offers_withdrawn", sa.Integer),
    sa.Column("transfers", sa.Integer),
    sa.Column("overflow_count", sa.Integer),
    sa.Column("disposition", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("via", sa.Text),
    sa.Column("end_party", sa.Text),
    sa.Column("sl_threshold_us", _BIG),
    sa.Column("sl_met", sa.Boolean),
    sa.Column("short", sa.Boolean),
    sa.Column("class", sa.Text),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("requirement_final", sa.Text),
    sa.Column("article", sa.Text),
    sa.Column("consent", sa.Text),
    sa.Column("wrap_up_code", sa.Text),
    sa.Column("recording_refs", sa.Text),
    sa.Column("ewt_queue", sa.Text),
    sa.Column("ewt_told", _BIG),
    sa.Column("ewt_said_us", _BIG),
    sa.Column("ewt_lo_us", _BIG),
    sa.Column("ewt_hi_us", _BIG),
    sa.Column("config_version", sa.Text, nullable=False),
    sa.Index("contact_number_seq", "number_year", "number_seq"),
    sa.Index("contact_started", "started"),
    sa.Index("contact_queue_started", "queue", "started"),
    # By the first queue entry; and all that percentiles need, so that a month's are read from it.
    sa.Index(
        "contact_waits",
        *("first_queued", "queue", "service", "did", "disposition", "answered", "wait_us"),
    ),
)

# Of what goes on: read at every start, among millions that are over.
sa.Index(
    "contact_open",
    contact.c.first_queued,
    sqlite_where=contact.c.ended.is_(None),
    postgresql_where=contact.c.ended.is_(None),
)

segment: Final = sa.Table(
    "segment",
    metadata,
    sa.Column("segment_id", sa.Text, primary_key=True),
    sa.Column("contact_id", sa.Text, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("start", _BIG, nullable=False),
    sa.Column("end", _BIG, nullable=False),
    sa.Column("center", sa.Text, nullable=False),
    sa.Column("queue", sa.Text),
    sa.Column("agent_id", sa.Text),
    sa.Column("offer_id", _BIG),
    sa.Column("step", sa.Integer),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("end_reason", sa.Text, nullable=False),
    sa.Column("channel_uniqueid", sa.Text),
    sa.Column("transfer_kind", sa.Text),
    sa.Column("peer_segment", sa.Text),
    sa.Index("segment_contact", "contact_id", "n"),
)

offer: Final = sa.Table(
    "offer",
    metadata,
    sa.Column("offer_id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("contact_id", sa.Text, nullable=False, index=True),
    sa.Column("slot", sa.Integer),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("step", sa.Integer),
    sa.Column("created", _BIG, nullable=False),
    sa.Column("ringing", _BIG),
    sa.Column("answered", _BIG),
    sa.Column("ended", _BIG),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("ring_us", _BIG),
)

agent_interval: Final = sa.Table(
    "agent_interval",
    metadata,
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("start", _BIG, primary_key=True, autoincrement=False),
    sa.Column("end", _BIG),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("medium", sa.Text),
    sa.Column("contact_id", sa.Text, index=True),
    sa.Index("agent_interval_start", "start"),
)

sa.Index(
    "agent_interval_open",
    agent_interval.c.agent_id,
    sqlite_where=agent_interval.c.end.is_(None),
    postgresql_where=agent_interval.c.end.is_(None),
)

config_version: Final = sa.Table(
    "config_version",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("author", sa.Text),
    sa.Column("applied", _BIG, nullable=False),
    sa.Column("diff", sa.Text),
    sa.Column("event_id", sa.Text, nullable=False),
)

citizen: Final = sa.Table(
    "citizen",
    metadata,
    sa.Column("citizen_key", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("cipher", sa.LargeBinary, nullable=False),
    sa.Column("first_seen", _BIG, nullable=False),
)

citizen_key: Final = sa.Table(
    "citizen_key",
    metadata,
    sa.Column("citizen_key", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

rollup: Final = sa.Table(
    "rollup",
    metadata,
    sa.Column("start", _BIG, primary_key=True, autoincrement=False),
    sa.Column("queued", sa.Boolean, primary_key=True),
    sa.Column("center", sa.Text, primary_key=True),
    sa.Column("direction", sa.Text, primary_key=True),
    sa.Column("medium", sa.Text, primary_key=True),
    sa.Column("did", sa.Text, primary_key=True),
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("contacts", _BIG, nullable=False),
    sa.Column("in_target", _BIG, nullable=False),
    sa.Column("wait_us", _BIG, nullable=False),
    sa.Column("talk_us", _BIG, nullable=False),
    sa.Column("hold_us", _BIG, nullable=False),
    sa.Column("wrap_up_us", _BIG, nullable=False),
    sa.Column("agent_offers", _BIG, nullable=False),
    sa.Column("offers_unanswered", _BIG, nullable=False),
    sa.Column("offers_withdrawn", _BIG, nullable=False),
    sa.Column("transfers", _BIG, nullable=False),
    # Kept in the order of its key: a report reads the rows of its time one after the other.
    sqlite_with_rowid=False,
)
"""``recorder/rollup.py``."""

PROJECTIONS: Final = (contact, segment, offer, agent_interval, config_version, rollup)
"""What ``rebuild`` makes anew."""


def version_of(connection: sa.Connection) -> int | None:
    """Return the version of the store's tables; ``None``: there are none yet."""
    if not sa.inspect(connection).has_table(meta.name):
        return None
    query = sa.select(meta.c.value).where(meta.c.key == _VERSION)
    found = connection.scalar(query)
    return None if found is None else int(found)


def make_room(connection: sa.Connection) -> None:
    """Drop an older store's projections, to be made anew, and add what its ledger lacks."""
    metadata.drop_all(connection, tables=PROJECTIONS)
    connection.execute(meta.delete().where(meta.c.key == PROJECTED))
    have = {column["name"] for column in sa.inspect(connection).get_columns(event.name)}
    if event.c.segment_id.name not in have:
        connection.exec_driver_sql("ALTER TABLE event ADD COLUMN segment_id TEXT")


def say_version(connection: sa.Connection) -> None:
    """Put on record that the tables are of ``STORE_VERSION``."""
    connection.execute(meta.delete().where(meta.c.key == _VERSION))
    connection.execute(meta.insert(), {"key": _VERSION, "value": str(STORE_VERSION)})


def sqlite_url(path: str) -> str:
    """Return the URL of the SQLite file at ``path``."""
    return f"sqlite:///{path}"


def make_engine(url: str, *, busy_ms: int = 100, read_only: bool = False) -> Engine:
    """Return an engine for the writer, or one that can only read.

    SQLite: WAL with ``synchronous=FULL``, because NORMAL may lose commits on power loss
    (sqlite.org/pragma.html#pragma_synchronous); the writer takes its lock at BEGIN, so that a
    commit cannot find itself outdated half-way.
    """
    if sa.make_url(url).get_backend_name() != "sqlite":
        options: dict[str, Any] = {"postgresql_readonly": True} if read_only else {}
        return sa.create_engine(url, execution_options=options)
    if read_only:
        path = quote(sa.make_url(url).database or "")
        url = f"sqlite:///file:{path}?mode=ro&uri=true"  # A missing file is an error, not made.
    engine = sa.create_engine(url, connect_args={"timeout": busy_ms / 1000})
    pragmas = [f"query_only={int(read_only)}", "secure_delete=ON"]
    if not read_only:
        pragmas += ["journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000"]

    def on_connect(dbapi: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # We say BEGIN ourselves: sqlite3's own rule opens a transaction only before a change.
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", on_connect)
    sa.event.listen(engine, "begin", on_begin)
    return engine
