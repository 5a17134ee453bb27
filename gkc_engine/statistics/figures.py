"""Figures, each with its one definition (docs/statistics.md). Pure.

Shares are from 0.0 to 1.0, times in seconds. ``None`` where nothing was counted: 0 and 1 would both
mislead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from gkc_engine.ids import SECOND


class Part(StrEnum):
    """Figures that are numbers of contacts, so that they can be listed."""

    OFFERED = "offered"
    ANSWERED = "answered"
    ANSWERED_IN_TARGET = "answered_in_target"
    ABANDONED = "abandoned"
    ABANDONED_SHORT = "abandoned_short"
    ABANDONED_IN_TARGET = "abandoned_in_target"
    ENDED_WAITING = "ended_waiting"
    FAILED = "failed"
    WAITING = "waiting"
    OVERFLOW_SENT = "overflow_sent"
    OVERFLOW_ANSWERED = "overflow_answered"
    OVERFLOW_RETURNED = "overflow_returned"
    GUESTS = "guests"
    GUESTS_ANSWERED = "guests_answered"


class Work(StrEnum):
    """The figures of operators that count something."""

    HANDLED = "handled"
    TRANSFERS = "transfers"
    OFFERS = "offers"
    OFFERS_UNANSWERED = "offers_unanswered"
    OFFERS_WITHDRAWN = "offers_withdrawn"
    OUTBOUND = "outbound"
    OUTBOUND_ANSWERED = "outbound_answered"


@dataclass(slots=True, kw_only=True)
class Counts:
    """Contacts of one stretch of time, by their first queue entry, and how they ended.

    ``waiting`` counts those that have not ended and are not yet answered, so that the parts
    always add up to ``offered``. A wait runs from the first queue entry in the city, ring included.
    """

    answered: int = 0
    """Connected with an agent, also through the fallback; a talk in progress counts."""
    answered_in_target: int = 0
    """Answered after at most the queue's ``servicelevel``."""
    wait_answered_us: int = 0
    """Sum of the waits of the answered."""
    abandoned: int = 0
    """Left while waiting, the short ones among them."""
    abandoned_short: int = 0
    """Left after at most ``short_abandon``."""
    abandoned_in_target: int = 0
    """Left after at most the queue's ``servicelevel``, the short ones mostly among them."""
    wait_abandoned_us: int = 0
    """Sum of the waits of the abandoned."""
    ended_waiting: int = 0
    """``timeout``, ``no_agent`` and ``closed`` after a queue was entered."""
    failed: int = 0
    """``failed_open`` and ``system_failed``."""
    waiting: int = 0
    overflow_sent: int = 0
    """Sent to another center, once or more often; each is in one of the parts above as well."""
    overflow_answered: int = 0
    """Answered by another center's operator."""
    overflow_returned: int = 0
    """Came back unanswered from another center, once or more often, to their place."""
    guests: int = 0
    """Other centers' contacts for which an operator was kept free here; in no part above."""
    guests_answered: int = 0

    def add(self, other: Counts) -> None:
        """Add ``other`` to these counts."""
        _add(self, other, _COUNTS)


@dataclass(slots=True, kw_only=True)
class Handling:
    """What agents did with contacts; times in microseconds."""

    handled: int = 0
    """Contacts of which an agent's talk is over."""
    talk_us: int = 0
    hold_us: int = 0
    wrap_up_us: int = 0
    dial_us: int = 0
    """Calling outside, until the called party answered or did not."""
    ready_us: int = 0
    """Ready and without a contact."""
    paid_us: int = 0
    """Logged in, pauses and faults included."""
    transfers: int = 0
    """Begun by the agent and completed; an advice asked for is none."""
    outbound: int = 0
    """Calls that the agent made; those that were not allowed are none."""
    outbound_answered: int = 0
    offers: int = 0
    offers_unanswered: int = 0
    """Refused, missed, busy or unreachable."""
    offers_withdrawn: int = 0
    """Ended because the citizen left: no agent's doing."""

    def add(self, other: Handling) -> None:
        """Add what others did."""
        _add(self, other, _HANDLING)


# A month's report adds some hundred thousand of each.
_COUNTS = tuple(field.name for field in fields(Counts))
_HANDLING = tuple(field.name for field in fields(Handling))


def _add(to: Counts | Handling, other: Counts | Handling, names: Sequence[str]) -> None:
    for name in names:
        if more := getattr(other, name):
            setattr(to, name, getattr(to, name) + more)


# --- how many -------------------------------------------------------------------------------------


def offered(counts: Counts) -> int:
    """Return how many contacts entered the queue: the sum of all ways to end, and still waiting.

    Beside it, not in it: refused at the door (``full``, ``closed`` before a queue), self-served,
    left in the menu. Source: Genesys "answered, abandoned or flow-out" (docs/statistics.md).
    """
    return (
        counts.answered + counts.abandoned + counts.ended_waiting + counts.failed + counts.waiting
    )


def abandon_rate(counts: Counts) -> float | None:
    """Return long abandons / offered; ``None`` when none was offered.

    Source: Amazon Connect, ABANDONMENT_RATE; short abandons are left out of the numerator.
    """
    return _share(counts.abandoned - counts.abandoned_short, offered(counts))


# --- service levels -------------------------------------------------------------------------------


def service_level_1(counts: Counts) -> float | None:
    """Return SL-1: in time / answered, which hides whoever gave up.

    Source: Asterisk, ``queue show``; Wazo, quality of service.
    """
    return _share(counts.answered_in_target, counts.answered)


def service_level_2(counts: Counts) -> float | None:
    """Return SL-2: in time / (answered + abandoned): whoever left at once counts against us.

    Source: Call Centre Helper, "How to calculate service level", formula 3.
    """
    return _share(counts.answered_in_target, counts.answered + counts.abandoned)


def service_level_3(counts: Counts) -> float | None:
    """Return SL-3: in time / (answered + abandoned after the threshold).

    Source: Bright Pattern; Call Centre Helper, formula 4.
    """
    late = counts.abandoned - counts.abandoned_in_target
    return _share(counts.answered_in_target, counts.answered + late)


def service_level_4(counts: Counts) -> float | None:
    """Return SL-4: (in time + abandoned in time) / (answered + abandoned): leaving soon is good.

    Source: Asterisk's second figure (``ServicelevelPerf2``); Call Centre Helper, formula 1.
    """
    soon = counts.answered_in_target + counts.abandoned_in_target
    return _share(soon, counts.answered + counts.abandoned)


def service_level(counts: Counts) -> float | None:
    """Return the share of contacts answered in time: SL-5, ours.

    ``answered_in_target / (answered + abandoned - abandoned_short)``. Callers who hang up within
    the short-abandon threshold (inclusive) never gave us a chance and are left out of the
    denominator; other abandoned ones stay in and count against us. The threshold is the queue's
    ``servicelevel``, inclusive.

    Source:
        Genesys Cloud, "Configure the service level calculation".
    """
    return _share(
        counts.answered_in_target, counts.answered + counts.abandoned - counts.abandoned_short
    )


# --- waits ----------------------------------------------------------------------------------------


def average_speed_of_answer_s(counts: Counts) -> float | None:
    """Return the mean wait of answered contacts (ASA): sum of their waits / answered.

    Source: docs/statistics.md; some vendors divide by the offered instead.
    """
    return _seconds(counts.wait_answered_us, counts.answered)


def average_abandon_time_s(counts: Counts) -> float | None:
    """Return the mean wait of those who gave up: sum of their waits / abandoned, short ones too.

    Source: Amazon Connect, ABANDON_TIME.
    """
    return _seconds(counts.wait_abandoned_us, counts.abandoned)


def nearest_rank(ordered: Sequence[int], percent: int) -> float | None:
    """Return the shortest wait, in seconds, that at least ``percent`` % of all do not exceed.

    Nearest rank: the value at place ⌈percent · n / 100⌉ of the n ordered ones, always one that
    somebody had. From the contacts themselves: percentiles of intervals cannot be added up.

    Args:
        ordered: Microseconds, in ascending order.
        percent: 1 to 100 (100: the longest).
    """
    if not ordered:
        return None
    place = -(-percent * len(ordered) // 100)
    return ordered[place - 1] / SECOND


def nearest_rank_of(runs: Sequence[Sequence[int]], percent: int) -> float | None:
    """Return the ``nearest_rank`` of several lists together, each in ascending order.

    They are not merged: the wait is found by halving, of each list one place a step. A month's
    700 000 waits serve days, queues and services without being sorted anew for each.
    """
    count = sum(map(len, runs))
    if not count:
        return None
    place = -(-percent * count // 100)
    low, high = min(run[0] for run in runs if run), max(run[-1] for run in runs if run)
    while low < high:
        middle = (low + high) // 2
        if sum(bisect_right(run, middle) for run in runs) >= place:
            high = middle
        else:
            low = middle + 1
    return low / SECOND


# --- agents ---------------------------------------------------------------------------------------


def average_handle_time_s(handling: Handling) -> float | None:
    """Return AHT: (talk + hold + wrap-up) / handled; the ring is apart.

    Source: Genesys Cloud, tHandle; Amazon Connect, HANDLE_TIME.
    """
    return _seconds(handling_us(handling), handling.handled)


def occupancy(handling: Handling) -> float | None:
    """Return (talk + hold + wrap-up + dialling) / (the same + ready and idle).

    Pauses count on neither side. Source: Amazon Connect, OCCUPANCY.
    """
    busy = handling_us(handling) + handling.dial_us
    return _share(busy, busy + handling.ready_us)


def utilisation(handling: Handling) -> float | None:
    """Return (handling + ready) / paid: the part of the shift in which a citizen could be served.

    Source: docs/statistics.md; Genesys Cloud, utilization.
    """
    at_it = handling_us(handling) + handling.dial_us + handling.ready_us
    return _share(at_it, handling.paid_us)


def transfer_rate(handling: Handling) -> float | None:
    """Return transfers by the agent / handled.

    Source: Amazon Connect, CONTACTS_TRANSFERRED_OUT.
    """
    return _share(handling.transfers, handling.handled)


def ring_no_answer_rate(handling: Handling) -> float | None:
    """Return offers unanswered / offers (RNA).

    Source: Amazon Connect, agent non-response.
    """
    return _share(handling.offers_unanswered, handling.offers)


def ring_no_answer_rate_without_citizens(handling: Handling) -> float | None:
    """Return the same without the offers that the citizen ended.

    Source: Amazon Connect, agent non-response without customer abandons.
    """
    return _share(handling.offers_unanswered, handling.offers - handling.offers_withdrawn)


def handling_us(handling: Handling) -> int:
    """Return talk + hold + wrap-up in microseconds."""
    return handling.talk_us + handling.hold_us + handling.wrap_up_us


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _seconds(us: int, n: int) -> float | None:
    return us / SECOND / n if n else None
