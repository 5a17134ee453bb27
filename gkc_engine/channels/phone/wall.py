"""Steps of the wall clock: what Asterisk wrote down before and after one, in the engine's time.

AMI's stamps are translated as they come (``Engine.of_wall``). The list of past legs is read later,
so its lines need the clock of their own time: every change of it is remembered here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gkc_engine.ids import FOREVER, SECOND, Instant, Micros

STEPPED_US: Final = SECOND // 2
"""Less than this is the clock being slewed, or our own rounding."""

NEAR_US: Final = 2 * SECOND
"""A line may be written a little after its time."""

STEPS_MAX: Final = 64


@dataclass(slots=True)
class _Stretch:
    """A stretch of the engine's time through which the wall clock was not stepped."""

    since: Instant
    """Looked at last before the step: it came no earlier."""
    until: Instant
    """The next step was noticed then: it came no later."""
    shift: Micros
    """What is to be added to a stamp of it."""


class WallSteps:
    """Translates stamps of the wall clock, those of before its last steps too."""

    def __init__(self, of_wall: Callable[[Instant], Instant], now: Callable[[], Instant]) -> None:
        self._of_wall = of_wall
        self._now = now
        self._looked = now()
        self._stretches = [_Stretch(Instant(0), FOREVER, Micros(of_wall(Instant(0))))]

    def look(self) -> None:
        """Notice a step. To be called often: a stamp from between two looks may be misplaced."""
        now, shift = self._now(), Micros(self._of_wall(Instant(0)))
        last = self._stretches[-1]
        if abs(shift - last.shift) > STEPPED_US:
            last.until = now
            self._stretches.append(_Stretch(self._looked, FOREVER, shift))
            del self._stretches[:-STEPS_MAX]
        self._looked = now

    def engine_time(self, stamp: Instant) -> Instant | None:
        """Return the engine's time of what Asterisk stamped ``stamp``, lately or before a step.

        ``None``: it would be in the future, so it is from before a step that nobody saw.
        """
        for stretch in reversed(self._stretches):
            at = stamp + stretch.shift
            until = min(stretch.until, self._looked)
            if stretch.since - NEAR_US <= at <= until + NEAR_US:
                return Instant(at)
        return None
