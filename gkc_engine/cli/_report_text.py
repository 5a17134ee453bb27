"""A report as text for a terminal or a pipe: the head, the note, the tables."""

from __future__ import annotations

from gkc_engine.cli import _tables
from gkc_engine.reports.model import Headline, Note, Report, Table
from gkc_engine.reports.render.cells import brief, cell, has_few, is_number
from gkc_engine.reports.wording import NBSP
from gkc_engine.reports.words import text


def shown(report: Report, table: Table) -> tuple[list[_tables.Column], list[dict[str, str]]]:
    """Return the columns of a table and its rows as texts, as the other commands print them."""
    columns = brief(table)
    made = [
        _tables.Column(
            key=str(n),
            head=_plain(column.head),
            right=is_number(column),
            shrinks=column.wide,
            drops=0 if n < 2 else n,
        )
        for n, column in enumerate(columns)
    ]
    rows = [
        {str(n): _plain(cell(c, row, report)) for n, c in enumerate(columns)} for row in table.rows
    ]
    return made, rows


def _plain(text: str) -> str:
    """Return text with plain blanks, in which no name can carry an escape sequence."""
    return "".join(" " if c == NBSP else c if c.isprintable() else "\ufffd" for c in text)


def text_of(report: Report, width: int | None) -> str:
    """Return the whole report, tables as wide as they are (``None``) or to fit a terminal."""
    blocks: list[list[str]] = []

    def say(*lines: str) -> None:
        blocks.append([_plain(line) for line in lines])

    say(f"{report.title}: {report.subtitle}", report.center)
    if report.nothing is not None:
        say(report.nothing)
    for part in report.parts:
        match part:
            case Headline() if report.nothing is None:
                places = [f"  {place}" for place in part.where]
                tiles = [f"  {t.label}: {t.value}  {t.change}".rstrip() for t in part.tiles]
                say(part.verdict, *places, *tiles)
            case Note() if report.nothing is None:
                say(part.title, *part.sentences)
            case Table() if part.rows and report.nothing is None:
                blocks.append([_plain(part.title), _table(report, part, width)])
            case _:
                pass  # Charts are for paper and screens; their numbers are in the tables.
    if has_few(report.tables()):
        say(text("few", report.language))
    say(*(f"{label}: {value}" for label, value in report.made_from))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _table(report: Report, table: Table, width: int | None) -> str:
    columns, rows = shown(report, table)
    if width is None:
        return _tables.plain_table(columns, rows)
    from rich.console import Console

    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(_tables.rich_table(columns, rows, width))
    return captured.get().rstrip("\n")
