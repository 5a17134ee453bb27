"""The engine's durable history: the ledger, and the emergency journal while that cannot be had."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.recorder.high_water import HighWater
from gkc_engine.recorder.journal import HEADER, Journal, JournalError, JournalFullError
from gkc_engine.recorder.ledger import Ledger, batch_of
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recorder.rows import Row, StepLike
from gkc_engine.recorder.store import Batch, LedgerError

log = structlog.get_logger(__name__)

COMMIT_MAX_S: Final = 0.2
"""A commit that takes longer is in doubt: its rows go to the journal as well."""

RETRY_S: Final = 0.25
"""Between two tries to bring the journal into the ledger."""

RESERVE: Final = 0.1
"""Part of the journal kept for the contacts in hand: new ones are not taken from there on."""

BACKLOG_MAX: Final = 200_000
"""Rows kept in memory when even the journal cannot take them; about 150 MB."""

_DRAIN_ROWS: Final = 2_000
"""Rows of one commit while draining."""

_NEARLY: Final = 4 * 1024 * 1024
"""Bytes in the journal that one drain brings in: then a write waits for it and is back."""


class Mode(StrEnum):
    """Where steps go."""

    LEDGER = "ledger"
    JOURNAL = "journal"
    FULL = "full"
    """The journal has only its reserve left, or failed: no new contact may be taken."""


@dataclass(slots=True)
class WriterStats:
    """Counters for the metrics; they only grow, but ``at_risk_rows``."""

    commits: int = 0
    rows: int = 0
    repeated: int = 0
    ledger_failures: int = 0
    ledger_timeouts: int = 0
    journal_groups: int = 0
    drained_rows: int = 0
    at_risk_rows: int = 0
    """Rows in memory alone: a crash now would lose them."""


class DurableWriter:
    """Writes steps to the ledger, or to the journal when a commit fails or is slow.

    The journal is drained in order before the ledger is written again. A commit that was in doubt
    and succeeded after all is recognised by its event ids: nothing is doubled.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        *,
        high_water: HighWater | None = None,
        commit_max_s: float = COMMIT_MAX_S,
        on_commit: Callable[[float], None] | None = None,
    ) -> None:
        self.ledger = ledger
        self.stats = WriterStats()
        self._journal = journal
        self._high_water = high_water
        self._commit_max_s = commit_max_s
        self._on_commit = on_commit
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._lock = asyncio.Lock()
        self._behind = False
        self._behind_since = 0.0
        self._drained = HEADER
        self._backlog: deque[Sequence[Row]] = deque()
        self._drain: asyncio.Future[int] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._healthy = True
        self._closed = False
        self._bug: BaseException | None = None

    @property
    def mode(self) -> Mode:
        """Where the next step goes."""
        if not self._behind:
            return Mode.LEDGER
        if self._backlog or self._journal.free < RESERVE * self._journal.size:
            return Mode.FULL
        return Mode.JOURNAL

    @property
    def behind_s(self) -> float:
        """Seconds for which the ledger has lacked rows; 0 when it has all."""
        if not self._behind:
            return 0.0
        return asyncio.get_running_loop().time() - self._behind_since

    @property
    def accepting(self) -> bool:
        """Whether a new contact may be taken: its whole story could be made durable."""
        return self.mode is not Mode.FULL

    async def open(self) -> None:
        """Open both; a journal left over by a crash is drained before anything else.

        Raises:
            LedgerError: The ledger cannot be opened or does not take the journal's rows.
            JournalError: Another engine runs on this store, or there is no room for the journal.
        """
        await self._journalled(self._journal.open)
        if self._high_water is not None:
            self._high_water.open()
        await self.ledger.open()
        if self._journal.end > HEADER:
            await self.ledger.call(lambda: self._drain_now(self._journal.end, []))
            log.info("journal_drained", rows=self.stats.drained_rows)
            await self._journalled(self._journal.reset)
            self._drained = HEADER

    async def write(self, steps: Sequence[StepLike]) -> None:
        """Return once ``steps`` would survive a power cut; within 0.2 s + the journal's fsync.

        In mode ``full`` they may stand in memory only (``stats.at_risk_rows``): contacts in hand
        go on, new ones must not be taken.

        Raises:
            JournalFullError: Ledger, journal and memory are full: the engine must stop.
        """
        if self._bug is not None:
            raise self._bug
        loop = asyncio.get_running_loop()
        batch = batch_of(steps, self.ledger.center)
        async with self._lock:
            if self._behind:
                await self._catch_up()
            begun = loop.time()
            if self._behind or not await self._commit(batch):
                await self._keep(batch.rows)
                self._pump()
            if self._high_water is not None and batch.messages is not None:
                self._high_water.note(batch.messages)
            if self._on_commit is not None:
                self._on_commit(loop.time() - begun)

    async def load(self) -> Recovery:
        """Return what a restarted engine needs; no id is given twice, even after a restore."""
        recovery = await self.ledger.load()
        return recovery if self._high_water is None else self._high_water.raise_to(recovery)

    async def snapshot(self, now: Instant, state: str) -> bool:
        """Keep the core's state; False if the ledger is behind: try again later."""
        async with self._lock:
            if self._behind:
                return False
            try:
                await self.ledger.snapshot(now, state)
            except LedgerError as error:
                log.warning("snapshot_failed", error=str(error))
                return False
            return True

    async def close(self) -> None:
        """Finish, draining once if the ledger is behind; the rest is drained at the next start."""
        async with self._lock:
            if self._retry is not None:
                self._retry.cancel()
            self._pump()
            if self._drain is not None:
                await asyncio.wait({self._drain}, timeout=2.0)
            self._closed = True
            if self._retry is not None:
                self._retry.cancel()
            if self._left() == 0 and self._behind:
                self._resume()
            if self.stats.at_risk_rows:
                log.error("rows_lost", rows=self.stats.at_risk_rows)
            await self._journalled(self._journal.close)
            if self._high_water is not None:
                self._high_water.close()
            self._thread.shutdown()
        await self.ledger.close()

    # --- the ledger --------------------------------------------------------------------------

    async def _commit(self, batch: Batch) -> bool:
        future = self.ledger.submit(batch)
        done, _ = await asyncio.wait({future}, timeout=self._commit_max_s)
        if not done:
            self.stats.ledger_timeouts += 1
            future.add_done_callback(_look_at)
            self._fall_behind(f"no answer within {self._commit_max_s} s")
            return False
        try:
            appended = future.result()
        except LedgerError as error:
            self.stats.ledger_failures += 1
            self._fall_behind(str(error))
            return False
        self.stats.commits += 1
        self.stats.rows += appended.written
        self.stats.repeated += len(appended.repeated)
        return True

    def _fall_behind(self, error: str) -> None:
        self._behind = True
        self._behind_since = asyncio.get_running_loop().time()
        self._healthy = False
        log.error("ledger_behind", error=error)

    # --- the journal -------------------------------------------------------------------------

    async def _keep(self, rows: Sequence[Row]) -> None:
        """Put ``rows`` into the journal, or behind what is in memory already."""
        if not self._backlog:
            try:
                await self._journalled(lambda: self._journal.append(rows))
            except JournalError as error:
                log.warning("journal_failed", error=str(error))
            else:
                self.stats.journal_groups += 1
                return
        if self.stats.at_risk_rows + len(rows) > BACKLOG_MAX:
            raise JournalFullError("ledger, journal and memory are full: mend the disk")
        self._backlog.append(rows)
        self.stats.at_risk_rows += len(rows)
        # Nothing else here waits: without this a busy engine would starve the drain's callbacks.
        await asyncio.sleep(0)

    async def _journalled(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- back again --------------------------------------------------------------------------

    def _left(self) -> int:
        return self._journal.end - self._drained + len(self._backlog)

    def _pump(self) -> None:
        """Start a drain if there is something to drain and none runs."""
        self._retry = None
        if self._closed or not self._behind or self._drain is not None or self._left() == 0:
            return
        end, backlog = self._journal.end, list(self._backlog)
        self._drain = self.ledger.submit_call(lambda: self._drain_now(end, backlog))
        self._drain.add_done_callback(self._after_drain)

    def _drain_now(self, end: int, backlog: Sequence[Sequence[Row]]) -> int:
        """In the ledger's thread: bring in the journal up to ``end``, then the backlog.

        Returns:
            Groups of the backlog that are in the ledger now.
        """
        rows: list[Row] = []
        drained = self._drained
        for drained, group in self._journal.groups(self._drained, end):
            rows.extend(group)
            if len(rows) >= _DRAIN_ROWS:
                self._bring(rows)
                # Kept at each commit: a later failure must not begin again from the start.
                self._drained = drained
                rows = []
        self._bring(rows)
        self._drained = max(drained, end)
        for kept in backlog:
            self._bring(kept)
        return len(backlog)

    def _bring(self, rows: Sequence[Row]) -> None:
        if rows:
            self.stats.drained_rows += self.ledger.store.append(Batch(rows)).written

    def _after_drain(self, drain: asyncio.Future[int]) -> None:
        self._drain = None
        if self._closed or drain.cancelled():
            return
        error = drain.exception()
        if error is None:
            self._healthy = True
            for _ in range(drain.result()):
                self.stats.at_risk_rows -= len(self._backlog.popleft())
            if self._left() == 0 and not self._lock.locked():
                self._resume()
            else:
                self._pump()
        elif isinstance(error, GkcError):
            self._healthy = False
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._pump)
        else:
            self._bug = error

    async def _catch_up(self) -> None:
        """With little left, wait for the drain: a busy engine would else never be back."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._commit_max_s
        # More than one: the drain under way may have begun before the last group was kept.
        while (
            self._drain is not None
            and self._healthy
            and self._left() < _NEARLY
            and (remaining := until - loop.time()) > 0
        ):
            await asyncio.wait({self._drain}, timeout=remaining)
        if self._left() == 0 and self._drain is None:
            self._resume()

    def _resume(self) -> None:
        self._behind = False
        self._drained = HEADER
        reset = asyncio.get_running_loop().run_in_executor(self._thread, self._journal.reset)
        reset.add_done_callback(_look_at)
        log.info("ledger_caught_up", rows=self.stats.drained_rows)


def _look_at(future: asyncio.Future[Any]) -> None:
    """Say what became of work that nobody waits for."""
    if not future.cancelled() and future.exception() is not None:
        log.warning("late_failure", error=str(future.exception()))
