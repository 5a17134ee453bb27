"""Rows of a report, counted from the contact table: each contact once, by its first queue entry."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import queries, schema
from gkc_engine.statistics import figures
from gkc_engine.statistics.counting import answered_counts, counts_of
from gkc_engine.statistics.figures import Counts, Handling, Part, nearest_rank
from gkc_engine.statistics.intervals import clock_time, interval_bounds
from gkc_engine.statistics.scope import EVERYTHING, Scope

Contact = Mapping[str, Any]
"""A row of the contact table."""

NO_TARGET_US: Final = 20 * SECOND
"""Threshold of a contact whose queue nobody knows any more: ``servicelevel`` unless it is told."""

_DAY_US: Final = 86_400 * SECOND
"""No call stands in a menu for so long: which lets the index by start be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which contacts a report is of: first queue entry in ``[since, until)``."""

    since: Instant
    until: Instant
    queue: str | None = None
    service: str | None = None
    scope: Scope = EVERYTHING
    """Who asks: what he may not see is not read."""


@dataclass(slots=True)
class Line:
    """What one row of a report is made of."""

    counts: Counts = field(default_factory=Counts)
    handling: Handling = field(default_factory=Handling)
    waits: list[int] = field(default_factory=list)
    """Of the answered, in microseconds."""

    def add(self, contact: Contact) -> None:
        """Count one contact."""
        one = counts_of_contact(contact)
        self.counts.add(one)
        if one.answered:
            self.waits.append(one.wait_answered_us)
            if contact["ended"] is not None:
                self.handling.handled += 1
                self.handling.talk_us += contact["talk_us"]
                self.handling.hold_us += contact["hold_us"]
                self.handling.wrap_up_us += contact["wrap_up_us"]


def contacts(connection: sa.Connection, period: Period) -> Iterator[Contact]:
    """Give the contacts of a period that entered a queue, in the order in which they did."""
    c = schema.contact.c
    query = (
        sa.select(schema.contact)
        .where(c.first_queued >= period.since, c.first_queued < period.until)
        # No bound above: whose place was kept (``resume_within``) may have called days later.
        .where(c.started >= period.since - _DAY_US)
        .order_by(c.first_queued, c.contact_id)
    )
    if period.queue is not None:
        query = query.where(c.queue == period.queue)
    if period.service is not None:
        query = query.where(c.service == period.service)
    query = period.scope.narrow(query, c.service)
    for row in connection.execution_options(yield_per=1000).execute(query).mappings():
        yield dict(row)


def counts_of_contact(contact: Contact) -> Counts:
    """Return the counts of one contact that entered a queue, over or in progress.

    Its threshold is that which its queue had when it waited.
    """
    target = contact["sl_threshold_us"]
    target_us = NO_TARGET_US if target is None else target
    if contact["disposition"] is not None:
        return counts_of(Disposition(contact["disposition"]), contact["wait_us"], target_us)
    if contact["answered"] is not None:
        return answered_counts(contact["answered"] - contact["first_queued"], target_us)
    return Counts(waiting=1)


# --- by what --------------------------------------------------------------------------------------

Key = Callable[[Contact], Any]


def by_column(name: str) -> Key:
    """Return what groups contacts by a column of their table."""

    def key(contact: Contact) -> Any:  # noqa: ANN401
        return contact[name]

    return key


def by_interval(bounds: Sequence[Instant]) -> Key:
    """Return what groups contacts by the interval in which they entered their first queue."""

    def key(contact: Contact) -> Instant:
        return bounds[bisect_right(bounds, contact["first_queued"]) - 1]

    return key


def lines(found: Iterable[Contact], key: Key) -> tuple[dict[Any, Line], Line]:
    """Return the contacts, grouped and all together."""
    made: dict[Any, Line] = {}
    of_all = Line()
    for contact in found:
        made.setdefault(key(contact), Line()).add(contact)
        of_all.add(contact)
    return made, of_all


def rows_by(name: str, column: str, found: Iterable[Contact]) -> list[dict[str, Any]]:
    """Return a row for each value of a column, in order, and one for all if there are several."""
    made, of_all = lines(found, by_column(column))
    named = sorted(made.items(), key=lambda item: (item[0] is None, item[0] or ""))
    rows = [row(name, "" if value is None else value, line) for value, line in named]
    return [*rows, row(name, None, of_all)] if len(rows) > 1 else rows


def interval_rows(
    period: Period, minutes: int, zone: ZoneInfo, found: Iterable[Contact]
) -> list[dict[str, Any]]:
    """Return a row for each interval of the period, the empty ones too, and one for all."""
    bounds = interval_bounds(period.since, period.until, minutes, zone)
    made, of_all = lines(found, by_interval(bounds))
    rows = [
        _edged(begin, end, row("interval", clock_time(begin, zone), made.get(begin, Line())))
        for begin, end in pairwise(bounds)
    ]
    return [*rows, _edged(bounds[0], bounds[-1], row("interval", None, of_all))]


def _edged(begin: Instant, end: Instant, one: dict[str, Any]) -> dict[str, Any]:
    return {"begin": queries.iso(begin), "end": queries.iso(end), **one}


def row(name: str, value: str | None, line: Line) -> dict[str, Any]:
    """Return one row; columns as in docs/statistics.md, ``None`` where nothing was counted.

    ``value``: what it is of; ``None``: of all together, empty: of those without any.
    """
    counts, waits = line.counts, sorted(line.waits)
    made: dict[str, Any] = {name: value, "offered": figures.offered(counts)}
    made |= {str(part): getattr(counts, part) for part in Part if part is not Part.OFFERED}
    made |= {
        "abandon_rate": figures.abandon_rate(counts),
        "abandon_time_s": figures.average_abandon_time_s(counts),
        "asa_s": figures.average_speed_of_answer_s(counts),
        "wait_p50_s": nearest_rank(waits, 50),
        "wait_p90_s": nearest_rank(waits, 90),
        "wait_p95_s": nearest_rank(waits, 95),
        "wait_max_s": nearest_rank(waits, 100),
        "aht_s": figures.average_handle_time_s(line.handling),
        "service_level": figures.service_level(counts),
        "sl_1": figures.service_level_1(counts),
        "sl_2": figures.service_level_2(counts),
        "sl_3": figures.service_level_3(counts),
        "sl_4": figures.service_level_4(counts),
    }
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in made.items()}


# --- down to the contacts -------------------------------------------------------------------------


def drilled(part: Part, found: Iterable[Contact]) -> list[dict[str, Any]]:
    """Return the contacts that a figure counts, as ``gkc contact list`` shows them."""
    return [queries.public(contact) for contact in found if _is_part(part, contact)]


def _is_part(part: Part, contact: Contact) -> bool:
    counts = counts_of_contact(contact)
    return (figures.offered(counts) if part is Part.OFFERED else getattr(counts, part)) > 0
