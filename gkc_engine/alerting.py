"""Builds the alerts of an engine from its parts, and keeps them in step with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gkc_engine.acd.commands import ContactEnded
from gkc_engine.alerts.box import FILE, Box
from gkc_engine.alerts.limits import KEPT
from gkc_engine.alerts.methods import AlertMethods
from gkc_engine.alerts.sampling import OfEngine, Sampler, free_share
from gkc_engine.alerts.service import DISK_EVERY_S, Alerts
from gkc_engine.alerts.window import Window
from gkc_engine.config.alert_model import Measure
from gkc_engine.config.models import Config
from gkc_engine.config.secrets import resolve_secret
from gkc_engine.control.day import DayCounters
from gkc_engine.control.live import Live
from gkc_engine.control.server import ControlServer
from gkc_engine.delivery.letter import Message
from gkc_engine.delivery.service import Delivery
from gkc_engine.engine import Engine, Step
from gkc_engine.ids import Instant
from gkc_engine.metrics import Metrics
from gkc_engine.recorder import alerts as book
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.statistics.counting import Ended, Once, ended_of

log = structlog.get_logger(__name__)

READ_AGAIN_S = 1.0


class _Mailer:
    """Mail of alerts by way of the outbox (``alerts.senders.Mailer``)."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def send(self, key: str, to: str, subject: str, text: str) -> None:
        """Post one mail; the outbox keeps and sends it."""
        message = Message(name="alert", key=key, to=[to], subject=subject, text=text)
        self._delivery.post(message)


class Alerting:
    """The alerts of one engine."""

    def __init__(
        self,
        engine: Engine,
        live: Live,
        ledger: Ledger,
        day: DayCounters,
        metrics: Metrics,
        config: Config,
        *,
        folder: Path,
        state: Path,
        ami_up: Callable[[], bool],
        behind: Callable[[], float],
    ) -> None:
        """``folder``: of the config; ``state``: of what we keep."""
        self._ledger, self._day, self._state = ledger, day, state
        self._window, self._once = Window(), Once()
        self._of_engine = OfEngine(ami_up=ami_up, behind=behind)
        box = Box(state / FILE)
        box.open()
        self.alerts = Alerts(
            Sampler(live, self._of_engine, self._window),
            self._window,
            metrics,
            lambda row: book.save(ledger, row),
            lambda reference: resolve_secret(reference, folder),
            box,
            now=engine.now,
        )
        self._mailer: _Mailer | None = None
        self._disk_matters = False
        self._taken_up = False
        """Whether what stood before this start is known: else it would be raised again."""
        self.apply(config)
        engine.observe(self._observe)

    def mail_by(self, delivery: Delivery) -> None:
        """Send the mail of alerts through the outbox of reports."""
        self._mailer = _Mailer(delivery)
        self.apply(self._config)

    def register(self, server: ControlServer) -> None:
        """Enter ``gkc alert``'s methods into the server's table."""
        AlertMethods(self.alerts).register(server)

    def apply(self, config: Config) -> None:
        """Go by this config."""
        self._config = config
        self.alerts.mailer = self._mailer if config.mail is not None else None
        self._disk_matters = any(a.when is Measure.DISK_FREE for a in config.alerts)
        if self._taken_up:
            self.alerts.apply(config)

    async def _take_up(self) -> None:
        """Read what earlier engines left; until it can be read, nothing is raised."""
        while not self._taken_up:
            try:
                rows = await book.last(self._ledger, KEPT)
            except (SQLAlchemyError, OSError) as error:
                log.warning("alerts_not_read", error=str(error))
                await asyncio.sleep(READ_AGAIN_S)
            else:
                self._taken_up = True
                self.alerts.restore(rows)
                self.alerts.apply(self._config)

    def recall(self, ended: Sequence[Ended], now: Instant) -> None:
        """Count contacts that ended before this start."""
        new = filter(self._once.first, ended)
        self._window.add([(one, self._day.target_us(one.queue)) for one in new], now)

    def recalled(self) -> None:
        """Take note that all has been recalled."""
        self._once.over()

    def _observe(self, steps: Sequence[Step]) -> None:
        for step in steps:
            for fact in step.commands:
                if not isinstance(fact, ContactEnded):
                    continue
                ended = ended_of(fact)
                if ended is not None and self._once.first(ended):
                    target_us = self._day.target_us(ended.queue)
                    self._window.add([(ended, target_us)], step.now)

    async def run(self) -> None:
        """Look until cancelled; the disk is looked at beside, for it may not answer."""
        disk = asyncio.get_running_loop().create_task(self._look_at_the_disk())
        try:
            await self._take_up()
            await self.alerts.run()
        finally:
            disk.cancel()
            self.alerts.close()

    async def _look_at_the_disk(self) -> None:
        while True:
            if self._disk_matters:
                try:
                    self._of_engine.disk_free = await asyncio.to_thread(free_share, self._state)
                except OSError as error:
                    log.warning("disk_not_measured", folder=str(self._state), error=str(error))
                    self._of_engine.disk_free = None
            await asyncio.sleep(DISK_EVERY_S)
