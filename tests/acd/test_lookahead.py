"""Pools and what is poured into them: closed forms for one pool, and what sharing does."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from gkc_engine.acd.lookahead import Filled, LookAhead, Pool, closed_form, grid_of

MEAN_US = 240e6
THETA = 1 / 120e6
GRID = grid_of(MEAN_US)


def steady(agents: int, mean_us: float = MEAN_US) -> Pool:
    """Return a pool whose slots become free at a constant rate."""
    return Pool([agents * t / mean_us for t in GRID], agents / mean_us)


def held_until(*instants_us: float, mean_us: float = MEAN_US) -> Pool:
    """Return a pool whose slots become free at known instants."""
    free = [sum(1 + (t - at) / mean_us for at in instants_us if t >= at) for t in GRID]
    return Pool(free, len(instants_us) / mean_us)


def pour(ahead: LookAhead, pools: list[Pool], theta: float = 0.0, count: float = 1.0) -> float:
    """Pour in one (or ``count``) and return what the first of them waits."""
    filled = ahead.fill(pools, 1.0)
    assert filled is not None
    wait = ahead.wait_us(filled, pools)
    served = count * ahead.served_share(filled, count, theta)
    taken = ahead.fill(pools, served)
    assert taken is not None
    ahead.take(taken, count, theta)
    return wait


def qlr(place: int, agents: int, theta: Fraction) -> Fraction:
    """The formula of the policy, in exact numbers and nothing of ours."""
    rate = Fraction(agents, round(MEAN_US))
    return sum((1 / (rate + i * theta) for i in range(place)), Fraction(0))


@pytest.mark.parametrize("theta", [Fraction(0), Fraction(1, 120_000_000), Fraction(1, 10_000_000)])
@pytest.mark.parametrize("agents", [1, 3, 100])
def test_one_pool_comes_down_to_qlr(agents: int, theta: Fraction) -> None:
    ahead, pool = LookAhead(GRID), steady(agents)
    for place in range(1, 60):
        exact = qlr(place, agents, theta)
        assert closed_form(place, agents / MEAN_US, float(theta)) == pytest.approx(float(exact))
        assert pour(ahead, [pool], float(theta)) == pytest.approx(float(exact), rel=1e-9)


def test_pools_that_serve_one_line_are_one_pool() -> None:
    ahead = LookAhead(GRID)
    pools = [steady(1), steady(5), steady(2)]
    for place in range(1, 50):
        exact = closed_form(place, 8 / MEAN_US, THETA)
        assert pour(ahead, pools, THETA) == pytest.approx(exact, rel=1e-9)


def test_lines_with_another_patience_thin_by_their_own() -> None:
    """Ahead of me ten who leave at once in effect: I am next; ten who stay: I am the eleventh."""
    for patience_us, place in ((1.0, 1), (1e15, 11)):
        ahead, pool = LookAhead(GRID), steady(4)
        for _ in range(10):
            pour(ahead, [pool], 1 / patience_us)
        found = ahead.fill([pool], 1.0)
        assert found is not None
        assert found.wait_us == pytest.approx(closed_form(place, 4 / MEAN_US, 0), rel=1e-4)


def test_patient_and_impatient_ones_ahead_thin_each_by_his_own() -> None:
    """Every second one ahead leaves after 30 s on average, the others after ten minutes."""
    ahead, pool, patience = LookAhead(GRID), steady(4), (30e6, 600e6)
    for place in range(20):
        pour(ahead, [pool], 1 / patience[place % 2])
    found = ahead.fill([pool], 1.0)
    assert found is not None
    rng, total = random.Random(4), 0.0
    for _ in range(300):
        line, now = [patience[place % 2] for place in range(20)], 0.0
        while line:
            leaving = [1 / mean for mean in line]
            rate = 4 / MEAN_US + sum(leaving)
            now += rng.expovariate(rate)
            who = rng.choices(range(-1, len(line)), [4 / MEAN_US, *leaving])[0]
            del line[max(0, who)]
        total += now + MEAN_US / 4
    assert found.wait_us == pytest.approx(total / 300, rel=0.1)


def test_of_an_agent_whom_others_want_only_a_share_counts() -> None:
    """N: ten ahead want only the two who serve both; I may also have the one who serves me."""
    ahead, mine, both = LookAhead(GRID), steady(1), steady(2)
    for _ in range(10):
        pour(ahead, [both])
    alone = ahead.fill([mine], 1.0)
    assert alone is not None
    assert pour(ahead, [mine, both]) == pytest.approx(alone.wait_us, rel=0.02)
    assert pour(LookAhead(GRID), [steady(1), steady(2)]) == pytest.approx(MEAN_US / 3)


def test_by_chance_the_fuller_pool_may_be_first() -> None:
    """One agent of mine, one shared with one who is before me: 0.75 of a handling time."""
    ahead, mine, both = LookAhead(GRID), steady(1), steady(1)
    pour(ahead, [both])
    assert pour(ahead, [mine, both]) == pytest.approx(0.75 * MEAN_US)


def test_a_known_release_is_used() -> None:
    ahead, pool = LookAhead(GRID), held_until(40e6)
    assert pour(ahead, [pool]) == pytest.approx(40e6, rel=0.25), "to a cell of the grid"
    assert pour(ahead, [pool]) == pytest.approx(280e6, rel=0.02), "one handling time later"


def test_a_free_slot_is_no_wait_and_the_next_one_is() -> None:
    ahead, pool = LookAhead(GRID), held_until(0.0)
    assert pour(ahead, [pool]) == 0.0
    assert pour(ahead, [pool]) == pytest.approx(MEAN_US)


def test_nobody_is_never() -> None:
    ahead = LookAhead(GRID)
    assert ahead.fill([], 1.0) is None
    assert ahead.fill([Pool([0.0] * len(GRID), 0.0)], 1.0) is None


def test_a_later_step_helps_from_its_instant_on() -> None:
    """One agent now, nine more in 60 s; without them 240 s, with them at once 24 s."""
    ahead, mine, more = LookAhead(GRID), steady(1), steady(9)
    later = [(60e6, more)]
    filled = ahead.fill([mine], 1.0, later)
    assert filled is not None
    # 60 s bring a quarter of a release, ten agents the rest.
    assert filled.wait_us == pytest.approx(60e6 + 0.75 * MEAN_US / 10, rel=0.01)
    # Exactly: exponential until 60 s, then ten times as fast.
    exact = 240e6 * (1 - 2.718281828459045**-0.25) + 2.718281828459045**-0.25 * 24e6
    assert ahead.wait_us(filled, [mine], later) == pytest.approx(exact, rel=0.01)
    ahead.take(filled, 1.0, 0.0)
    assert more.used < 1.0, "what comes free before the step stays for others"
    before = ahead.fill([more], 1.0)
    assert before is not None
    assert before.wait_us < 60e6


def test_one_that_stands_for_many_is_nearly_as_good() -> None:
    one_by_one, by_twenty = steady(50), steady(50)
    ahead = LookAhead(GRID)
    for _ in range(1000):
        pour(ahead, [one_by_one], THETA)
    for _ in range(50):
        pour(ahead, [by_twenty], THETA, count=20.0)
    exact = ahead.fill([one_by_one], 1.0)
    rough = ahead.fill([by_twenty], 1.0)
    assert isinstance(exact, Filled)
    assert isinstance(rough, Filled)
    assert rough.wait_us == pytest.approx(exact.wait_us, rel=0.01)
