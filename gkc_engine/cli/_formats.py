"""The forms in which a report leaves: a table for people, CSV for sheets, JSON for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TextIO

from gkc_engine.cli._console import print_json
from gkc_engine.cli._tables import Column, print_rows
from gkc_engine.control.protocol import Json
from gkc_engine.recorder.cells import disarmed

Row = Mapping[str, Json]


class Format(StrEnum):
    """Values of ``--format``."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Every(StrEnum):
    """Values of ``--every``: ``statistics.intervals.LENGTHS_MIN``."""

    QUARTER = "15"
    HALF_HOUR = "30"
    HOUR = "60"


def print_report(
    form: Format, columns: Sequence[Column], rows: Sequence[Row], nothing: str
) -> None:
    """Print rows: the ``columns`` in a table, everything in the other forms."""
    match form:
        case Format.TABLE:
            print_rows(columns, rows, nothing)
        case Format.CSV:
            write_csv(rows, sys.stdout)
        case Format.JSON:
            print_json(list(rows))


def write_csv(rows: Sequence[Row], to: TextIO) -> None:
    """Write rows as RFC 4180 has it, with a header; nothing of no rows. No cell is a formula."""
    if not rows:
        return
    writer = csv.DictWriter(to, fieldnames=list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({key: disarmed(value) for key, value in row.items()} for row in rows)
