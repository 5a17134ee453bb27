"""The alerts that were raised: one row each, changed when it is cleared or seen to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gkc_engine.recorder.bulk import upsert
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.schema import alert


def save(ledger: Ledger, row: Mapping[str, Any]) -> asyncio.Future[None]:
    """Write a row, new or changed, in the ledger's thread."""

    def work() -> None:
        with ledger.store.engine.begin() as connection:
            connection.execute(upsert(alert, ledger.store.engine), dict(row))

    return ledger.submit_call(work)


def last(ledger: Ledger, count: int) -> asyncio.Future[list[dict[str, Any]]]:
    """Return the rows that stand and the ``count`` raised last, the earliest first."""

    def work() -> list[dict[str, Any]]:
        newest = sa.select(alert).order_by(alert.c.alert_id.desc()).limit(count)
        open_ones = sa.select(alert).where(alert.c.cleared_us.is_(None))
        with ledger.store.engine.connect() as connection:
            found = [*connection.execute(newest), *connection.execute(open_ones)]
        rows = {row.alert_id: dict(row._mapping) for row in found}
        return [rows[number] for number in sorted(rows)]

    return ledger.submit_call(work)
