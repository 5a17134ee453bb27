"""What the core's own facts say about handling times and patience, with bounded memory.

Rates are censored exponential estimates: how often it ended over how long it could have, by those
who have not ended yet too; without them the first hour would know the short ones only. Sums are
halved when they cover twice ``WINDOW`` contacts, so the past fades and nothing grows; what the
unfinished ones have lasted by then is remembered (``debit``), lest it be counted again in full.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import Final

from gkc_engine.ids import SECOND

WINDOW: Final = 1_000
"""Contacts that an estimate rests on, at most twice as many: an hour of a hundred agents."""

_EDGES: Final = tuple(4.0 * SECOND * 2 ** (i / 4) for i in range(43))
"""Bounds of the histogram: 4 s to 1.6 h, each 1.2 times the one before."""

_PRIOR: Final = 1.0
"""Exponential cases that are taken as known beforehand: what lasts longer than all others."""

_EXPECTED_MIN: Final = 5.0
"""Fewer expected ends are put together with those of the next age (rule of the chi-square test)."""

_SURE: Final = 3.09
"""Standard deviations of one-sided 99.9 %."""


_UNASKED: Final = 4 * WINDOW
"""While nobody asks, nobody says what the unfinished have lasted; then it is halved without."""


class Patience:
    """Who waited in a queue, how long together, and how many of them left by themselves."""

    __slots__ = ("_debit_us", "left", "waited_us", "weight")

    def __init__(self) -> None:
        self.weight = self.left = self.waited_us = self._debit_us = 0.0

    def learn(self, wait_us: int, *, left: bool) -> None:
        """Take one contact whose waiting is over."""
        self.weight += 1.0
        self.waited_us += wait_us
        self.left += left
        if self.weight >= _UNASKED:
            self._halve(0.0)

    def theta(self, waiting_us: float) -> float:
        """Return the rate of leaving, per µs; ``waiting_us``: of those who wait now, together."""
        exposure = self.waited_us + waiting_us - self._debit_us
        rate = self.left / exposure if exposure > 0.0 else 0.0
        if self.weight >= 2 * WINDOW:
            self._halve(waiting_us)
        return rate

    def _halve(self, waiting_us: float) -> None:
        self.weight, self.left = self.weight / 2, self.left / 2
        self.waited_us = self.waited_us / 2
        self._debit_us = (self._debit_us + waiting_us) / 2


class Handling:
    """How long contacts of a queue hold a slot, then its wrap-up; a histogram of the first."""

    __slots__ = (
        *("_debit_us", "_ends", "_form", "_lasted_us"),
        *("count", "held_us", "ring_us", "rings", "wrap_us", "wraps"),
    )

    def __init__(self) -> None:
        self.count = self.held_us = self._debit_us = 0.0
        self.wraps = self.wrap_us = 0.0
        self.rings = self.ring_us = 0.0
        self._ends = [0.0] * (len(_EDGES) + 1)
        self._lasted_us = [0.0] * (len(_EDGES) + 1)
        self._form: _Form | None = None

    def learn(self, held_us: int) -> None:
        """Take one contact that is over: ring, talk and hold together."""
        self.count += 1.0
        self.held_us += held_us
        length = bisect_left(_EDGES, held_us)
        self._ends[length] += 1.0
        self._lasted_us[length] += held_us
        self._form = None
        if self.count >= _UNASKED:
            self._halve(0.0)

    def _halve(self, holding_us: float) -> None:
        self.count, self.held_us = self.count / 2, self.held_us / 2
        self._debit_us = (self._debit_us + holding_us) / 2
        self._ends = [x / 2 for x in self._ends]
        self._lasted_us = [x / 2 for x in self._lasted_us]

    def learn_wrap_up(self, wrap_us: int) -> None:
        """Take the wrap-up after a contact, 0 without one."""
        if self.wraps >= 2 * WINDOW:
            self.wraps, self.wrap_us = self.wraps / 2, self.wrap_us / 2
        self.wraps += 1.0
        self.wrap_us += wrap_us

    def learn_ring(self, ring_us: int) -> None:
        """Take the time that an answered offer rang."""
        if self.rings >= 2 * WINDOW:
            self.rings, self.ring_us = self.rings / 2, self.ring_us / 2
        self.rings += 1.0
        self.ring_us += ring_us

    @property
    def ring_mean_us(self) -> float:
        """From the offer to the answer, on average; 0 before the first."""
        return self.ring_us / self.rings if self.rings else 0.0

    def shape(self, holding_us: float) -> Shape:
        """Return the distribution; ``holding_us``: how long those have lasted who hold a slot."""
        assert self.count > 0
        mean = max(1.0, (self.held_us + holding_us - self._debit_us) / self.count)
        if self.count >= 2 * WINDOW:
            self._halve(holding_us)
        if self._form is None:
            self._form = self._formed()
        return Shape(mean, self.wrap_us / self.wraps if self.wraps else 0.0, self._form)

    def _formed(self) -> _Form:
        mean = max(1.0, self.held_us / self.count)
        if self._memoryless(mean):
            return _Form()
        survival = self._survival()
        square = sum(
            (before - after) * (low * low + low * high + high * high) / 3.0
            for (low, before), (high, after) in pairwise(survival)
        )
        return _Form(survival, max(0.0, square / self.count - mean * mean))

    def _survival(self) -> tuple[tuple[float, float], ...]:
        """Return (age, how many last longer), falling in straight lines from one to the next.

        The cases of one length are spread evenly about their mean, as wide as the length allows.
        """
        left, low = self.count, 0.0
        points = [(0.0, left)]
        for ends, lasted, high in zip(
            self._ends, self._lasted_us, (*_EDGES, math.inf), strict=True
        ):
            if ends > 0.0:
                mean = lasted / ends
                spread = min(mean - low, high - mean)
                points.append((mean - spread, left))
                left = max(0.0, left - ends)
                points.append((mean + spread, left))
            low = high
        return tuple(points)

    def _memoryless(self, mean_us: float) -> bool:
        """Return whether the lengths are exponential, so that age does not matter.

        Pearson's chi-square at 99.9 %; its quantile after Wilson and Hilferty (1931).
        """
        chi2, classes, ends, expected, before = 0.0, 0, 0.0, 0.0, 1.0
        for more, edge in zip(self._ends, (*_EDGES, math.inf), strict=True):
            after = math.exp(-edge / mean_us)
            ends, expected, before = ends + more, expected + self.count * (before - after), after
            if expected >= _EXPECTED_MIN:
                chi2 += (ends - expected) ** 2 / expected
                classes, ends, expected = classes + 1, 0.0, 0.0
        if expected > 0.0:
            chi2 += (ends - expected) ** 2 / max(expected, _EXPECTED_MIN)
        free = classes - 1
        if free < 1:
            return True
        spread = 2.0 / (9.0 * free)
        return chi2 <= free * (1.0 - spread + _SURE * math.sqrt(spread)) ** 3


class _Form:
    """What of a distribution changes only with the contacts that are over."""

    __slots__ = ("ages", "lasting", "variance")

    def __init__(
        self, survival: tuple[tuple[float, float], ...] = (), variance: float = 0.0
    ) -> None:
        """``survival``: (age, how many last longer); empty: exponential."""
        self.ages = [age for age, _ in survival]
        self.lasting = [lasting for _, lasting in survival]
        self.variance = variance


class Shape:
    """A distribution of handling times: its mean, and how many last how long."""

    __slots__ = ("_ages", "_lasting", "mean_us", "memoryless", "talk_us", "variation", "wrap_us")

    def __init__(self, talk_us: float, wrap_us: float, form: _Form | None = None) -> None:
        """Without a form: exponential."""
        self.talk_us = talk_us
        """Ring, talk and hold."""
        self.wrap_us = wrap_us
        self.mean_us = talk_us + wrap_us
        self._ages = form.ages if form is not None else []
        self._lasting = form.lasting if form is not None else []
        self.memoryless = not self._ages
        variance = talk_us**2 if self.memoryless or form is None else form.variance
        self.variation = variance / self.mean_us**2
        """Variance over the square of the mean; 1 = exponential."""

    def _lasts(self, age_us: float) -> float:
        """Return how many last longer than that, the prior's cases among them."""
        prior = _PRIOR * math.exp(-age_us / self.talk_us)
        ages, lasting = self._ages, self._lasting
        at = bisect_left(ages, age_us)
        if at >= len(ages):
            return prior
        if at == 0:
            return prior + lasting[0]
        part = (age_us - ages[at - 1]) / (ages[at] - ages[at - 1])
        return prior + lasting[at - 1] + part * (lasting[at] - lasting[at - 1])

    def ended_by(self, elapsed_us: float, times: tuple[float, ...]) -> list[float]:
        """Return for each of ``times`` the probability that the slot is free by then.

        It has been held for ``elapsed_us`` now; the wrap-up follows.
        """
        lasts, wrap, now = self._lasts, self.wrap_us, self._lasts(elapsed_us)
        if now <= 0.0:  # so long that even the prior knows of none: at any moment
            return [1.0 if t > wrap else 0.0 for t in times]
        return [1.0 - lasts(elapsed_us + t - wrap) / now if t > wrap else 0.0 for t in times]
