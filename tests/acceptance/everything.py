"""That a run of the demo had everything that happens in a center, and that its parts add up.

What the records say is held against the outside world's own list of calls, and the reports against
the records' table of contacts, by code that is not theirs.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any, Final

from gkc_engine.acd.commands import Disposition
from gkc_engine.demo.rare import ONE_IN
from gkc_engine.ids import SECOND
from gkc_engine.statistics.counting import OUTBOUND_ONLY
from tests.acceptance.home import Home
from tests.acceptance.recorded import asked

NEVER: Final = {"misdirected", "failed_open", "system_failed"}
"""Nothing in the engine decides the first; the others need an engine or Asterisk that fails."""

QUARTER_US: Final = 900 * SECOND

_HANDED: Final = """
SELECT transfer_kind, end_reason, count(*) FROM segment
WHERE transfer_kind IS NOT NULL GROUP BY 1, 2
"""
_WAYS: Final = {
    ("blind", "agent"): "blind, a colleague was rung",
    ("blind", "queue"): "blind, to a queue",
    ("blind", ""): "blind, to a number outside",
    ("attended", ""): "attended",
}
_ON_BEHALF: Final = """
SELECT count(*) FROM contact JOIN contact AS citizen
ON citizen.contact_id = contact.related_contact_id AND citizen.direction = 'in'
WHERE contact.direction = 'out' AND contact.disposition = 'answered'
"""
HANDLED: Final = """
SELECT count(*) FROM
(SELECT DISTINCT contact_id, agent_id FROM segment WHERE kind IN ('talk', 'hold'))
"""
"""Contacts by operator: a transfer makes one contact two operators'."""
_QUARTERS: Final = f"""
SELECT first_queued / {QUARTER_US}, queue, disposition, count(*) FROM contact
WHERE first_queued IS NOT NULL GROUP BY 1, 2, 3
"""

_PART: Final = {
    "answered": "answered",
    "abandoned": "abandoned",
    "abandoned_short": "abandoned",
    "timeout": "ended_waiting",
    "no_agent": "ended_waiting",
    "closed": "ended_waiting",
    "failed_open": "failed",
    "system_failed": "failed",
}
"""Which part of offered a contact that entered a queue is, as docs/statistics.md has it."""
_PARTS: Final = ("answered", "abandoned", "ended_waiting", "failed", "waiting")


def of_every_kind(home: Home, row: dict[str, Any]) -> None:
    """What can happen in a center that runs has: to citizens, to calls out, by transfers."""
    least = max(1, row["offered"] // ONE_IN)
    ends = row["by_disposition"]
    assert {name for name, count in ends.items() if count < least} <= NEVER, ends
    calls = row["outbound_by_disposition"]
    assert set(calls) == {str(kind) for kind in (Disposition.ANSWERED, *OUTBOUND_ONLY)}
    ((on_behalf,),) = asked(home.store, _ON_BEHALF)
    # An operator may be late: of these, some citizens have gone before.
    some = max(1, least // 2)
    assert on_behalf >= some
    ways = Counter[str]()
    for kind, reason, count in asked(home.store, _HANDED):
        ways[_WAYS.get((kind, reason), "another way")] += count
    for way in _WAYS.values():
        assert ways[way] >= some, (way, ways)
    assert row["other_hands"] == 0
    acts = phones_acts(home)
    assert row["transfers"] == {"blind": acts["refer"], "attended": acts["ask"]}
    assert row["consultations"] == acts["ask"] + acts["askback"]
    assert min(acts["ask"], acts["askback"]) >= some


def phones_acts(home: Home) -> Counter[str]:
    """Return how often a phone did what it was to do, by the outside world's own CDR."""
    path = home.state / "demo" / "outside" / "log" / "cdr-custom" / "calls.csv"
    with path.open(encoding="utf-8", newline="") as file:
        codes = [row[1].split("/") for row in csv.reader(file)]
    return Counter(code[1] for code in codes if code[3:] == ["SUCCESS"])


def offered_is_its_parts(home: Home, *, each_queue: bool) -> None:
    """In every quarter of an hour (of every queue), as counted from the table of contacts."""
    counted: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for quarter, queue, disposition, count in asked(home.store, _QUARTERS):
        counted[quarter, queue][_PART.get(disposition or "", "waiting")] += count
    quarters: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for (quarter, _), parts in counted.items():
        quarters[quarter] += parts
    _intervals_are(home, quarters)
    queues = {queue for _, queue in counted}
    for row in home.gkc("report", "queues", "--from", "1h")[:-1]:
        total = sum((c for (_, q), c in counted.items() if q == row["queue"]), Counter[str]())
        _is(row, total)
        queues.discard(row["queue"])
    assert not queues, "not in the report"
    for queue in {queue for _, queue in counted} if each_queue else ():
        mine = {quarter: c for (quarter, q), c in counted.items() if q == queue}
        _intervals_are(home, mine, "--queue", queue)


def _intervals_are(home: Home, quarters: dict[int, Counter[str]], *only: str) -> None:
    *rows, _of_all = home.gkc("report", "interval", "--every", "15", "--from", "1h", *only)
    seen = set()
    for row in rows:
        begin = datetime.fromisoformat(row["begin"]).astimezone(UTC)
        quarter = round(begin.timestamp() * SECOND) // QUARTER_US
        _is(row, quarters.get(quarter, Counter()))
        seen.add(quarter)
    assert set(quarters) <= seen, (only, "an interval is missing")


def _is(row: dict[str, Any], parts: Counter[str]) -> None:
    assert {part: row[part] for part in _PARTS} == {part: parts[part] for part in _PARTS}, row
    assert row["offered"] == sum(row[part] for part in _PARTS), row
