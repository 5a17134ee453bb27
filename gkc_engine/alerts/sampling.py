"""The present value of every alert of a config, from the live state. Blocks nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gkc_engine.alerts.evaluator import Key, Rule
from gkc_engine.alerts.window import Window
from gkc_engine.config.alert_model import OF_QUEUES, AlertModel, Measure
from gkc_engine.config.models import Config
from gkc_engine.control.views import ContactNow, Live, Row, queue_rows
from gkc_engine.ids import Instant, QueueId
from gkc_engine.statistics.counting import answered_counts
from gkc_engine.statistics.figures import Counts, abandon_rate, offered, service_level


def watched(config: Config) -> Iterator[tuple[Rule, AlertModel]]:
    """Iterate over the rules of a config: one for each queue that an alert is about."""
    for alert in config.alerts:
        queues: Sequence[str] = ("",)
        if alert.when in OF_QUEUES:
            queues = tuple(config.queues) if alert.queue is None else (alert.queue,)
        for queue in queues:
            threshold = alert.threshold
            yield (
                Rule(
                    key=Key(alert.name, queue),
                    threshold=threshold,
                    above=alert.is_above,
                    clear=threshold if alert.clear is None else alert.clear,
                    for_us=alert.for_,
                ),
                alert,
            )


@dataclass(slots=True, kw_only=True)
class OfEngine:
    """What is measured of the engine itself; each returns at once."""

    ami_up: Callable[[], bool]
    behind: Callable[[], float]
    """Rows that are in no table yet; infinite while the emergency journal is in use."""
    disk_free: float | None = None
    """Share of the disk of the records that is free; looked at now and then, in a thread."""


def free_share(folder: Path) -> float:
    """Return which share of the folder's disk is free; may block."""
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total if usage.total else 0.0


class Sampler:
    """Reads the live state once and answers for all alerts."""

    def __init__(self, live: Live, engine: OfEngine, window: Window) -> None:
        self._live = live
        self._engine = engine
        self._window = window

    def values(self, rules: Mapping[Key, AlertModel], now: Instant) -> dict[Key, float | None]:
        """Return the value of each; of one whose queue is gone, none."""
        values: dict[Key, float | None] = {}
        rows: dict[str, Row] = {}
        if any(key.queue for key in rules):
            rows = {row["queue"]: row for row in queue_rows(self._live)}
        talking = self._talking()
        for key, alert in rules.items():
            if not key.queue:
                values[key] = self._of_engine(alert.when)
            elif key.queue in rows:
                row = rows[key.queue]
                contacts = talking.get(QueueId(key.queue), [])
                values[key] = self._of_queue(alert, row, contacts, now)
        return values

    def _talking(self) -> dict[QueueId, list[ContactNow]]:
        found: dict[QueueId, list[ContactNow]] = {}
        for contact in self._live.contacts():
            if contact.queue is not None and contact.answered is not None:
                found.setdefault(contact.queue, []).append(contact)
        return found

    def _of_engine(self, measure: Measure) -> float | None:
        match measure:
            case Measure.AMI_DOWN:
                return 0.0 if self._engine.ami_up() else 1.0
            case Measure.LEDGER_BEHIND:
                return self._engine.behind()
            case _:
                assert measure is Measure.DISK_FREE, measure
                return self._engine.disk_free

    def _of_queue(
        self, alert: AlertModel, row: Row, talking: list[ContactNow], now: Instant
    ) -> float | None:
        match alert.when:
            case Measure.WAITING:
                return float(row["waiting"])
            case Measure.LONGEST_WAIT:
                return (row["longest_wait_s"] or 0.0) * 1e6
            case Measure.NO_STAFF:
                if row["closed"] is not None:
                    return None  # Nobody need be there.
                return float(row["ready"] + row["busy"] + row["not_ready"])
            case _:
                counts = self._lately(alert, row, talking, now)
                if offered(counts) < alert.least:
                    return None
                share = service_level if alert.when is Measure.SERVICE_LEVEL else abandon_rate
                return share(counts)

    def _lately(
        self, alert: AlertModel, row: Row, talking: list[ContactNow], now: Instant
    ) -> Counts:
        """Return the counts of the last ``over``, of those too who talk since then."""
        counts = self._window.of(QueueId(row["queue"]), alert.over, now)
        for contact in talking:
            assert contact.answered is not None
            if contact.answered > now - alert.over:
                target_us = round(row["servicelevel_s"] * 1e6)
                counts.add(answered_counts(contact.wait_us(now) or 0, target_us))
        return counts
