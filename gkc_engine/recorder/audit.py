"""Who changed what: the audit table, append-only."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
import structlog

from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.schema import audit

log = structlog.get_logger(__name__)

LATE_MAX: Final = 1000
"""Rows that wait for the store to be back."""

AGAIN_S: Final = 1.0

Row = Mapping[str, str | None]
"""``actor``, ``action``, ``object``, ``before``, ``after``."""


class AuditFullError(GkcError):
    """So many rows wait for the store already."""


def insert(ledger: Ledger, now: Instant, row: Row) -> asyncio.Future[None]:
    """Write a row in the ledger's thread, after everything given before.

    Args:
        ledger: The open ledger.
        now: When it was done.
        row: What was done.
    """
    return _insert(ledger, [{**row, "ts_us": now}])


def _insert(ledger: Ledger, rows: Sequence[dict[str, object]]) -> asyncio.Future[None]:
    def work() -> None:
        with ledger.store.engine.begin() as connection:
            connection.execute(audit.insert(), rows)

    return ledger.submit_call(work)


class LateAudit:
    """Rows of changes that were made while the store could not be written.

    They are in memory until it can be, and in the log: the end of the engine tries once more.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rows: deque[dict[str, object]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def keep(self, now: Instant, row: Row) -> None:
        """Write a row as soon as that can be done.

        Raises:
            AuditFullError: No room.
        """
        if len(self._rows) >= LATE_MAX:
            raise AuditFullError(f"{LATE_MAX} rows of the audit wait for the store already")
        self._rows.append({**row, "ts_us": now})
        log.warning("audit_delayed", action=row["action"], object=row["object"])
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._until_written())

    async def _until_written(self) -> None:
        ended = False
        while self._rows and not ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    ended = await self._closing.wait()
            with contextlib.suppress(sa.exc.SQLAlchemyError, OSError):  # Said when it was kept.
                await self._write()
        self._writing = None

    async def _write(self) -> None:
        rows = list(self._rows)
        await _insert(self._ledger, rows)
        for _ in rows:
            self._rows.popleft()
        log.info("audit_caught_up", rows=len(rows))

    async def close(self) -> None:
        """Write what waits, if that can be done now."""
        self._closing.set()
        if self._writing is not None:
            await self._writing  # Not cancelled: what is being written would be written twice.
        if self._rows:
            log.error("audit_lost", rows=len(self._rows))
