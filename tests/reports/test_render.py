"""One small report in every form: what stands in it, and the same bytes when it is made again."""

from __future__ import annotations

import csv
import html.parser
import io
import json
from datetime import datetime, timedelta

import openpyxl
import pypdf
import pytest

from gkc_engine.reports.kinds import build
from gkc_engine.reports.model import Language, Report
from gkc_engine.reports.order import Order
from gkc_engine.reports.periods import Length, period_of
from gkc_engine.reports.render.cells import cell
from gkc_engine.reports.render.html import html as as_html
from gkc_engine.reports.render.pdf import pdf
from gkc_engine.reports.render.plain import as_json, write_report_csv
from gkc_engine.reports.render.xlsx import xlsx
from gkc_engine.reports.source import Asked
from tests.reports.support import MOSCOW, SERVICES, TREE, City, instant

EVIL = '=HYPERLINK("http://x") <script>alert(1)</script> #panic() & $x$'
"""A title that a sheet, a browser and Typst would each like to carry out."""

LATER = instant("2026-12-01T09:00")

TOO_LONG = 60
"""A title so long is folded into several lines, or cut: no sheet is as wide."""


def make(
    language: Language = Language.RU, *, day: str = "2026-11-23", ends: tuple[str, ...] = ()
) -> Report:
    city = City()
    city.many(40, "2026-11-16T10:00", "housing", "answered", wait_s=5)
    city.many(30, "2026-11-23T10:00", "housing", "answered", wait_s=65)
    city.many(12, "2026-11-23T10:00", "passport", "answered", wait_s=5)
    city.many(10, "2026-11-23T10:00", None, "self_served")
    for disposition in ends:
        city.many(1, "2026-11-23T10:00", None, disposition)
    services = {**SERVICES, "zhkh": {"title": EVIL, "body": EVIL}}
    engine = city.store(tree={**TREE, "services": services})
    order = Order(
        kind="day",
        asked=Asked(zone=MOSCOW, known=LATER),
        of=period_of(Length.DAY, instant(day), LATER, MOSCOW),
        length=Length.DAY,
        language=language,
    )
    with engine.connect() as connection:
        report = build(connection, order, lambda _: None)
    engine.dispose()
    return report


@pytest.fixture(scope="module")
def report() -> Report:
    return make()


def test_pdf_says_it(report: Report) -> None:
    read = pypdf.PdfReader(io.BytesIO(pdf(report)))
    text = " ".join(read.pages[n].extract_text() for n in (0, -1)).replace("\u00a0", " ")
    said = " ".join(text.split())
    assert "Отчёт за день: понедельник, 23 ноября 2026 г." in said
    assert "Плохо: в срок отвечено 28,5 %, цель 80 %" in said
    assert "Аналитическая записка" in said
    assert "#panic() & $x$" in said  # Shown as it is, not carried out.
    assert "° меньше 30 обращений: для выводов мало." in said
    metadata = read.metadata
    assert metadata is not None
    assert metadata.title == f"{report.title}: {report.subtitle}"
    assert str(metadata["/CreationDate"]) == "D:20261124000000Z"


def test_xlsx_has_numbers_times_and_no_formula(report: Report) -> None:
    made = xlsx(report)
    assert made == xlsx(report)
    book = openpyxl.load_workbook(io.BytesIO(made))
    assert book.sheetnames[:4] == ["Отчёт за день", "По услугам", "По очередям", "Сравнение"]
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f"]
    sheet = book["По услугам"]
    assert sheet.freeze_panes == "B4"
    heads = {cell.value: cell.column for cell in sheet[3]}
    first = [sheet.cell(4, column) for column in (1, heads["Поступило в очередь"])]
    assert [cell.value for cell in first] == [EVIL, 30]
    level = sheet.cell(4, heads["Ответ в срок (SL)"])
    assert (level.value, level.number_format) == (0, "0.00%")
    wait = sheet.cell(4, heads["Среднее ожидание"])
    assert wait.value == timedelta(seconds=65)
    change = sheet.cell(4, heads["Разница"])
    assert (change.value, sheet.cell(4, heads["Разница"] + 1).value) == (-100, "хуже")
    assert change.number_format == '+0.00" п.п.";-0.00" п.п.";0'
    begin = book["По времени суток"]["B4"]
    assert begin.value == datetime(2026, 11, 23)  # noqa: DTZ001 - the center's local time
    assert len(book["Отчёт за день"]._charts) == 2
    assert book.properties.created == datetime(2026, 11, 24)  # noqa: DTZ001


def test_names_in_a_sheet_are_not_cut_off() -> None:
    report = make(ends=("abandoned_menu", "answered_by_announcement", "closed", "blocked"))
    book = openpyxl.load_workbook(io.BytesIO(xlsx(report)))
    for sheet in book.worksheets[1:]:
        names = [str(row[0].value) for row in sheet.iter_rows(min_row=4) if row[0].value]
        longest = max((len(name) for name in names if len(name) < TOO_LONG), default=0)
        assert sheet.column_dimensions["A"].width >= longest, sheet.title


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_html_stands_alone_and_is_escaped(report: Report) -> None:
    made = as_html(report)
    assert made == as_html(report)
    text = made.decode()
    page = _Page()
    page.feed(text)
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert "img" not in names
    assert "link" not in names
    assert not [attrs for _, attrs in page.tags if "src" in attrs or "href" in attrs]
    assert "&lt;script&gt;alert(1)" in text
    assert names.count("svg") == 2
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg")
    tables = names.count("table")
    assert tables == names.count("caption") == len(report.tables())
    scopes = {attrs.get("scope") for tag, attrs in page.tags if tag == "th"}
    assert scopes == {"col", "row"}
    assert ", хуже" in text  # A word, and not a colour alone.


def test_a_cell_has_the_word_and_the_mark(report: Report) -> None:
    (table,) = (one for one in report.tables() if one.name == "by_service")
    rows = {row["service"]: row for row in table.rows}
    level = next(c for c in table.columns if c.key == "service_level" and c.minus is None)
    change = next(c for c in table.columns if c.minus is not None)
    texts = {
        key: (cell(level, row, report), cell(change, row, report)) for key, row in rows.items()
    }
    assert texts["zhkh"] == ("0,0\u00a0%", "\u2212100,0\u00a0п.п., хуже")
    assert texts["mvd"] == ("100,0\u00a0%°", "–")  # Of twelve; none a week before.


def test_csv_is_one_table_with_formulas_disarmed(report: Report) -> None:
    told = io.StringIO(newline="")
    write_report_csv(report, told)
    rows = list(csv.DictReader(io.StringIO(told.getvalue())))
    assert {row["table"] for row in rows} == {table.name for table in report.tables()}
    (evil,) = (r for r in rows if r["table"] == "by_service" and r["service"] == "zhkh")
    assert evil["title"] == f"'{EVIL}"
    assert (evil["offered"], evil["service_level"]) == ("30", "0.0")
    assert (evil["service_level_change"], evil["service_level_verdict"]) == ("-1.0", "worse")


def test_json_has_the_keys_of_the_statistics(report: Report) -> None:
    made = json.loads(as_json(report))
    assert (made["report"], made["good"]) == ("day", False)
    assert (made["since"], made["until"]) == (
        "2026-11-22T21:00:00.000000Z",
        "2026-11-23T21:00:00.000000Z",
    )
    outcomes = {row["disposition"]: row["contacts"] for row in made["tables"]["by_outcome"]}
    assert outcomes == {"answered": 42, "self_served": 10}
    assert all(isinstance(one, str) for one in made["note"])


def test_without_data_every_form_says_so_and_is_made() -> None:
    empty = make(Language.EN, day="2026-09-01")
    nothing = "There is no contact in that time."
    page = pdf(empty)
    assert nothing in pypdf.PdfReader(io.BytesIO(page)).pages[0].extract_text()
    assert page == pdf(empty)
    front = openpyxl.load_workbook(io.BytesIO(xlsx(empty))).worksheets[0]
    assert nothing in [row[0].value for row in front.iter_rows()]
    assert nothing in as_html(empty).decode()
    assert "<table" not in as_html(empty).decode()
    assert json.loads(as_json(empty))["nothing"] == nothing
    told = io.StringIO(newline="")
    write_report_csv(empty, told)
    assert len(told.getvalue().splitlines()) >= 1
