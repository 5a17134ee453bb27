"""Does the engine's record agree with the outside world's own list of calls? Pure.

Each call that was dialled must stand in the records exactly once, and each record must belong to
a call that was dialled. A call is counted by its disposition:

* ``answered``: answered (also by the fallback queue);
* ``abandoned``: abandoned, abandoned_short, abandoned_menu;
* ``self_served``: self_served;
* ``refused``: the center ended it without a person: full, closed, timeout, no_agent, blocked,
  answered_by_announcement, misdirected;
* ``failed_open``: failed_open (the engine was away) and system_failed;
* ``lost``: no record at all, or one that never ended.

So ``offered = answered + abandoned + self_served + refused + failed_open + lost`` always holds.
A call with several records is counted once, by its first; ``doubled`` tells of the others.

Who talked with a citizen is known to the phones too: ``other_hands`` are calls of which the phones
that answered are not those of the operators on record, in that order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from gkc_engine.acd.commands import Disposition, TransferKind
from gkc_engine.ids import SECOND, Instant, Micros, QueueId
from gkc_engine.statistics.counting import counts_of
from gkc_engine.statistics.figures import Counts, nearest_rank, service_level

GROUPS: Final[Mapping[Disposition, str]] = {
    Disposition.ANSWERED: "answered",
    Disposition.ABANDONED: "abandoned",
    Disposition.ABANDONED_SHORT: "abandoned",
    Disposition.ABANDONED_MENU: "abandoned",
    Disposition.SELF_SERVED: "self_served",
    Disposition.FULL: "refused",
    Disposition.CLOSED: "refused",
    Disposition.TIMEOUT: "refused",
    Disposition.NO_AGENT: "refused",
    Disposition.BLOCKED: "refused",
    Disposition.ANSWERED_BY_ANNOUNCEMENT: "refused",
    Disposition.MISDIRECTED: "refused",
    Disposition.FAILED_OPEN: "failed_open",
    Disposition.SYSTEM_FAILED: "failed_open",
}


BLINK_US: Final = SECOND
"""A talk as short as this may be known to one side only: an answer and a hang-up may cross."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """One stretch of a citizen's talk, with one phone."""

    phone: str
    talk_us: Micros
    begun_s: float | None = None
    """When it was answered, seconds since the epoch; ``None``: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What of one contact's record the account needs."""

    contact_id: str
    call_id: str | None
    """The outside world's id of the call; ``None`` when its leg carried none."""
    disposition: Disposition | None
    """``None`` while it has not ended."""
    queue: QueueId | None = None
    first_queued: Instant | None = None
    wait_us: int = 0
    """First queue entry to the answer or the end, ring included."""
    missed: bool = False
    """Whether an earlier offer was not answered, declined, or found the phone busy."""
    hands: tuple[Hand, ...] | None = None
    """Whose phones he talked on, in order; ``None``: not all of them are the outside world's."""
    transfers: tuple[str, ...] = ()
    """How he was handed over, each time: `TransferKind`."""
    consultations: int = 0
    """How often an operator asked a colleague about him."""
    answered_by: str = ""
    """The other center whose operator answered him; empty: nobody, or one of this center."""


@dataclass(slots=True, kw_only=True)
class Account:
    """The comparison. ``balanced`` decides the exit code."""

    offered: int
    groups: Counter[str]
    by_disposition: Counter[str]
    missed_then_answered: int
    lost: list[str]
    """Ids of calls without an ended record."""
    doubled: list[str]
    """Ids of calls with more than one record, and contact ids of records without a call."""
    waits_us: list[int] = field(default_factory=list)
    """Of the answered, sorted."""
    waits_here_us: list[int] = field(default_factory=list)
    """Of those of them whom an operator of their own center answered, sorted."""
    counts: Counts = field(default_factory=Counts)
    """What the service level is made of."""
    answered_by: Counter[str] = field(default_factory=Counter)
    """Answered by an operator of another center, by its name."""
    outbound: Counter[str] = field(default_factory=Counter)
    """Calls that operators made, by disposition; apart from all that is above."""
    transfers: Counter[str] = field(default_factory=Counter)
    """By `TransferKind`."""
    consultations: int = 0
    other_hands: list[str] = field(default_factory=list)
    """Ids of calls that other phones answered than the records say."""
    whose: dict[str, str] = field(default_factory=dict)
    """Of these: the phones of the record, and those that answered."""

    @property
    def service_level(self) -> float | None:
        """SL-5 of all queues, each by its own threshold; ``None``: no contact."""
        return service_level(self.counts)

    @property
    def balanced(self) -> bool:
        """Whether each call is on record once, with who talked, and no call out is open."""
        return not (self.lost or self.doubled or self.other_hands or self.outbound[""])


def compare(
    dialled: Collection[str],
    records: Iterable[Record],
    targets_us: Mapping[QueueId, Micros],
    hands: Mapping[str, Sequence[Hand]] | None = None,
) -> Account:
    """Compare the outside world's list of call ids with the records, one to one.

    ``targets_us``: each queue's ``servicelevel``. Records in order of their contacts' start.
    ``hands``: the phones that answered, by call id, as the outside world knows them;
    ``None``: it does not tell.
    """
    by_call: defaultdict[str, list[Record]] = defaultdict(list)
    too_many = []
    known = set(dialled)
    for record in records:
        if record.call_id in known:
            assert record.call_id is not None
            by_call[record.call_id].append(record)
        else:
            too_many.append(record.contact_id)
    too_many += [call_id for call_id, found in by_call.items() if len(found) > 1]
    ended = {
        call_id: found[0] for call_id, found in by_call.items() if found[0].disposition is not None
    }
    answered = [r for r in ended.values() if r.disposition is Disposition.ANSWERED]
    others = [] if hands is None else _other_hands(ended, hands)
    return Account(
        offered=len(known),
        groups=Counter(GROUPS[_disposition(r)] for r in ended.values()),
        by_disposition=Counter(_disposition(r).value for r in ended.values()),
        missed_then_answered=sum(r.missed for r in answered),
        lost=sorted(known - set(ended)),
        doubled=too_many,
        waits_us=sorted(r.wait_us for r in answered),
        waits_here_us=sorted(r.wait_us for r in answered if not r.answered_by),
        counts=_counts(ended.values(), targets_us),
        answered_by=Counter(r.answered_by for r in answered if r.answered_by),
        transfers=Counter(kind for r in ended.values() for kind in r.transfers),
        consultations=sum(r.consultations for r in ended.values()),
        other_hands=others,
        whose={
            one: f"record {_said(ended[one].hands)}; phones {_said((hands or {}).get(one))}"
            for one in others
        },
    )


def _other_hands(ended: Mapping[str, Record], hands: Mapping[str, Sequence[Hand]]) -> list[str]:
    return sorted(
        call_id
        for call_id, record in ended.items()
        if record.hands is not None
        and not (
            _within(record.hands, hands.get(call_id, ()))
            and _within(hands.get(call_id, ()), record.hands)
        )
    )


def _said(hands: Sequence[Hand] | None) -> str:
    return ", ".join(f"{h.phone} {h.talk_us / SECOND:.1f} s" for h in hands or ()) or "nobody"


def _within(some: Iterable[Hand], others: Iterable[Hand]) -> bool:
    """Whether the talks that both sides must know stand in that order among the others.

    Two of one phone in a row are one: held and taken up again, or left and rung once more.
    """
    left = iter([hand.phone for hand in others])
    must = (hand.phone for hand in some if hand.talk_us > BLINK_US)
    return all(phone in left for phone, _ in groupby(must))


def _disposition(record: Record) -> Disposition:
    assert record.disposition is not None
    return record.disposition


def _counts(records: Iterable[Record], targets_us: Mapping[QueueId, Micros]) -> Counts:
    """Return the counts of all queues together, each contact by its own queue's threshold."""
    total = Counts()
    for record in records:
        if record.queue is None or record.first_queued is None:
            continue
        total.add(counts_of(_disposition(record), record.wait_us, targets_us[record.queue]))
    return total


def report(account: Account, *, seconds: float, rate: float, seed: int) -> dict[str, Any]:
    """Return the object that ``gkc demo --json`` prints, keys in its order.

    Waits in seconds, of the answered, from the first queue entry to the answer, ring included;
    ``service_level`` from 0.0 to 1.0 (`control.figures.service_level`, SL-5); null = no contact.
    """
    groups = account.groups
    return {
        "seconds": _number(seconds),
        "rate": _number(rate),
        "seed": seed,
        "offered": account.offered,
        "answered": groups["answered"],
        "abandoned": groups["abandoned"],
        "self_served": groups["self_served"],
        "refused": groups["refused"],
        "failed_open": groups["failed_open"],
        "missed_then_answered": account.missed_then_answered,
        "lost": len(account.lost),
        "doubled": len(account.doubled),
        "wait_p50_s": _rounded(nearest_rank(account.waits_us, 50)),
        "wait_p90_s": _rounded(nearest_rank(account.waits_us, 90)),
        "wait_max_s": _rounded(nearest_rank(account.waits_us, 100)),
        "service_level": None if account.service_level is None else round(account.service_level, 4),
        "outbound": account.outbound.total(),
        "outbound_answered": account.outbound[Disposition.ANSWERED.value],
        "outbound_by_disposition": dict(sorted(account.outbound.items())),
        "transfers": {kind.value: account.transfers[kind.value] for kind in TransferKind},
        "consultations": account.consultations,
        "other_hands": len(account.other_hands),
        "by_disposition": {one.value: account.by_disposition[one.value] for one in GROUPS},
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
