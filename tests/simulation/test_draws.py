"""Chance: the distributions are what they say, and the streams do not disturb one another."""

from __future__ import annotations

from itertools import islice, pairwise
from math import exp, log, sqrt
from statistics import fmean, pstdev

import pytest

from gkc_engine.ids import SECOND, Micros, QueueId
from gkc_engine.simulation.draws import arrivals, sampler, stream
from gkc_engine.simulation.plan import Dist, DistName, Flow

N = 4000
MEAN_US = 200 * SECOND


def drawn(name: DistName, cv: float = 0.0, k: int = 0, n: int = N) -> list[float]:
    """In units of the mean."""
    dist = Dist(name=name, mean_us=Micros(MEAN_US), cv=cv, k=k)
    draw = sampler(dist, stream(1, 0, "q", "test"))
    return [draw() / MEAN_US for _ in range(n)]


@pytest.mark.parametrize(
    ("name", "cv", "k", "expected_cv"),
    [
        ("exp", 0.0, 0, 1.0),
        ("const", 0.0, 0, 0.0),
        ("lognormal", 0.5, 0, 0.5),
        ("erlang", 0.0, 4, 0.5),
        ("erlang", 0.0, 1, 1.0),
        ("hyper2", 1.5, 0, 1.5),
        ("hyper2", 1.0, 0, 1.0),
    ],
)
def test_mean_and_spread(name: DistName, cv: float, k: int, expected_cv: float) -> None:
    values = drawn(name, cv, k)
    assert fmean(values) == pytest.approx(1.0, abs=4 * expected_cv / sqrt(N) + 1e-9)
    assert pstdev(values) == pytest.approx(expected_cv, rel=0.12, abs=1e-9)
    assert min(values) >= 0.0


def test_shapes_beyond_mean_and_spread() -> None:
    """The share that is at most half the mean, by each distribution function."""

    def share(values: list[float]) -> float:
        return sum(v <= 0.5 for v in values) / len(values)

    near = 4 * 0.5 / sqrt(N)
    assert share(drawn("exp")) == pytest.approx(1 - exp(-0.5), abs=near)
    # Erlang 2 with mean 1: 1 - (1 + 2t) e^(-2t).
    assert share(drawn("erlang", k=2)) == pytest.approx(1 - 2 * exp(-1.0), abs=near)
    # Lognormal with cv 1: sigma = sqrt(ln 2), median 1/sqrt(2); Phi(ln(0.5 sqrt 2) / sigma).
    assert log(0.5 * sqrt(2)) / sqrt(log(2)) == pytest.approx(-0.41628, abs=1e-5)
    assert share(drawn("lognormal", cv=1.0)) == pytest.approx(0.33860, abs=near)
    # Hyperexponential, cv 2, balanced means: p = (1 + sqrt(3/5)) / 2, rates 2p and 2(1 - p).
    p = (1 + sqrt(0.6)) / 2
    mixed = p * (1 - exp(-p)) + (1 - p) * (1 - exp(-(1 - p)))
    assert share(drawn("hyper2", cv=2.0)) == pytest.approx(mixed, abs=near)


def flow(queue: str, per_s: float = 0.5, handle: DistName = "exp", *, patient: bool = True) -> Flow:
    return Flow(
        queue=QueueId(queue),
        per_s=per_s,
        handle=Dist(name=handle, mean_us=Micros(MEAN_US)),
        patience=None if patient else Dist(name="exp", mean_us=Micros(60 * SECOND)),
    )


def test_arrivals_come_in_order_and_at_their_rate() -> None:
    found = list(islice(arrivals((flow("a", 0.5), flow("b", 1.5)), 1, 0), N))
    assert found == sorted(found, key=lambda a: a.at)
    rate = N / (found[-1].at / SECOND)
    assert rate == pytest.approx(2.0, rel=4 / sqrt(N))
    assert sum(a.queue == "b" for a in found) / N == pytest.approx(0.75, abs=2 / sqrt(N))
    assert all(a.patience_us is None for a in found)


def test_a_change_of_one_thing_does_not_shift_the_others() -> None:
    def of(queue: str, *flows: Flow) -> list[tuple[int, int]]:
        return [(a.at, a.handle_us) for a in islice(arrivals(flows, 7, 3), 400) if a.queue == queue]

    alone = of("a", flow("a"))
    beside = of("a", flow("b", 0.5), flow("a"))
    assert beside == alone[: len(beside)]
    assert len(beside) > 100
    assert of("a", flow("a", patient=False)) == alone
    assert [at for at, _ in of("a", flow("a", handle="const"))] == [at for at, _ in alone]
    faster = of("a", flow("a", 1.0))
    assert [handle for _, handle in faster] == [handle for _, handle in alone]


def test_seeds_and_replications_give_other_numbers() -> None:
    def first(seed: int, replication: int) -> list[int]:
        return [a.at for a in islice(arrivals((flow("a"),), seed, replication), 5)]

    assert first(1, 0) == first(1, 0)
    assert len({tuple(first(seed, n)) for seed in (1, 2, 11) for n in (0, 1)}) == 6


def test_at_one_instant_the_order_of_the_file_decides() -> None:
    rushed = (flow("b", 9000.0), flow("a", 9000.0))
    found = list(islice(arrivals(rushed, 1, 0), N))
    ties = [(x.queue, y.queue) for x, y in pairwise(found) if x.at == y.at]
    assert ("b", "a") in ties
    assert ("a", "b") not in ties
