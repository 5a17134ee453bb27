"""On what operators' time went.

Whole quarter-hours are read as they were added up (``recorder/agent_time.py``), what sticks out at
either end interval by interval; what still goes on is in neither, the open intervals tell of it.
Who sees a part of the contacts only (``scope``) is answered from the intervals about those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.acd.commands import AgentState
from gkc_engine.ids import Instant
from gkc_engine.recorder import agent_places, schema
from gkc_engine.recorder.agent_time import ACTIVITIES, COLUMNS, activity_of, doing
from gkc_engine.recorder.rollup import GRAIN_US
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.scope import EVERYTHING, Scope

Interval = tuple[int, int, str]
"""Start and end, and on what the time of one slot goes: one of ``ACTIVITIES``, or of none."""

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
        (at, step, does)
        for start, end, does in slots
        if start < end
        for at, step in ((start, +1), (end, -1))
    )
    now: defaultdict[str, int] = defaultdict(int)
    for (at, step, does), (following, _, _) in pairwise([*edges, (0, 0, "")]):
        now[does] += step
        spent = following - at
        if spent > 0 and any(now.values()):
            _add(handling, spent, activity_of(one for one, n in now.items() if n))


def _add(handling: Handling, spent: int, activity: int | None) -> None:
    handling.paid_us += spent
    if activity is not None:
        name = f"{ACTIVITIES[activity]}_us"
        setattr(handling, name, getattr(handling, name) + spent)


def _times(
    connection: sa.Connection, within: Within, *, each: bool
) -> Iterator[tuple[str, Handling]]:
    """Give what adds up to everybody's time; ``each``: by operator, else of whom is not told."""
    first = Instant(-(-within.since // GRAIN_US) * GRAIN_US)
    last = Instant(within.until // GRAIN_US * GRAIN_US)
    if first >= last or within.scope.limited:
        yield from _swept(connection, within)
        return
    yield from _added_up(connection, first, last, each=each)
    yield from _still(connection, first, min(last, within.known))
    for edge in (replace(within, until=first), replace(within, since=last)):
        if edge.since < edge.until:
            yield from _swept(connection, edge)


# --- added up -------------------------------------------------------------------------------------


def _added_up(
    connection: sa.Connection, first: Instant, last: Instant, *, each: bool
) -> Iterator[tuple[str, Handling]]:
    c = schema.agent_time.c
    who: list[sa.ColumnElement[Any]] = [c.agent_id] if each else []
    # PostgreSQL's sum of integers is a decimal.
    added = [sa.cast(sa.func.sum(c[name]), sa.BigInteger) for name in COLUMNS]
    query = sa.select(*who, *added).where(c.start >= first, c.start < last).group_by(*who)
    for row in connection.execute(query):
        made = Handling()
        for name, spent in zip(COLUMNS, row[len(who) :], strict=True):
            setattr(made, name, spent or 0)
        yield (row[0] if each else "", made)


def _still(
    connection: sa.Connection, first: Instant, until: Instant
) -> Iterator[tuple[str, Handling]]:
    """Give what goes on since before ``until``: the time before its begin is added up."""
    query = sa.select(*(_C[name] for name in _READ)).where(_C.end.is_(None))
    begun: defaultdict[str, int] = defaultdict(int)
    places: defaultdict[str, list[str]] = defaultdict(list)
    for agent_id, start, _, *told in connection.execute(query):
        begun[agent_id] = max(begun[agent_id], start)
        does = doing(*told)
        if does is not None:
            places[agent_id].append(does)
    for agent_id, does_now in places.items():
        spent = until - max(first, begun[agent_id])
        if spent > 0:
            made = Handling()
            _add(made, spent, activity_of(does_now))
            yield agent_id, made


# --- interval by interval -------------------------------------------------------------------------


def _swept(connection: sa.Connection, within: Within) -> Iterator[tuple[str, Handling]]:
    slots: defaultdict[str, list[Interval]] = defaultdict(list)
    there = _C.state != str(AgentState.OFFLINE)
    begun = there & (_C.start >= within.since) & (_C.start < within.until)
    query = sa.select(*(_C[name] for name in _READ)).where(begun)
    for agent_id, *told in connection.execute(_narrowed(query, within, _C.contact_id)):
        slots[agent_id].append(_cut(within, *told))
    c = agent_places.last_before(within.since, _READ[1:]).c
    query = sa.select(*(c[name] for name in _READ)).where(
        c.state != str(AgentState.OFFLINE), sa.or_(c.end.is_(None), c.end > within.since)
    )
    for agent_id, *told in connection.execute(_narrowed(query, within, c.contact_id)):
        slots[agent_id].append(_cut(within, *told))
    for agent_id, intervals in slots.items():
        made = Handling()
        spend(made, intervals)
        yield agent_id, made


def _narrowed(
    query: sa.Select[Any], within: Within, contact_id: sa.ColumnElement[str]
) -> sa.Select[Any]:
    return within.scope.narrow_by_contact(query, contact_id)


def _cut(
    within: Within, start: int, end: int | None, state: str, reason: str, contact_id: str | None
) -> Interval:
    """Return the part of an interval that lies in the time."""
    cut = min(within.known if end is None else end, within.until)
    return max(start, within.since), cut, doing(state, reason, contact_id) or ""
