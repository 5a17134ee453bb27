"""Chance, outside of the core: one stream of random numbers for each queue and purpose.

So a change of one thing does not shift the others: with another number of operators the same
contacts come at the same instants with the same needs (common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heapreplace
from math import log, sqrt
from random import Random

from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.simulation.plan import Arrival, Dist, Flow

Sampler = Callable[[], int]
"""Returns the next duration in microseconds."""


def stream(seed: int, replication: int, queue: str, purpose: str) -> Random:
    """Return the random numbers of one purpose; the same everywhere (seeded by SHA-512)."""
    return Random(f"gkc/{seed}/{replication}/{queue}/{purpose}")


def sampler(dist: Dist, chance: Random) -> Sampler:
    """Return a function that draws from ``dist``, rounded to whole microseconds.

    ``lognormal`` and ``hyper2`` by mean and cv (standard deviation / mean); ``hyper2`` with
    balanced means: both branches give half of the mean (Whitt, "Approximating a point process by
    a renewal process", Oper. Res. 30, 1982).
    """
    mean, random = float(dist.mean_us), chance.random
    match dist.name:
        case "const":
            fixed = int(dist.mean_us)
            return lambda: fixed
        case "exp":
            return lambda: int(0.5 - log(1.0 - random()) * mean)
        case "erlang":
            shape, scale, gamma = float(dist.k), mean / dist.k, chance.gammavariate
            return lambda: int(0.5 + gamma(shape, scale))
        case "lognormal":
            variance = log(1.0 + dist.cv * dist.cv)
            mu, sigma, draw = log(mean) - variance / 2.0, sqrt(variance), chance.lognormvariate
            return lambda: int(0.5 + draw(mu, sigma))
        case "hyper2":
            square = dist.cv * dist.cv
            first = (1.0 + sqrt((square - 1.0) / (square + 1.0))) / 2.0
            short, long = mean / (2.0 * first), mean / (2.0 * (1.0 - first))

            def mixed() -> int:
                branch = short if random() < first else long
                return int(0.5 - log(1.0 - random()) * branch)

            return mixed


def flow(given: Flow, seed: int, replication: int) -> Iterator[Arrival]:
    """Yield the contacts of one queue, without end."""
    queue = given.queue
    expo = stream(seed, replication, queue, "arrival").expovariate
    handle = sampler(given.handle, stream(seed, replication, queue, "handle"))
    patience: Callable[[], int | None] = lambda: None  # noqa: E731 - one of two
    if given.patience is not None:
        patience = sampler(given.patience, stream(seed, replication, queue, "patience"))
    per_us = given.per_s / SECOND
    now = 0.0
    while True:
        now += expo(per_us)
        waits = patience()
        yield Arrival(
            Instant(int(now + 0.5)),
            queue,
            Micros(handle()),
            None if waits is None else Micros(waits),
        )


def arrivals(flows: tuple[Flow, ...], seed: int, replication: int) -> Iterator[Arrival]:
    """Yield the contacts of all queues in order of time; at one instant in the file's order."""
    streams = [flow(given, seed, replication) for given in flows]
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [(next(one), n) for n, one in enumerate(streams)]
    line = [(first.at, n, first) for first, n in heads]
    heapify(line)
    while True:
        _, n, first = line[0]
        yield first
        following = next(streams[n])
        heapreplace(line, (following.at, n, following))
