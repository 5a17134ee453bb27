"""A report as a workbook: real numbers, times and dates, native charts, and no formula at all."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any, Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from gkc_engine.reports.model import (
    Chart,
    ChartKind,
    Column,
    Headline,
    Language,
    Note,
    Report,
    Row,
    Table,
    Unit,
)
from gkc_engine.reports.render.cells import unit_in, verdict_key
from gkc_engine.reports.render.tones import tone_of
from gkc_engine.reports.wording import verdict_word
from gkc_engine.statistics.intervals import at

_FORMATS: Final = {
    Unit.COUNT: "#,##0",
    Unit.SHARE: "0.00%",
    Unit.SECONDS: "[h]:mm:ss.0",
    Unit.HOURS: "#,##0",
    Unit.MOMENT: "yyyy-mm-dd hh:mm:ss",
    Unit.TEXT: "@",
}
"""A sheet rounds where the other forms cut off: with one place more, both show the same figure."""
_DAY_S: Final = 86_400
_WIDTH_MAX: Final = 75
_FIRST_ROWS: Final = 2
"""Above a table: its title and a free line."""


def xlsx(report: Report) -> bytes:
    """Return the workbook. Its date is the report's, not that of the run."""
    into = BytesIO()
    book = xlsxwriter.Workbook(
        into,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    when = at(report.made).astimezone(report.zone).replace(tzinfo=None)
    book.set_properties(
        {"title": f"{report.title}: {report.subtitle}", "author": report.center, "created": when}
    )
    _Book(book, report).write()
    book.close()
    return into.getvalue()


class _Book:
    """One workbook being written."""

    def __init__(self, book: xlsxwriter.Workbook, report: Report) -> None:
        self._book = book
        self._report = report
        self._formats: dict[tuple[Unit, bool, bool], Format] = {}
        self._head = book.add_format(
            {"bold": True, "text_wrap": True, "bottom": 1, "valign": "bottom"}
        )
        self._title = book.add_format({"bold": True, "font_size": 14})
        self._wrap = book.add_format({"text_wrap": True, "valign": "top"})
        self._sheets: dict[str, Worksheet] = {}

    def write(self) -> None:
        front = self._book.add_worksheet(self._name(self._report.title))
        for table in self._report.tables():
            sheet = self._book.add_worksheet(self._name(table.title))
            self._sheets[table.name] = sheet
            self._table(sheet, table)
        self._front(front)

    def _name(self, title: str) -> str:
        """Return a sheet's name: at most 31 characters, none of those that Excel forbids."""
        clean = "".join(c for c in title if c not in "[]:*?/\\")[:31].strip("' ")
        taken = {sheet.get_name().lower() for sheet in self._book.worksheets()}
        name, n = clean, 2
        while name.lower() in taken:
            name, n = f"{clean[:28]} {n}", n + 1
        return name

    def _front(self, sheet: Worksheet) -> None:
        """Write the first sheet: what to know at once, the note, the charts, what it is made of."""
        report = self._report
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 1, 22)
        sheet.set_column(2, 2, 70)
        sheet.write_string(0, 0, f"{report.title}: {report.subtitle}", self._title)
        sheet.write_string(1, 0, report.center)
        at_row = 3
        if report.nothing is not None:
            sheet.write_string(at_row, 0, report.nothing, self._title)
            at_row += 2
        for part in report.parts:
            if report.nothing is None and isinstance(part, Headline):
                at_row = self._headline(sheet, part, at_row)
            elif report.nothing is None and isinstance(part, Note):
                at_row = self._note(sheet, part, at_row)
        for part in report.parts:
            if isinstance(part, Chart) and part.table.rows:
                sheet.insert_chart(at_row, 0, self._chart(part), {"x_offset": 4})
                at_row += 21
        for label, value in report.made_from:
            sheet.write_string(at_row, 0, label)
            sheet.write_string(at_row, 1, value)
            at_row += 1
        sheet.set_portrait()  # Both charts on one page.
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)

    def _headline(self, sheet: Worksheet, part: Headline, at_row: int) -> int:
        sheet.write_string(at_row, 0, part.verdict, self._title)
        at_row += 1
        for place in part.where:
            sheet.write_string(at_row, 0, f"– {place}")
            at_row += 1
        for tile in part.tiles:
            at_row += 1
            sheet.write_string(at_row, 0, tile.label, self._head)
            sheet.write_string(at_row, 1, tile.value, self._head)
            sheet.write_string(at_row, 2, tile.change, self._head)
        return at_row + 2

    def _note(self, sheet: Worksheet, part: Note, at_row: int) -> int:
        sheet.write_string(at_row, 0, part.title, self._title)
        said = " ".join(part.sentences)
        sheet.merge_range(at_row + 1, 0, at_row + 1, 2, "", self._wrap)
        sheet.write_string(at_row + 1, 0, said, self._wrap)
        sheet.set_row(at_row + 1, 15 * (1 + len(said) // 105))
        return at_row + 3

    # --- tables ---

    def _table(self, sheet: Worksheet, table: Table) -> None:
        sheet.write_string(0, 0, table.title, self._title)
        columns = _columns(table)
        for x, (column, what) in enumerate(columns):
            head = "" if what == "verdict" else column.head  # The word belongs to the number.
            sheet.write_string(_FIRST_ROWS, x, head, self._head)
            # What people are not shown elsewhere is folded away, a click on the + shows it.
            folded = {} if column.brief else {"level": 1, "hidden": True}
            sheet.set_column(x, x, _width(column, table), None, folded)
        sheet.set_row(_FIRST_ROWS, 45)
        for y, row in enumerate(table.rows, start=_FIRST_ROWS + 1):
            total = row.get("total", False)
            for x, (column, what) in enumerate(columns):
                self._cell(sheet, (y, x), column, what, row, total=total)
        if not table.rows:
            sheet.write_string(_FIRST_ROWS + 1, 0, table.nothing)
        sheet.freeze_panes(_FIRST_ROWS + 1, 1)
        sheet.repeat_rows(_FIRST_ROWS)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)

    def _cell(
        self,
        sheet: Worksheet,
        place: tuple[int, int],
        column: Column,
        what: str,
        row: Row,
        *,
        total: bool,
    ) -> None:
        y, x = place
        unit = unit_in(column, row)
        if what == "verdict":
            meant = row.get(f"{verdict_key(column)}_verdict")
            word = "" if meant is None else verdict_word(meant, self._report.language)
            sheet.write_string(y, x, word, self._format(Unit.TEXT, total=total))
            return
        value = row.get(column.key if what == "value" else f"{verdict_key(column)}_change")
        form = self._format(unit, total=total, signed=what == "change")
        if value is None or value == "":
            sheet.write_blank(y, x, None, form)
        elif unit is Unit.MOMENT:
            moment = datetime.fromisoformat(value).astimezone(self._report.zone)
            sheet.write_datetime(y, x, moment.replace(tzinfo=None), form)
        elif isinstance(value, int | float) and unit is not Unit.TEXT:
            sheet.write_number(y, x, value * _factor(unit, what), form)
        else:
            sheet.write_string(y, x, _plain(value), form)

    def _format(self, unit: Unit, *, total: bool, signed: bool = False) -> Format:
        key = (unit, total, signed)
        if key not in self._formats:
            number = _FORMATS[unit]
            if signed:
                number = self._signed(unit, number)
            options: dict[str, Any] = {"num_format": number, "bold": total}
            if unit is Unit.TEXT:
                options["indent"] = 1
            self._formats[key] = self._book.add_format(options)
        return self._formats[key]

    def _signed(self, unit: Unit, number: str) -> str:
        """Return the format of a difference; a time below zero cannot be shown as a time."""
        russian = self._report.language is Language.RU
        if unit is Unit.SECONDS:
            number = '0.0" с"' if russian else '0.0" s"'
        elif unit is Unit.SHARE:
            number = '0.00" п.п."' if russian else '0.00" pp"'
        return f"+{number};-{number};0"

    # --- charts ---

    def _chart(self, chart: Chart) -> xlsxwriter.chart.Chart:
        kind: dict[str, str] = {
            ChartKind.STACKED: {"type": "column", "subtype": "stacked"},
            ChartKind.COLUMNS: {"type": "column"},
            ChartKind.BARS: {"type": "bar"},
        }[chart.kind]
        made = self._book.add_chart(kind)
        columns = _columns(chart.table)
        bars = chart.kind is ChartKind.BARS
        for key in chart.series:
            series = self._series(chart, key) | {"fill": {"color": tone_of(key)}, "gap": 40}
            made.add_series(series | ({"data_labels": {"value": True}} if bars else {}))
        if chart.goal is not None and not bars:
            goal = self._book.add_chart({"type": "line"})
            line = {"color": "#333333", "dash_type": "dash", "width": 1.25}
            goal.add_series(self._series(chart, "goal") | {"line": line})
            made.combine(goal)
        made.set_title({"name": chart.title, "name_font": {"size": 12}})
        made.set_size({"width": 900, "height": 400})
        made.show_hidden_data()
        made.set_legend({"none": True} if bars else {"position": "bottom"})
        share = columns[_place(columns, chart.series[0])][0].unit is Unit.SHARE
        axis: dict[str, Any] = {"min": 0, "max": 1, "num_format": "0%"} if share else {"min": 0}
        if bars:  # Read from above, with the value at each bar instead of an axis.
            made.set_x_axis(axis | {"visible": False, "major_gridlines": {"visible": False}})
            made.set_y_axis({"reverse": True})
        else:
            made.set_y_axis(
                axis | {"major_gridlines": {"visible": True, "line": {"color": "#DDDDDD"}}}
            )
        return made

    def _series(self, chart: Chart, key: str) -> dict[str, Any]:
        sheet = self._sheets[chart.table.name].get_name()
        columns = _columns(chart.table)
        first, last = _FIRST_ROWS + 1, _FIRST_ROWS + len(chart.table.rows)
        names, x = _place(columns, chart.category), _place(columns, key)
        return {
            "name": [sheet, _FIRST_ROWS, x],
            "categories": [sheet, first, names, last, names],
            "values": [sheet, first, x, last, x],
        }


def _columns(table: Table) -> list[tuple[Column, str]]:
    """Return the sheet's columns; a difference has two: the number, and the word for it."""
    made: list[tuple[Column, str]] = []
    for column in table.columns:
        if column.minus is None:
            made.append((column, "value"))
        else:
            made += [(column, "change"), (column, "verdict")]
    return made


def _place(columns: list[tuple[Column, str]], key: str) -> int:
    return next(x for x, (c, what) in enumerate(columns) if c.key == key and what == "value")


def _factor(unit: Unit, what: str) -> float:
    """Return what a value is taken times: times are days there, differences seconds or points."""
    if what == "value":
        return 1 / _DAY_S if unit is Unit.SECONDS else 1
    return 100 if unit is Unit.SHARE else 1


def _width(column: Column, table: Table) -> int:
    if not column.wide:
        return 17 if column.unit is Unit.TEXT else 13
    longest = max((len(str(row.get(column.key) or "")) for row in table.rows), default=0)
    return min(max(longest + 3, 20), _WIDTH_MAX)


def _plain(value: Any) -> str:  # noqa: ANN401
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
