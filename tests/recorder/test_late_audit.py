"""Rows of the audit that wait for a store that somebody else holds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gkc_engine.ids import Instant
from gkc_engine.recorder import audit, schema
from gkc_engine.recorder.audit import AuditFullError, LateAudit
from gkc_engine.recorder.ledger import Ledger
from tests.recorder.support import START


@pytest.fixture
async def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    monkeypatch.setattr(audit, "AGAIN_S", 0.01)
    ledger = Ledger(schema.sqlite_url(str(tmp_path / "gkc.sqlite")), "centr")
    await ledger.open()
    yield ledger
    await ledger.close()


def row(n: int) -> audit.Row:
    return {"actor": "ivanov", "action": f"a{n}", "object": "x", "before": None, "after": None}


def holder(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "gkc.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def written(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    return connection.execute("SELECT ts_us, action FROM audit ORDER BY audit_id").fetchall()


async def until_written(connection: sqlite3.Connection, count: int) -> None:
    async with asyncio.timeout(5):
        while len(written(connection)) < count:  # noqa: ASYNC110 - it stands in the file only
            await asyncio.sleep(0)


async def test_they_are_written_in_order_once_the_store_is_back(
    ledger: Ledger, tmp_path: Path
) -> None:
    late, held = LateAudit(ledger), holder(tmp_path)
    for n in range(3):
        with pytest.raises(Exception, match="locked"):
            await audit.insert(ledger, START, row(n))
        late.keep(Instant(START + n), row(n))
    held.execute("ROLLBACK")
    assert late._writing is not None
    await asyncio.wait_for(late._writing, 5)
    assert written(held) == [(START + n, f"a{n}") for n in range(3)]
    late.keep(Instant(START + 3), row(3))  # It begins anew.
    await until_written(held, 4)
    await late.close()
    assert len(written(held)) == 4
    held.close()


async def test_the_end_of_the_engine_tries_once_more(ledger: Ledger, tmp_path: Path) -> None:
    late, held = LateAudit(ledger), holder(tmp_path)
    late.keep(START, row(1))
    held.execute("ROLLBACK")
    await late.close()
    assert written(held) == [(START, "a1")]
    held.execute("BEGIN IMMEDIATE")
    late = LateAudit(ledger)
    late.keep(START, row(2))
    await late.close()  # In vain: said in the log, which has the row itself, too.
    held.execute("ROLLBACK")
    assert len(written(held)) == 1
    held.close()


async def test_so_many_wait_and_no_more(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LATE_MAX", 2)
    late, held = LateAudit(ledger), holder(tmp_path)
    late.keep(START, row(1))
    late.keep(START, row(2))
    with pytest.raises(AuditFullError, match="2 rows of the audit wait"):
        late.keep(START, row(3))
    held.close()
    await late.close()
