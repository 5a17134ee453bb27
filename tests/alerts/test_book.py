"""The table of alerts in a real ledger, and an engine that takes up what stands in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from gkc_engine import alerting
from gkc_engine.alerting import Alerting
from gkc_engine.control.day import DayCounters
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine
from gkc_engine.metrics import Metrics
from gkc_engine.recorder import alerts as book
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import Ledger
from tests.alerts.test_service import config_with, line
from tests.control.fake import NOW, ZONE, FakeBackend


class Observed:
    """Of an engine what alerts need."""

    def now(self) -> int:
        return NOW

    def observe(self, _observer: object) -> None: ...


def row(number: int, cleared: int | None) -> dict[str, Any]:
    return {
        "alert_id": number,
        "name": "line",
        "queue": "passport",
        "measure": "waiting",
        "threshold": 0.0,
        "since_us": NOW,
        "raised_us": NOW,
        "value": 1.0,
        "told_us": NOW,
        "cleared_us": cleared,
        "cleared_value": None,
        "acked_us": None,
        "acked_by": None,
        "note": None,
    }


def alerts_over(ledger: Ledger, folder: Path) -> Alerting:
    live = FakeBackend()
    return Alerting(
        cast(Engine, Observed()),
        live,
        ledger,
        DayCounters(ZONE, NOW),
        Metrics(),
        config_with(line()),
        folder=folder,
        state=folder,
        ami_up=lambda: True,
        behind=lambda: 0.0,
    )


async def test_what_stands_is_taken_up_once_the_table_can_be_read(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(store_url, "centr")
    await ledger.call(lambda: schema.metadata.create_all(ledger.store.engine))
    # One stands since long before the last two that are over.
    for number, cleared in ((1, None), (2, NOW), (3, NOW), (4, NOW)):
        await book.save(ledger, row(number, cleared))
    await book.save(ledger, {**row(4, NOW), "note": "changed"})
    assert [r["alert_id"] for r in await book.last(ledger, 2)] == [1, 3, 4]
    assert (await book.last(ledger, 1))[1]["note"] == "changed"

    last, failures = book.last, [OperationalError("", {}, Exception("database is locked"))]

    def sometimes(*given: Any) -> Any:  # noqa: ANN401
        if failures:
            raise failures.pop()
        return last(*given)

    monkeypatch.setattr(book, "last", sometimes)
    monkeypatch.setattr(alerting, "READ_AGAIN_S", 0.0)
    found = alerts_over(ledger, tmp_path)
    assert found.alerts.raised == {}, "nothing is raised before it is known what stands"
    taken, restore = asyncio.Event(), found.alerts.restore

    def restored(rows: Any) -> None:  # noqa: ANN401
        restore(rows)
        taken.set()

    monkeypatch.setattr(found.alerts, "restore", restored)
    with capture_logs() as logs:
        running = asyncio.ensure_future(found.run())
        async with asyncio.timeout(10):
            await taken.wait()
    assert [entry["event"] for entry in logs] == ["alerts_not_read"]
    assert found.alerts._next_id == 5
    assert [key.queue for key in found.alerts._evaluator.standing] == ["passport"]
    await end_tasks([running])
    await ledger.close()
