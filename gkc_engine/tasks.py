"""The works that run beside each other in one engine: the first that fails ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from gkc_engine.endings import end_tasks

log = structlog.get_logger(__name__)


class Tasks:
    """Starts works, notices the one that fails, ends all."""

    def __init__(self, on_failed: Callable[[], None]) -> None:
        self._on_failed = on_failed
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: BaseException | None = None
        """Our own mistake that ended this run; the watchdog starts the next."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a work; it runs until it ends by itself or with all others."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            # Ours: crash, be restarted by the watchdog, recover from the ledger.
            log.critical("engine_failed", exc_info=task.exception())
            self.failed = task.exception()
            self._on_failed()

    async def end(self) -> None:
        """Cancel what still runs, and wait until all is over."""
        await end_tasks(self._tasks)
