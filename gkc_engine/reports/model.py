"""A report as data: what every form (table, CSV, JSON, XLSX, PDF, HTML) is made from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from gkc_engine.ids import Instant

Row = Mapping[str, Any]
"""Values by the names of docs/statistics.md: shares 0 to 1, times in seconds, ``None``: nothing.
``total`` marks the row of all together, ``label`` is what stands under a row's bar in a chart."""


class Language(StrEnum):
    """In which people read a report."""

    RU = "ru"
    EN = "en"


class Unit(StrEnum):
    """What a column's values are, so that each form can write them in its own way."""

    TEXT = "text"
    COUNT = "count"
    SHARE = "share"
    SECONDS = "seconds"
    HOURS = "hours"
    """Of many people together; the value is in hours."""
    MOMENT = "moment"
    """ISO 8601 UTC; shown as local time of the center."""
    BY_ROW = "by_row"
    """Each row says it in ``unit``."""


class Verdict(StrEnum):
    """What a difference means: always a word, never a colour alone."""

    BETTER = "better"
    WORSE = "worse"
    MORE = "more"
    LESS = "less"
    SAME = "same"
    TOO_FEW = "too_few"
    """Too few contacts for any conclusion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    key: str
    head: str
    unit: Unit = Unit.TEXT
    minus: str | None = None
    """A difference: this column's key less that one's; ``key`` + ``_change`` holds it,
    ``key`` + ``_verdict`` what it means."""
    few: bool = False
    """A share or mean that says little when few contacts were offered; it is marked."""
    brief: bool = True
    """Shown to people; the others are in CSV, JSON and XLSX only."""
    wide: bool = False
    """Long text: may be broken into lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under columns. ``name`` is what programs call it, ``title`` what people read."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    nothing: str = ""
    """Said instead of an empty table."""


class ChartKind(StrEnum):
    """How a chart is drawn."""

    STACKED = "stacked"
    """Upright bars of several series on each other."""
    COLUMNS = "columns"
    """One upright bar for each row."""
    BARS = "bars"
    """One horizontal bar for each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture of columns of a table; the table has the same numbers in words."""

    name: str
    title: str
    kind: ChartKind
    table: Table
    category: str
    series: tuple[str, ...]
    """Keys of the table's columns."""
    goal: float | None = None
    """A line across, with the word for a goal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure at the head of a report."""

    label: str
    value: str
    change: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The first glance: was it good, where not; then the figures that answer it."""

    good: bool | None
    """``None``: too few contacts to say."""
    verdict: str
    where: tuple[str, ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """The analytical note: sentences made from the figures alone."""

    title: str
    sentences: tuple[str, ...]


Part = Headline | Note | Table | Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a form needs; nothing in it depends on when or where it was made."""

    kind: str
    title: str
    subtitle: str
    """The stretch of time, in words."""
    center: str
    language: Language
    zone: ZoneInfo
    since: Instant
    until: Instant
    made: Instant
    """Date of the document: the end of the stretch, or the last instant that it knows of."""
    parts: tuple[Part, ...]
    made_from: tuple[tuple[str, str], ...]
    """What it was made from: label and value, for the foot."""
    nothing: str | None = None
    """Said at the head when there was no contact at all."""

    def tables(self) -> list[Table]:
        """Return the tables in order, each once."""
        return [part for part in self.parts if isinstance(part, Table)]
