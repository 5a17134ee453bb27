"""The tables, in words that SQLite and PostgreSQL both know. Times are UTC microseconds.

The ``event`` table is the ledger: rows are only ever added. ``snapshot`` holds the core's state;
``citizen`` and ``citizen_key`` hold identifiers, encrypted; ``hold``, ``block`` and ``audit`` say
what people did; every other table is a projection that can be rebuilt from the ledger.

After a change here: a new file in ``migrations/versions`` and its number in ``REVISION``. Of a
projection it only says that they are to be made anew (ADR 0025).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

REVISION: Final = "0011"
"""Of these tables: the last of ``migrations/versions``. Four digits, in their order."""

PROJECTED: Final = "projected_seq"
"""Key in ``meta``: the last row of the ledger that the projections hold."""

metadata: Final = sa.MetaData()

_BIG: Final = sa.BigInteger()
_SEQ: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""For every text: sorted and compared by bytes on PostgreSQL too, whatever its own rules are."""

meta: Final = sa.Table(
    "meta",
    metadata,
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("value", TEXT, nullable=False),
)

event: Final = sa.Table(
    "event",
    metadata,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
    sa.Column("event_id", TEXT, nullable=False, unique=True),
    sa.Column("ts_us", _BIG, nullable=False),
    sa.Column("center", TEXT, nullable=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("contact_id", TEXT, index=True),
    sa.Column("agent_id", TEXT),
    sa.Column("queue", TEXT),
    sa.Column("offer_id", _BIG, index=True),
    sa.Column("config_version", TEXT, nullable=False),
    sa.Column("source", TEXT, nullable=False),
    sa.Column("source_key", TEXT),
    sa.Column("role", TEXT, nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("data", TEXT, nullable=False),
    sa.Column("segment_id", TEXT),
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
    sa.Column("seq", _BIG, primary_key=True, autoincrement=False),
    sa.Column("ts_us", _BIG, nullable=False),
    sa.Column("engine_version", TEXT, nullable=False),
    sa.Column("state", TEXT, nullable=False),
)

contact: Final = sa.Table(
    "contact",
    metadata,
    sa.Column("contact_id", TEXT, primary_key=True),
    sa.Column("number", TEXT, nullable=False, index=True),
    sa.Column("number_year", sa.Integer),
    sa.Column("number_seq", _BIG),
    sa.Column("medium", TEXT, nullable=False),
    sa.Column("direction", TEXT, nullable=False),
    sa.Column("initiation", TEXT, nullable=False),
    sa.Column("center_entry", TEXT, nullable=False),
    sa.Column("did", TEXT, nullable=False),
    sa.Column("language", TEXT, nullable=False),
    sa.Column("service", TEXT),
    sa.Column("topic", TEXT),
    sa.Column("queue", TEXT),
    sa.Column("agent_id", TEXT),
    sa.Column("citizen_id", TEXT, index=True),
    sa.Column("citizen_kind", TEXT),
    sa.Column("case_id", TEXT),
    sa.Column("previous_contact_id", TEXT),
    sa.Column("related_contact_id", TEXT),
    sa.Column("linkedid", TEXT),
    sa.Column("message_id", TEXT),
    sa.Column("fax_id", TEXT),
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
    sa.Column("overflow_returned", sa.Integer),
    sa.Column("owner", TEXT),
    sa.Column("origin", TEXT),
    sa.Column("disposition", TEXT),
    sa.Column("reason", TEXT),
    sa.Column("via", TEXT),
    sa.Column("end_party", TEXT),
    sa.Column("sl_threshold_us", _BIG),
    sa.Column("sl_met", sa.Boolean),
    sa.Column("short", sa.Boolean),
    sa.Column("class", TEXT),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("requirement_final", TEXT),
    sa.Column("article", TEXT),
    sa.Column("consent", TEXT),
    sa.Column("wrap_up_code", TEXT),
    sa.Column("recording_refs", TEXT),
    sa.Column("ewt_queue", TEXT),
    sa.Column("ewt_told", _BIG),
    sa.Column("ewt_said_us", _BIG),
    sa.Column("ewt_lo_us", _BIG),
    sa.Column("ewt_hi_us", _BIG),
    sa.Column("config_version", TEXT, nullable=False),
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

IS_OUT: Final = contact.c.direction == sa.literal_column("'out'")
"""Of calls that operators made: few among many. Said so, word for word, the index is used."""
sa.Index("contact_out", contact.c.started, sqlite_where=IS_OUT, postgresql_where=IS_OUT)

segment: Final = sa.Table(
    "segment",
    metadata,
    sa.Column("segment_id", TEXT, primary_key=True),
    sa.Column("contact_id", TEXT, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("party", TEXT, nullable=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("start", _BIG, nullable=False),
    sa.Column("end", _BIG, nullable=False),
    sa.Column("center", TEXT, nullable=False),
    sa.Column("queue", TEXT),
    sa.Column("agent_id", TEXT),
    sa.Column("offer_id", _BIG),
    sa.Column("step", sa.Integer),
    sa.Column("outcome", TEXT, nullable=False),
    sa.Column("end_reason", TEXT, nullable=False),
    sa.Column("channel_uniqueid", TEXT),
    sa.Column("transfer_kind", TEXT),
    sa.Column("peer_segment", TEXT),
    sa.Column("citizen_id", TEXT),
    sa.Index("segment_contact", "contact_id", "n"),
)

# What operators did in a stretch of time, among all that citizens' calls were made of.
sa.Index(
    "segment_work",
    segment.c.end,
    sqlite_where=segment.c.agent_id.is_not(None),
    postgresql_where=segment.c.agent_id.is_not(None),
)

# Of the few with an outside party's number: whether somebody's time is over is asked each night.
sa.Index(
    "segment_citizen",
    segment.c.citizen_id,
    sqlite_where=segment.c.citizen_id.is_not(None),
    postgresql_where=segment.c.citizen_id.is_not(None),
)

offer: Final = sa.Table(
    "offer",
    metadata,
    sa.Column("offer_id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("agent_id", TEXT, primary_key=True),
    sa.Column("contact_id", TEXT, nullable=False, index=True),
    sa.Column("slot", sa.Integer),
    sa.Column("queue", TEXT, nullable=False),
    sa.Column("step", sa.Integer),
    sa.Column("created", _BIG, nullable=False),
    sa.Column("ringing", _BIG),
    sa.Column("answered", _BIG),
    sa.Column("ended", _BIG),
    sa.Column("outcome", TEXT),
    sa.Column("reason", TEXT),
    sa.Column("ring_us", _BIG),
    sa.Index("offer_created", "created"),
)

agent_interval: Final = sa.Table(
    "agent_interval",
    metadata,
    sa.Column("agent_id", TEXT, primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("start", _BIG, primary_key=True, autoincrement=False),
    sa.Column("end", _BIG),
    sa.Column("state", TEXT, nullable=False),
    sa.Column("reason", TEXT, nullable=False),
    sa.Column("medium", TEXT),
    sa.Column("contact_id", TEXT, index=True),
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
    sa.Column("hash", TEXT, primary_key=True),
    sa.Column("author", TEXT),
    sa.Column("applied", _BIG, nullable=False),
    sa.Column("diff", TEXT),
    sa.Column("event_id", TEXT, nullable=False),
)

citizen: Final = sa.Table(
    "citizen",
    metadata,
    sa.Column("citizen_key", TEXT, primary_key=True),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("cipher", sa.LargeBinary, nullable=False),
    sa.Column("first_seen", _BIG, nullable=False),
)

citizen_key: Final = sa.Table(
    "citizen_key",
    metadata,
    sa.Column("citizen_key", TEXT, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

hold: Final = sa.Table(
    "hold",
    metadata,
    sa.Column("citizen_key", TEXT, primary_key=True),
    sa.Column("since", _BIG, nullable=False),
    sa.Column("actor", TEXT, nullable=False),
    sa.Column("reason", TEXT, nullable=False),
)
"""Legal holds: a court or a complaint needs what is known of these citizens."""

block: Final = sa.Table(
    "block",
    metadata,
    sa.Column("citizen_key", TEXT, primary_key=True),
    sa.Column("since", _BIG, nullable=False),
    sa.Column("until", _BIG, nullable=False),
    sa.Column("actor", TEXT, nullable=False),
    sa.Column("reason", TEXT, nullable=False),
)
"""The block list: whose calls are refused at the door, until when. ``recorder/blocks.py``."""

audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("ts_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("actor", TEXT, nullable=False),
    sa.Column("action", TEXT, nullable=False),
    sa.Column("object", TEXT, nullable=False),
    sa.Column("before", TEXT),
    sa.Column("after", TEXT),
)

alert: Final = sa.Table(
    "alert",
    metadata,
    sa.Column("alert_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", TEXT, nullable=False),
    sa.Column("queue", TEXT),
    sa.Column("measure", TEXT, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("since_us", _BIG, nullable=False),
    sa.Column("raised_us", _BIG, nullable=False, index=True),
    sa.Column("value", sa.Float),
    sa.Column("told_us", _BIG),
    sa.Column("cleared_us", _BIG),
    sa.Column("cleared_value", sa.Float),
    sa.Column("acked_us", _BIG),
    sa.Column("acked_by", TEXT),
    sa.Column("note", TEXT),
)
"""The alerts that were raised; what stands has no ``cleared_us``."""

feed: Final = sa.Table(
    "feed",
    metadata,
    sa.Column("center", TEXT, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("ledger", TEXT),
    sa.Column("seq", _BIG, nullable=False),
    sa.Column("event_id", TEXT, nullable=False),
    sa.Column("ts_us", _BIG, nullable=False),
    sa.Column("taken_us", _BIG, nullable=False),
    sa.Column("stream_seq", _BIG, nullable=False),
    sa.Column("told_seq", _BIG, nullable=False),
    sa.Column("refused", _BIG, nullable=False),
    sa.Column("problem", TEXT),
)
"""Of a city's store: how far each center's ledger is in it. ``recorder/city.py``; else empty."""

rollup: Final = sa.Table(
    "rollup",
    metadata,
    sa.Column("start", _BIG, primary_key=True, autoincrement=False),
    sa.Column("queued", sa.Boolean, primary_key=True),
    sa.Column("center", TEXT, primary_key=True),
    sa.Column("direction", TEXT, primary_key=True),
    sa.Column("medium", TEXT, primary_key=True),
    sa.Column("did", TEXT, primary_key=True),
    sa.Column("queue", TEXT, primary_key=True),
    sa.Column("service", TEXT, primary_key=True),
    sa.Column("outcome", TEXT, primary_key=True),
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
    sa.Column("overflow_sent", _BIG, nullable=False, server_default="0"),
    sa.Column("overflow_answered", _BIG, nullable=False, server_default="0"),
    sa.Column("overflow_returned", _BIG, nullable=False, server_default="0"),
    # Kept in the order of its key: a report reads the rows of its time one after the other.
    sqlite_with_rowid=False,
)
"""``recorder/rollup.py``."""

agent_time: Final = sa.Table(
    "agent_time",
    metadata,
    sa.Column("start", _BIG, primary_key=True, autoincrement=False),
    sa.Column("agent_id", TEXT, primary_key=True),
    sa.Column("talk_us", _BIG, nullable=False),
    sa.Column("hold_us", _BIG, nullable=False),
    sa.Column("wrap_up_us", _BIG, nullable=False),
    sa.Column("dial_us", _BIG, nullable=False),
    sa.Column("ready_us", _BIG, nullable=False),
    sa.Column("paid_us", _BIG, nullable=False),
    sqlite_with_rowid=False,
)
"""``recorder/agent_time.py``."""

PROJECTIONS: Final = (
    contact,
    segment,
    offer,
    agent_interval,
    config_version,
    rollup,
    agent_time,
)
"""What ``rebuild`` makes anew."""


def sqlite_url(path: str) -> str:
    """Return the URL of the SQLite file at ``path``."""
    return f"sqlite:///{path}"


def make_engine(url: str, *, busy_ms: int = 100, read_only: bool = False) -> Engine:
    """Return an engine for the writer, or one that can only read.

    SQLite: WAL with ``synchronous=FULL``, because NORMAL may lose commits on power loss
    (sqlite.org/pragma.html#pragma_synchronous); the writer takes its lock at BEGIN, so that a
    commit cannot find itself outdated half-way. PostgreSQL: ``postgres.make_engine``.
    """
    if sa.make_url(url).get_backend_name() != "sqlite":
        from gkc_engine.recorder import postgres

        return postgres.make_engine(url, busy_ms=busy_ms, read_only=read_only)
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
