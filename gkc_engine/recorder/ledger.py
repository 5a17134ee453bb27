"""The ledger for the event loop: one writing thread, group commits, recovery after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Final, TypeVar

import structlog
from sqlalchemy.engine import Engine

from gkc_engine.acd.commands import Command
from gkc_engine.acd.events import Event
from gkc_engine.ids import Instant
from gkc_engine.recorder import recovery
from gkc_engine.recorder.city import is_city
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recorder.rows import StepLike, rows_of
from gkc_engine.recorder.store import Appended, Batch, LedgerError, LedgerStore

__all__ = ["Appended", "Ledger", "LedgerError", "Recovery", "batch_of"]

log = structlog.get_logger(__name__)

SETTLE_S: Final = 0.5
"""How far the projections may be behind the ledger; readers in this process do not see it."""

TAKE_OVER_S: Final = 5.0
"""For PostgreSQL to notice that the engine before us is gone, and with it its lock."""

_T = TypeVar("_T")


def engine_version() -> str:
    """Return the version of the installed engine; of a mere source tree, ``source``."""
    try:
        return metadata.version("gkc-engine")
    except metadata.PackageNotFoundError:
        return "source"


def batch_of(steps: Sequence[StepLike], center: str) -> Batch:
    """Return ``steps`` as the rows of one group commit."""
    messages: list[Event | Command] = []
    for step in steps:
        messages.append(step.event)
        messages.extend(step.commands)
    return Batch(rows_of(steps, center), messages)


class Ledger:
    """Append-only history of one center. Every call runs in order in one thread of its own.

    Args:
        url: SQLAlchemy URL, ``sqlite:///PATH`` (``schema.sqlite_url``) or ``postgresql+psycopg``.
        center: Name of the center, on every row.
        busy_ms: How long a commit waits for a lock that another process holds.
        engine: A ready engine in place of ``url`` (tests inject faults through it).
    """

    def __init__(
        self, url: str, center: str, *, busy_ms: int = 100, engine: Engine | None = None
    ) -> None:
        self.center = center
        self.store = LedgerStore(url, busy_ms=busy_ms, engine=engine)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._settling: asyncio.TimerHandle | None = None

    async def open(self, wait_s: float = TAKE_OVER_S) -> None:
        """Open or create the store.

        Raises:
            LedgerError: Locked, damaged, not writable, or written by a newer engine.
            StoreHeldError: Another engine writes it, also after ``wait_s``.
        """
        await self.call(lambda: self._open(wait_s))

    def _open(self, wait_s: float) -> None:
        self.store.open(wait_s)
        with self.store.transaction() as connection:
            theirs = is_city(connection)
        if theirs:
            raise LedgerError(
                "these are the records of the whole city, which `gkc city collect` writes: a "
                "center has a store of its own (store:)"
            )

    async def append(self, steps: Sequence[StepLike]) -> Appended:
        """Commit ``steps``; they are durable on return. Facts repeated are named in the result.

        Raises:
            LedgerError: Locked, full, broken; the rows may or may not be there.
        """
        return await self.submit(batch_of(steps, self.center))

    def submit(self, batch: Batch) -> asyncio.Future[Appended]:
        """Like ``append`` for a ready batch; the commit goes on if nobody waits for it."""
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(SETTLE_S, self._settle_soon)
        return self.submit_call(lambda: self.store.append(batch))

    async def settle(self) -> None:
        """Return once the projections hold everything appended so far; if they can.

        A ledger that is locked or full leaves them behind: who reads then sees what was true
        before.
        """
        await asyncio.wait({self._settle()})

    def _settle_soon(self) -> None:
        self._settling = None
        self._settle()

    def _settle(self) -> asyncio.Future[None]:
        settling = self.submit_call(self.store.settle)
        settling.add_done_callback(_look_at)
        return settling

    async def snapshot(self, now: Instant, state: str) -> int:
        """Keep the core's state after everything appended so far; return its ``seq``.

        Take ``state`` and call this with no step between them that was not yet given to
        ``append``: calls are carried out in order.
        """
        return await self.call(lambda: self.store.snapshot(now, engine_version(), state))

    async def load(self) -> Recovery:
        """Return what a restarted engine needs."""

        def read() -> Recovery:
            self.store.settle()  # of what the emergency journal has just brought
            with self.store.transaction() as connection:
                return recovery.load(connection)

        return await self.call(read)

    async def close(self) -> None:
        """Finish what was given and close the files."""
        if self._settling is not None:
            self._settling.cancel()
        await self.call(self.store.close)
        self._thread.shutdown(wait=False)

    async def call(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the ledger's thread, after everything given before."""
        return await self.submit_call(work)

    def submit_call(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Like ``call``; the work goes on if nobody waits for it."""
        return asyncio.get_running_loop().run_in_executor(self._thread, work)


def _look_at(settling: asyncio.Future[None]) -> None:
    if not settling.cancelled() and settling.exception() is not None:
        # The next append tries again; the facts are in the ledger or the journal.
        log.warning("projections_behind", error=str(settling.exception()))
