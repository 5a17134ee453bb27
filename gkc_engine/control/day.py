"""Counts of the present local day, folded from the core's facts as they are committed."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gkc_engine.acd.commands import ContactEnded, Disposition
from gkc_engine.control.figures import QueueCounts
from gkc_engine.ids import SECOND, Instant, QueueId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ENDED_WAITING = frozenset(
    {Disposition.TIMEOUT, Disposition.NO_AGENT, Disposition.CLOSED, Disposition.BLOCKED}
)
AT_THE_DOOR = frozenset(
    {
        Disposition.FULL,
        Disposition.SELF_SERVED,
        Disposition.ANSWERED_BY_ANNOUNCEMENT,
        Disposition.ABANDONED_MENU,
        Disposition.MISDIRECTED,
    }
)
"""Never offered, whatever queue they asked for."""


def at(moment: Instant | int) -> datetime:
    """Return ``moment`` as an aware UTC datetime, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=moment)


def local_midnight(now: Instant, zone: ZoneInfo) -> Instant:
    """Return the instant at which the local day of ``now`` began.

    Where summer time skips midnight the day begins at the first minute that exists.
    """
    start = at(now).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return Instant((start.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What of an ended contact the day's counts need; from a fact or from the contact table."""

    queue: QueueId
    disposition: Disposition
    first_queued: Instant
    wait_us: int


def ended_of(fact: ContactEnded) -> Ended | None:
    """Return the fact's part in the counts; ``None`` when the contact never entered a queue."""
    if fact.first_queued is None or fact.queue is None:
        return None
    return Ended(
        queue=fact.queue,
        disposition=fact.disposition,
        first_queued=fact.first_queued,
        wait_us=fact.wait_us,
    )


def counts_of(ended: Ended, target_us: int) -> QueueCounts:
    """Return the counts of this one contact: one part of *offered* is 1, or none is."""
    match ended.disposition:
        case Disposition.ANSWERED:
            return answered_counts(ended.wait_us, target_us)
        case Disposition.ABANDONED:
            return QueueCounts(abandoned=1)
        case Disposition.ABANDONED_SHORT:
            return QueueCounts(abandoned=1, abandoned_short=1)
        case Disposition.FAILED_OPEN | Disposition.SYSTEM_FAILED:
            return QueueCounts(failed=1)
        case other if other in ENDED_WAITING:
            return QueueCounts(ended_waiting=1)
        case other:
            assert other in AT_THE_DOOR, other
            return QueueCounts()


def answered_counts(wait_us: int, target_us: int) -> QueueCounts:
    """Return the counts of one answered contact that waited ``wait_us``."""
    return QueueCounts(
        answered=1, answered_in_target=int(wait_us <= target_us), wait_answered_us=wait_us
    )


class DayCounters:
    """Per queue, the contacts of the present local day that have ended.

    The day is that of the first queue entry: a call that waits over midnight belongs to the day
    in which it came. Built anew at start by :meth:`recall`.
    """

    def __init__(self, zone: ZoneInfo, now: Instant) -> None:
        self._zone = zone
        self._targets: Mapping[QueueId, int] = {}
        self._counts: defaultdict[QueueId, QueueCounts] = defaultdict(QueueCounts)
        self._since = local_midnight(now, zone)
        self._until = self._next_midnight()

    @property
    def since(self) -> Instant:
        """When the present day began."""
        return self._since

    def configure(self, targets: Mapping[QueueId, int], zone: ZoneInfo | None = None) -> None:
        """Take the queues' ``servicelevel`` in microseconds; counts so far stay as they are."""
        self._targets = dict(targets)
        if zone is not None and zone != self._zone:
            self._zone = zone
            self._until = self._next_midnight()

    def add(self, ended: Ended, now: Instant) -> None:
        """Count one ended contact if it belongs to the day of ``now``."""
        self._turn(now)
        if ended.first_queued >= self._since:
            self._counts[ended.queue].add(counts_of(ended, self.target_us(ended.queue)))

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

    def of(self, queue: QueueId, now: Instant) -> QueueCounts:
        """Return a copy of the queue's counts of today."""
        self._turn(now)
        found = self._counts.get(queue)
        return dataclasses.replace(found) if found is not None else QueueCounts()

    def target_us(self, queue: QueueId) -> int:
        """Return the queue's service level threshold; 20 s for a queue that is gone."""
        return self._targets.get(queue, 20 * SECOND)

    def _turn(self, now: Instant) -> None:
        if now >= self._until:
            self._counts.clear()
            self._since = local_midnight(now, self._zone)
            self._until = self._next_midnight()

    def _next_midnight(self) -> Instant:
        # 26 hours on is always the next day, also on the 25-hour one, and never the one after.
        return local_midnight(Instant(self._since + 26 * 3600 * SECOND), self._zone)
