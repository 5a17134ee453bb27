"""On what operators' time went, from their intervals.

Who has one place has one thing to do at a time, so the database adds up: millions of intervals a
month. Of who has several, every instant counts once, and that is swept here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.slots import DIALS
from gkc_engine.ids import CONSULT, Instant
from gkc_engine.recorder import agent_places, schema
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.scope import EVERYTHING, Scope

Interval = tuple[int, int, str]
"""Start and end, and on what the time of one slot goes: one of ``ACTIVITIES``, or of none."""

ACTIVITIES: Final = ("talk", "hold", "wrap_up", "dial", "ready")
"""The first of them that any slot is in is what the operator does: who talks is not ready."""

_C: Final = schema.agent_interval.c
_READ: Final = ("agent_id", "start", "end", "state", "reason", "contact_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Of which time, and who asks."""

    since: Instant
    until: Instant
    known: Instant
    """Until when the records tell what goes on: an interval that has not ended ends there."""
    scope: Scope = EVERYTHING


def time_of_each(connection: sa.Connection, within: Within) -> dict[str, Handling]:
    """Return on what the time of each operator went who was logged in."""
    found: defaultdict[str, Handling] = defaultdict(Handling)
    for agent_id, handling in _times(connection, within, each=True):
        found[agent_id].add(handling)
    return dict(found)


def time_of_all(connection: sa.Connection, within: Within) -> Handling:
    """Return the same of all operators together."""
    made = Handling()
    for _, handling in _times(connection, within, each=False):
        made.add(handling)
    return made


def spend(handling: Handling, slots: Iterable[Interval]) -> None:
    """Add an operator's time, all slots together, to what he did.

    Every instant counts once, however many slots: as the first of ``ACTIVITIES`` that one of them
    is in, and as paid while he is logged in.
    """
    edges = sorted(
        (at, step, doing)
        for start, end, doing in slots
        if start < end
        for at, step in ((start, +1), (end, -1))
    )
    now: defaultdict[str, int] = defaultdict(int)
    for (at, step, doing), (following, _, _) in pairwise([*edges, (0, 0, "")]):
        now[doing] += step
        spent = following - at
        if spent <= 0 or not any(now.values()):
            continue
        handling.paid_us += spent
        for activity in ACTIVITIES:
            if now[activity]:
                name = f"{activity}_us"
                setattr(handling, name, getattr(handling, name) + spent)
                break


def _times(
    connection: sa.Connection, within: Within, *, each: bool
) -> Iterator[tuple[str, Handling]]:
    """Give what adds up to everybody's time; ``each``: by operator, else of whom is not told."""
    several = _with_several_places(connection)
    swept: defaultdict[str, list[Interval]] = defaultdict(list)
    for agent_id, interval in _going_on(connection, within):
        if agent_id in several:
            swept[agent_id].append(interval)
            continue
        made = Handling()
        spend(made, [interval])
        yield agent_id, made
    alone = [_C.agent_id.not_in(several)] if several else []
    who: list[sa.ColumnElement[Any]] = [_C.agent_id] if each else []
    query = sa.select(*who, *_sums(within)).where(_begun(within), *alone).group_by(*who)
    for row in connection.execute(within.scope.narrow_by_contact(query, _C.contact_id)):
        made = Handling()
        names = [f"{name}_us" for name in (*ACTIVITIES, "paid")]
        for name, spent in zip(names, row[len(who) :], strict=True):
            setattr(made, name, int(spent or 0))
        yield (row[0] if each else "", made)
    if several:
        query = sa.select(*(_C[name] for name in _READ)).where(_C.agent_id.in_(several))
        query = within.scope.narrow_by_contact(query.where(_begun(within)), _C.contact_id)
        for agent_id, *interval_row in connection.execute(query):
            swept[agent_id].append(_cut(within, *interval_row))
    for agent_id, slots in swept.items():
        made = Handling()
        spend(made, slots)
        yield agent_id, made


def _with_several_places(connection: sa.Connection) -> list[str]:
    """Return the operators who ever had more than one place."""
    places = agent_places.places()
    query = sa.select(places.c.agent_id).where(places.c.slot.is_not(None))
    several = query.group_by(places.c.agent_id).having(sa.func.count() > 1)
    return sorted(connection.scalars(several))


def _begun(within: Within) -> sa.ColumnElement[bool]:
    """Return which intervals began in the time; none while logged out."""
    there = _C.state != str(AgentState.OFFLINE)
    return there & (_C.start >= within.since) & (_C.start < within.until)


def _going_on(connection: sa.Connection, within: Within) -> Iterator[tuple[str, Interval]]:
    """Give what went on when the time began, with whose it is.

    A place has one such interval at most: the last that began before.
    """
    c = agent_places.last_before(within.since, _READ[1:]).c
    query = sa.select(*(c[name] for name in _READ)).where(
        c.state != str(AgentState.OFFLINE), sa.or_(c.end.is_(None), c.end > within.since)
    )
    for row in connection.execute(within.scope.narrow_by_contact(query, c.contact_id)):
        yield row[0], _cut(within, *row[1:])


def _sums(within: Within) -> list[sa.ColumnElement[int]]:
    """Return the time of each of ``ACTIVITIES``, and of all that is paid, in microseconds."""
    start = _C.start
    open_end = min(within.known, within.until)
    spent = sa.case(
        (_C.end <= within.until, _C.end - start),
        (_C.end > within.until, within.until - start),
        # It goes on; but of what began after the records' last word nothing is known.
        (start < open_end, open_end - start),
        else_=0,
    )
    dialling = (_C.state == str(AgentState.TALK)) & (_C.reason == DIALS[1])
    at_work = {
        "talk": (_C.state == str(AgentState.TALK)) & (_C.reason != DIALS[1]),
        "hold": _C.state == str(AgentState.HOLD),
        "wrap_up": _C.state == str(AgentState.WRAP_UP),
    }
    about = _C.contact_id.is_not(None) & _C.contact_id.not_like(f"{CONSULT}%")
    conditions = {name: where & about for name, where in at_work.items()}
    conditions["dial"] = dialling
    conditions["ready"] = (_C.state == str(AgentState.READY)) & (_C.reason == "")
    made = [sa.func.sum(sa.case((conditions[name], spent), else_=0)) for name in ACTIVITIES]
    # PostgreSQL's sum of integers is a decimal.
    return [sa.cast(one, sa.BigInteger) for one in (*made, sa.func.sum(spent))]


def _cut(
    within: Within, start: int, end: int | None, state: str, reason: str, contact_id: str | None
) -> Interval:
    """Return the part of an interval that lies in the time."""
    cut = min(within.known if end is None else end, within.until)
    return max(start, within.since), cut, _doing(state, reason, contact_id)


def _doing(state: str, reason: str, contact_id: str | None) -> str:
    """Return on what the time goes; the state itself where it is none of ``ACTIVITIES``.

    A call of his own is no contact's talk, and who rests after a missed ring cannot be rung.
    """
    if state == AgentState.TALK and reason == DIALS[1]:
        return "dial"
    if state == AgentState.READY:
        return "ready" if not reason else "rest"
    asked = contact_id is None or contact_id.startswith(CONSULT)  # by name, or by a queue
    return state if not asked or state not in ACTIVITIES else "own"
