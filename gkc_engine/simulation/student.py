"""Student's t: half the width of a confidence interval. No table, no dependency."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp, lgamma, log, sqrt

_TINY = 1e-300


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Return the confidence interval of the mean of independent ``values``.

    Mean ± t · s / √n with n − 1 degrees of freedom.

    Returns:
        ``None`` with fewer than two values: one run says nothing of its own spread.

    Source:
        Law, Simulation Modeling and Analysis, 5th ed., 9.4.1 (means of replications).
    """
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    spread = sum((value - mean) ** 2 for value in values) / (n - 1)
    half = quantile((1.0 + level) / 2.0, n - 1) * sqrt(spread / n)
    return mean - half, mean + half


@lru_cache(maxsize=64)
def quantile(p: float, df: int) -> float:
    """Return the value below which a Student's t of ``df`` degrees of freedom lies with chance p.

    Found by bisection of the distribution function, to 1e-12 of its size. ``0.5 <= p < 1``.
    """
    assert 0.5 <= p < 1.0, p
    assert df >= 1, df
    low, high = 0.0, 2.0
    while distribution(high, df) < p:
        high *= 2.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        if distribution(middle, df) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def distribution(t: float, df: int) -> float:
    """Return the chance that a Student's t of ``df`` degrees of freedom is at most ``t >= 0``."""
    return 1.0 - 0.5 * _incomplete_beta(df / 2.0, 0.5, df / (df + t * t))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b).

    Source:
        DLMF 8.17.22, a continued fraction, by the modified Lentz method.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1.0 - x)) / a
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        change = 1.0
        for term in (even, odd):
            d = 1.0 / _not_zero(1.0 + term * d)
            c = _not_zero(1.0 + term / c)
            change = c * d
            fraction *= change
        if abs(change - 1.0) < 1e-15:
            return front * fraction
    raise AssertionError(f"no convergence: a={a}, b={b}, x={x}")


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
