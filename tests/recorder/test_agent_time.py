"""Operators' time by quarter-hours against their intervals, minute by minute."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState, AgentStateChanged
from gkc_engine.acd.slots import DIALS
from gkc_engine.ids import AgentId, ContactId, Instant
from gkc_engine.recorder import migrate, schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.places import Place
from tests.recorder.rolled import QUARTER, rows
from tests.recorder.support import START, History

MINUTE = 60_000_000
ORDER = ("talk", "hold", "wrap_up", "dial", "ready")
STATES: list[tuple[str, str, str | None]] = [
    ("ready", "", None),
    ("ready", "no_answer", None),
    ("talk", "", "c1"),
    ("talk", "", None),
    ("talk", DIALS[1], "c2"),
    ("talk", "", "consult:x"),
    ("hold", "", "c1"),
    ("wrap_up", "", "c1"),
    ("not_ready", "lunch", None),
    ("offline", "", None),
]


def told(seed: int) -> History:
    """Three operators, of one to three places each, over some five hours."""
    rng = random.Random(seed)
    history = History(now=Instant(START // QUARTER * QUARTER))
    history.configured()
    places = [(f"a{n}", slot) for n in range(3) for slot in range(rng.randint(1, 3))]
    for _ in range(120):
        history.after(rng.choice((0, 0, 1, 4, 9)) * 60)
        agent_id, slot = rng.choice(places)
        state, reason, contact_id = rng.choice(STATES)
        fact = AgentStateChanged(
            agent_id=AgentId(agent_id),
            slot=slot,
            state=AgentState(state),
            since=history.now,
            reason=reason,
            contact_id=None if contact_id is None else ContactId(contact_id),
        )
        history.step(ev.Tick(), fact)
    return history


def activity(one: dict[str, Any]) -> str:
    if one["reason"] == DIALS[1]:
        return "dial"
    if one["state"] == "ready":
        return "rest" if one["reason"] else "ready"
    own = one["contact_id"] is None or one["contact_id"].startswith("consult:")
    return "own" if own and one["state"] in ORDER else str(one["state"])


def by_minutes(intervals: list[dict[str, Any]]) -> dict[tuple[int, str], dict[str, int]]:
    """What every row has to say: of each minute until the last change of the operator."""
    made: defaultdict[tuple[int, str], dict[str, int]] = defaultdict(
        lambda: {f"{name}_us": 0 for name in (*ORDER, "paid")}
    )
    for agent_id in {one["agent_id"] for one in intervals}:
        mine = [one for one in intervals if one["agent_id"] == agent_id]
        last = max(one["start"] for one in mine)
        for at in range(min(one["start"] for one in mine), last, MINUTE):
            there = [
                activity(one)
                for one in mine
                if one["state"] != "offline"
                and one["start"] <= at
                and (one["end"] is None or at < one["end"])
            ]
            if there:
                row = made[at // QUARTER * QUARTER, agent_id]
                row["paid_us"] += MINUTE
                best = [name for name in ORDER if name in there]
                if best:
                    row[f"{best[0]}_us"] += MINUTE
    return dict(made)


def kept(connection: sa.Connection) -> dict[tuple[int, str], dict[str, int]]:
    return {(row.pop("start"), row.pop("agent_id")): row for row in rows(connection, "agent_time")}


def filled(place: Place, history: History, seed: int) -> LedgerStore:
    """A store that was settled, and its engine restarted, at any moment."""
    rng, steps = random.Random(seed + 1), history.steps
    store = place.store()
    store.open()
    while steps:
        n = rng.randint(1, 30)
        store.append(batch_of(steps[:n], "centr"))
        steps = steps[n:]
        if rng.random() < 0.5:
            store.settle()
        if rng.random() < 0.2:
            store.close()
            store = place.store()
            store.open()
    store.settle()
    return store


@pytest.mark.parametrize("seed", range(8))
def test_the_rows_are_what_the_intervals_add_up_to(place: Place, seed: int) -> None:
    store = filled(place, told(seed), seed)
    with store.transaction() as connection:
        expected, found = by_minutes(rows(connection, "agent_interval")), kept(connection)
    assert found == expected
    assert len(found) > 10
    store.rebuild()
    with store.transaction() as connection:
        assert kept(connection) == expected
    store.close()


def test_an_older_store_has_them_added_up(place: Place) -> None:
    filled(place, told(3), 3).close()
    with place.engine().begin() as connection:
        before = kept(connection)
        schema.agent_time.drop(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0008'")
        migrate.bring_up(connection)
        assert kept(connection) == before
