"""What a wallboard shows of a queue beside the day's counts, and how bad it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gkc_engine.control.protocol import Json
from gkc_engine.statistics.figures import (
    Counts,
    Handling,
    abandon_rate,
    average_handle_time_s,
    offered,
    service_level,
)


class Level(StrEnum):
    """How bad a figure is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """From where on a figure is bad; when ``bad`` is the smaller, less is worse."""

    warn: float
    bad: float

    def level(self, value: float) -> Level:
        """Return how bad ``value`` is; a bound itself belongs to the better side."""
        sign = 1 if self.bad > self.warn else -1
        if sign * value > sign * self.bad:
            return Level.BAD
        return Level.WARN if sign * value > sign * self.warn else Level.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Of one queue, in the units of its row; ``None`` = never bad."""

    waiting: Band | None = None
    longest_wait_s: Band | None = None
    service_level: Band | None = None
    abandon_rate: Band | None = None


NO_THRESHOLDS: Final = Thresholds()

_BAND_OF: Final = {
    "waiting": "waiting",
    "longest_wait_s": "longest_wait_s",
    "service_level": "service_level",
    "service_level_30m": "service_level",
    "abandon_rate": "abandon_rate",
    "abandon_rate_30m": "abandon_rate",
}
"""Column of a queue's row → the threshold that it is held against."""

ORDER: Final = (Level.OK, Level.WARN, Level.BAD)


def figures(recent: Counts, handling: Handling) -> dict[str, Json]:
    """Return the columns of the last half hour, and the handling time of today."""
    return {
        "handled": handling.handled,
        "aht_s": _rounded(average_handle_time_s(handling)),
        "offered_30m": offered(recent),
        "answered_30m": recent.answered,
        "answered_in_target_30m": recent.answered_in_target,
        "abandoned_30m": recent.abandoned,
        "abandoned_short_30m": recent.abandoned_short,
        "abandon_rate_30m": _rounded(abandon_rate(recent)),
        "service_level_30m": _rounded(service_level(recent)),
    }


def levels(row: Mapping[str, Json], thresholds: Thresholds) -> dict[str, str]:
    """Return the columns that are not well, and how bad each is.

    ``ready`` while the queue is open and nobody who could answer is ready or busy: bad when
    citizens wait, else a warning.
    """
    found = {
        column: band.level(row[column])
        for column, name in _BAND_OF.items()
        if (band := getattr(thresholds, name)) is not None and row[column] is not None
    }
    if not row["ready"] and not row["busy"] and row["closed"] is None:
        found["ready"] = Level.BAD if row["waiting"] else Level.WARN
    return {column: level.value for column, level in found.items() if level is not Level.OK}


def worst(levels_of_row: Mapping[str, str]) -> Level:
    """Return the worst of a row's levels."""
    return max(
        (Level(value) for value in levels_of_row.values()), key=ORDER.index, default=Level.OK
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
