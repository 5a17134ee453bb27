"""One cell of a table for people: the same text in a terminal, in HTML and in PDF. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gkc_engine.reports.compare import FEW
from gkc_engine.reports.model import Column, Report, Row, Table, Unit, Verdict
from gkc_engine.reports.wording import FEW_MARK, NOTHING, difference, shown, verdict_word


def unit_in(column: Column, row: Row) -> Unit:
    """Return what a cell holds."""
    return Unit(row["unit"]) if column.unit is Unit.BY_ROW else column.unit


def cell(column: Column, row: Row, report: Report) -> str:
    """Return the text of a cell; of a difference with the word for what it means."""
    unit, value = unit_in(column, row), row.get(column.key)
    if column.minus is not None:
        gap = difference(value, row.get(column.minus), unit, report.language)
        meant = verdict_of(column, row)
        if meant is None or gap == NOTHING:
            return gap
        return f"{gap}, {verdict_word(meant, report.language)}"
    text = shown(value, unit, report.language, report.zone)
    if column.few and text != NOTHING and row.get("offered", FEW) < FEW:
        return f"{text}{FEW_MARK}"
    return text


def verdict_of(column: Column, row: Row) -> Verdict | None:
    """Return what a difference means."""
    if column.minus is None:
        return None
    found = row.get(f"{verdict_key(column)}_verdict")
    return None if found is None else Verdict(found)


def verdict_key(column: Column) -> str:
    """Return the key under which a difference and what it means stand in the row."""
    # A summary has several bases for one value: there the base names the difference.
    return column.minus if column.unit is Unit.BY_ROW and column.minus else column.key


def brief(table: Table) -> list[Column]:
    """Return the columns that people are shown."""
    return [column for column in table.columns if column.brief]


def is_number(column: Column) -> bool:
    """Return whether a column stands at the right."""
    return column.unit not in (Unit.TEXT, Unit.MOMENT)


def has_few(tables: Sequence[Table]) -> bool:
    """Return whether any cell is marked, so that the mark must be explained."""
    return any(
        column.few and row.get(column.key) is not None and row.get("offered", FEW) < FEW
        for table in tables
        for column in brief(table)
        for row in table.rows
    )
