"""The driver's own list of calls against the records, one to one."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Scene
from tests.acceptance.traces import Dialogue, dialogues, uniqueids

TOLERANCE_S = 2.0
"""How far a recorded instant may lie from the driver's clock (issue, section 5)."""

Row = dict[str, Any]


@dataclass(slots=True)
class Verdict:
    """What the comparison found; every list is empty when all is well."""

    calls: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong_times: list[str] = field(default_factory=list)
    wrong_outcomes: list[str] = field(default_factory=list)

    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.doubled or self.wrong_times or self.wrong_outcomes)

    def add(self, other: Verdict) -> None:
        """Take in what another comparison found."""
        self.calls += other.calls
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong_times += other.wrong_times
        self.wrong_outcomes += other.wrong_outcomes


_BEHIND = """
SELECT (SELECT max(seq) FROM event)
     > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'projected_seq')
"""
BEHIND_MAX_S = 3.0


def contacts_on_record(store: Path) -> list[Row]:
    """Return the contact table as soon as it holds all that the ledger has (ADR 0017)."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        limit = time.monotonic() + BEHIND_MAX_S
        while connection.execute(_BEHIND).fetchone()[0] and time.monotonic() < limit:
            time.sleep(0.01)  # another process writes it: there is nothing to wait on
        return [dict(r) for r in connection.execute("SELECT * FROM contact ORDER BY started")]
    finally:
        connection.close()


def compare(
    scene: Scene, by_hand: Sequence[Dialogue] = (), phones_by_hand: Sequence[Dialogue] = ()
) -> Verdict:
    """Compare every call dialled so far with the records; all calls must be over.

    ``by_hand``: citizens' calls and operators' legs of phones that no SIPp played.
    """
    sipps = scene.bench.running
    calls = [d for d in dialogues(s for s in sipps if s.name == "citizen") if d.external]
    calls += by_hand
    phones = [*dialogues(s for s in sipps if s.name != "citizen"), *phones_by_hand]
    rows = contacts_on_record(scene.city.state / "gkc.sqlite")
    return judge(calls, phones, rows, uniqueids(scene.city.asterisk.calls_csv))


def judge(
    calls: Sequence[Dialogue],
    phones: Sequence[Dialogue],
    rows: Sequence[Row],
    legs: dict[str, set[str]],
) -> Verdict:
    """Compare the citizens' calls and the operators' phones with the contact rows."""
    verdict = Verdict(calls=len(calls))
    by_leg: dict[str, list[Row]] = {}
    for row in rows:
        by_leg.setdefault(row["linkedid"] or "", []).append(row)
    owners = {leg: name for name, found in legs.items() for leg in found}
    for leg, found in by_leg.items():
        if leg not in owners:
            verdict.doubled.append(f"contact {found[0]['contact_id']} of no call: {leg!r}")
    for name, count in Counter(d.external for d in calls).items():
        assert count == 1, f"the driver dialled {name} {count} times"
    talks: dict[str, list[Dialogue]] = {}
    for phone in phones:
        if phone.answered is not None:
            talks.setdefault(phone.caller, []).append(phone)
    for call in calls:
        own = [r for leg in legs.get(call.external, ()) for r in by_leg.get(leg, ())]
        _one(verdict, call, talks.get(call.caller, ()), own)
    return verdict


def _one(verdict: Verdict, call: Dialogue, talks: Sequence[Dialogue], own: Sequence[Row]) -> None:
    if not own:
        verdict.lost.append(f"{call.external}: no contact")
    elif len(own) > 1:
        verdict.doubled.append(f"{call.external}: {len(own)} contacts")
    elif own[0]["ended"] is None:
        verdict.lost.append(f"{call.external}: not ended on record")
    else:
        _times(verdict, call, talks, own[0])


def _times(verdict: Verdict, call: Dialogue, talks: Sequence[Dialogue], row: Row) -> None:
    def near(what: str, recorded: int | None, seen: float | None) -> None:
        if recorded is None or seen is None:
            if (recorded is None) is not (seen is None):
                verdict.wrong_outcomes.append(
                    f"{call.external}: {what} recorded {recorded}, seen {seen}, {story(row)}"
                )
        elif abs(recorded / 1e6 - seen) > TOLERANCE_S:
            off = recorded / 1e6 - seen
            verdict.wrong_times.append(f"{call.external}: {what} {off:+.2f} s, {story(row)}")

    near("started", row["started"], call.invited)
    near("ended", row["ended"], call.ended)
    near("answered", row["answered"], min((t.answered or 0.0 for t in talks), default=None))
    if (row["disposition"] == "answered") is not bool(talks):
        verdict.wrong_outcomes.append(f"{call.external}: {story(row)}, {len(talks)} talks seen")
    if not row["started"] <= (row["answered"] or row["started"]) <= row["ended"]:
        verdict.wrong_times.append(f"{call.external}: out of order, {story(row)}")


def story(row: Row) -> str:
    """Return what a person needs to find the row."""
    return f"{row['contact_id']} {row['disposition']} via {row['via']} ({row['reason']})"
