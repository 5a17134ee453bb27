"""Counts of the present local day and the last half hour, from the core's committed facts."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from gkc_engine.acd.commands import AgentStateChanged, ContactEnded
from gkc_engine.control.recent import RecentCounters, within
from gkc_engine.control.wrap_ups import WrapUps
from gkc_engine.ids import SECOND, Instant, QueueId
from gkc_engine.statistics.counting import Ended, Once, counts_of, ended_of
from gkc_engine.statistics.figures import Counts, Handling
from gkc_engine.statistics.intervals import local_midnight, next_midnight


class DayCounters:
    """Per queue, the contacts of the present local day that have ended; O(1) for each.

    The day is that of the first queue entry: a call that waits over midnight belongs to the day
    in which it came. The last half hour (`RecentCounters`) knows no midnight. Built anew at start
    by :meth:`recall`.
    """

    def __init__(self, zone: ZoneInfo, now: Instant) -> None:
        self._zone = zone
        self._targets: Mapping[QueueId, int] = {}
        self._counts: defaultdict[QueueId, Counts] = defaultdict(Counts)
        self._handling: defaultdict[QueueId, Handling] = defaultdict(Handling)
        self._recent = RecentCounters()
        self._wrap_ups = WrapUps()
        self._once = Once()
        self.complete = False
        """Whether what ended before this run has been recalled."""
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
        counts = self._counts_of(ended)
        self._recent.add(ended.queue, counts, Instant(ended.first_queued + ended.wait_us), now)
        if ended.first_queued >= self._since:
            self._counts[ended.queue].add(counts)
            self._handling[ended.queue].add(ended.handled)

    def _counts_of(self, ended: Ended) -> Counts:
        return counts_of(ended.disposition, ended.wait_us, self.target_us(ended.queue))

    def recall(self, ended: Iterable[Ended], now: Instant) -> None:
        """Count what the contact table holds; at the start, some hundred at a time.

        They reach back further than :attr:`since`: a call that came before midnight may have
        entered its queue after it. Two hours are plenty.
        """
        for one in ended:
            if self._once.first(one):
                self.add(one, now)

    def recalled(self) -> None:
        """Take note that all has been recalled."""
        self._once.over()
        self.complete = True

    def fold(self, facts: Iterable[object], now: Instant) -> list[tuple[QueueId, Handling]]:
        """Count the contacts that end in ``facts``; return what was done with them, by queue.

        A wrap-up that ends after its contact comes alone, later.
        """
        done: list[tuple[QueueId, Handling]] = []
        for fact in facts:
            if isinstance(fact, ContactEnded):
                ended = ended_of(fact)
                wrapped_us = self._wrap_ups.ended(fact.contact_id, ended)
                if ended is not None:
                    ended = dataclasses.replace(ended, wrap_up_us=wrapped_us)
                    if self._once.first(ended):
                        self.add(ended, now)
                    done.append((ended.queue, ended.handled))
            elif isinstance(fact, AgentStateChanged):
                over = self._wrap_ups.changed(fact)
                if over is not None and over[0].handled.handled:
                    done.append((over[0].queue, self._wrapped(*over, now)))
        return done

    def _wrapped(self, ended: Ended, wrapped_us: int, now: Instant) -> Handling:
        self._turn(now)
        wrap_up = Handling(wrap_up_us=wrapped_us)
        if ended.first_queued >= self._since:
            self._handling[ended.queue].add(wrap_up)
        return wrap_up

    def began(self, now: Instant) -> Instant:
        """Return when the local day of ``now`` began."""
        self._turn(now)
        return self._since

    def of(self, queue: QueueId, now: Instant, also: Iterable[Ended] = ()) -> Counts:
        """Return a copy of the queue's counts of today; ``also``: contacts not counted yet."""
        self._turn(now)
        found = self._counts.get(queue)
        counts = dataclasses.replace(found) if found is not None else Counts()
        for ended in also:
            if ended.first_queued >= self._since:
                counts.add(self._counts_of(ended))
        return counts

    def handling(self, queue: QueueId, now: Instant) -> Handling:
        """Return what was done with the queue's contacts of today whose calls are over."""
        self._turn(now)
        found = self._handling.get(queue)
        return dataclasses.replace(found) if found is not None else Handling()

    def recent(self, queue: QueueId, now: Instant, also: Iterable[Ended] = ()) -> Counts:
        """Return the counts of those whose wait ended in the last half hour and who ended."""
        counts = self._recent.of(queue, now)
        for ended in also:
            if within(Instant(ended.first_queued + ended.wait_us), now):
                counts.add(self._counts_of(ended))
        return counts

    def target_us(self, queue: QueueId) -> int:
        """Return the queue's service level threshold; 20 s for a queue that is gone."""
        return self._targets.get(queue, 20 * SECOND)

    def _turn(self, now: Instant) -> None:
        if now >= self._until:
            self._counts.clear()
            self._handling.clear()
            self._since = local_midnight(now, self._zone)
            self._until = next_midnight(self._since, self._zone)
