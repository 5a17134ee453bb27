"""What the CLI asks of the records. Read-only connections; the writer never waits for them.

Column names are those of docs/statistics.md; times ISO 8601 UTC with microseconds, durations in
seconds as ``*_s``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.new_records import OUT

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES: Final = frozenset(
    [
        *("started", "first_queued", "answered", "ended", "ewt_told"),
        *("start", "end", "created", "ringing", "ts_us"),
    ]
)
_INTERNAL: Final = frozenset(("number_year", "number_seq"))
_LAST: Final = "\U0010ffff"


class NoSuchContactError(GkcError):
    """No contact, or more than one, answers to what was asked."""


def iso(at: Instant | int) -> str:
    """Return the instant as ``2026-09-21T14:13:20.000000Z``."""
    return f"{(_EPOCH + timedelta(microseconds=at)):%Y-%m-%dT%H:%M:%S.%f}Z"


def timezone(engine: Engine) -> str | None:
    """Return the center's time zone by the config last applied.

    ``None``: no config is on record, or only by an engine that did not record all of it.
    """
    query = (
        sa.select(schema.event.c.data)
        .join(schema.config_version, schema.config_version.c.event_id == schema.event.c.event_id)
        .order_by(schema.config_version.c.applied.desc(), schema.event.c.seq.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        data = connection.scalar(query)
    tree = None if data is None else msgspec.json.decode(data).get("tree")
    return msgspec.json.decode(tree)["center"]["timezone"] if tree else None


def list_contacts(
    engine: Engine,
    *,
    since: Instant | None = None,
    queue: str | None = None,
    citizen: str | None = None,
    direction: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return the last ``limit`` contacts, the newest first.

    ``citizen``: his key; ``direction``: in or out.
    """
    table = schema.contact
    query = sa.select(table).order_by(table.c.started.desc(), table.c.contact_id).limit(limit)
    if since is not None:
        query = query.where(table.c.started >= since)
    if queue is not None:
        query = query.where(table.c.queue == queue)
    if citizen is not None:
        query = query.where(table.c.citizen_id == citizen)
    if direction is not None:
        query = query.where(schema.IS_OUT if direction == OUT else table.c.direction == direction)
    with engine.connect() as connection:
        return [public(row) for row in connection.execute(query).mappings()]


def told_waits(
    engine: Engine, *, since: Instant, until: Instant | None = None, queue: str | None = None
) -> list[dict[str, Any]]:
    """Return, for each queue, sums over the waits that were told and what came true, in seconds.

    Of contacts that entered their first queue from ``since`` on and before ``until``, and were
    answered by the engine in the queue of which they were told.
    """
    c = schema.contact.c
    waited = (c.answered - c.ewt_told) / float(SECOND)
    error = (c.ewt_said_us - (c.answered - c.ewt_told)) / float(SECOND)
    kept = (c.answered - c.ewt_told > c.ewt_lo_us) & (
        c.ewt_hi_us.is_(None) | (c.answered - c.ewt_told <= c.ewt_hi_us)
    )
    query = (
        sa.select(
            c.ewt_queue.label("queue"),
            sa.func.count().label("n"),
            sa.func.sum(waited).label("waited_s"),
            sa.func.sum(error).label("error_s"),
            sa.func.sum(error * error).label("square_s2"),
            sa.func.sum(sa.case((kept, 1), else_=0)).label("within"),
        )
        .where(c.first_queued >= since, c.answered.is_not(None), c.ewt_told.is_not(None))
        .where(c.queue == c.ewt_queue, sa.func.coalesce(c.via, "engine") == "engine")
        .group_by(c.ewt_queue)
        .order_by(c.ewt_queue)
    )
    if until is not None:
        query = query.where(c.first_queued < until)
    if queue is not None:
        query = query.where(c.ewt_queue == queue)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def show_contact(engine: Engine, key: str) -> dict[str, Any]:
    """Return a contact by its id, its number, or the beginning of either, with its whole story.

    Raises:
        NoSuchContactError: Nothing answers to ``key``, or several do (they are named).
    """
    with engine.connect() as connection:
        row = _find(connection, key)
        contact_id = row["contact_id"]
        segment = schema.segment
        segments = _rows(connection, segment, contact_id, segment.c.n, segment.c.segment_id)
        offers = _rows(connection, schema.offer, contact_id, schema.offer.c.offer_id)
        intervals = schema.agent_interval
        handling = connection.execute(
            sa.select(intervals)
            .where(intervals.c.contact_id == contact_id)
            .where(intervals.c.start >= row["started"])
            .order_by(intervals.c.start)
        ).mappings()
        return public(row) | {
            "segments": segments,
            "offers_list": offers,
            "agent_intervals": [public(interval) for interval in handling],
            "events": _events(connection, contact_id),
        }


def public(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a projection's row as people and scripts see it."""
    return dict(_public(str(name), value) for name, value in row.items() if name not in _INTERNAL)


def _public(name: str, value: Any) -> tuple[str, Any]:  # noqa: ANN401
    if name in _TIMES:
        return name.removesuffix("_us"), None if value is None else iso(value)
    if name.endswith("_us"):
        return f"{name[:-3]}_s", None if value is None else value / SECOND
    if name == "requirement_final" and value is not None:
        return name, msgspec.json.decode(value)
    return name, value


def _find(connection: sa.Connection, key: str) -> Mapping[Any, Any]:
    table = schema.contact
    found: list[Mapping[Any, Any]] = []
    for column in (table.c.contact_id, table.c.number):
        # A range, not LIKE: it uses the index on both databases.
        query = sa.select(table).where((column >= key) & (column < key + _LAST))
        found += connection.execute(query.order_by(column).limit(6)).mappings()
    exact = [row for row in found if key in (row["contact_id"], row["number"])]
    if len(exact) == 1 or len(found) == 1:
        return (exact or found)[0]
    if not found:
        raise NoSuchContactError(f"contact {key!r}: not found; `gkc contact list` names the last")
    if len(exact) > 1:  # In the city's store: of centers that once numbered with one prefix.
        ids = ", ".join(f"{row['contact_id']} ({row['center_entry']})" for row in exact)
        raise NoSuchContactError(f"contact {key!r}: several contacts have this number: {ids}")
    numbers = ", ".join(row["number"] for row in found[:5])
    raise NoSuchContactError(f"contact {key!r}: several begin so ({numbers}…); give more of it")


def _rows(
    connection: sa.Connection, table: sa.Table, contact_id: str, *order: sa.ColumnElement[Any]
) -> list[dict[str, Any]]:
    query = sa.select(table).where(table.c.contact_id == contact_id).order_by(*order)
    return [public(row) for row in connection.execute(query).mappings()]


def _events(connection: sa.Connection, contact_id: str) -> list[dict[str, Any]]:
    """Return the ledger's rows of the contact, and of its offers, in order."""
    event = schema.event
    names = ("seq", "ts_us", "kind", "role", "agent_id", "queue", "offer_id", "source", "data")
    offers = sa.select(schema.offer.c.offer_id).where(schema.offer.c.contact_id == contact_id)
    query = (
        sa.select(*(event.c[name] for name in names))
        .where((event.c.contact_id == contact_id) | event.c.offer_id.in_(offers))
        .order_by(event.c.seq)
    )
    return [
        public(row) | {"data": msgspec.json.decode(row["data"])}
        for row in connection.execute(query).mappings()
    ]
