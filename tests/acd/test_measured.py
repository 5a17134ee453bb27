"""Rates from what is over and what is not: nothing counted twice, nothing remembered for ever."""

from __future__ import annotations

import pytest

from gkc_engine.acd.measured import WINDOW, Handling, Patience
from gkc_engine.ids import SECOND
from tests.acd.hall import exponential_s

SLOTS, MEAN_US = 1_000, 240 * SECOND


def in_progress(mean_us: int) -> float:
    """Return how long a thousand of that length have lasted, begun one after another."""
    return float(sum(n * mean_us // SLOTS for n in range(SLOTS)))


@pytest.mark.parametrize("asked_every", [1, 7, 10**9])
def test_the_mean_of_a_steady_stream_stays_what_it_is(asked_every: int) -> None:
    """A thousand talks of 240 s are always going on; however often somebody asks."""
    handling, means, holding_us = Handling(), [], in_progress(MEAN_US)
    for n in range(1, 20 * WINDOW):
        handling.learn(MEAN_US)
        if n % asked_every == 0:
            means.append(handling.shape(holding_us).talk_us)
    assert handling.count <= 4 * WINDOW
    assert means == [] or means[-1] == pytest.approx(MEAN_US, rel=0.01)


def test_patience_of_a_steady_stream_stays_what_it_is() -> None:
    """A thousand always wait and leave after 100 s each: one in 100 s of waiting."""
    patience, theta = Patience(), 0.0
    for n in range(1, 20 * WINDOW):
        patience.learn(100 * SECOND, left=True)
        if n % 50 == 0:
            theta = patience.theta(in_progress(100 * SECOND))
    assert 1 / theta / SECOND == pytest.approx(100, rel=0.01)
    assert patience.weight <= 2 * WINDOW + 50


def test_the_histogram_fades_with_the_sums() -> None:
    handling = Handling()
    for _ in range(12):
        for held_s in exponential_s(60.0):
            handling.learn(round(held_s * SECOND))
            handling.shape(0.0)
    assert sum(handling._ends) == pytest.approx(handling.count)
    assert sum(handling._lasted_us) == pytest.approx(handling.held_us)
    assert handling.shape(0.0).memoryless


@pytest.mark.parametrize(
    ("lengths_s", "memoryless", "variation"),
    [
        (exponential_s(240.0), True, 1.0),
        ([240.0] * 100, False, 0.0),
        ([120.0, 360.0] * 100, False, 0.25),
        (exponential_s(20.0, 300) + exponential_s(900.0, 100), False, 6.0),
    ],
)
def test_the_record_says_whether_age_matters(
    lengths_s: list[float], memoryless: bool, variation: float
) -> None:
    handling = Handling()
    for length_s in lengths_s:
        handling.learn(round(length_s * SECOND))
    shape = handling.shape(0.0)
    assert shape.memoryless is memoryless
    assert shape.variation == pytest.approx(variation, rel=0.1, abs=0.01)


def test_what_is_left_depends_on_the_age() -> None:
    """Half the talks last two minutes, half six: after three, three are left to six."""
    handling = Handling()
    for _ in range(500):
        handling.learn(120 * SECOND)
        handling.learn(360 * SECOND)
    shape = handling.shape(0.0)
    times = tuple(float(s * SECOND) for s in (0, 100, 150, 200, 300, 2_000))
    fresh = shape.ended_by(0.0, times)
    assert fresh == pytest.approx([0, 0, 0.5, 0.5, 0.5, 1], abs=0.02)
    old = shape.ended_by(180.0 * SECOND, times)
    assert old == pytest.approx([0, 0, 0, 1, 1, 1], abs=0.02)
    ancient = shape.ended_by(90_000.0 * SECOND, times)
    assert ancient[0] == 0.0
    assert ancient[-1] > 0.99
