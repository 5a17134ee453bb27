"""How the engine itself is, set into its metrics when somebody looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gkc_engine.channels.phone.channel import PhoneChannel
from gkc_engine.control.day import DayCounters
from gkc_engine.control.server import ControlServer
from gkc_engine.delivery.service import Delivery
from gkc_engine.engine import Engine
from gkc_engine.metrics import Metrics
from gkc_engine.recorder.writer import DurableWriter, Mode

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Gauges:
    """The parts that are looked at."""

    metrics: Metrics
    engine: Engine
    writer: DurableWriter
    phone: PhoneChannel
    control: ControlServer
    day: DayCounters
    delivery: Delivery
    _requests: int = 0
    _refused: dict[str, int] = field(default_factory=dict)

    def set(self) -> None:
        """Set the gauges; in the event loop."""
        m = self.metrics
        m.ami_up.set(self.phone.ami.up)
        m.agi_sessions.set(self.phone.agi.sessions)
        m.accepting.set(self.engine.accepting)
        m.inbox_depth.set(self.engine.inbox_depth)
        m.journal_active.set(self.writer.mode is not Mode.LEDGER)
        m.ledger_behind.set(self.writer.behind_s)
        m.at_risk.set(self.writer.stats.at_risk_rows)
        m.complete.set(self.day.complete)
        for state, mails in self.delivery.counts.items():
            m.outbox_mails.labels(state).set(mails)
        m.outbox_oldest.set(self.delivery.oldest_s())
        for reason, refused in self.phone.guests.refused.items():
            counter = m.guests_refused.labels(reason)
            counter.inc(refused - self._refused.get(reason, 0))
            self._refused[reason] = refused
        requests = self.control.counts.requests
        m.control_requests.inc(requests - self._requests)
        self._requests = requests


def with_disk(metrics: Metrics, folder: Path, look: Callable[[], None]) -> Callable[[], None]:
    """Return ``look`` preceded by a look at the disk of ``folder``, where the records are.

    In the scrape's own thread: a disk that hangs must not hang the event loop.
    """

    def both() -> None:
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            log.warning("disk_unknown", path=str(folder), error=str(error))
        else:
            metrics.store_free.set(disk.f_bavail * disk.f_frsize)
            metrics.store_size.set(disk.f_blocks * disk.f_frsize)
        look()

    return both
