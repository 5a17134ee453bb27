"""The forms in which a report leaves, and where to: the terminal, a pipe, or a file at once."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._console import print_json
from gkc_engine.cli._tables import Column, plain_table, print_rows
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.reports.model import Language, Report

Row = Mapping[str, Json]


class Format(StrEnum):
    """Values of ``--format``."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"
    PDF = "pdf"
    HTML = "html"


DOCUMENTS = frozenset({Format.XLSX, Format.PDF, Format.HTML})
"""Forms that are laid out: a title, what it is made of, charts."""

BINARY = frozenset({Format.XLSX, Format.PDF})

ROWS_MAX = {Format.PDF: 5_000, Format.HTML: 20_000, Format.XLSX: 100_000}
"""Rows of all tables that are laid out: 4 s, and more pages than anybody reads."""


class Every(StrEnum):
    """Values of ``--every``: ``statistics.intervals.LENGTHS_MIN``."""

    QUARTER = "15"
    HALF_HOUR = "30"
    HOUR = "60"


FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Its form; without it by the name of --output, else a table."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", help="Write this file.", metavar="FILE")
]
ForceOption = Annotated[bool, typer.Option("--force", help="… also where there is one.")]
LanguageOption = Annotated[
    Language, typer.Option("--language", help="Of titles, heads and the note.")
]


@dataclass(frozen=True, slots=True)
class Out:
    """In which form, and where to."""

    form: Format
    output: Path | None = None
    force: bool = False
    language: Language = Language.RU


def out_of(
    form: Format | None,
    output: Path | None = None,
    *,
    json: bool = False,
    force: bool = False,
    language: Language = Language.RU,
) -> Out:
    """Return where a report goes; refuse what cannot be, before anything is counted.

    Raises:
        ControlError: A binary form for a terminal, a file that is there, no folder for it.
    """
    if form is None:
        ending = "" if output is None else output.suffix.lstrip(".").lower()
        form = Format(ending) if ending in [*Format] else Format.TABLE
    made = Out(Format.JSON if json else form, output, force, language)
    if output is None:
        if made.form in BINARY and sys.stdout.isatty():
            raise ControlError(
                "bad_params",
                f"--format {made.form} is no text for a terminal: add --output FILE.{made.form}",
            )
        return made
    if output.is_dir() or not output.parent.is_dir():
        raise ControlError(
            "bad_params", f"--output {output}: found no folder for it, expected a file to write"
        )
    if output.exists() and not force:
        raise ControlError("exists", _there(output))
    return made


def _there(output: Path) -> str:
    return f"--output {output}: there is such a file; --force writes over it"


def print_report(out: Out, columns: Sequence[Column], rows: Sequence[Row], nothing: str) -> None:
    """Give rows as text: the ``columns`` in a table, everything in the other forms."""
    from gkc_engine.reports.render.plain import write_csv

    if out.output is None:
        match out.form:
            case Format.TABLE:
                print_rows(columns, rows, nothing)
            case Format.CSV:
                write_csv(rows, sys.stdout)
            case _:
                print_json(list(rows))
        return
    text = io.StringIO(newline="")
    match out.form:
        case Format.TABLE:
            text.write((plain_table(columns, rows) if rows else nothing) + "\n")
        case Format.CSV:
            write_csv(rows, text)
        case _:
            text.write(json.dumps(list(rows), ensure_ascii=False, indent=2) + "\n")
    write(out, text.getvalue().encode())


def give(out: Out, report: Report) -> None:
    """Give a report in any form but a table on a terminal: to the file, or on stdout."""
    content = content_of(out.form, report)
    if out.output is not None:
        write(out, content)
    elif out.form in BINARY:
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(content.decode())


def content_of(form: Format, report: Report) -> bytes:
    """Return the report in a form; each renderer is imported only when it is asked for.

    Raises:
        ControlError: It has more rows than the form is for.
    """
    rows, most = sum(len(table.rows) for table in report.tables()), ROWS_MAX.get(form)
    if most is not None and rows > most:
        raise ControlError(
            "bad_params",
            f"--format {form}: found {rows} rows, expected at most {most}; "
            "ask for a shorter time, or for --format csv",
        )
    match form:
        case Format.PDF:
            from gkc_engine.reports.render.pdf import pdf

            return pdf(report)
        case Format.XLSX:
            from gkc_engine.reports.render.xlsx import xlsx

            return xlsx(report)
        case Format.HTML:
            from gkc_engine.reports.render.html import html

            return html(report)
        case Format.JSON:
            from gkc_engine.reports.render.plain import as_json

            return as_json(report).encode()
        case Format.CSV:
            from gkc_engine.reports.render.plain import write_report_csv

            text = io.StringIO(newline="")
            write_report_csv(report, text)
            return text.getvalue().encode()
        case Format.TABLE:
            from gkc_engine.cli._report_text import text_of

            return text_of(report, width=None).encode()


def write(out: Out, content: bytes) -> None:
    """Write the file at once: whole under its name, or not at all.

    Raises:
        ControlError: It cannot be written, or another one has appeared there.
    """
    output = out.output
    assert output is not None
    made: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
        made = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(0o666 & ~_umask())
        if out.force:
            made.replace(output)
        else:
            output.hardlink_to(made)  # Unlike a rename, it refuses a file that came meanwhile.
    except FileExistsError:
        raise ControlError("exists", _there(output)) from None
    except OSError as error:
        raise ControlError(
            "cannot_write", f"--output {output}: cannot be written ({error.strerror})"
        ) from None
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
