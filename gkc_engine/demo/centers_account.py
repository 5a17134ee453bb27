"""The account of several centers together: each call on record once in the city.

Each center's own account (`demo.account`) compares who dialled it with its own records, where an
operator of another center stands as ``sever:ivanova``; the phones of all centers tell whose hands
a citizen went through. Here they are added up, and one thing more is asked of the phones alone:

* ``doubled`` are also citizens who talked on two phones at once, in one center or in two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gkc_engine.demo.account import BLINK_US, Account, Hand, report
from gkc_engine.demo.books import hands_of
from gkc_engine.ids import SECOND
from gkc_engine.statistics.figures import Counts, nearest_rank


@dataclass(slots=True, kw_only=True)
class CityAccount:
    """What became of all calls of the city."""

    centers: dict[str, Account]
    whole: Account
    """All of them together."""
    records: dict[str, Any] | None = None
    """How the city's own store compares with the centers'; ``None``: it has none."""
    wrong: list[str] = field(default_factory=list)
    """What else is not as it must be, in words."""

    @property
    def balanced(self) -> bool:
        """Whether every call is on record once, with who talked, and the city has every record."""
        return self.whole.balanced and not self.wrong


def city_account(accounts: Mapping[str, Account], outside_csv: Path) -> CityAccount:
    """Return the account of the city of these centers.

    ``outside_csv``: the outside world's CDR, for all of them.
    """
    whole = added(accounts.values())
    twice = at_once(hands_of(outside_csv))
    whole.doubled += [one for one in twice if one not in whole.doubled]
    return CityAccount(centers=dict(accounts), whole=whole)


def added(accounts: Iterable[Account]) -> Account:
    """Return the sum of several centers' accounts; no call is in two of them."""
    total = Account(
        offered=0,
        groups=Counter(),
        by_disposition=Counter(),
        missed_then_answered=0,
        lost=[],
        doubled=[],
        counts=Counts(),
    )
    for one in accounts:
        total.offered += one.offered
        total.groups += one.groups
        total.by_disposition += one.by_disposition
        total.missed_then_answered += one.missed_then_answered
        total.lost += one.lost
        total.doubled += one.doubled
        total.waits_us = sorted(total.waits_us + one.waits_us)
        total.waits_here_us = sorted(total.waits_here_us + one.waits_here_us)
        total.counts.add(one.counts)
        total.answered_by += one.answered_by
        total.outbound += one.outbound
        total.transfers += one.transfers
        total.consultations += one.consultations
        total.other_hands += one.other_hands
        total.whose |= one.whose
    return total


def at_once(hands: Mapping[str, Sequence[Hand]]) -> list[str]:
    """Return the calls whose citizen was on two phones for longer than a blink, by the phones.

    A blind transfer ends one talk while the next begins: these may cross for a moment.
    """
    found = []
    for call_id, talks in hands.items():
        known = [(h.begun_s, h.talk_us / SECOND) for h in talks if h.begun_s is not None]
        until_s = 0.0
        for begun_s, talk_s in sorted(known):
            if until_s - begun_s > BLINK_US / SECOND < talk_s:
                found.append(call_id)
                break
            until_s = max(until_s, begun_s + talk_s)
    return sorted(found)


def city_report(
    account: CityAccount, *, seconds: float, rate: float, seed: int, shares: Mapping[str, float]
) -> dict[str, Any]:
    """Return the object that ``gkc demo --centers 3 --json`` prints, keys in its order.

    The fields of a single center's report (`account.report`) for the city, then what overflow
    brought, then the same of each center, whose share of the calls ``shares`` tells.
    """
    whole = report(account.whole, seconds=seconds, rate=rate, seed=seed)
    return {
        **whole,
        **_overflow(account.whole),
        "city_records": account.records,
        "centers": {
            name: {
                **report(one, seconds=seconds, rate=rate * shares[name], seed=seed),
                **_overflow(one),
                "answered_by": dict(sorted(one.answered_by.items())),
                "guests_answered": sum(c.answered_by[name] for c in account.centers.values()),
            }
            for name, one in account.centers.items()
        },
    }


def _overflow(account: Account) -> dict[str, Any]:
    """Return how many other centers answered, and the waits with them and without.

    Seconds, of the answered, from the first queue entry to the answer.
    """
    return {
        "overflow_answered": account.answered_by.total(),
        "waits": {
            "with_overflow": _waits(account.waits_us),
            "without_overflow": _waits(account.waits_here_us),
        },
    }


def _waits(waits_us: Sequence[int]) -> dict[str, float | int | None]:
    mean = sum(waits_us) / len(waits_us) / SECOND if waits_us else None
    ranks = {f"p{n}_s": nearest_rank(waits_us, n) for n in (50, 90)}
    rounded = {
        name: None if value is None else round(value, 3)
        for name, value in {"mean_s": mean, **ranks, "max_s": nearest_rank(waits_us, 100)}.items()
    }
    return {"answered": len(waits_us), **rounded}
