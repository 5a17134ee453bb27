"""Figures of a stretch of time, grouped: from the roll-ups where they go, else from the contacts.

The one way from the records to ``Counts``. Both sources give the same cells (``cell_of``), so the
answer is the same; whole quarter-hours are read as roll-ups, what sticks out at either end contact
by contact. Percentiles are of the contacts' own waits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.new_records import GUEST
from gkc_engine.recorder.rollup import GRAIN_US, KEY, TALKING, VALUES, WAITING, cell_of
from gkc_engine.statistics.counting import counts_of_many
from gkc_engine.statistics.figures import Counts, Handling, nearest_rank_of
from gkc_engine.statistics.scope import EVERYTHING, Scope

By: TypeAlias = Literal["center", "direction", "medium", "did", "queue", "service"]
"""What contacts can be grouped by, beside time."""

Group: TypeAlias = tuple[Any, ...]
"""The begin of the interval if bounds were given, then a text for each ``By``, empty for none."""

_CONTACT_COLUMN: Final[Mapping[str, str]] = {"center": "center_entry"}
_PAGE: Final = 10_000
_PAGES: Final = {"yield_per": _PAGE}
_INTERVALS: Final = 1_000
"""Of one statement: SQLite takes a million characters."""
_SHORT: Final = 64
"""Lists of waits that are shorter on the average are sooner merged than searched one by one."""
_SPAN_US: Final = 86_400 * SECOND
"""Of one statement, if its intervals are not longer: sorting a month by its groups at once takes a
third longer than day by day, and the days add up to the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which contacts a report is of: first queue entry in ``[since, until)``."""

    since: Instant
    until: Instant
    queue: str | None = None
    """Only of this one; empty: of none."""
    service: str | None = None
    """Only of this one; empty: of none."""
    scope: Scope = EVERYTHING
    """Who asks: what he may not see is not read."""


@dataclass(slots=True)
class Line:
    """What one row of a report is made of."""

    counts: Counts = field(default_factory=Counts)
    handling: Handling = field(default_factory=Handling)
    waits: list[list[int]] = field(default_factory=list)
    """Of the answered, in microseconds: lists in ascending order, together all of them."""

    def add(self, other: Line) -> None:
        """Add what another line is made of; lists of waits are shared, not copied."""
        self.counts.add(other.counts)
        self.handling.add(other.handling)
        self.waits += other.waits

    def waited_s(self, percent: int) -> float | None:
        """Return the wait, in seconds, that so many of the answered did not exceed.

        ``None`` where nobody was answered, or the waits were not read.
        """
        lists = self.waits
        if len(lists) > 1 and sum(map(len, lists)) < _SHORT * len(lists):
            self.waits = [sorted(chain.from_iterable(lists))]
        return nearest_rank_of(self.waits, percent)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One row of the roll-ups, or several that add up, or one contact."""

    queued: bool
    direction: str
    outcome: str
    sums: Mapping[str, int]
    """``rollup.VALUES``."""


Outcomes: TypeAlias = Counter[tuple[str, bool]]
"""(Outcome, whether a queue was entered) -> contacts."""


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
    made, _ = sums(connection, period, by=by, bounds=bounds)
    if waits:
        for group, found in waits_of(connection, period, by=by, bounds=bounds):
            made.setdefault(group, Line()).waits.append(found)
    return made


def outcomes(
    connection: sa.Connection,
    period: Period,
    *,
    by: Sequence[By] = (),
    bounds: Sequence[Instant] | None = None,
) -> dict[Group, Outcomes]:
    """Return how many contacts had which outcome, and whether they entered a queue.

    Outcomes are dispositions, and ``rollup.TALKING`` and ``WAITING`` of contacts in progress. A
    contact that never entered a queue counts where it started: so all contacts are here, of every
    ``direction``.
    """
    return sums(connection, period, by=by, bounds=bounds)[1]


def sums(
    connection: sa.Connection,
    period: Period,
    *,
    by: Sequence[By] = (),
    bounds: Sequence[Instant] | None = None,
) -> tuple[dict[Group, Line], dict[Group, Outcomes]]:
    """Return what ``read`` without waits and ``outcomes`` do, read once."""
    lines: defaultdict[Group, Line] = defaultdict(Line)
    ended: defaultdict[Group, Outcomes] = defaultdict(Counter)
    for group, cell in _cells(connection, period, by, bounds):
        ended[group][cell.outcome, cell.queued] += cell.sums["contacts"]
        if cell.queued:
            _count(lines[group], cell)
        elif cell.direction == GUEST:
            lines[group].counts.add(_guests(cell.outcome, cell.sums["contacts"]))
    return dict(lines), dict(ended)


def total(lines: Iterable[Line]) -> Line:
    """Return all lines together."""
    made = Line()
    for line in lines:
        made.add(line)
    return made


def counts_of_contact(contact: Mapping[str, Any]) -> Counts:
    """Return the counts of one contact that entered a queue, or of a guest, over or in progress.

    Its threshold is that which its queue had when it waited.
    """
    key, values = cell_of(contact)
    if contact["direction"] == GUEST:
        return _guests(key[-1], 1)
    return _counts(key[-1], dict(zip(VALUES, values, strict=True)))


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
        counts = Counts(waiting=sums["contacts"])
    else:
        disposition = Disposition.ANSWERED if outcome == TALKING else Disposition(outcome)
        n, soon = sums["contacts"], sums["in_target"]
        counts = counts_of_many(disposition, n, soon, sums["wait_us"])
    counts.overflow_sent = sums["overflow_sent"]
    counts.overflow_answered = sums["overflow_answered"]
    counts.overflow_returned = sums["overflow_returned"]
    return counts


def _guests(outcome: str, n: int) -> Counts:
    answered = outcome in (TALKING, Disposition.ANSWERED)
    return Counts(guests=n, guests_answered=n if answered else 0)


# --- the two sources ------------------------------------------------------------------------------


def _cells(
    connection: sa.Connection,
    period: Period,
    by: Sequence[By],
    bounds: Sequence[Instant] | None,
) -> Iterator[tuple[Group, _Cell]]:
    """Give the cells of the period, each with its group: each contact is in one of them."""
    first, last = -(-period.since // GRAIN_US) * GRAIN_US, period.until // GRAIN_US * GRAIN_US
    if first >= last or any(bound % GRAIN_US for bound in bounds or ()):
        yield from _of_contacts(connection, period, by, bounds)
        return
    whole = replace(period, since=Instant(first), until=Instant(last))
    yield from _of_rollups(connection, whole, by, bounds)
    for edge in (replace(period, until=Instant(first)), replace(period, since=Instant(last))):
        if edge.since < edge.until:
            yield from _of_contacts(connection, edge, by, bounds)


def _of_rollups(
    connection: sa.Connection, period: Period, by: Sequence[By], bounds: Sequence[Instant] | None
) -> Iterator[tuple[Group, _Cell]]:
    c = schema.rollup.c
    values = [c[name] for name in by]
    # PostgreSQL's sum of integers is a decimal.
    added = [sa.cast(sa.func.sum(c[name]), sa.BigInteger) for name in VALUES]
    for span in _spans(c.start, period, bounds):
        key = [*span.columns, *values, c.queued, c.direction, c.outcome]
        query = sa.select(*key, *added).where(span.where).group_by(*key)
        n = len(key) - 3
        for row in connection.execute(filtered(query, schema.rollup, period)):
            queued, direction, outcome = row[n : n + 3]
            yield (
                span.begin + tuple(row[:n]),
                _Cell(queued, direction, outcome, dict(zip(VALUES, row[n + 3 :], strict=True))),
            )


def every_contact(connection: sa.Connection, period: Period) -> Iterator[Mapping[str, Any]]:
    """Give the contacts that ``outcomes`` counts: by first queue entry, else by their start."""
    c = schema.contact.c
    queued = (c.first_queued >= period.since) & (c.first_queued < period.until)
    # The sum keeps SQLite from the index of first entries, in which all these stand together.
    nowhere = (c.first_queued + 0).is_(None)
    never = nowhere & (c.started >= period.since) & (c.started < period.until)
    for where in (queued, never):
        query = filtered(sa.select(schema.contact).where(where), schema.contact, period)
        for row in connection.execute(query, execution_options=_PAGES).mappings():
            yield dict(row)


def _of_contacts(
    connection: sa.Connection, period: Period, by: Sequence[By], bounds: Sequence[Instant] | None
) -> Iterator[tuple[Group, _Cell]]:
    for contact in every_contact(connection, period):
        at = contact["started"] if contact["first_queued"] is None else contact["first_queued"]
        named, values = cell_of(contact)
        key = dict(zip(KEY, named, strict=True))
        group: Group = tuple([key[name] for name in by])
        if bounds is not None:
            group = (bounds[bisect_right(bounds, at) - 1], *group)
        sums = dict(zip(VALUES, values, strict=True))
        yield group, _Cell(key["queued"], key["direction"], key["outcome"], sums)


def waits_of(
    connection: sa.Connection,
    period: Period,
    *,
    by: Sequence[By] = (),
    bounds: Sequence[Instant] | None = None,
) -> Iterator[tuple[Group, list[int]]]:
    """Give the waits of the answered by group, in order; a group may come several times.

    Grouped by queue, service or number they are read from an index alone.
    """
    c = schema.contact.c
    wait = sa.case((c.disposition.is_(None), c.answered - c.first_queued), else_=c.wait_us)
    values = [sa.func.coalesce(c[_CONTACT_COLUMN.get(name, name)], "") for name in by]
    talking = c.disposition.is_(None) & c.answered.is_not(None)
    answered = (c.disposition == str(Disposition.ANSWERED)) | talking
    for span in _spans(c.first_queued, period, bounds):
        columns: list[sa.ColumnElement[Any]] = [*span.columns, *values, wait]
        query = sa.select(*columns).where(span.where, answered)
        result = connection.execute(filtered(query, schema.contact, period))
        found: defaultdict[Group, list[int]] = defaultdict(list)
        # A month has 700 000: the driver's own tuples cost half of what SQLAlchemy's rows do.
        cursor = result.cursor
        assert cursor is not None
        while page := cursor.fetchmany(_PAGE):
            if len(columns) == 1:
                found[()].extend([row[0] for row in page])
                continue
            for row in page:
                found[row[:-1]].append(row[-1])
        result.close()
        for group, waited in found.items():
            waited.sort()  # Sooner done here than by the database, which sorts whole rows.
            yield span.begin + group, waited


_Condition: TypeAlias = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class _Span:
    """Which rows one statement reads, and of which interval they are."""

    begin: tuple[Instant, ...]
    """Of the interval, where all rows are of one; else empty."""
    columns: list[sa.ColumnElement[int]]
    """The interval's begin, where they are of several; else empty."""
    where: _Condition


def _spans(
    column: sa.Column[int], period: Period, bounds: Sequence[Instant] | None
) -> Iterator[_Span]:
    """Give what each statement that is needed reads, one after the other."""
    if bounds is None:
        for since in range(period.since, period.until, _SPAN_US):
            until = min(since + _SPAN_US, period.until)
            yield _Span((), [], (column >= since) & (column < until))
        return
    cut = [
        (begin, max(begin, period.since), min(end, period.until))
        for begin, end in pairwise(bounds)
        if begin < period.until and end > period.since
    ]
    names = [sa.column(name, sa.BigInteger) for name in ("begin", "since", "until")]
    while cut:
        n = bisect_right(cut, cut[0][1] + _SPAN_US, hi=min(len(cut), _INTERVALS), key=_end) or 1
        part, cut = cut[:n], cut[n:]
        if n == 1:
            ((begin, since, until),) = part
            yield _Span((begin,), [], (column >= since) & (column < until))
            continue
        table = sa.values(*names, literal_binds=True).data(part).cte("spans")
        where = (column >= table.c.since) & (column < table.c.until)
        yield _Span((), [table.c.begin], where)


def _end(interval: tuple[int, int, int]) -> int:
    return interval[2]


_Select: TypeAlias = sa.Select[Any]


def filtered(query: _Select, table: sa.Table, period: Period) -> _Select:
    """Return ``query`` with only those rows of contacts or roll-ups that the period asks for."""
    for name, value in (("queue", period.queue), ("service", period.service)):
        if value is not None:
            # Contacts have NULL where roll-ups have an empty text; else the index is to be used.
            column = table.c[name] if value else sa.func.coalesce(table.c[name], "")
            query = query.where(column == value)
    return period.scope.narrow(query, table.c.service)
