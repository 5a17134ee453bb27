"""How long citizens are willing to wait, estimated from who left and who did not (Kaplan–Meier).

Who was answered would have waited longer: how long is not known, only that it is more than his
wait (he is *censored*). To leave such contacts out, or to take their wait for their patience,
makes citizens look far less patient than they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """The estimate: a staircase that falls where somebody left."""

    times: tuple[int, ...]
    """Waits (µs) at which somebody left, ascending, each once."""
    values: tuple[float, ...]
    """Share of citizens who wait longer than the time beside it; from 1.0 down."""

    def at(self, wait: int) -> float:
        """Return the share of citizens whose patience is longer than ``wait`` (µs)."""
        index = bisect_right(self.times, wait)
        return self.values[index - 1] if index else 1.0

    def draw(self, chance: float, beyond: int = -1) -> int | None:
        """Return a patience in µs, given that it is longer than ``beyond``.

        Args:
            chance: Uniform in [0, 1): the same chance gives the same patience.
            beyond: What the citizen has already waited without leaving; -1 = nothing known.

        Returns:
            The first time after ``beyond`` at which the estimate has fallen below
            ``(1 - chance) * at(beyond)``; ``None`` when it never falls so far: nobody was ever
            seen to leave so late, so this one is taken to wait for ever.
        """
        level = (1.0 - chance) * self.at(beyond)
        start = bisect_right(self.times, beyond)
        for time, value in zip(self.times[start:], self.values[start:], strict=True):
            if value < level:
                return time
        return None


def kaplan_meier(left: Iterable[int], stayed: Iterable[int]) -> Survival:
    """Return the product-limit estimate of patience.

    ``S(t) = Π (1 − d_i / n_i)`` over the times t_i ≤ t at which somebody left: d_i left at t_i, n_i
    had waited at least t_i. Of those with the same wait the ones who left count first, so a contact
    answered after exactly t_i was still at risk there.

    Args:
        left: Waits (µs) of those who gave up.
        stayed: Waits (µs) of those who did not (answered, ended by us, still waiting): censored.

    Returns:
        The staircase; without anybody who left, one that never falls.

    Source:
        Kaplan & Meier, "Nonparametric estimation from incomplete observations", J. Amer. Statist.
        Assoc. 53 (1958); for call centers: Brown et al., "Statistical analysis of a telephone call
        center", J. Amer. Statist. Assoc. 100 (2005), section 6.
    """
    gone, kept = Counter(left), Counter(stayed)
    assert all(wait >= 0 for wait in (*gone, *kept)), "a wait below zero"
    at_risk = gone.total() + kept.total()
    survival, times, values = 1.0, [], []
    for wait in sorted({*gone, *kept}):
        if gone[wait]:
            survival *= 1.0 - gone[wait] / at_risk
            times.append(wait)
            values.append(survival)
        at_risk -= gone[wait] + kept[wait]
    return Survival(times=tuple(times), values=tuple(values))
