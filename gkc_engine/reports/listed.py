"""The rows of ``gkc report queues``, ``operators`` and their like, and lists, as a report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gkc_engine.reports import versions
from gkc_engine.reports.frame import framed
from gkc_engine.reports.model import Chart, ChartKind, Column, Language, Report, Row, Table, Unit
from gkc_engine.reports.order import Made, Order
from gkc_engine.reports.source import Counted, Facts
from gkc_engine.reports.tables import unit_of
from gkc_engine.reports.words import head, text


def of_rows(order: Order, facts: Facts, rows: Sequence[Row], by: str) -> Report:
    """Return the rows of another report (queues, operators, a drill …) as a report."""
    language = order.language
    keys = list(rows[0]) if rows else []
    titles = {"queue": facts.queues, "service": facts.services}.get(by)
    first = [Column(key="title", head=head(by, language), wide=True)] if titles is not None else []
    shown = [_shown(row, by, titles, language) for row in rows]
    columns = [*first, *(_column(key, by, language, hidden=titles is not None) for key in keys)]
    if by == "version":
        columns = [*versions.columns(language)]
    table = Table(
        name=order.kind,
        title=text(order.kind, language),
        columns=tuple(columns),
        rows=shown,
        nothing=text("nobody" if order.kind == "operators" else "nothing", language),
    )
    made = Made(order=order, facts=facts, now=Counted(), bases={})
    empty = not any(row.get("offered", 1) for row in rows)
    return framed(made, [*_chart_of(table, by, language), table], compared=False, empty=empty)


def _shown(row: Row, by: str, titles: Mapping[str, str] | None, language: Language) -> Row:
    """Return a row with the name of whose it is; that of all together is named so."""
    key = row.get(by, "")
    if key is None:
        name = text("all", language)
        return {**row, "total": True, **({by: name} if titles is None else {"title": name})}
    if by == "interval":
        return {**row, "label": _clock(key)}
    if titles is None:
        return row
    return {**row, "title": titles.get(key, key) or text("none_of", language)}


def _clock(interval: str) -> str:
    """Return what stands under a bar: the time alone; midnight with its day."""
    day, _, clock = interval.partition(" ")
    return f"{day[8:]}.{day[5:7]}" if clock.startswith("00:00") else clock


OVERFLOW: Final = (
    *("overflow_sent", "overflow_answered", "overflow_returned", "guests", "guests_answered"),
)
"""What centers did for each other."""

_DETAILS: Final = frozenset(
    {
        *("begin", "end", "answered_in_target", "abandoned_in_target", "ended_waiting", "failed"),
        *("waiting", "wait_p50_s", "wait_p95_s", "abandon_time_s", "sl_1", "sl_2", "sl_3"),
        *("sl_4", "offers_withdrawn", "rna_rate_without_citizens", "transfers", "hold_s"),
        *OVERFLOW,
    }
)
"""Left out where people read: CSV, JSON and XLSX have them."""

_OF_A_CONTACT: Final = frozenset(
    {"number", "started", "queue", "wait_s", "talk_s", "agent_id", "disposition"}
)


def _column(key: str, by: str, language: Language, *, hidden: bool) -> Column:
    if by == "contact":
        unit = (
            Unit.MOMENT
            if key in ("started", "first_queued", "answered", "ended")
            else (Unit.SECONDS if key.endswith("_s") else Unit.TEXT)
        )
        return Column(key=key, head=head(key, language), unit=unit, brief=key in _OF_A_CONTACT)
    moment = key in ("begin", "end")
    return Column(
        key=key,
        head=head(key, language),
        unit=Unit.MOMENT if moment else unit_of(key),
        brief=key not in _DETAILS and not (hidden and key == by),
        few=key.endswith("_s") or unit_of(key) is Unit.SHARE,
    )


def _chart_of(table: Table, by: str, language: Language) -> list[Chart]:
    if not table.rows or by not in ("queue", "service", "did", "center", "interval"):
        return []
    stacked = by == "interval"
    several = [row for row in table.rows if not row.get("total")]
    part = Table(name=table.name, title=table.title, columns=table.columns, rows=several)
    return [
        Chart(
            name="load",
            title=text("load", language) if stacked else head("offered", language),
            kind=ChartKind.STACKED if stacked else ChartKind.BARS,
            table=part,
            category="title" if by in ("queue", "service") else by,
            series=("answered", "abandoned") if stacked else ("offered",),
        )
    ]
