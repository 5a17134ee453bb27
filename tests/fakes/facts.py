"""Wait for a fact instead of for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Facts(Generic[T]):
    """A list that tests can wait on."""

    def __init__(self) -> None:
        self.all: list[T] = []
        self._changed = asyncio.Event()

    def add(self, fact: T) -> None:
        self.all.append(fact)
        self._changed.set()

    async def until(self, true: Callable[[list[T]], bool], limit_s: float = 15.0) -> list[T]:
        """Return all facts as soon as there are some and ``true`` holds for them."""
        async with asyncio.timeout(limit_s):
            while not (self.all and true(self.all)):
                self._changed.clear()
                await self._changed.wait()
        return self.all

    async def count(self, number: int, limit_s: float = 15.0) -> list[T]:
        """Return all facts as soon as there are ``number``."""
        return await self.until(lambda facts: len(facts) >= number, limit_s)
