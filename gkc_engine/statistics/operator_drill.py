"""From a figure of an operator down to what it counts: as many rows as the figure says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from gkc_engine.acd.commands import OfferOutcome, SegmentOutcome
from gkc_engine.ids import AgentId, Instant
from gkc_engine.recorder import queries, schema
from gkc_engine.recorder.rollup import UNANSWERED
from gkc_engine.statistics.figures import Work
from gkc_engine.statistics.operators import called_out, offered, talk_ended
from gkc_engine.statistics.scope import EVERYTHING, Scope


def done(
    connection: sa.Connection,
    since: Instant,
    until: Instant,
    work: Work,
    agent_id: AgentId | None = None,
    scope: Scope = EVERYTHING,
) -> list[dict[str, Any]]:
    """Return the contacts that a figure counts, each with the operator in whose row it is.

    A contact that two operators talked with is in both their rows; of offers, each is a row, with
    its ``offer_id`` and ``offer_outcome``. Of a colleague's call for advice that a queue found an
    operator for there is no contact: its offer is listed all the same.

    Args:
        connection: To the records.
        since: From when on.
        until: Before when.
        work: Which figure.
        agent_id: Of this operator alone; ``None``: of all together.
        scope: Who asks.
    """
    match work:
        case Work.HANDLED | Work.TRANSFERS:
            query = _talks(since, until, work)
        case Work.OUTBOUND | Work.OUTBOUND_ANSWERED:
            query = _calls_out(since, until, work)
        case _:
            query = _offers(since, until, work)
    of, agent = query.selected_columns[0], query.selected_columns[1]
    if agent_id is not None:
        query = query.where(agent == agent_id)
    query = scope.narrow_by_contact(query, of)
    return list(_with_contacts(connection, query))


_Query = sa.Select[Any]


def _talks(since: Instant, until: Instant, work: Work) -> _Query:
    c = schema.segment.c
    query: _Query = sa.select(c.contact_id, c.agent_id).where(talk_ended(since, until))
    if work is Work.HANDLED:
        query = query.distinct()
    else:
        query = query.where(c.outcome == str(SegmentOutcome.TRANSFERRED))
    return query.order_by(c.contact_id, c.agent_id)


def _offers(since: Instant, until: Instant, work: Work) -> _Query:
    c = schema.offer.c
    query: _Query = sa.select(c.contact_id, c.agent_id, c.offer_id, c.outcome)
    query = query.where(offered(since, until)).order_by(c.created, c.offer_id, c.agent_id)
    if work is Work.OFFERS_UNANSWERED:
        return query.where(c.outcome.in_(sorted(UNANSWERED)))
    if work is Work.OFFERS_WITHDRAWN:
        return query.where(c.outcome == str(OfferOutcome.WITHDRAWN))
    return query


def _calls_out(since: Instant, until: Instant, work: Work) -> _Query:
    c = schema.contact.c
    query: _Query = sa.select(c.contact_id, c.agent_id).where(called_out(since, until))
    if work is Work.OUTBOUND_ANSWERED:
        query = query.where(c.answered.is_not(None))
    return query.order_by(c.started, c.contact_id)


def _with_contacts(connection: sa.Connection, query: _Query) -> Iterator[dict[str, Any]]:
    table = schema.contact
    for found_row in connection.execute(query).all():
        contact_id, agent_id, *offer = tuple(found_row)
        row = connection.execute(sa.select(table).where(table.c.contact_id == contact_id)).first()
        found = {"contact_id": contact_id} if row is None else queries.public(row._mapping)
        found["agent_id"] = agent_id
        if offer:
            found["offer_id"], found["offer_outcome"] = offer
        yield found
