"""Who changed what: the audit table, append-only."""

from __future__ import annotations

import asyncio

from gkc_engine.ids import Instant
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.schema import audit


def insert(ledger: Ledger, now: Instant, row: dict[str, str | None]) -> asyncio.Future[None]:
    """Write a row in the ledger's thread, after everything given before.

    Args:
        ledger: The open ledger.
        now: When it was done.
        row: ``actor``, ``action``, ``object``, ``before``, ``after``.
    """

    def work() -> None:
        with ledger.store.engine.begin() as connection:
            connection.execute(audit.insert(), {**row, "ts_us": now})

    return ledger.submit_call(work)
