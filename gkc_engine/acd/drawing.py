"""How many slots of a pool become free within a time: drawn from what holds them now."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gkc_engine.acd.lookahead import Pool
from gkc_engine.acd.measured import Shape
from gkc_engine.ids import QueueId

SHAPES_MAX: Final = 400
"""Different (queue, age) that are looked at; the slots beyond count as if age did not matter."""

_AGE_STEP: Final = 1.1
"""Ages within 10 % of one another are taken as the same."""


class Mean:
    """A mean; without a rounding error where all values are the same."""

    __slots__ = ("_count", "_high", "_low", "_sum")

    def __init__(self) -> None:
        self._sum = self._count = self._high = 0.0
        self._low = math.inf

    def add(self, value: float, count: float) -> None:
        """Take ``count`` cases of ``value``."""
        self._sum += value * count
        self._count += count
        self._low, self._high = min(self._low, value), max(self._high, value)

    def join(self, other: Mean) -> None:
        """Take all cases of another mean."""
        self._sum += other._sum
        self._count += other._count
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)

    @property
    def value(self) -> float | None:
        """The mean; None of no case."""
        if not self._count:
            return None
        return self._low if self._low == self._high else self._sum / self._count


@dataclass(slots=True)
class Slots:
    """The slots of one profile for one medium at this instant."""

    known_us: list[float] = field(default_factory=list)
    """When they become free, where that is known; 0 = free now."""
    held: dict[tuple[QueueId | None, float], int] = field(default_factory=dict)
    """How many are held by a contact of a queue for so long."""
    own_calls: int = 0


class Draw:
    """Draws ``N(t)`` of the pools: each slot's first release, then renewals at the mean rate.

    Of one slot that is ``F(t) + integral(F) / mean``, for exponential handling times exactly
    ``t / mean``. The narrower ``F`` of a single slot is, the more it is drawn as a step at its
    mean: that is where the slot becomes free, while ``F`` alone reaches 1 only with the last case.
    """

    def __init__(self, grid: tuple[float, ...], shape: Callable[[QueueId | None], Shape]) -> None:
        self._grid = grid
        self._shape = shape
        self._drawn: dict[tuple[QueueId | None, int], list[float]] = {}
        self.work = 0

    def pool(self, slots: Slots, mean_us: float | None) -> Pool:
        """Return the pool of these slots; ``mean_us`` of what they will serve, if that is known."""
        grid = self._grid
        count = len(slots.known_us) + slots.own_calls + sum(slots.held.values())
        if mean_us is None:
            held = Mean()
            for (queue, _), number in slots.held.items():
                held.add(self._shape(queue).mean_us, number)
            mean_us = held.value
        mean = mean_us or self._shape(None).mean_us
        # Slots whose releases are a constant stream need no drawing, and stay exact.
        steady = float(slots.own_calls)
        ended = [0.0] * len(grid)
        for due in slots.known_us:
            for g in range(bisect_left(grid, due), len(grid)):
                ended[g] += 1.0
            self.work += 1
        for (queue, held_us), number in slots.held.items():
            shape = self._shape(queue)
            if shape.memoryless and not shape.wrap_us and shape.mean_us == mean:
                steady += number
                continue
            drawn = self._ended(queue, shape, held_us)
            if count == 1:
                drawn = _narrowed(drawn, grid)
            ended = [have + number * part for have, part in zip(ended, drawn, strict=True)]
            self.work += 1
        free = [steady * t / mean for t in grid]
        self.work += 2 if steady == count else 15
        if steady < count:
            regular = 1.0 - min(1.0, self._shape(None).variation)
            again = self._again(ended, mean * regular / 2.0 * (1.0 - 1.0 / count))
            free = [
                have + first + us / mean for have, first, us in zip(free, ended, again, strict=True)
            ]
        return Pool(free, count / mean)

    def _again(self, ended: list[float], delay: float) -> list[float]:
        """Return, for each instant of the grid, how long (µs) the slots have been released anew.

        Regular handling times bring nobody back before about the mean: among many slots their
        renewals lag half a handling time behind a constant stream (renewal theory: ``t / mean +
        (cv2 - 1) / 2``), which a single slot's mean does not.
        """
        grid, areas, area = self._grid, [0.0], 0.0
        for g in range(1, len(grid)):
            area += (ended[g] + ended[g - 1]) / 2.0 * (grid[g] - grid[g - 1])
            areas.append(area)
        if delay <= 0.0:
            return areas
        late = []
        for t in grid:
            g = bisect_left(grid, t - delay)
            part = (t - delay - grid[g - 1]) / (grid[g] - grid[g - 1]) if g else 0.0
            late.append(areas[g - 1] + part * (areas[g] - areas[g - 1]) if g else 0.0)
        return late

    def _ended(self, queue: QueueId | None, shape: Shape, held_us: float) -> list[float]:
        """Return the distribution of the first release, one for all of about the same age."""
        if shape.memoryless:
            age = -1
        else:
            age, reach = 0, 1_000_000.0
            while reach < held_us and age < 120:
                age, reach = age + 1, reach * _AGE_STEP
        key = queue, age
        drawn = self._drawn.get(key)
        if drawn is None:
            if len(self._drawn) >= SHAPES_MAX:
                shape = Shape(shape.talk_us, shape.wrap_us)
            drawn = self._drawn[key] = shape.ended_by(held_us, self._grid)
            self.work += 8
        return drawn


def _narrowed(ended: list[float], grid: tuple[float, ...]) -> list[float]:
    """Return the distribution, turned into a step at its mean as far as its variation is small."""
    mean = square = 0.0
    for g in range(1, len(grid)):
        staying = 1.0 - (ended[g] + ended[g - 1]) / 2.0
        width = grid[g] - grid[g - 1]
        mean += staying * width
        square += staying * width * (grid[g] + grid[g - 1])
    tail = 1.0 - ended[-1]
    if tail > 0.0:  # as if the rest ended within another reach of the grid
        mean, square = mean + tail * grid[-1] / 2.0, square + tail * grid[-1] ** 2 * 1.5
    step = 1.0 - (square / mean**2 - 1.0) if mean > 0.0 else 1.0
    if step <= 0.0:
        return ended
    return [
        (1.0 - step) * part + (step if t >= mean else 0.0)
        for part, t in zip(ended, grid, strict=True)
    ]
