"""Counts of the last half hour: a ring of minutes. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

from gkc_engine.ids import SECOND, Instant, QueueId
from gkc_engine.statistics.figures import Counts

MINUTES: Final = 30
"""The present minute and those before it that *now* means in a service level of now."""

_MINUTE_US: Final = 60 * SECOND


@dataclass(slots=True)
class _Ring:
    """One queue's minutes, and their sum."""

    minutes: dict[int, Counts] = field(default_factory=dict)
    total: Counts = field(default_factory=Counts)


class RecentCounters:
    """Per queue, the contacts whose wait ended in the last `MINUTES` minutes.

    A contact stands in the minute in which it was answered or left, also when its talk ends later.
    One that is still in its talk is not here: the views add it. O(1) for a contact; the sum is
    made anew at most once a minute.
    """

    def __init__(self) -> None:
        self._rings: defaultdict[QueueId, _Ring] = defaultdict(_Ring)
        self._minute = 0

    def add(self, queue: QueueId, counts: Counts, wait_ended: Instant, now: Instant) -> None:
        """Count a contact whose wait ended at ``wait_ended``, if that is not too long ago."""
        self._turn(now)
        minute = wait_ended // _MINUTE_US
        if minute <= self._minute - MINUTES:  # not `now`: what is recalled comes late
            return
        ring = self._rings[queue]
        ring.minutes.setdefault(minute, Counts()).add(counts)
        ring.total.add(counts)

    def of(self, queue: QueueId, now: Instant) -> Counts:
        """Return a copy of the queue's counts."""
        self._turn(now)
        found = self._rings.get(queue)
        return replace(found.total) if found is not None else Counts()

    def _turn(self, now: Instant) -> None:
        minute = now // _MINUTE_US
        if minute <= self._minute:
            return
        self._minute = minute
        for queue, ring in list(self._rings.items()):
            kept = {m: counts for m, counts in ring.minutes.items() if m > minute - MINUTES}
            if len(kept) == len(ring.minutes):
                continue
            if not kept:
                del self._rings[queue]
                continue
            ring.minutes, ring.total = kept, Counts()
            for counts in kept.values():
                ring.total.add(counts)


def within(wait_ended: Instant, now: Instant) -> bool:
    """Whether that was in the present minute or the `MINUTES` - 1 before it."""
    return now // _MINUTE_US - MINUTES < wait_ended // _MINUTE_US
