"""Histories from a seed: the same each time, without hypothesis."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from gkc_engine.acd import matchspace
from tests.properties.city import drawn_city
from tests.properties.driver import Driver
from tests.properties.support import Pick

HISTORIES, ACTIONS = 250, 120


class Seeded:
    """Choices from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


def history(seed: int, *, with_oracle: bool) -> None:
    pick = Seeded(seed)
    with wide_or_not(pick):
        driver = Driver(drawn_city(pick), pick, with_oracle=with_oracle)
        for _ in range(ACTIONS):
            driver.act()
        driver.finish()


def first_failure(first: int, *, with_oracle: bool) -> str | None:
    """Return what the first history says that fails: of ``first``, then of the others."""
    for seed in (first, *range(HISTORIES)):
        try:
            history(seed, with_oracle=with_oracle)
        except (AssertionError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
    return None


@contextmanager
def wide_or_not(pick: Pick) -> Iterator[None]:
    """In some histories every requirement is a wide one: eight agents never need it."""
    before = matchspace.WIDE
    matchspace.WIDE = pick.number(0, 1) * before
    try:
        yield
    finally:
        matchspace.WIDE = before
