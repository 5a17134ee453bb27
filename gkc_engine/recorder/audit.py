"""Who changed what: the audit table, append-only."""

from __future__ import annotations

import asyncio
from typing import Final

import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.schema import metadata

audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("ts_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
)


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
