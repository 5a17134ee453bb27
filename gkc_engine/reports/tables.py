"""Tables that several reports share: figures by service, queue, interval, body. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gkc_engine.reports.compare import BY_KEY, FEW, late, verdict
from gkc_engine.reports.model import Column, Language, Table, Unit
from gkc_engine.reports.periods import Base
from gkc_engine.reports.source import GOAL
from gkc_engine.reports.words import head, text
from gkc_engine.statistics import report as statistics
from gkc_engine.statistics.report import Line

LEVEL = BY_KEY["service_level"]

_BRIEF = (
    *("offered", "answered", "late", "abandoned", "service_level", "abandon_rate"),
    *("asa_s", "wait_p90_s", "aht_s"),
)
"""Columns of a line for people, in their order; the others are for programs and sheets."""


def unit_of(key: str) -> Unit:
    """Return what a column of the statistics holds, by the habits of their names."""
    if key.endswith("_s"):
        return Unit.SECONDS
    if key.endswith("_rate") or key.startswith("sl_") or key in _SHARES:
        return Unit.SHARE
    return Unit.TEXT if key in _TEXTS else Unit.COUNT


_SHARES = frozenset(
    {
        *(
            "service_level",
            "goal",
            "share",
            "occupancy",
            "utilisation",
            "bias",
            "rmse",
            "within_range",
        ),
        "rna_rate_without_citizens",
    }
)
_TEXTS = frozenset({"title", "queue", "service", "did", "interval", "day", "agent_id", "body"})


def line_columns(
    first: Sequence[Column],
    language: Language,
    *,
    base: Base | None,
    goal: bool = False,
) -> tuple[Column, ...]:
    """Return the columns of a table of lines: whose, the figures, the change since ``base``."""
    known = [key for key in line_row("", None, Line()) if key]
    keys = [*_BRIEF, *(key for key in known if key not in _BRIEF)]
    made: list[Column] = [*first]
    for key in keys:
        unit, brief = unit_of(key), key in _BRIEF
        few = unit is not Unit.COUNT
        made.append(Column(key=key, head=head(key, language), unit=unit, brief=brief, few=few))
        if key == "service_level":
            made += _beside_level(language, base=base, goal=goal)
    return tuple(made)


def _beside_level(language: Language, *, base: Base | None, goal: bool) -> Iterable[Column]:
    if goal:
        yield Column(key="goal_met", head=head("goal_met", language))
    if base is not None:
        before = "service_level_before"
        yield Column(key=before, head=text(base, language), unit=Unit.SHARE, brief=False)
        yield Column(
            key="service_level", head=text("change", language), unit=Unit.SHARE, minus=before
        )


def line_row(
    name: str, value: str | None, line: Line, before: Line | None = None
) -> dict[str, Any]:
    """Return the statistics' row with what reports add; ``before``: the line to compare with."""
    counts = line.counts
    made = statistics.row(name, value, line)
    made["goal"] = GOAL
    made["answered_late"] = counts.answered - counts.answered_in_target
    made["late"] = late(counts)
    made["other"] = counts.ended_waiting + counts.failed + counts.waiting
    if before is not None:
        made["service_level_before"] = LEVEL.of(before)
        made |= change_of("service_level", LEVEL.of(line), LEVEL.of(before))
        made["service_level_verdict"] = verdict(LEVEL, line, before)
    return made


def change_of(key: str, new: float | None, old: float | None) -> dict[str, float | None]:
    """Return the difference under its name."""
    gap = None if new is None or old is None else round(new - old, 4)
    return {f"{key}_change": gap}


def goal_word(line: Line, goal: float, language: Language) -> str:
    """Return whether the goal was met, in a word; nothing where there are too few contacts."""
    level = LEVEL.of(line)
    if level is None or LEVEL.base(line.counts) < FEW:
        return ""
    return text("goal_met" if level >= goal else "goal_missed", language)


def grouped_table(
    name: str,
    key: str,
    lines: Mapping[str | None, Line],
    before: Mapping[str | None, Line] | None,
    *,
    title_of: Callable[[str | None], str],
    language: Language,
    base: Base | None,
    goals: Mapping[str, float] | None = None,
    of_all: tuple[Line, Line | None] | None = None,
    more: Callable[[str | None], dict[str, Any]] | None = None,
    first: Sequence[Column] = (),
) -> Table:
    """Return a table with a row for each group, the one with most contacts not in time first."""
    rows = []
    for value, line in sorted(lines.items(), key=lambda one: _worst_first(one, title_of)):
        there = None if before is None else before.get(value, Line())
        row = {"title": title_of(value), **line_row(key, value or "", line, there)}
        row["goal"] = (goals or {}).get(value or "", GOAL)
        row["goal_met"] = goal_word(line, row["goal"], language)
        rows.append(row | (more(value) if more else {}))
    if of_all is not None and len(rows) > 1:
        line, there = of_all
        row = {"title": text("all", language), **line_row(key, None, line, there)}
        row["total"] = True
        row["goal_met"] = goal_word(line, GOAL, language)
        if more:
            row |= {k: sum(one[k] for one in rows) for k in more(None)}
        rows.append(row)
    columns = [
        Column(key="title", head=head(key, language), wide=True),
        Column(key=key, head=key, brief=False),
        *first,
    ]
    return Table(
        name=name,
        title=text(name, language),
        columns=line_columns(columns, language, base=base, goal=True),
        rows=rows,
        nothing=text("nothing", language),
    )


def _worst_first(
    one: tuple[str | None, Line], title_of: Callable[[str | None], str]
) -> tuple[int, int, str]:
    value, line = one
    return -late(line.counts), -line.counts.answered, title_of(value)
