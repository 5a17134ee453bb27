"""Kaplan–Meier against values computed by hand and against a published example."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from gkc_engine.simulation.survival import Survival, kaplan_meier

# Remission in weeks under 6-MP: Gehan 1965, as in Cox & Oakes, "Analysis of Survival Data", ch. 1.
LEFT = [6, 6, 6, 7, 10, 13, 16, 22, 23]
STAYED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
PUBLISHED = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}


def test_a_published_example_comes_out() -> None:
    curve = kaplan_meier(LEFT, STAYED)
    assert curve.times == tuple(PUBLISHED)
    assert [round(v, 3) for v in curve.values] == list(PUBLISHED.values())


def test_by_hand() -> None:
    """Five callers: left after 2 and 4, answered after 2 (still at risk there), 3 and 5."""
    curve = kaplan_meier([2, 4], [2, 3, 5])
    assert curve.times == (2, 4)
    assert curve.values == pytest.approx((float(Fraction(4, 5)), float(Fraction(4, 5) / 2)))
    assert [curve.at(t) for t in (0, 1, 2, 3, 4, 9)] == pytest.approx([1, 1, 0.8, 0.8, 0.4, 0.4])


def test_without_censoring_it_is_the_share_of_those_who_wait_longer() -> None:
    waits = [3, 1, 4, 1, 5, 9, 2, 6]
    curve = kaplan_meier(waits, [])
    for t in range(10):
        assert curve.at(t) == pytest.approx(sum(w > t for w in waits) / len(waits))


@pytest.mark.parametrize("stayed", [[], [5, 9]])
def test_where_nobody_left_everybody_waits_for_ever(stayed: list[int]) -> None:
    curve = kaplan_meier([], stayed)
    assert (curve.times, curve.at(10**9), curve.draw(0.999)) == ((), 1.0, None)


def test_draws_follow_the_estimate_also_beyond_a_wait() -> None:
    curve = kaplan_meier(LEFT, STAYED)
    chance = random.Random(1)
    for beyond in (-1, 8, 22):
        drawn = [curve.draw(chance.random(), beyond) for _ in range(20_000)]
        for t in (9, 15, 30):
            if t > beyond:
                longer = sum(d is None or d > t for d in drawn) / len(drawn)
                assert longer == pytest.approx(curve.at(t) / curve.at(beyond), abs=0.015)
        assert all(d is None or d > beyond for d in drawn)


def test_a_draw_is_bound_to_its_chance() -> None:
    curve = kaplan_meier([10, 20], [20])
    assert [curve.draw(c) for c in (0.0, 0.3, 0.4, 0.6)] == [10, 10, 20, 20]
    assert curve.draw(0.7) is None
    assert curve.draw(0.0, beyond=10) == 20
    assert Survival(times=(), values=()).draw(0.5) is None
