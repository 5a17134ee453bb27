"""Figures of a stretch of time, grouped: from the roll-ups where they go, else from the contacts.

The one way from the records to ``Counts``. Both sources give the same cells (``cell_of``), so the
answer is the same; whole quarter-hours are read as roll-ups, what sticks out at either end contact
by contact. Percentiles are of the contacts' own waits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.rollup import GRAIN_US, KEY, TALKING, VALUES, WAITING, cell_of
from gkc_engine.statistics.counting import counts_of_many
from gkc_engine.statistics.figures import Counts, Handling

By: TypeAlias = Literal["center", "direction", "medium", "did", "queue", "service"]
"""What contacts can be grouped by, beside time."""

Group: TypeAlias = tuple[Any, ...]
"""The begin of the interval if bounds were given, then a text for each ``By``, empty for none."""

_CONTACT_COLUMN: Final[Mapping[str, str]] = {"center": "center_entry"}
_PAGES: Final = {"yield_per": 10_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which contacts a report is of: first queue entry in ``[since, until)``."""

    since: Instant
    until: Instant
    queue: str | None = None
    service: str | None = None


@dataclass(slots=True)
class Line:
    """What one row of a report is made of."""

    counts: Counts = field(default_factory=Counts)
    handling: Handling = field(default_factory=Handling)
    waits: list[int] = field(default_factory=list)
    """Of the answered, in microseconds, in any order."""

    def add(self, other: Line) -> None:
        """Add what another line is made of."""
        self.counts.add(other.counts)
        self.handling.add(other.handling)
        self.waits += other.waits


@dataclass(frozen=True, slots=True)
class _Cell:
    """One row of the roll-ups, or several that add up, or one contact."""

    at: Instant
    """In the interval in which it counts."""
    values: Group
    """Of what it is grouped by."""
    queued: bool
    outcome: str
    sums: Mapping[str, int]
    """``rollup.VALUES``."""


def read(
    connection: sa.Connection,
    period: Period,
    *,
    by: Sequence[By] = (),
    bounds: Sequence[Instant] | None = None,
    waits: bool = True,
) -> dict[Group, Line]:
    """Return what reports are made of, for each group that any contact of the period is in.

    Args:
        connection: To the records; all is read in its transaction.
        period: Which contacts.
        by: What they are grouped by.
        bounds: Where intervals begin, and where the last one ends (``intervals.interval_bounds``);
            they hold the period. The first of a group is then its interval's begin.
        waits: Whether to read the waits of the answered: without them a line has no percentiles,
            and only roll-ups are read.
    """
    made: defaultdict[Group, Line] = defaultdict(Line)
    for cell in _cells(connection, period, by, bounds):
        if cell.queued:
            line = made[_group(cell.at, cell.values, bounds)]
            _count(line, cell)
    if waits:
        for at, values, wait in _waits(connection, period, by, with_time=bounds is not None):
            made[_group(at, values, bounds)].waits.append(wait)
    return dict(made)


def outcomes(
    connection: sa.Connection,
    period: Period,
    *,
    by: Sequence[By] = (),
    bounds: Sequence[Instant] | None = None,
) -> dict[Group, Counter[tuple[str, bool]]]:
    """Return how many contacts had which outcome, and whether they entered a queue.

    Outcomes are dispositions, and ``rollup.TALKING`` and ``WAITING`` of contacts in progress. A
    contact that never entered a queue counts where it started: so all contacts are here.
    """
    made: defaultdict[Group, Counter[tuple[str, bool]]] = defaultdict(Counter)
    for cell in _cells(connection, period, by, bounds):
        counter = made[_group(cell.at, cell.values, bounds)]
        counter[cell.outcome, cell.queued] += cell.sums["contacts"]
    return dict(made)


def total(lines: Iterable[Line]) -> Line:
    """Return all lines together."""
    made = Line()
    for line in lines:
        made.add(line)
    return made


def counts_of_contact(contact: Mapping[str, Any]) -> Counts:
    """Return the counts of one contact that entered a queue, over or in progress.

    Its threshold is that which its queue had when it waited.
    """
    key, values = cell_of(contact)
    return _counts(key[-1], dict(zip(VALUES, values, strict=True)))


def _group(at: Instant, values: Group, bounds: Sequence[Instant] | None) -> Group:
    return values if bounds is None else (bounds[bisect_right(bounds, at) - 1], *values)


def _count(line: Line, cell: _Cell) -> None:
    sums = cell.sums
    line.counts.add(_counts(cell.outcome, sums))
    handling = line.handling
    handling.offers += sums["agent_offers"]
    handling.offers_unanswered += sums["offers_unanswered"]
    handling.offers_withdrawn += sums["offers_withdrawn"]
    handling.transfers += sums["transfers"]
    if cell.outcome == Disposition.ANSWERED:
        handling.handled += sums["contacts"]
        handling.talk_us += sums["talk_us"]
        handling.hold_us += sums["hold_us"]
        handling.wrap_up_us += sums["wrap_up_us"]


def _counts(outcome: str, sums: Mapping[str, int]) -> Counts:
    if outcome == WAITING:
        return Counts(waiting=sums["contacts"])
    disposition = Disposition.ANSWERED if outcome == TALKING else Disposition(outcome)
    return counts_of_many(disposition, sums["contacts"], sums["in_target"], sums["wait_us"])


# --- the two sources ------------------------------------------------------------------------------


def _cells(
    connection: sa.Connection,
    period: Period,
    by: Sequence[By],
    bounds: Sequence[Instant] | None,
) -> Iterator[_Cell]:
    """Give the cells of the period: each contact is in one of them."""
    first, last = -(-period.since // GRAIN_US) * GRAIN_US, period.until // GRAIN_US * GRAIN_US
    if first >= last or any(bound % GRAIN_US for bound in bounds or ()):
        yield from _of_contacts(connection, period, period.since, period.until, by)
        return
    if period.since < first:
        yield from _of_contacts(connection, period, period.since, Instant(first), by)
    yield from _of_rollups(connection, period, first, last, by, with_time=bounds is not None)
    if last < period.until:
        yield from _of_contacts(connection, period, Instant(last), period.until, by)


def _of_rollups(
    connection: sa.Connection,
    period: Period,
    first: int,
    last: int,
    by: Sequence[By],
    *,
    with_time: bool,
) -> Iterator[_Cell]:
    c = schema.rollup.c
    time = [c.start] if with_time else []
    key = [*time, *(c[name] for name in by), c.queued, c.outcome]
    # PostgreSQL's sum of integers is a decimal.
    sums = [sa.cast(sa.func.sum(c[name]), sa.BigInteger) for name in VALUES]
    query = sa.select(*key, *sums).where(c.start >= first, c.start < last).group_by(*key)
    query = _filtered(query, schema.rollup, period)
    n, of_time = len(by), len(time)
    for row in connection.execute(query):
        at = Instant(row[0] if with_time else first)
        queued, outcome = row[of_time + n : of_time + n + 2]
        values = dict(zip(VALUES, row[of_time + n + 2 :], strict=True))
        yield _Cell(at, tuple(row[of_time : of_time + n]), queued, outcome, values)


def _of_contacts(
    connection: sa.Connection, period: Period, since: Instant, until: Instant, by: Sequence[By]
) -> Iterator[_Cell]:
    c = schema.contact.c
    queued = (c.first_queued >= since) & (c.first_queued < until)
    never = c.first_queued.is_(None) & (c.started >= since) & (c.started < until)
    for where in (queued, never):  # each by its own index
        query = _filtered(sa.select(schema.contact).where(where), schema.contact, period)
        for contact in connection.execute(query, execution_options=_PAGES).mappings():
            at = contact["started"] if contact["first_queued"] is None else contact["first_queued"]
            named, values = cell_of(contact)
            key = dict(zip(KEY, named, strict=True))
            sums = dict(zip(VALUES, values, strict=True))
            group = tuple([key[name] for name in by])
            yield _Cell(Instant(at), group, key["queued"], key["outcome"], sums)


def _waits(
    connection: sa.Connection, period: Period, by: Sequence[By], *, with_time: bool
) -> Iterator[tuple[Instant, Group, int]]:
    """Give when each answered contact entered its first queue, its group, and its wait."""
    c = schema.contact.c
    wait = sa.case((c.disposition.is_(None), c.answered - c.first_queued), else_=c.wait_us)
    group = [sa.func.coalesce(c[_CONTACT_COLUMN.get(name, name)], "") for name in by]
    talking = c.disposition.is_(None) & c.answered.is_not(None)
    query = (
        sa.select(c.first_queued, wait, *group)
        .where(c.first_queued >= period.since, c.first_queued < period.until)
        .where((c.disposition == str(Disposition.ANSWERED)) | talking)
    )
    query = _filtered(query, schema.contact, period)
    for at, one, *values in connection.execute(query, execution_options=_PAGES):
        yield at if with_time else period.since, tuple(values), one


_Select: TypeAlias = sa.Select[Any]


def _filtered(query: _Select, table: sa.Table, period: Period) -> _Select:
    if period.queue is not None:
        query = query.where(table.c.queue == period.queue)
    if period.service is not None:
        query = query.where(table.c.service == period.service)
    return query
