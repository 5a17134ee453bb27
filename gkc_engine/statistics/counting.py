"""Which part of *offered* a contact is: the one place where records become counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from gkc_engine.acd.commands import ContactEnded, Disposition
from gkc_engine.ids import ContactId, Instant, QueueId
from gkc_engine.statistics.figures import Counts, Handling

ENDED_WAITING = frozenset({Disposition.TIMEOUT, Disposition.NO_AGENT, Disposition.CLOSED})
AT_THE_DOOR = frozenset(
    {
        Disposition.FULL,
        Disposition.BLOCKED,
        Disposition.SELF_SERVED,
        Disposition.ANSWERED_BY_ANNOUNCEMENT,
        Disposition.ABANDONED_MENU,
        Disposition.MISDIRECTED,
    }
)
"""Never offered, whatever queue they asked for."""
OUTBOUND_ONLY = (
    Disposition.NO_ANSWER,
    Disposition.BUSY,
    Disposition.DECLINED,
    Disposition.UNREACHABLE,
    Disposition.CANCELLED,
    Disposition.BARRED,
)
"""Of calls that agents make, beside ``answered`` and ``system_failed``; they enter no queue."""
GUESTS_ONLY = (Disposition.RETURNED,)
"""Of other centers' contacts, beside ``answered``; they are offered where they belong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What of an ended contact the counts need; from a fact or from the contact table."""

    queue: QueueId
    disposition: Disposition
    first_queued: Instant
    wait_us: int
    talk_us: int = 0
    hold_us: int = 0
    wrap_up_us: int = 0
    """So far: a wrap-up may end after its contact."""
    contact_id: ContactId | None = field(default=None, compare=False)

    @property
    def handled(self) -> Handling:
        """What was done with it; nothing unless it was answered."""
        if self.disposition is not Disposition.ANSWERED:
            return Handling()
        return Handling(
            handled=1, talk_us=self.talk_us, hold_us=self.hold_us, wrap_up_us=self.wrap_up_us
        )


def ended_of(fact: ContactEnded) -> Ended | None:
    """Return the fact's part in the counts; ``None`` when the contact never entered a queue."""
    if fact.first_queued is None or fact.queue is None:
        return None
    return Ended(
        queue=fact.queue,
        disposition=fact.disposition,
        first_queued=fact.first_queued,
        wait_us=fact.wait_us,
        talk_us=fact.talk_us,
        hold_us=fact.hold_us,
        contact_id=fact.contact_id,
    )


class Once:
    """Tells who was counted, while an engine that has just started counts from two sides.

    From the contact table comes who ended before; as it ends, everybody else. Whose end another
    engine did not hear of ended before, too, and is in the table as soon as this one has told it.
    """

    def __init__(self) -> None:
        self._seen: set[ContactId] | None = set()

    def first(self, one: Ended) -> bool:
        """Return whether it is to be counted: it was not yet."""
        if self._seen is None or one.contact_id is None:
            return True
        if one.contact_id in self._seen:
            return False
        self._seen.add(one.contact_id)
        return True

    def over(self) -> None:
        """From now on everybody comes from one side."""
        self._seen = None


def counts_of(disposition: Disposition, wait_us: int, target_us: int) -> Counts:
    """Return the counts of one ended contact: one part of *offered* is 1, or none is."""
    return counts_of_many(disposition, 1, int(wait_us <= target_us), wait_us)


def counts_of_many(disposition: Disposition, contacts: int, in_target: int, wait_us: int) -> Counts:
    """Return the counts of contacts that entered a queue and ended in the same way.

    Args:
        disposition: How.
        contacts: How many they are.
        in_target: How many of them waited at most their queue's ``servicelevel``.
        wait_us: Sum of their waits.
    """
    match disposition:
        case Disposition.ANSWERED:
            return Counts(answered=contacts, answered_in_target=in_target, wait_answered_us=wait_us)
        case Disposition.ABANDONED | Disposition.ABANDONED_SHORT:
            return Counts(
                abandoned=contacts,
                abandoned_short=contacts if disposition is Disposition.ABANDONED_SHORT else 0,
                abandoned_in_target=in_target,
                wait_abandoned_us=wait_us,
            )
        case Disposition.FAILED_OPEN | Disposition.SYSTEM_FAILED:
            return Counts(failed=contacts)
        case other if other in ENDED_WAITING:
            return Counts(ended_waiting=contacts)
        case other:
            assert other in (*AT_THE_DOOR, *OUTBOUND_ONLY, *GUESTS_ONLY), other
            return Counts()


def answered_counts(wait_us: int, target_us: int) -> Counts:
    """Return the counts of one answered contact that waited ``wait_us``."""
    return counts_of(Disposition.ANSWERED, wait_us, target_us)
