"""Rows of a report, each contact once, by its first queue entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from gkc_engine.ids import Instant
from gkc_engine.recorder import queries
from gkc_engine.statistics import figures
from gkc_engine.statistics.figures import Part
from gkc_engine.statistics.intervals import clock_time
from gkc_engine.statistics.rollups import By, Group, Line, total

# --- rows -----------------------------------------------------------------------------------------


def rows_by(name: By, lines: Mapping[Group, Line]) -> list[dict[str, Any]]:
    """Return a row for each of ``rollups.read(…, by=(name,))``, and one for all of several."""
    named = sorted(lines.items(), key=lambda item: (not item[0][0], item[0]))
    rows = [row(name, value, line) for (value,), line in named]
    return [*rows, row(name, None, total(lines.values()))] if len(rows) > 1 else rows


def interval_rows(
    bounds: Sequence[Instant], zone: ZoneInfo, lines: Mapping[Group, Line]
) -> list[dict[str, Any]]:
    """Return a row for each interval, the empty ones too, and one for all.

    Args:
        bounds: Of the intervals.
        zone: The center's.
        lines: ``rollups.read(…, bounds=bounds)``.
    """
    rows = [
        _edged(begin, end, row("interval", clock_time(begin, zone), lines.get((begin,), Line())))
        for begin, end in pairwise(bounds)
    ]
    return [*rows, _edged(bounds[0], bounds[-1], row("interval", None, total(lines.values())))]


def _edged(begin: Instant, end: Instant, one: dict[str, Any]) -> dict[str, Any]:
    return {"begin": queries.iso(begin), "end": queries.iso(end), **one}


def row(name: str, value: str | None, line: Line) -> dict[str, Any]:
    """Return one row; columns as in docs/statistics.md, ``None`` where nothing was counted.

    ``value``: what it is of; ``None``: of all together, empty: of those without any.
    """
    counts = line.counts
    made: dict[str, Any] = {name: value, "offered": figures.offered(counts)}
    made |= {str(part): getattr(counts, part) for part in Part if part is not Part.OFFERED}
    made |= {
        "abandon_rate": figures.abandon_rate(counts),
        "abandon_time_s": figures.average_abandon_time_s(counts),
        "asa_s": figures.average_speed_of_answer_s(counts),
        "wait_p50_s": line.waited_s(50),
        "wait_p90_s": line.waited_s(90),
        "wait_p95_s": line.waited_s(95),
        "wait_max_s": line.waited_s(100),
        "aht_s": figures.average_handle_time_s(line.handling),
        "service_level": figures.service_level(counts),
        "sl_1": figures.service_level_1(counts),
        "sl_2": figures.service_level_2(counts),
        "sl_3": figures.service_level_3(counts),
        "sl_4": figures.service_level_4(counts),
    }
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in made.items()}
