"""Waiting for facts, and naming a few of many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def happens(fact: Callable[[], Awaitable[bool]], limit_s: float) -> bool:
    """Ask for ``fact`` several times a second; return whether it came true in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s
    while not await fact():
        if loop.time() > until:
            return False
        await asyncio.sleep(0.2)
    return True


def listed(items: Iterable[object], limit: int = 8) -> str:
    """Return the first ``limit`` of ``items`` as one text, and how many more there are."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more
