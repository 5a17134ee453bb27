"""The present value of every alert of a config, from the live state. Blocks nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gkc_engine.acd.commands import AgentState
from gkc_engine.alerts.evaluator import Key, Rule
from gkc_engine.alerts.window import Window
from gkc_engine.config.alert_model import OF_QUEUES, AlertModel, Measure
from gkc_engine.config.models import Config
from gkc_engine.control.live import Live, Standing
from gkc_engine.control.views import served, waits_since
from gkc_engine.ids import Instant, QueueId
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


@dataclass(slots=True)
class _QueueNow:
    """What of a queue's row (``control.views.queue_rows``) is measured: the same, for less."""

    target_us: int
    waiting: int = 0
    longest_us: int = 0
    staff: int = 0
    talking: list[Standing] = field(default_factory=list)


class Sampler:
    """Reads the live state once and answers for all alerts."""

    def __init__(self, live: Live, engine: OfEngine, window: Window) -> None:
        self._live = live
        self._engine = engine
        self._window = window

    def values(self, rules: Mapping[Key, AlertModel], now: Instant) -> dict[Key, float | None]:
        """Return the value of each; of one whose queue is gone, none."""
        values: dict[Key, float | None] = {}
        queues = self._queues(now) if any(key.queue for key in rules) else {}
        for key, alert in rules.items():
            queue = QueueId(key.queue)
            if not queue:
                values[key] = self._of_engine(alert.when)
            elif queue in queues:
                values[key] = self._of_queue(alert, queue, queues[queue], now)
        return values

    def _queues(self, now: Instant) -> dict[QueueId, _QueueNow]:
        directory = self._live.directory
        found = {q: _QueueNow(entry.servicelevel_us) for q, entry in directory.queues.items()}
        for contact in self._live.standings():
            queue = None if contact.queue is None else found.get(contact.queue)
            if queue is None:
                continue
            if contact.answered is not None and not contact.consult:
                queue.talking.append(contact)
            since = waits_since(contact)
            if since is not None:
                queue.waiting += 1
                queue.longest_us = max(queue.longest_us, now - since)
        for agent in self._live.agents():
            if agent.state is not AgentState.OFFLINE and agent.agent_id in directory.agents:
                for name in served(agent, directory.agents[agent.agent_id]):
                    if name in found:
                        found[name].staff += 1
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
        self, alert: AlertModel, name: QueueId, queue: _QueueNow, now: Instant
    ) -> float | None:
        match alert.when:
            case Measure.WAITING:
                return float(queue.waiting)
            case Measure.LONGEST_WAIT:
                return float(queue.longest_us)
            case Measure.NO_STAFF:
                # While it is closed nobody need be there.
                return None if self._live.closing(name) is not None else float(queue.staff)
            case _:
                counts = self._lately(alert, name, queue, now)
                if offered(counts) < alert.least:
                    return None
                share = service_level if alert.when is Measure.SERVICE_LEVEL else abandon_rate
                return share(counts)

    def _lately(self, alert: AlertModel, name: QueueId, queue: _QueueNow, now: Instant) -> Counts:
        """Return the counts of the last ``over``, of those too who talk since then."""
        counts = self._window.of(name, alert.over, now)
        since = now - alert.over
        for contact in queue.talking:
            answered, queued = contact.answered, contact.first_queued
            if answered is not None and queued is not None and answered > since:
                counts.answered += 1  # As ``answered_counts``, whose sums of waits nobody needs.
                counts.answered_in_target += answered - queued <= queue.target_us
        return counts
