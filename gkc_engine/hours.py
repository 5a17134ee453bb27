"""Tells the core when a queue's calendar opens or closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gkc_engine.acd.events import Event, HoursChanged
from gkc_engine.config.hours import is_open, next_change, zone_of
from gkc_engine.config.models import Config
from gkc_engine.ids import SECOND, Instant, QueueId

LOOK_AGAIN_S = 60.0
"""The longest sleep: the machine's clock may be stepped while we wait for a calendar."""


class Hours:
    """Follows the calendars of one config version."""

    def __init__(
        self, config: Config, now: Callable[[], Instant], submit: Callable[[Event], None]
    ) -> None:
        self._config = config
        self._now = now
        self._submit = submit
        self._said: dict[QueueId, bool] = {}

    def tell(self) -> Instant | None:
        """Tell the core what has changed; return when the next change is due."""
        now = self._now()
        due: Instant | None = None
        for name, queue in self._config.queues.items():
            calendar = self._config.calendars.get(queue.hours) if queue.hours else None
            if calendar is None:
                self._say(QueueId(name), is_now=True)
                continue
            zone = zone_of(calendar, self._config.center.timezone)
            self._say(QueueId(name), is_now=is_open(calendar, zone, now))
            change = next_change(calendar, zone, now)
            if change is not None and (due is None or change < due):
                due = change
        return due

    def _say(self, queue: QueueId, *, is_now: bool) -> None:
        if self._said.get(queue) is not is_now:
            self._said[queue] = is_now
            self._submit(HoursChanged(queue=queue, open=is_now))

    async def run(self) -> None:
        """Follow the calendars until cancelled."""
        while True:
            due = self.tell()
            wait = LOOK_AGAIN_S if due is None else (due - self._now()) / SECOND
            await asyncio.sleep(min(LOOK_AGAIN_S, max(0.01, wait)))
