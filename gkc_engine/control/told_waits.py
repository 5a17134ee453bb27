"""How good the expected waits were that citizens were told (docs/statistics.md). Pure.

One statement a contact: the first that it heard in the queue in which it was answered. Contacts
that were never told anything, left before the answer or were answered elsewhere are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldWaits:
    """Sums over the statements made in one queue, in seconds."""

    n: int = 0
    waited_s: float = 0.0
    """From the statement to the answer, ring included."""
    error_s: float = 0.0
    """What was expected, less what came true."""
    square_s2: float = 0.0
    """Squares of the errors."""
    within: int = 0
    """Answered within the range that was told: after more than its start, by its end at most."""

    def __add__(self, other: ToldWaits) -> ToldWaits:
        return ToldWaits(
            n=self.n + other.n,
            waited_s=self.waited_s + other.waited_s,
            error_s=self.error_s + other.error_s,
            square_s2=self.square_s2 + other.square_s2,
            within=self.within + other.within,
        )


def mean_wait_s(told: ToldWaits) -> float | None:
    """Return the mean time from the statement to the answer; ``None`` of no statement."""
    return told.waited_s / told.n if told.n else None


def bias(told: ToldWaits) -> float | None:
    """Return the mean error over the mean wait; above 0: too long a wait was told.

    ``sum(expected - true) / sum(true)``. ``None`` when nobody waited, because no error can be
    related to nothing.
    """
    return told.error_s / told.waited_s if told.waited_s > 0 else None


def relative_rmse(told: ToldWaits) -> float | None:
    """Return the root of the mean squared error over the mean wait; ``None`` as in ``bias``.

    Source: Ibrahim and Whitt 2009, who compare estimators of delay by it.
    """
    if told.waited_s <= 0:
        return None
    return math.sqrt(told.square_s2 / told.n) / (told.waited_s / told.n)


def within_range(told: ToldWaits) -> float | None:
    """Return the share of statements that came true, from 0.0 to 1.0; ``None`` of none."""
    return told.within / told.n if told.n else None


def accuracy_rows(sums: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each queue, then one for all of them (``queue`` null) if there are several.

    Args:
        sums: ``recorder.queries.told_waits``.
    """
    told = {
        row["queue"]: ToldWaits(**{k: v for k, v in row.items() if k != "queue"}) for row in sums
    }
    rows = [_row(queue, one) for queue, one in told.items()]
    if len(told) > 1:
        rows.append(_row(None, sum(told.values(), ToldWaits())))
    return rows


def _row(queue: str | None, told: ToldWaits) -> dict[str, Any]:
    return {
        "queue": queue,
        "n": told.n,
        "mean_wait_s": _rounded(mean_wait_s(told)),
        "bias": _rounded(bias(told)),
        "rmse": _rounded(relative_rmse(told)),
        "within_range": _rounded(within_range(told)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
