"""What operators did in a stretch of time: on what it went, their offers and their talks."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from gkc_engine.acd.commands import (
    Disposition,
    OfferOutcome,
    SegmentKind,
    SegmentOutcome,
)
from gkc_engine.ids import ABROAD, SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.city import is_city
from gkc_engine.recorder.rollup import UNANSWERED
from gkc_engine.statistics import figures
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.scope import EVERYTHING, Scope
from gkc_engine.statistics.worktime import Within, time_of_each

_TALKS = [str(kind) for kind in (SegmentKind.TALK, SegmentKind.HOLD, SegmentKind.PARKED)]
_GOES_ON = [
    str(outcome) for outcome in (SegmentOutcome.HELD, SegmentOutcome.RESUMED, SegmentOutcome.PARKED)
]
"""Outcomes of a part of a talk that was not its last."""


_OF_ALL_SERVICES = dict.fromkeys(("ready_s", "paid_s", "occupancy", "utilisation"))
"""Columns of which no part belongs to one service."""


def rows(
    connection: sa.Connection,
    since: Instant,
    until: Instant,
    known: Instant,
    scope: Scope = EVERYTHING,
) -> list[dict[str, Any]]:
    """Return a row for each operator who was logged in within ``[since, until)``, and one for all.

    Columns as in docs/statistics.md; ``agent_id`` ``None``: all of them. In a limited scope only
    the work on its contacts is counted, so nothing can be told of ready and paid time.

    Args:
        connection: To the records.
        since: From when on.
        until: Before when.
        known: Until when the records tell what goes on: ``last_word`` of an engine that is gone.
        scope: Who asks.
    """
    found: defaultdict[str, Handling] = defaultdict(Handling)
    within = Within(since=since, until=until, known=known, scope=scope)
    found.update(time_of_each(connection, within))
    _count_talks(connection, since, until, found, scope)
    _count_offers(connection, since, until, found, scope)
    _count_outbound(connection, since, until, found, scope)
    at_work = {a: h for a, h in sorted(found.items()) if h.paid_us or h.handled or h.offers}
    made = [_row(agent_id, handling) for agent_id, handling in at_work.items()]
    if len(made) > 1:
        of_all = Handling()
        for handling in at_work.values():
            of_all.add(handling)
        made.append(_row(None, of_all))
    return [row | _OF_ALL_SERVICES for row in made] if scope.limited else made


def last_word(connection: sa.Connection) -> Instant:
    """Return the instant of the ledger's last row; 0 of an empty one.

    Of the city's, in which the centers' rows stand as they came: the latest of all.
    """
    event = schema.event
    if is_city(connection):
        return Instant(connection.scalar(sa.select(sa.func.max(schema.feed.c.ts_us))) or 0)
    query = sa.select(event.c.ts_us).order_by(event.c.seq.desc()).limit(1)
    return Instant(connection.scalar(query) or 0)


def talk_ended(since: Instant, until: Instant) -> sa.ColumnElement[bool]:
    """Return which segments are the last part of an operator's talk that ended in the time."""
    c = schema.segment.c
    ended = (c.end >= since) & (c.end < until) & _ours(c.agent_id)
    return ended & c.kind.in_(_TALKS) & c.outcome.not_in(_GOES_ON)


def offered(since: Instant, until: Instant) -> sa.ColumnElement[bool]:
    """Return which offers began in the time and are over."""
    c = schema.offer.c
    began = (c.created >= since) & (c.created < until)
    return began & c.outcome.is_not(None) & _ours(c.agent_id)


def _ours(agent_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return whether it is an operator of this center: another's is counted there."""
    return agent_id.is_not(None) & agent_id.not_like(f"%{ABROAD}%")


def called_out(since: Instant, until: Instant) -> sa.ColumnElement[bool]:
    """Return which calls out began in the time and were allowed."""
    c = schema.contact.c
    allowed = sa.or_(c.disposition.is_(None), c.disposition != str(Disposition.BARRED))
    return (c.started >= since) & (c.started < until) & schema.IS_OUT & allowed


def _count_talks(
    connection: sa.Connection,
    since: Instant,
    until: Instant,
    found: defaultdict[str, Handling],
    scope: Scope,
) -> None:
    """Count the contacts of which an operator's talk ended within the time, and his transfers."""
    c = schema.segment.c
    transferred = sa.case((c.outcome == str(SegmentOutcome.TRANSFERRED), 1), else_=0)
    query = (
        sa.select(
            c.agent_id,
            sa.func.count(sa.distinct(c.contact_id)),
            sa.func.sum(transferred),
        )
        .where(talk_ended(since, until))
        .group_by(c.agent_id)
    )
    query = scope.narrow_by_contact(query, c.contact_id)
    for agent_id, handled, transfers in connection.execute(query):
        found[agent_id].handled += handled
        found[agent_id].transfers += transfers


def _count_offers(
    connection: sa.Connection,
    since: Instant,
    until: Instant,
    found: defaultdict[str, Handling],
    scope: Scope,
) -> None:
    c = schema.offer.c
    query = (
        sa.select(c.agent_id, c.outcome, sa.func.count())
        .where(offered(since, until))
        .group_by(c.agent_id, c.outcome)
    )
    query = scope.narrow_by_contact(query, c.contact_id)
    for agent_id, outcome, n in connection.execute(query):
        handling = found[agent_id]
        handling.offers += n
        if outcome in UNANSWERED:
            handling.offers_unanswered += n
        elif outcome == OfferOutcome.WITHDRAWN:
            handling.offers_withdrawn += n


def _count_outbound(
    connection: sa.Connection,
    since: Instant,
    until: Instant,
    found: defaultdict[str, Handling],
    scope: Scope,
) -> None:
    """Count the calls out that began within the time, whatever came of them but ``barred``."""
    c = schema.contact.c
    query = (
        sa.select(c.agent_id, sa.func.count(), sa.func.count(c.answered))
        .where(called_out(since, until))
        .group_by(c.agent_id)
    )
    query = scope.narrow(query, c.service)
    for agent_id, made, answered in connection.execute(query):
        found[agent_id].outbound += made
        found[agent_id].outbound_answered += answered


def _row(agent_id: str | None, handling: Handling) -> dict[str, Any]:
    made: dict[str, Any] = {
        "agent_id": agent_id,
        "handled": handling.handled,
        "talk_s": handling.talk_us / SECOND,
        "hold_s": handling.hold_us / SECOND,
        "wrap_up_s": handling.wrap_up_us / SECOND,
        "ready_s": handling.ready_us / SECOND,
        "paid_s": handling.paid_us / SECOND,
        "aht_s": figures.average_handle_time_s(handling),
        "occupancy": figures.occupancy(handling),
        "utilisation": figures.utilisation(handling),
        "offers": handling.offers,
        "offers_unanswered": handling.offers_unanswered,
        "offers_withdrawn": handling.offers_withdrawn,
        "rna_rate": figures.ring_no_answer_rate(handling),
        "rna_rate_without_citizens": figures.ring_no_answer_rate_without_citizens(handling),
        "outbound": handling.outbound,
        "outbound_answered": handling.outbound_answered,
        "dial_s": handling.dial_us / SECOND,
        "transfers": handling.transfers,
        "transfer_rate": figures.transfer_rate(handling),
    }
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in made.items()}
