"""The figures of all replications as one object, for JSON and for tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gkc_engine.simulation.replications import Result
from gkc_engine.simulation.student import interval
from gkc_engine.simulation.tally import TOTAL, Figures

Json: TypeAlias = Any
"""What ``json`` takes."""
Combine: TypeAlias = Callable[[list[float]], Json]

DECIMALS = 6
"""Microseconds of a time, millionths of a share."""


def report(results: Sequence[Result], seed: int) -> dict[str, Json]:
    """Return ``{seed, replications, queues, total, occupancy, ci95}``.

    Every figure is the mean over the replications; ``ci95`` has the same shape with [low, high] by
    Student's t, and is ``None`` with one replication. A replication that does not have a figure
    (nobody was answered) is left out of it; ``None`` when none has it.
    """
    one = len(results) == 1
    return {
        "seed": seed,
        "replications": len(results),
        **_combined(results, _mean),
        "ci95": None if one else _combined(results, _interval),
    }


def _combined(results: Sequence[Result], combine: Combine) -> dict[str, Json]:
    def each(parts: list[Figures]) -> dict[str, Json]:
        columns = {name: [part[name] for part in parts] for name in parts[0]}
        return {
            name: combine([value for value in values if value is not None])
            for name, values in columns.items()
        }

    figures = {name: each([r.figures[name] for r in results]) for name in results[0].figures}
    return {
        "queues": {name: part for name, part in figures.items() if name != TOTAL},
        "total": figures[TOTAL],
        "occupancy": each([r.occupancy for r in results]),
    }


def _mean(values: list[float]) -> float | None:
    if not values:
        return None
    mean = sum(values) / len(values)
    counts = all(isinstance(value, int) for value in values)
    return int(mean) if counts and mean == int(mean) else round(mean, DECIMALS)


def _interval(values: list[float]) -> list[float] | None:
    found = interval(values)
    return None if found is None else [round(bound, DECIMALS) for bound in found]
