"""The records' side of a comparison: what the store says of a stretch of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.ids import CONSULT, SECOND, Instant
from gkc_engine.reconcile.spool import Spool
from gkc_engine.recorder import history, schema
from gkc_engine.recorder.codec import KINDS, decode

MARGIN_US: Final = 86_400 * SECOND
"""What belongs to the period lies no farther beside it: a call's end, a step of the clock."""

_YIELD: Final = 2_000

_OF_CONTACT: Final = (
    *("contact_id", "number", "direction", "linkedid", "started", "first_queued", "answered"),
    *("ended", "disposition", "reason", "via", "agent_id", "talk_us", "hold_us", "ring_us"),
)
_OF_SEGMENT: Final = (
    *("segment_id", "n", "party", "kind", "start", "end", "agent_id", "outcome"),
    *("channel_uniqueid", "transfer_kind", "citizen_id"),
)
_OF_OFFER: Final = (
    *("offer_id", "agent_id", "created", "ringing", "answered", "ended", "outcome"),
)


@dataclass(slots=True, kw_only=True)
class Told:
    """What the store says of the period as a whole."""

    first: Instant
    """Of the ledger's first row."""
    last: Instant
    away: list[tuple[Instant, Instant]]
    """When nobody was told what happened: from an engine's last word until the next one had caught
    up; to its first word, of one that did not say so."""
    phones: dict[str, str]
    """Endpoint → operator, by every config in force in the period."""


def load(connection: sa.Connection, spool: Spool, since: Instant, until: Instant) -> Told:
    """Put the period's contacts, segments, offers and operators' own calls into the spool.

    Raises:
        HistoryError: nothing was ever recorded.
    """
    span = history.span(connection)
    c = schema.contact.c
    near = sa.and_(c.started >= since - MARGIN_US, c.started < until + MARGIN_US)
    spool.put(
        "contact",
        (
            (row["contact_id"], row["linkedid"] or "", row["started"], row["ended"], _json(row))
            for row in _stream(connection, schema.contact, _OF_CONTACT, near, c.medium)
            if row["medium"] == Medium.VOICE
        ),
    )
    near_ids = sa.select(c.contact_id).where(near)
    spool.put(
        "segment",
        (
            (row["contact_id"], row["channel_uniqueid"], _json(row))
            for row in _of(connection, schema.segment, _OF_SEGMENT, near_ids)
        ),
    )
    spool.put(
        "offer",
        ((r["contact_id"], _json(r)) for r in _of(connection, schema.offer, _OF_OFFER, near_ids)),
    )
    told = Told(first=span.first, last=span.last, away=[], phones={})
    low = history.seq_before(connection, span, Instant(since - MARGIN_US))
    high = history.seq_before(connection, span, Instant(until + MARGIN_US))
    _events(connection, spool, told, low, high)
    _asked_of_queues(connection, spool, since, until)
    return told


def _asked_of_queues(
    connection: sa.Connection, spool: Spool, since: Instant, until: Instant
) -> None:
    """Put whom a queue chose for a colleague's question among the parties of that call."""
    o = schema.offer.c
    query = sa.select(o.contact_id, o.agent_id, o.created).where(
        o.contact_id.startswith(CONSULT),
        o.created >= since - MARGIN_US,
        o.created < until + MARGIN_US,
    )
    rows = [
        (one.contact_id.removeprefix(CONSULT), one.agent_id, one.created)
        for one in connection.execute(query)
    ]
    ends = {uid: spool.value("SELECT max(ended) FROM own WHERE uid = ?", uid) for uid, _, _ in rows}
    spool.put("own", ((*row, ends[row[0]]) for row in rows))


def _stream(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    where: sa.ColumnElement[bool],
    *more: sa.ColumnElement[Any],
) -> Iterator[dict[str, Any]]:
    query = sa.select(*(table.c[name] for name in names), *more).where(where)
    rows = connection.execution_options(yield_per=_YIELD).execute(query)
    for row in rows.mappings():
        yield dict(row)


def _of(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], ids: sa.Select[Any]
) -> Iterator[dict[str, Any]]:
    return _stream(connection, table, names, table.c.contact_id.in_(ids), table.c.contact_id)


def _json(row: dict[str, Any]) -> str:
    return msgspec.json.encode(row).decode()


def _events(connection: sa.Connection, spool: Spool, told: Told, after: int, last: int) -> None:
    """Take operators' own calls, the engine's restarts, and whose phone is whose."""
    e = schema.event.c
    kinds = (ev.AgentCallStarted, ev.AgentCallEnded, ev.SettingsApplied)
    names = [KINDS[kind] for kind in (*kinds, ev.EngineRestarted, ev.CaughtUp)]
    before = (
        sa.select(sa.func.max(e.seq)).where(e.kind == KINDS[ev.SettingsApplied], e.seq <= after)
    ).scalar_subquery()
    query = (
        sa.select(e.seq, e.ts_us, e.kind, e.data)
        .where(e.kind.in_(names), sa.or_(sa.and_(e.seq > after, e.seq <= last), e.seq == before))
        .order_by(e.seq)
    )
    open_calls: dict[tuple[str, str], int] = {}
    own: list[tuple[object, ...]] = []
    due = False
    for row in connection.execute(query).all():
        fact = decode(row.kind, row.data)
        match fact:
            case ev.AgentCallStarted():
                key = (fact.call_id, fact.agent_id)
                open_calls.setdefault(key, fact.at if fact.at is not None else row.ts_us)
            case ev.AgentCallEnded():
                key = (fact.call_id, fact.agent_id)
                started = open_calls.pop(key, None)
                if started is not None:
                    own.append((*key, started, row.ts_us))
            case ev.EngineRestarted():
                told.away.append((_word_before(connection, row.seq, row.ts_us), row.ts_us))
                due = True
            case ev.CaughtUp() if due:
                told.away[-1] = (told.away[-1][0], row.ts_us)
                due = False
            case ev.SettingsApplied() if fact.tree:
                told.phones |= _phones(fact.tree)
            case _:
                pass
    spool.put("own", [*own, *((*key, started, None) for key, started in open_calls.items())])


def _word_before(connection: sa.Connection, seq: int, at: int) -> Instant:
    e = schema.event.c
    query = sa.select(e.ts_us).where(e.seq < seq).order_by(e.seq.desc()).limit(1)
    found = connection.scalar(query)
    return Instant(at if found is None else found)


def _phones(tree: str) -> dict[str, str]:
    operators = msgspec.json.decode(tree).get("operators") or {}
    return {told["interface"]: name for name, told in operators.items() if told.get("interface")}


def paths_of(connection: sa.Connection) -> dict[str, str]:
    """Return ``pbx.cel``, ``pbx.cdr`` and ``center.timezone`` of the config applied last."""
    e = schema.event.c
    query = (
        sa.select(e.data).where(e.kind == KINDS[ev.SettingsApplied]).order_by(e.seq.desc()).limit(1)
    )
    data = connection.scalar(query)
    tree = None if data is None else msgspec.json.decode(data).get("tree")
    pbx = msgspec.json.decode(tree).get("pbx") or {} if tree else {}
    return {name: pbx[name] for name in ("cel", "cdr") if pbx.get(name)}
