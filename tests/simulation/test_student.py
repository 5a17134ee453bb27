"""Student's t against the printed tables."""

from __future__ import annotations

import random

import pytest

from gkc_engine.simulation.student import distribution, interval, quantile

# Abramowitz & Stegun, Handbook of Mathematical Functions, table 26.10.
TABLE_975 = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    7: 2.365,
    8: 2.306,
    9: 2.262,
    10: 2.228,
    15: 2.131,
    19: 2.093,
    20: 2.086,
    29: 2.045,
    30: 2.042,
    40: 2.021,
    60: 2.000,
    120: 1.980,
}
TABLE_OTHER = {(0.95, 5): 2.015, (0.995, 5): 4.032, (0.995, 30): 2.750, (0.9, 1): 3.078}


@pytest.mark.parametrize(("df", "t"), TABLE_975.items())
def test_the_quantile_is_that_of_the_table(df: int, t: float) -> None:
    assert quantile(0.975, df) == pytest.approx(t, abs=5.1e-4)


@pytest.mark.parametrize(("p", "df"), TABLE_OTHER)
def test_other_levels_too(p: float, df: int) -> None:
    assert quantile(p, df) == pytest.approx(TABLE_OTHER[p, df], abs=5.1e-4)


def test_with_many_degrees_it_is_the_normal_one() -> None:
    assert quantile(0.975, 10**6) == pytest.approx(1.959964, abs=1e-5)
    assert quantile(0.5, 7) == pytest.approx(0.0, abs=1e-9)


def test_the_distribution_of_one_and_two_degrees_is_closed() -> None:
    """df = 1: 1/2 + atan(t)/pi; df = 2: 1/2 + t / (2 sqrt(2 + t^2))."""
    assert distribution(1.0, 1) == pytest.approx(0.75)
    for t in (0.1, 1.0, 3.0, 50.0):
        assert distribution(t, 2) == pytest.approx(0.5 + t / (2 * (2 + t * t) ** 0.5), abs=1e-12)


def test_an_interval_by_hand() -> None:
    """2, 4, 6: mean 4, s = 2, t(2) = 4.3027: 4 ± 4.3027 · 2 / sqrt(3)."""
    found = interval([2.0, 4.0, 6.0])
    assert found is not None
    assert list(found) == pytest.approx([-0.96828, 8.96828], abs=1e-4)


def test_one_value_has_no_interval_and_equal_ones_have_no_width() -> None:
    assert interval([]) is None
    assert interval([3.0]) is None
    assert interval([3.0, 3.0]) == (3.0, 3.0)


def test_95_per_cent_means_95_per_cent() -> None:
    """Of 2000 intervals from 4 normal values each, 95 % hold the mean: 1871 to 1929 are 3 sd."""
    chance = random.Random(1)
    inside = 0
    for _ in range(2000):
        found = interval([chance.gauss(5.0, 2.0) for _ in range(4)])
        assert found is not None
        inside += found[0] <= 5.0 <= found[1]
    assert 1871 <= inside <= 1929
