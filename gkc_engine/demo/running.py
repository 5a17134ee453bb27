"""What goes on at once in a demo: until the first of it ends, or anything dies that must not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from gkc_engine.errors import PeerError


async def until_first(*works: Coroutine[Any, Any, object]) -> None:
    """Run all until the first ends, raise what it raised, and end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def must_live(what: str, ended: Coroutine[Any, Any, int], folder: Path) -> None:
    """Wait for the end of a process.

    Raises:
        PeerError: it has ended; its log is under ``folder``.
    """
    code = await ended
    raise PeerError(f"{what} ended by itself (status {code}); its log: {folder}")


async def together(*starts: Coroutine[Any, Any, object]) -> None:
    """Start several things at once.

    Raises:
        PeerError: some did not start; the text tells of each.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except* PeerError as failed:
        raise PeerError("\n".join(str(error) for error in failed.exceptions)) from None
