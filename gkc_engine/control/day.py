"""Counts of the present local day, folded from the core's facts as they are committed."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from gkc_engine.acd.commands import ContactEnded
from gkc_engine.ids import SECOND, Instant, QueueId
from gkc_engine.statistics.counting import Ended, counts_of, ended_of
from gkc_engine.statistics.figures import Counts
from gkc_engine.statistics.intervals import local_midnight, next_midnight


class DayCounters:
    """Per queue, the contacts of the present local day that have ended.

    The day is that of the first queue entry: a call that waits over midnight belongs to the day
    in which it came. Built anew at start by :meth:`recall`.
    """

    def __init__(self, zone: ZoneInfo, now: Instant) -> None:
        self._zone = zone
        self._targets: Mapping[QueueId, int] = {}
        self._counts: defaultdict[QueueId, Counts] = defaultdict(Counts)
        self._since = local_midnight(now, zone)
        self._until = next_midnight(self._since, self._zone)

    @property
    def since(self) -> Instant:
        """When the present day began."""
        return self._since

    def configure(self, targets: Mapping[QueueId, int], zone: ZoneInfo | None = None) -> None:
        """Take the queues' ``servicelevel`` in microseconds; counts so far stay as they are."""
        self._targets = dict(targets)
        if zone is not None and zone != self._zone:
            self._zone = zone
            self._until = next_midnight(self._since, self._zone)

    def add(self, ended: Ended, now: Instant) -> None:
        """Count one ended contact if it belongs to the day of ``now``."""
        self._turn(now)
        if ended.first_queued >= self._since:
            counts = counts_of(ended.disposition, ended.wait_us, self.target_us(ended.queue))
            self._counts[ended.queue].add(counts)

    def recall(self, ended: Iterable[Ended], now: Instant) -> None:
        """Count what the contact table holds; at the start, some hundred at a time.

        They reach back further than :attr:`since`: a call that came before midnight may have
        entered its queue after it. Two hours are plenty.
        """
        for one in ended:
            self.add(one, now)

    def fold(self, facts: Iterable[object], now: Instant) -> None:
        """Count the contacts that end in ``facts``."""
        for fact in facts:
            if isinstance(fact, ContactEnded) and (ended := ended_of(fact)) is not None:
                self.add(ended, now)

    def of(self, queue: QueueId, now: Instant) -> Counts:
        """Return a copy of the queue's counts of today."""
        self._turn(now)
        found = self._counts.get(queue)
        return dataclasses.replace(found) if found is not None else Counts()

    def target_us(self, queue: QueueId) -> int:
        """Return the queue's service level threshold; 20 s for a queue that is gone."""
        return self._targets.get(queue, 20 * SECOND)

    def _turn(self, now: Instant) -> None:
        if now >= self._until:
            self._counts.clear()
            self._since = local_midnight(now, self._zone)
            self._until = next_midnight(self._since, self._zone)
