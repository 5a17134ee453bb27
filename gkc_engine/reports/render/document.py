"""A report as plain values for a template: what HTML and PDF both lay out. Pure."""

from __future__ import annotations

from typing import Any

from gkc_engine.reports.model import Chart, Column, Headline, Note, Report, Table, Unit, Verdict
from gkc_engine.reports.render.cells import brief, cell, has_few, is_number, verdict_of
from gkc_engine.reports.render.svg import draw
from gkc_engine.reports.words import text

_SIGNS = {
    Verdict.BETTER: "▲",
    Verdict.WORSE: "▼",
    Verdict.MORE: "",
    Verdict.LESS: "",
    Verdict.SAME: "",
    Verdict.TOO_FEW: "",
}
"""Beside the word, never instead of it."""


def document(report: Report, *, font: str, color: str) -> dict[str, Any]:
    """Return title, parts and foot as values of JSON; charts as SVG."""
    words = report.language
    parts: list[dict[str, Any]] = []
    for part in report.parts:
        match part:
            case Headline() if report.nothing is None:
                parts.append(_headline(part) | {"where_title": text("where", words)})
            case Note() if report.nothing is None:
                parts.append({"what": "note", "title": part.title, "said": [*part.sentences]})
            case Table() if report.nothing is None:
                parts.append(_table(part, report))
            case Chart() if report.nothing is None:
                svg = draw(part, report, font=font, color=color)
                parts.append({"what": "chart", "title": part.title, "svg": svg})
            case _:
                pass  # Nothing happened: empty tables would say less than the sentence.
    return {
        "title": report.title,
        "subtitle": report.subtitle,
        "center": report.center,
        "language": str(words),
        "nothing": report.nothing,
        "parts": parts,
        "few": text("few", words) if has_few(report.tables()) else None,
        "made_from_title": text("made_from", words),
        "made_from": [list(pair) for pair in report.made_from],
        "page": text("page", words),
    }


def _headline(part: Headline) -> dict[str, Any]:
    good = {True: "good", False: "bad", None: "unknown"}[part.good]
    return {
        "what": "headline",
        "good": good,
        "sign": {"good": "✓", "bad": "⚠", "unknown": ""}[good],
        "verdict": part.verdict,
        "where": list(part.where),
        "tiles": [
            {
                "label": tile.label,
                "value": tile.value,
                "change": tile.change,
                "verdict": str(tile.verdict),
                "sign": _SIGNS[tile.verdict],
            }
            for tile in part.tiles
        ],
    }


def _table(part: Table, report: Report) -> dict[str, Any]:
    columns = brief(part)
    rows = []
    for row in part.rows:
        cells = []
        for column in columns:
            verdict = verdict_of(column, row)
            bad = column.key == "goal_met" and row.get("goal_met") == text(
                "goal_missed", report.language
            )
            cells.append(
                {
                    "text": cell(column, row, report),
                    "verdict": "worse" if bad else str(verdict or ""),
                }
            )
        rows.append({"cells": cells, "total": row.get("total", False)})
    return {
        "what": "table",
        "name": part.name,
        "title": part.title,
        "heads": [
            {
                "text": column.head,
                "number": is_number(column) or column.unit is Unit.MOMENT,
                "weight": _weight(column),
            }
            for column in columns
        ],
        "rows": rows,
        "nothing": part.nothing,
    }


def _weight(column: Column) -> float:
    """Return how wide a column is on paper, beside the others."""
    if column.wide:
        return 2.6
    if column.minus is not None:
        return 1.5
    return 1.3 if column.unit in (Unit.TEXT, Unit.MOMENT) else 1.0
