"""Tells the core for which queues other centers are there (P4): who waits is not told "nobody"."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from gkc_engine.acd.events import StaffedElsewhere
from gkc_engine.engine import Engine
from gkc_engine.errors import GkcError
from gkc_engine.federation.sight import MEDIUM
from gkc_engine.ids import SECOND, Instant, Micros, QueueId

EVERY_S: Final = 1.0
"""As often as centers say how they stand."""

HOLD_US: Final = Micros(40 * SECOND)
"""So long nobody must have been there to be told of: longer than a center is left alone after a
ring without a sign (30 s), or than a hub, a leaf node or an engine needs to be back."""


class Elsewhere:
    """Looks at the other centers, and tells the core what has changed."""

    def __init__(
        self, engine: Engine, may_help: Callable[[QueueId], bool], hold_us: Micros = HOLD_US
    ) -> None:
        """Look by ``may_help``, which says whether some center is there for a queue just now."""
        self._engine, self._may_help, self._hold_us = engine, may_help, hold_us
        self._last: dict[QueueId, Instant] = {}
        """Queue -> when somebody was there last, or, if nobody has been, when we first looked."""

    def look(self) -> None:
        """Tell what differs from what the core believes."""
        now = self._engine.now()
        for one in self._engine.acd.capacities(MEDIUM):
            there = self._may_help(one.queue)
            if there:
                self._last[one.queue] = now
            elif now - self._last.setdefault(one.queue, now) < self._hold_us:
                continue  # If the core believes so, it may be so again in a moment.
            if there is not one.staffed_elsewhere:
                # A core that is too busy hears it at the next look.
                with contextlib.suppress(GkcError):
                    self._engine.submit(StaffedElsewhere(queue=one.queue, staffed=there))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)
