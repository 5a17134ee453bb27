"""Histories from a seed: the same each time, without hypothesis."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from gkc_engine.acd import matchspace
from gkc_engine.acd.settings import Settings
from tests.properties.city import drawn_city, without_staffing
from tests.properties.driver import Driver
from tests.properties.support import Pick

HISTORIES, ACTIONS = 250, 120

SUPERVISED = 1000
"""Histories from this seed on have a supervisor in them."""

NEIGHBOURS = 2000
"""Histories from this seed on have other centers in them."""

_OF_MANY = {"WIDE": 0, "FEW": -1, "NEAR": 1, "UNUSED": -(10**6)}
"""Sizes of ``matchspace`` at which a small city goes the ways of a large one."""


class Seeded:
    """Choices from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


def history(seed: int, *, with_oracle: bool) -> None:
    pick = Seeded(seed)
    with ways_of_many(pick) as settings:
        driver = Driver(
            settings,
            pick,
            with_oracle=with_oracle,
            supervised=SUPERVISED <= seed < NEIGHBOURS,
            neighbours=seed >= NEIGHBOURS,
        )
        for _ in range(ACTIONS):
            driver.act()
        driver.finish()


def first_failure(first: int, *, with_oracle: bool) -> str | None:
    """Return what the first history says that fails: of ``first``, then of the others."""
    base = first - first % SUPERVISED
    for seed in (first, *range(base, base + HISTORIES)):
        try:
            history(seed, with_oracle=with_oracle)
        except (AssertionError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
    return None


@contextmanager
def ways_of_many(pick: Pick) -> Iterator[Settings]:
    """Yield a drawn city; eight agents and three queues of it go the ways of thousands.

    In some histories every requirement is a wide one, many lines are occupied, and of those that
    a profile may serve a single one is looked at where that will do; each reload forgets what
    only former configs needed. In the others
    nobody is counted whom ``joinempty`` and its kin ask for, as in most of cities: only then do
    offers and releases go the short way.
    """
    sizes = {name: getattr(matchspace, name) for name in _OF_MANY}
    small = pick.number(0, 1)
    for name, size in _OF_MANY.items() if not small else ():
        setattr(matchspace, name, size)
    try:
        city = drawn_city(pick)
        yield without_staffing(city) if small else city
    finally:
        for name, size in sizes.items():
            setattr(matchspace, name, size)
