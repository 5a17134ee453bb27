"""The reports that people are sent: day, week, month, outcomes, bodies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gkc_engine.recorder.queries import iso
from gkc_engine.reports import periods, source, wording
from gkc_engine.reports.compare import FEW, counts_differ
from gkc_engine.reports.frame import framed
from gkc_engine.reports.model import (
    Chart,
    ChartKind,
    Column,
    Language,
    Part,
    Report,
    Row,
    Table,
    Unit,
    Verdict,
)
from gkc_engine.reports.order import Made, Order, bounds_of
from gkc_engine.reports.periods import Length, Stretch
from gkc_engine.reports.source import Counted, Progress
from gkc_engine.reports.summary import headline, note, summary_table
from gkc_engine.reports.tables import grouped_table, line_columns, line_row
from gkc_engine.reports.words import DISPOSITIONS, GUESTS, OUTGOING, disposition, head, text
from gkc_engine.statistics.intervals import clock_time
from gkc_engine.statistics.rollups import Line


def build(connection: sa.Connection, order: Order, tell: Progress) -> Report:
    """Return the report that is asked for.

    Args:
        connection: To the records, in one read transaction.
        order: Which.
        tell: Told how many contacts have been read.
    """
    made = _read(connection, order, tell)
    match order.kind:
        case "outcomes":
            parts = _outcomes(made)
        case "bodies":
            parts = _bodies(made)
        case _:
            parts = _summary(connection, made)
    return framed(made, parts)


def _read(connection: sa.Connection, order: Order, tell: Progress) -> Made:
    asked, of = order.asked, order.of
    if order.length is None:
        bases = periods.base_of_stretch(of)
    else:
        bases = periods.bases_of_period(order.length, of, asked.zone)

    def counted(one: Stretch, *, compared: bool = False) -> Counted:
        bounds = None if order.length is None else bounds_of(order, one)
        return source.count(connection, asked, one, bounds, tell, compared=compared)

    return Made(
        order=order,
        facts=source.facts(connection, of),
        now=counted(of),
        bases={base: (one, counted(one, compared=True)) for base, one in bases.items()},
    )


# --- day, week, month -----------------------------------------------------------------------------


def _summary(connection: sa.Connection, made: Made) -> list[Part]:
    language = made.order.language
    by_time = _by_time(made)
    parts: list[Part] = [headline(made), note(connection, made)]
    parts += [
        Chart(
            name="load",
            title=text("load", language),
            kind=ChartKind.STACKED,
            table=by_time,
            category=by_time.columns[0].key,
            series=("answered_in_target", "answered_late", "abandoned", "other"),
        ),
        Chart(
            name="level",
            title=text("level", language),
            kind=ChartKind.COLUMNS,
            table=by_time,
            category=by_time.columns[0].key,
            series=("service_level",),
            goal=source.GOAL,
        ),
        by_service(made),
        by_queue(made),
        summary_table(made),
        outcome_table(made),
        *outgoing_tables(made),
        by_time,
    ]
    return parts


def _by_time(made: Made) -> Table:
    order, language = made.order, made.order.language
    daily = order.length is not Length.DAY
    rows: list[Row] = []
    for begin in bounds_of(order, order.of)[:-1]:
        if begin >= order.of.seen:
            break  # Nothing is known of what is to come: no row, rather than zeros.
        line = made.now.by_interval.get(begin, Line())
        if daily:
            day = periods.day_of(begin, order.asked.zone)
            name, label = f"{day:%d.%m} {wording.weekday(day, language)}", f"{day:%d.%m}"
        else:
            name = label = clock_time(begin, order.asked.zone)[11:]
        row = {"begin": iso(begin), "label": label.split(" ")[0]}
        rows.append(row | line_row("interval", name, line))
    table = "by_day" if daily else "by_interval"
    first = [
        Column(key="interval", head=head("day" if daily else "interval", language)),
        Column(key="begin", head="begin", unit=Unit.MOMENT, brief=False),
    ]
    return Table(
        name=table,
        title=text(table, language),
        columns=line_columns(first, language, base=None),
        rows=rows if made.now.contacts else [],
        nothing=text("nothing", language),
    )


def by_service(made: Made) -> Table:
    """Return the table of services, the one with most contacts not in time first."""
    language = made.order.language
    return grouped_table(
        "by_service",
        "service",
        made.now.by_service,
        made.before.by_service,
        title_of=lambda key: made.facts.service(key, text("none", language)),
        language=language,
        base=made.base,
        of_all=(made.now.of_all, made.before.of_all),
    )


def by_queue(made: Made) -> Table:
    """Return the table of queues, held against the goal of each."""
    language = made.order.language
    return grouped_table(
        "by_queue",
        "queue",
        made.now.by_queue,
        made.before.by_queue,
        title_of=lambda key: made.facts.queue(key, text("no_queue", language)),
        language=language,
        base=made.base,
        goals=made.facts.goals,
        of_all=(made.now.of_all, made.before.of_all),
    )


# --- outcomes -------------------------------------------------------------------------------------


def _outcomes(made: Made) -> list[Part]:
    table = outcome_table(made)
    chart = Chart(
        name="outcomes",
        title=text("outcomes_chart", made.order.language),
        kind=ChartKind.BARS,
        table=table,
        category="title",
        series=("contacts",),
    )
    return [chart, table, _outcomes_by_service(made), *outgoing_tables(made)]


def outcome_table(made: Made) -> Table:
    """Return how contacts ended, those too that never entered a queue."""
    old = made.before.ended_as()
    return _ended_table("by_outcome", DISPOSITIONS, made, (made.now.ended_as(), old))


def outgoing_tables(made: Made) -> list[Table]:
    """Return how calls of operators ended, and other centers' contacts; nothing of none."""
    now, before = made.now, made.before
    tables = []
    if now.outgoing:
        counters = (now.outgoing, before.outgoing)
        tables.append(_ended_table("outgoing", OUTGOING, made, counters))
    if now.guests:
        tables.append(_ended_table("guests", GUESTS, made, (now.guests, before.guests)))
    return tables


def _ended_table(
    name: str,
    titles: Mapping[str, tuple[str, str]],
    made: Made,
    counters: tuple[Counter[str], Counter[str]],
) -> Table:
    """Return a row for each disposition that occurs on either side, in the order of ``titles``."""
    language, (new, old) = made.order.language, counters
    rows: list[Row] = []
    for key in dict.fromkeys([*titles, *new, *old]):
        if not (new[key] or old[key]):
            continue
        title = titles[key][language is Language.EN] if key in titles else key
        rows.append(
            {
                "title": title,
                "disposition": key,
                "contacts": new[key],
                "share": round(new[key] / new.total(), 4) if new.total() else None,
                "contacts_before": old[key],
                "contacts_change": new[key] - old[key],
                "contacts_verdict": _more_or_less(new[key], old[key]),
            }
        )
    columns = (
        Column(key="title", head=head("disposition", language), wide=True),
        Column(key="disposition", head="disposition", brief=False),
        Column(key="contacts", head=head("contacts", language), unit=Unit.COUNT),
        Column(key="share", head=head("share", language), unit=Unit.SHARE),
        Column(key="contacts_before", head=text(made.base, language), unit=Unit.COUNT),
        Column(
            key="contacts",
            head=text("change", language),
            unit=Unit.COUNT,
            minus="contacts_before",
        ),
    )
    return Table(
        name=name,
        title=text(name, language),
        columns=columns,
        rows=rows,
        nothing=text("nothing", language),
    )


def _more_or_less(new: int, old: int) -> Verdict:
    if max(new, old) < FEW:
        return Verdict.TOO_FEW
    if not counts_differ(new, old):
        return Verdict.SAME
    return Verdict.MORE if new > old else Verdict.LESS


def _outcomes_by_service(made: Made) -> Table:
    language = made.order.language
    present = [key for key in DISPOSITIONS if made.now.ended_as()[key]]
    services = {service for service, _ in made.now.outcomes}
    rows: list[Row] = []
    for service in sorted(services, key=lambda key: made.facts.service(key, "\U0010ffff")):
        row: dict[str, Any] = {
            "title": made.facts.service(service, text("none", language)),
            "service": service or "",
        }
        row |= {key: made.now.outcomes[service, key] for key in present}
        rows.append(row | {"contacts": sum(row[key] for key in present)})
    columns = (
        Column(key="title", head=head("service", language), wide=True),
        Column(key="service", head="service", brief=False),
        Column(key="contacts", head=head("contacts", language), unit=Unit.COUNT),
        *(Column(key=k, head=disposition(k, language), unit=Unit.COUNT) for k in present),
    )
    return Table(
        name="outcomes_by_service",
        title=text("outcomes_by_service", language),
        columns=columns,
        rows=rows,
        nothing=text("nothing", language),
    )


# --- executive bodies -----------------------------------------------------------------------------


def _bodies(made: Made) -> list[Part]:
    language = made.order.language
    without = text("no_body", language)
    services = {service for service, _ in made.now.outcomes}
    if not made.order.asked.narrowed:
        services |= set(made.facts.services)
    of_body: dict[str, list[str | None]] = {}
    for service in services:
        of_body.setdefault(made.facts.bodies.get(service or "", without), []).append(service)

    def lines(of: Counted) -> dict[str | None, Line]:
        return {body: source.total(of.by_service, keys) for body, keys in of_body.items()}

    def more(body: str | None) -> dict[str, int]:
        keys = of_body.get(body or "", [])
        return {"contacts": sum(n for (s, _), n in made.now.outcomes.items() if s in keys)}

    contacts = Column(key="contacts", head=head("contacts", language), unit=Unit.COUNT)
    table = grouped_table(
        "by_body",
        "body",
        lines(made.now),
        lines(made.before),
        title_of=lambda body: body or without,
        language=language,
        base=made.base,
        of_all=(made.now.of_all, made.before.of_all),
        more=more,
        first=[contacts],
    )
    chart = Chart(
        name="bodies",
        title=text("level", language),
        kind=ChartKind.BARS,
        table=table,
        category="title",
        series=("service_level",),
        goal=source.GOAL,
    )
    return [chart, table, by_service(made)]
