"""How our own center stands, for the others: from the core, the look-ahead and the day's counts.

What it costs does not depend on how many contacts wait. Who is free is looked at each time, at
most ten times a second; expected waits and service levels, which nobody decides upon within a
second, once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, NamedTuple, Protocol

from gkc_engine.acd.capacity import Capacity
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.federation.messages import QUEUES_MAX, QueueLoad
from gkc_engine.federation.peers import State
from gkc_engine.federation.settings import LOAD_EVERY_US, LOAD_GAP_US
from gkc_engine.ids import ContactId, Instant, Micros, QueueId

MEDIUM: Final = Medium.VOICE
"""Trunks carry calls; nothing else is sent on."""

_WEEK_US: Final = 7 * 86_400 * 1_000_000
_MANY: Final = 1_000_000
"""The most that a message may say."""


class Core(Protocol):
    """What is asked of ``acd.core.Acd``."""

    def capacities(self, medium: Medium) -> list[Capacity]:
        """Return the queues of a medium at this instant."""

    def at_work(self, medium: Medium) -> int:
        """Return how many agents are logged in for a medium."""

    def contact_view(self, contact_id: ContactId) -> ContactView | None:
        """Return where a contact is."""


class _Slow(NamedTuple):
    """What of a queue changes slowly."""

    wait_us: int | None
    sl_milli: int | None


class CenterSight:
    """Implements ``protocol.Sight`` for a running engine."""

    def __init__(
        self,
        core: Core,
        now: Callable[[], Instant],
        *,
        expect: Callable[[ContactId, Instant], Micros | None],
        expect_new: Callable[[QueueId, Instant], Micros | None],
        level: Callable[[QueueId, Instant], float | None],
        target_us: Callable[[QueueId], int],
        keep_free: int = 0,
        second_lines: Container[QueueId] = (),
        planned: bool = False,
    ) -> None:
        """Look at a center.

        Args:
            core: Of the engine.
            now: The engine's time.
            expect: How much longer a contact will wait (``ExpectedWait.expect``).
            expect_new: The same of one who comes now.
            level: A queue's service level of now; ``None``: too few contacts to tell.
            target_us: A queue's service level threshold.
            keep_free: So many operators are not offered to others …
            second_lines: … but for these queues.
            planned: The center takes no citizens yet.
        """
        self._core, self._now = core, now
        self._expect, self._expect_new = expect, expect_new
        self._level, self._target_us = level, target_us
        self._keep_free, self._planned = keep_free, planned
        self._second_lines = second_lines
        self._loads: dict[QueueId, QueueLoad] = {}
        self._looked: Instant | None = None
        self._slow: dict[QueueId, _Slow] = {}
        self._slowed: Instant | None = None
        self._waits: dict[ContactId, Micros | None] = {}

    def change(
        self, keep_free: int, *, planned: bool, second_lines: Container[QueueId] = ()
    ) -> None:
        """Take what a reloaded config says, from the next look on."""
        self._keep_free, self._planned = keep_free, planned
        self._second_lines = second_lines
        self._looked = None

    def loads(self) -> dict[QueueId, QueueLoad]:
        """Return how each queue stands, at most 0.1 s ago."""
        now = self._now()
        if self._looked is None or not 0 <= now - self._looked < LOAD_GAP_US:
            self._look(now)
        return self._loads

    def _look(self, now: Instant) -> None:
        self._looked = now
        queues = self._core.capacities(MEDIUM)[:QUEUES_MAX]
        self._look_slowly(queues, now)
        self._loads = {
            one.queue: QueueLoad(
                wait_us=self._slow[one.queue].wait_us,
                ready=min(max(0, one.ready - self._kept(one.queue)), _MANY),
                waiting=min(one.waiting, _MANY),
                sl_milli=self._slow[one.queue].sl_milli,
                open=one.open,
                staffed=one.at_work > self._kept(one.queue),
            )
            for one in queues
        }

    def _kept(self, queue: QueueId) -> int:
        return 0 if queue in self._second_lines else self._keep_free

    def _look_slowly(self, queues: list[Capacity], now: Instant) -> None:
        """Renew waits and service levels, a little more often than they are said."""
        fresh = self._slowed is not None and 0 <= now - self._slowed < LOAD_EVERY_US * 9 // 10
        if fresh and all(one.queue in self._slow for one in queues):
            return
        self._slowed = now
        self._waits.clear()
        self._slow = {one.queue: self._slowly(one.queue, now) for one in queues}

    def _slowly(self, queue: QueueId, now: Instant) -> _Slow:
        wait_us = self._expect_new(queue, now)
        level = self._level(queue, now)
        return _Slow(
            None if wait_us is None else min(max(0, wait_us), _WEEK_US),
            None if level is None else round(level * 1000),
        )

    def state(self) -> State:
        """Return how the center stands: overloaded if who comes now is not answered in time."""
        if self._planned:
            return State.PLANNED
        if self._core.at_work(MEDIUM) == 0:
            return State.UNSTAFFED
        late = any(
            load.open
            and load.waiting > 0
            and load.wait_us is not None
            and load.wait_us > self._target_us(queue)
            for queue, load in self.loads().items()
        )
        return State.OVERLOADED if late else State.NORMAL

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        """Return how much longer a contact will wait, as it was within the last second.

        None: nobody can tell, or nobody is at work. Who does not wait here just now (Asterisk's
        own queue has him) does not wait long: it is not the time to send him away.
        """
        if contact_id in self._waits:
            return self._waits[contact_id]
        wait_us = self._expect(contact_id, self._now())
        if wait_us is None:
            view = self._core.contact_view(contact_id)
            if view is None or view.state is not ContactState.WAITING:
                wait_us = Micros(0)
        self._waits[contact_id] = wait_us
        return wait_us
