"""Counts of the last minutes, by queue: for shares that react, as those of the day do not.

A contact counts at the instant that decided it: of its answer, or of its end without one. Kept in
buckets of ten seconds, so each fact costs one addition and a look as many as there are buckets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from gkc_engine.ids import SECOND, Instant, Micros, QueueId
from gkc_engine.statistics.counting import Ended, counts_of
from gkc_engine.statistics.figures import Counts

BUCKET_US: Final = 10 * SECOND
KEPT_US: Final = Micros(24 * 3600 * SECOND)
"""The longest ``over``: 8 640 buckets of a queue at most."""


class Window:
    """What was decided lately."""

    def __init__(self) -> None:
        self._buckets: defaultdict[QueueId, dict[int, Counts]] = defaultdict(dict)
        self.kept_us = Micros(0)
        """The longest time that anybody asks for; 0: nothing is kept."""

    def add(self, ended: Iterable[tuple[Ended, int]], now: Instant) -> None:
        """Count ended contacts, each with its queue's service level threshold (µs)."""
        oldest = self._first(now, self.kept_us)
        for one, target_us in ended:
            bucket = (one.first_queued + one.wait_us) // BUCKET_US
            if bucket >= oldest and self.kept_us:
                counts = self._buckets[one.queue].setdefault(bucket, Counts())
                counts.add(counts_of(one.disposition, one.wait_us, target_us))

    def of(self, queue: QueueId, over_us: Micros, now: Instant) -> Counts:
        """Return the queue's counts of the last ``over_us``, to ten seconds."""
        buckets = self._buckets.get(queue)
        total = Counts()
        if buckets is None:
            return total
        kept = self._first(now, self.kept_us)
        for bucket in [b for b in buckets if b < kept]:
            del buckets[bucket]
        first = self._first(now, over_us)
        for bucket, counts in buckets.items():
            if bucket >= first:
                total.add(counts)
        return total

    @staticmethod
    def _first(now: Instant, over_us: Micros) -> int:
        return (now - over_us) // BUCKET_US + 1
