"""How what runs in the event loop ends for certain, where asyncio of Python 3.11 may lose it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

AGAIN_S: Final = 1.0
"""Between two cancels of one task: its own end has so long."""

TURNS: Final = 10
"""Turns of the loop in which a connection that was accepted is set up."""


async def end_tasks(tasks: Collection[asyncio.Task[Any]], again_s: float = AGAIN_S) -> None:
    """Cancel tasks and wait until they are over, whatever they raise.

    They are cancelled again and again: ``asyncio.wait_for`` passes a cancel over that comes in the
    instant of its result (bpo-37658, mended in 3.12), and ``nats-py`` waits by it for all it does.
    """
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_s)
        left = [task for task in left if not task.done()]
    await asyncio.gather(*tasks, return_exceptions=True)


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server; what it has accepted is set up first, for whoever ends connections.

    asyncio 3.11 loses a connection that is accepted and not yet set up when its server is closed
    (``Server._attach`` fails, the socket leaks). So first no more are accepted, some turns of the
    loop set up the last ones, and then it is closed.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    server.close()
