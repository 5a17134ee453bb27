"""When a slot becomes free for the one at place k: pools of slots, filled in the order of P2.

A *pool* is a set of slots whose agents may serve exactly the same contacts. It is described by
``N(t)``, the number of its slots that are expected to become free within ``t``. Contacts are poured
into their eligible pools one after another, in the order in which they will be served: each takes
one free slot, from whichever of its pools has one first. A pool that contacts ahead have filled up
to an instant offers the next one only what becomes free after it: that is how an agent who also
serves other queues counts only his share.

A contact ahead leaves with some probability before it is served, and then takes nothing. At place
``j`` of a pool with rate ``R`` it is served with probability ``R / (R + j * theta)``
(``served_share``). Therefore, for one pool with a constant rate ``R = c * mu``, the ``k``-th in
line waits ``sum(1 / (R + i * theta) for i in range(k))``: QLr of Ibrahim & Whitt (2009,
"Real-time delay estimation in overloaded multiserver queues with abandonments").

Times are microseconds as floats: estimates, never keys of an order.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

_GONE = 100.0
"""After so many mean patiences nobody is left."""

_CELLS = 64
"""Cells of the grid on which ``N(t)`` is drawn."""

_SAME = 1e-9
"""Relative: instants that are no further apart are one."""

_REACH = 4.0
"""How far the grid reaches, in mean handling times; beyond it a pool has its long-run rate."""


def grid_of(mean_us: float) -> tuple[float, ...]:
    """Return the instants (from now) at which pools are drawn: fine near 0, wide far out."""
    assert mean_us > 0, mean_us
    return tuple(_REACH * mean_us * (g / _CELLS) ** 2 for g in range(_CELLS + 1))


class Pool:
    """Slots that may serve the same contacts, and what of them is spoken for."""

    __slots__ = ("clock", "free", "rate", "used")

    def __init__(self, free: list[float], rate: float) -> None:
        self.free = free
        """``N`` at the grid's instants: slots expected to have become free; never decreasing."""
        self.rate = rate
        """Slots that become free in a microsecond, beyond the grid."""
        self.used = 0.0
        """Slots that contacts ahead are expected to take."""
        self.clock = 0.0
        """µs for which contacts ahead keep it busy, as a flow: what is left of those with a rate
        ``theta`` of leaving by then is ``exp(-theta * clock)``."""


@dataclass(slots=True)
class Filled:
    """Where a contact would be served."""

    wait_us: float
    taken: list[tuple[Pool, float]]
    """The pools that have a slot for it by then, each with its part; the parts add up."""


class LookAhead:
    """Pours contacts into pools. One per instant."""

    def __init__(self, grid: Sequence[float]) -> None:
        self._grid = grid

    def within(self, pool: Pool, wait_us: float) -> float:
        """Return ``N(wait_us)`` of the pool."""
        grid, free = self._grid, pool.free
        if wait_us >= grid[-1]:
            return free[-1] + pool.rate * (wait_us - grid[-1])
        cell = max(1, bisect_left(grid, wait_us))
        left = grid[cell - 1]
        part = (wait_us - left) / (grid[cell] - left)
        return free[cell - 1] + part * (free[cell] - free[cell - 1])

    def fill(
        self, pools: Sequence[Pool], amount: float, later: Sequence[tuple[float, Pool]] = ()
    ) -> Filled | None:
        """Return when ``amount`` more slots are free in ``pools``; None = never.

        ``later``: pools that are eligible only from an instant on (the contact's next steps).
        Nothing is taken yet: see ``take``.
        """
        if len(pools) == 1 and not later:
            return self._fill_one(pools[0], amount)
        bases = [(pool, pool.used) for pool in pools]
        bases += [(pool, max(pool.used, self.within(pool, at))) for at, pool in later]
        if not bases:
            return None
        cell = self._cell(bases, amount)
        if cell == 0:
            return self._at_once(bases, amount)
        if cell <= _CELLS:
            left = self._grid[cell - 1]
            width = self._grid[cell] - left
            lines = [
                (p, p.free[cell - 1] - base, (p.free[cell] - p.free[cell - 1]) / width)
                for p, base in bases
            ]
            x = width
        else:
            left = self._grid[-1]
            lines = [(p, p.free[-1] - base, p.rate) for p, base in bases]
            rate = sum(line[2] for line in lines)
            if rate <= 0.0:
                return None
            # Pools that have nothing to give yet make this too late, never too early.
            x = (amount - sum(line[1] for line in lines)) / rate
        x = _solve(lines, amount, x)
        taken = [(p, start + slope * x) for p, start, slope in lines if start + slope * x > 0.0]
        return Filled(left + x, taken)

    def _fill_one(self, pool: Pool, amount: float) -> Filled | None:
        """The same for one pool, by far the most frequent case."""
        free, grid = pool.free, self._grid
        target = pool.used + amount
        cell = bisect_left(free, target)
        if cell == 0:
            return Filled(0.0, [(pool, amount)])
        if cell <= _CELLS:
            left, before = grid[cell - 1], free[cell - 1]
            part = (target - before) / (free[cell] - before)
            return Filled(left + part * (grid[cell] - left), [(pool, amount)])
        if pool.rate <= 0.0:
            return None
        return Filled(grid[-1] + (target - free[-1]) / pool.rate, [(pool, amount)])

    @staticmethod
    def _cell(bases: list[tuple[Pool, float]], amount: float) -> int:
        """Return the first instant of the grid by which there is enough; one past it = later."""
        low, high = 0, _CELLS + 1
        while low < high:
            middle = (low + high) // 2
            have = 0.0
            for pool, base in bases:
                more = pool.free[middle] - base
                if more > 0.0:
                    have += more
            if have >= amount:
                high = middle
            else:
                low = middle + 1
        return low

    @staticmethod
    def _at_once(bases: list[tuple[Pool, float]], amount: float) -> Filled:
        """Slots are free now: each pool gives in proportion to what it has."""
        have = [(pool, pool.free[0] - base) for pool, base in bases if pool.free[0] > base]
        total = sum(more for _, more in have)
        return Filled(0.0, [(pool, amount * more / total) for pool, more in have])

    def wait_us(
        self, filled: Filled, pools: Sequence[Pool], later: Sequence[tuple[float, Pool]] = ()
    ) -> float:
        """Return the expected wait of one contact, whose ``fill`` is ``filled``.

        ``fill`` reckons with what is expected of each pool. By chance a pool that others fill may
        be through with them before one that is free earlier on average has a slot; the first of
        them serves. So from the earliest pool on, what remains is shortened in the ratio of the
        expected first of random releases to the release of the mean flow (both as if the rates
        were constant). Where all pools are through at the same time the ratio is 1.
        """
        if len(pools) + len(later) < 2 or filled.wait_us <= 0.0:
            return filled.wait_us
        through = [(self._level(p), 0.0, p.rate) for p in pools]
        through += [(max(self._level(p), at), at, p.rate) for at, p in later]
        through = sorted(one for one in through if one[2] > 0.0)
        first = through[0][0]
        if filled.wait_us <= first or through[-1][0] - first <= _SAME * filled.wait_us:
            return filled.wait_us
        backlogs = [(level - first, level <= known, rate) for level, known, rate in through]
        rest = filled.wait_us - first
        return first + rest * min(1.0, _first_of(backlogs) / _of_flow(backlogs))

    def _level(self, pool: Pool) -> float:
        """Return when the pool is through with those ahead."""
        filled = self._fill_one(pool, 0.0)
        return filled.wait_us if filled is not None else math.inf

    def served_share(self, filled: Filled, count: float, theta: float) -> float:
        """Return which part of ``count`` contacts, next in line, is served before it leaves.

        One that finds ``exp(-theta * clock)`` of its like left is served with the probability
        ``1 / (exp(theta * clock) + theta / rate)``; ``take`` moves the clock so that in one pool
        with one ``theta`` the ``j``-th has exactly ``rate / (rate + j * theta)``.
        """
        if theta <= 0.0 or filled.wait_us <= 0.0:
            return 1.0
        parts = sum(part for _, part in filled.taken)
        clock = sum(pool.clock * part for pool, part in filled.taken) / parts
        if theta * clock > _GONE:
            return 0.0
        rate = sum(self.within(pool, filled.wait_us) for pool, _ in filled.taken) / filled.wait_us
        return 1.0 / (math.exp(theta * clock) + (count + 1.0) / 2.0 * theta / rate)

    def take(self, filled: Filled, count: float, theta: float) -> None:
        """Let ``count`` contacts stand ahead of the next one.

        ``filled`` was asked for as many slots as will be served of them.
        """
        served = sum(part for _, part in filled.taken)
        if served <= 0.0:
            return
        for pool, part in filled.taken:
            pool.used += part
            if filled.wait_us <= 0.0:
                continue
            wait = count * part / served * filled.wait_us / self.within(pool, filled.wait_us)
            if theta <= 0.0:
                pool.clock += wait
            elif theta * pool.clock <= _GONE:
                pool.clock = math.log(math.exp(theta * pool.clock) + theta * wait) / theta


def _solve(lines: list[tuple[Pool, float, float]], amount: float, x: float) -> float:
    """Return where the sum of the positive parts of the lines reaches ``amount``.

    Newton's method from the right end: the sum is convex, so it comes down to the root and stops
    when no line changes its sign any more.
    """
    for _ in range(len(lines) + 1):
        start = slope = 0.0
        for _pool, at_left, rise in lines:
            if at_left + rise * x > 0.0:
                start += at_left
                slope += rise
        if slope <= 0.0:
            return x
        better = (amount - start) / slope
        if better >= x:
            return x
        x = better
    return x


def _of_flow(backlogs: list[tuple[float, bool, float]]) -> float:
    """Return when the mean flow of the pools, each from the end of its backlog on, reaches 1."""
    flow = rate = last = 0.0
    for delay, _known, more in backlogs:
        if rate > 0.0 and flow + rate * (delay - last) >= 1.0:
            break
        flow, last, rate = flow + rate * (delay - last), delay, rate + more
    return last + (1.0 - flow) / rate


def _first_of(backlogs: list[tuple[float, bool, float]]) -> float:
    """Return the expectation of the first release: backlogs end at random, unless known.

    Each pool's next release comes after a backlog of as many random releases as its length says
    (Gamma), or after a known delay. The expectation of the smaller of an exponential with mean
    ``m`` and of G is ``m * (1 - E[exp(-G / m)])``; the smaller is then taken as exponential.
    """
    mean = 0.0
    for delay, known, rate in backlogs:
        if mean == 0.0:
            mean = delay + 1.0 / rate
            continue
        at = 1.0 / mean
        over = math.exp(-at * delay) if known else (rate / (rate + at)) ** (rate * delay)
        mean *= 1.0 - over * rate / (rate + at)
    return mean


def closed_form(place: int, rate: float, theta: float) -> float:
    """Return QLr: the wait of the ``place``-th in line before one pool of constant ``rate``."""
    return sum(1.0 / (rate + i * theta) for i in range(place))
