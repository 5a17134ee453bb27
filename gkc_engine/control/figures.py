"""Figures of a day, each with its one definition (docs/statistics.md). Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True, kw_only=True)
class QueueCounts:
    """Contacts of one queue that first entered a queue on one local day, by how they ended.

    ``waiting`` counts those that have not ended and are not yet answered, so that the parts
    always add up to ``offered``.
    """

    answered: int = 0
    """Connected with an agent, also through the fallback; a talk in progress counts."""
    answered_in_target: int = 0
    """Answered after at most the queue's ``servicelevel``."""
    wait_answered_us: int = 0
    """Sum of the waits of the answered, ring included."""
    abandoned: int = 0
    """Left while waiting, the short ones among them."""
    abandoned_short: int = 0
    """Left after at most ``short_abandon``."""
    ended_waiting: int = 0
    """``timeout``, ``no_agent``, ``closed`` and ``blocked`` after a queue was entered."""
    failed: int = 0
    """``failed_open`` and ``system_failed``."""
    waiting: int = 0

    def add(self, other: QueueCounts) -> None:
        """Add ``other`` to these counts."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


def offered(counts: QueueCounts) -> int:
    """Return how many contacts entered the queue: the sum of all ways to end, and still waiting.

    Beside it, not in it: refused at the door (``full``, ``closed`` before a queue), self-served,
    left in the menu. Source: Genesys "answered, abandoned or flow-out" (docs/statistics.md).
    """
    return (
        counts.answered + counts.abandoned + counts.ended_waiting + counts.failed + counts.waiting
    )


def service_level(counts: QueueCounts) -> float | None:
    """Return the share of contacts answered in time (SL-5), from 0.0 to 1.0.

    ``answered_in_target / (answered + abandoned - abandoned_short)``. Callers who hang up within
    the short-abandon threshold (inclusive) never gave us a chance and are left out of the
    denominator; other abandoned ones stay in and count against us. The wait runs from the first
    queue entry in the city to the answer, ring included; the threshold is the queue's
    ``servicelevel``, inclusive.

    Returns:
        ``None`` when no contact counts, because 0 % and 100 % would both mislead.

    Source:
        Genesys Cloud, "Configure the service level calculation"; variants in docs/statistics.md.
    """
    denominator = counts.answered + counts.abandoned - counts.abandoned_short
    return counts.answered_in_target / denominator if denominator else None


def average_speed_of_answer_s(counts: QueueCounts) -> float | None:
    """Return the mean wait of answered contacts (ASA) in seconds, ring included.

    ``sum of waits of the answered / answered``. Returns ``None`` when none was answered.
    Source: docs/statistics.md; some vendors divide by the offered instead.
    """
    return counts.wait_answered_us / 1_000_000 / counts.answered if counts.answered else None


def abandon_rate(counts: QueueCounts) -> float | None:
    """Return long abandons / offered, from 0.0 to 1.0; ``None`` when none was offered.

    Source: Amazon Connect, ABANDONMENT_RATE; short abandons are left out of the numerator.
    """
    total = offered(counts)
    return (counts.abandoned - counts.abandoned_short) / total if total else None
