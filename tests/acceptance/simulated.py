"""A live run of the demo once more by ``gkc simulate``: from its record, operator by operator.

What the simulator knows no word for is taken out of the run or put into its terms:

* nothing rare happens (``rare``): it knows neither transfers nor calls out nor advice;
* phones are answered after the same time, each call at its first operator (``offer: {ring: …}``);
* operators are all at work when the first citizen comes, and those who came first stand first
  (``All operators are ready at 0``, the last tie-break being the order of the config);
* the citizen is put in where the menu has led him, at the instant at which he entered the queue;
* a real phone is answered some milliseconds sooner or later: the talk is as much longer or shorter,
  so that the operator is free again as long after the offer as he was.

Who gets whom, and when, comes from the simulator alone, and is held against the record.
"""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from gkc_engine.cli._demo_screen import Lines
from gkc_engine.config.loader import load_config
from gkc_engine.demo import world
from gkc_engine.demo.people import phone_decisions
from gkc_engine.demo.run import Demo
from gkc_engine.demo.setup import DemoOptions
from gkc_engine.demo.tree import Document, copy_tree
from gkc_engine.ids import SECOND
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.outside import PhoneAct, PhoneDecision
from gkc_engine.simulation.table import COLUMNS, seconds
from tests.acceptance.home import CONFIG, Home
from tests.acceptance.recorded import asked

RING_S: Final = 1.2
BEFORE_US: Final = SECOND
"""The simulated time 0 lies so long before the first citizen enters a queue."""
NEAR_US: Final = SECOND // 20
"""So far a simulated offer may lie from the live one; on a calm machine it is the microsecond."""

_CONTACTS: Final = """
SELECT contact.contact_id, contact.queue, first_queued, contact.ended,
       offer.agent_id, offer.created, offer.answered,
       (SELECT max(interval.end) FROM agent_interval AS interval
        WHERE interval.contact_id = contact.contact_id AND state IN ('talk', 'hold'))
FROM contact
LEFT JOIN offer ON offer.contact_id = contact.contact_id AND offer.outcome = 'accepted'
WHERE first_queued IS NOT NULL
ORDER BY first_queued
"""
_AT_WORK: Final = """
SELECT agent_id, max(start) FROM agent_interval
WHERE state = 'ready' AND start <= (SELECT min(first_queued) FROM contact)
GROUP BY agent_id ORDER BY 2
"""


@dataclass(frozen=True, slots=True)
class Lived:
    """What became of one contact in the live run; instants in microseconds."""

    contact: str
    queue: str
    queued: int
    ended: int
    agent: str | None
    offered: int | None
    answered: int | None
    talked: int | None
    """When its operator was free of it."""


def run(home: Home, install: Install, *, seconds: float, rate: float, seed: int) -> None:
    """Run the demo, but every phone is answered after ``RING_S``, and none calls outside."""

    def prompt(rng: random.Random, count: int) -> list[PhoneDecision]:
        drawn = phone_decisions(rng, count)
        return [dataclasses.replace(d, act=PhoneAct.ANSWER, ring_s=RING_S) for d in drawn]

    options = DemoOptions(
        config=CONFIG,
        state=home.state,
        sockets=home.note.parent,
        seconds=seconds,
        rate=rate,
        seed=seed,
        rare=False,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "phone_decisions", prompt)
        account = asyncio.run(Demo(options, install, Lines()).run())
    assert account is not None
    assert account.balanced


def lived(store: Path) -> list[Lived]:
    """Return what became of each contact that entered a queue, in that order."""
    outcomes = {row[0] for row in asked(store, "SELECT DISTINCT outcome FROM offer")}
    assert outcomes <= {"accepted", "withdrawn"}, "a phone was not answered"
    return [Lived(*row) for row in asked(store, _CONTACTS)]


def ring_us(contacts: list[Lived]) -> int:
    """Return how long a phone mostly rang, in whole milliseconds."""
    rings = [c.answered - c.offered for c in contacts if c.answered and c.offered]
    return round(median(rings) / 1000) * 1000


def arrivals(contacts: list[Lived], ring: int) -> list[tuple[str, ...]]:
    """Return the rows of ``--arrivals``."""
    begin = contacts[0].queued - BEFORE_US
    rows: list[tuple[str, ...]] = []
    for one in contacts:
        if one.offered is None or one.talked is None:
            handle, patience = SECOND, seconds(one.ended - one.queued)
        else:
            handle, patience = one.talked - one.offered - ring, ""
        arrived = seconds(one.queued - begin)
        rows.append((one.contact, one.queue, arrived, seconds(handle), patience))
    return rows


def simulate(home: Home, rows: list[tuple[str, ...]], ring: int) -> dict[str, dict[str, str]]:
    """Run them through ``gkc simulate``, with who was at work; return its trace by contact."""
    at_work = [row[0] for row in asked(home.store, _AT_WORK)]
    assert len(at_work) == len(load_config(home.config).operators) - 1, "one is left to the user"

    def staffed(_name: str, document: Document) -> None:
        if "operators" in document:
            document["operators"] = {name: document["operators"][name] for name in at_work}

    copy_tree(home.config, home.folder / "staffed", staffed)
    scenario, given, trace = (home.folder / n for n in ("again.yaml", "in.csv", "out.csv"))
    scenario.write_text(f"config: staffed\noffer: {{ring: {ring // 1000}ms}}\n")
    with given.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    home.says("simulate", str(scenario), "--arrivals", str(given), "--trace", str(trace))
    with trace.open(newline="") as file:
        return {row["contact"]: row for row in csv.DictReader(file)}


def agrees(home: Home) -> None:
    """The simulator gives each operator the citizens that he had in the live run, at their time."""
    contacts = lived(home.store)
    begin, ring = contacts[0].queued - BEFORE_US, ring_us(contacts)
    trace = simulate(home, arrivals(contacts, ring), ring)
    served: dict[str, list[str]] = {}
    simulated: dict[str, list[str]] = {}
    near: list[tuple[int, str]] = []
    for one in contacts:
        row = trace[one.contact]
        assert row["outcome"] == ("abandoned" if one.agent is None else "answered"), (one, row)
        if row["operator"]:
            offered = begin + round(float(row["answered_s"]) * SECOND) - ring
            near.append((abs(offered - (one.offered or 0)), one.contact))
    for one in sorted(contacts, key=lambda c: c.offered or 0):
        if one.agent is not None:
            served.setdefault(one.agent, []).append(one.contact)
    for row in sorted(trace.values(), key=lambda r: float(r["answered_s"] or 0)):
        if row["operator"]:
            simulated.setdefault(row["operator"], []).append(row["contact"])
    for agent in served | simulated:
        assert simulated.get(agent) == served.get(agent), agent
    assert max(near)[0] <= NEAR_US, f"not offered at the same time: {max(near)}"
    # Else there was nothing to decide.
    assert sum(one.offered is not None and one.offered > one.queued for one in contacts) >= 5
    assert any(one.agent is None for one in contacts)
