"""Reports for programs: CSV and JSON. Values as they are, keys as in docs/statistics.md."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from gkc_engine.recorder.cells import disarmed
from gkc_engine.recorder.queries import iso
from gkc_engine.reports.model import Chart, Headline, Note, Report, Table
from gkc_engine.reports.render.cells import verdict_key

Row = Mapping[str, Any]


def write_csv(rows: Sequence[Row], to: TextIO) -> None:
    """Write rows as RFC 4180 has it, with a header; nothing of no rows. No cell is a formula."""
    if rows:
        _write(list(rows[0]), rows, to)


def _write(names: Sequence[str], rows: Sequence[Row], to: TextIO) -> None:
    writer = csv.DictWriter(to, fieldnames=names, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({key: disarmed(value) for key, value in row.items()} for row in rows)


def write_report_csv(report: Report, to: TextIO) -> None:
    """Write all tables of a report as one, with the name of each row's table before it.

    A report without data has its header alone.
    """
    names: dict[str, None] = {"table": None}
    rows = []
    for table in report.tables():
        names |= dict.fromkeys(keys_of(table))
        rows += [{"table": table.name, **row} for row in values_of(table)]
    _write(list(names), rows, to)


def keys_of(table: Table) -> list[str]:
    """Return the keys of a table's values, in the order of its columns."""
    keys: dict[str, None] = {}
    for column in table.columns:
        if column.minus is None:
            keys[column.key] = None
        else:
            keys[f"{verdict_key(column)}_change"] = None
            keys[f"{verdict_key(column)}_verdict"] = None
    return list(keys)


def values_of(table: Table) -> list[dict[str, Any]]:
    """Return a table's rows without what is for people alone."""
    keys = keys_of(table)
    return [{key: row.get(key) for key in keys} for row in table.rows]


def as_json(report: Report) -> str:
    """Return the report as one JSON object, Cyrillic left readable."""
    made: dict[str, Any] = {
        "report": report.kind,
        "title": report.title,
        "subtitle": report.subtitle,
        "center": report.center,
        "timezone": report.zone.key,
        "since": iso(report.since),
        "until": iso(report.until),
        "counted_until": iso(report.made),
        "nothing": report.nothing,
        "tables": {},
    }
    for part in report.parts:
        match part:
            case Headline():
                made["good"], made["verdict"] = part.good, part.verdict
                made["where"] = list(part.where)
            case Note():
                made["note"] = list(part.sentences)
            case Table():
                made["tables"][part.name] = values_of(part)
            case Chart():
                pass  # The table it is drawn from has its numbers.
    made["made_from"] = dict(report.made_from)
    return json.dumps(made, ensure_ascii=False, indent=2) + "\n"
