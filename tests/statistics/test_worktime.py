"""On what operators' time went: added up by the database, against a count of every minute."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import sqlalchemy as sa

from gkc_engine.acd.slots import DIALS
from gkc_engine.ids import Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.agent_time import ACTIVITIES
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.worktime import Within, time_of_all, time_of_each
from tests.rolled import add_time_up

Rows = list[dict[str, Any]]

DIALLING: Final = DIALS[1]
DOING: Final = (
    ("talk", "", "c1", "talk"),
    ("talk", "", None, None),  # a call of his own
    ("talk", DIALLING, "c2", "dial"),
    ("talk", DIALLING, None, "dial"),
    ("hold", "", "c1", "hold"),
    ("hold", "", None, None),
    ("wrap_up", "", "c1", "wrap_up"),
    ("ready", "", None, "ready"),
    ("ready", "no_answer", None, None),  # nobody rings him so soon
    ("ringing", "", "c1", None),
    ("not_ready", "lunch", None, None),
)
"""State, reason and contact of an interval; which of ``ACTIVITIES`` that is."""

MINUTE: Final = 60 * 1_000_000
LAST: Final = 200
"""Of the minutes: some thirteen quarter-hours."""


def shifts(rng: random.Random) -> Rows:
    """Intervals of some operators, with one place or several; each place has one at a time."""
    made: Rows = []
    for n in range(rng.randint(1, 4)):
        for slot in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(60)
            while at < LAST:
                until = at + rng.choice((1, 7, rng.randrange(1, 90)))
                state, reason, contact_id, _ = rng.choice(DOING)
                if rng.random() < 0.25:
                    state, reason, contact_id = "offline", "", None
                end = until * MINUTE if until < LAST else None
                row = {"agent_id": f"a{n}", "slot": slot, "start": at * MINUTE, "end": end}
                made.append(row | {"state": state, "reason": reason, "contact_id": contact_id})
                at = until
    return made


@contextmanager
def stored(rows: Rows) -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(schema.agent_interval.insert(), rows)
        add_time_up(connection)
        yield connection
    engine.dispose()


def by_minutes(rows: Rows, within: Within) -> dict[str, Handling]:
    """The time of each who was logged in, minute by minute."""
    names = {one[:3]: one[3] for one in DOING}
    made: dict[str, Handling] = {}
    for minute in range(within.since // MINUTE, within.until // MINUTE):
        at = minute * MINUTE
        doing: dict[str, set[str | None]] = {}
        for row in rows:
            end = within.known if row["end"] is None else row["end"]
            if row["state"] != "offline" and row["start"] <= at < end:
                what = names[row["state"], row["reason"], row["contact_id"]]
                doing.setdefault(row["agent_id"], set()).add(what)
        for agent_id, all_of_it in doing.items():
            handling = made.setdefault(agent_id, Handling())
            handling.paid_us += MINUTE
            for activity in ACTIVITIES:
                if activity in all_of_it:
                    name = f"{activity}_us"
                    setattr(handling, name, getattr(handling, name) + MINUTE)
                    break
    return made


@pytest.mark.parametrize("seed", range(25))
def test_the_sums_are_a_count_of_minutes(seed: int) -> None:
    rng = random.Random(seed)
    rows = shifts(rng)
    since, until = sorted(rng.sample(range(LAST + 40), 2))
    # The records' last word: whatever is told of began no later.
    known = max(row["start"] for row in rows) // MINUTE + rng.randrange(60)
    within = Within(
        since=Instant(since * MINUTE), until=Instant(until * MINUTE), known=Instant(known * MINUTE)
    )
    expected = by_minutes(rows, within)
    with stored(rows) as connection:
        of_each = time_of_each(connection, within)
        of_all = time_of_all(connection, within)
    assert {a: h for a, h in of_each.items() if h.paid_us} == expected
    together = Handling()
    for handling in expected.values():
        together.add(handling)
    assert of_all == together


def test_only_what_lies_in_the_time_is_read() -> None:
    """By the index of beginnings, and by the key of the one that went on at the time's begin."""
    said: list[str] = []
    with stored(shifts(random.Random(1))) as connection:

        def listen(_c: object, _cursor: object, text: str, given: Any, *_: object) -> None:  # noqa: ANN401
            if not text.startswith("EXPLAIN"):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
                said.extend(line[3] for line in plan)

        sa.event.listen(connection.engine, "before_cursor_execute", listen)
        within = Within(
            since=Instant(50 * MINUTE), until=Instant(60 * MINUTE), known=Instant(60 * MINUTE)
        )
        time_of_each(connection, within)
        sa.event.remove(connection.engine, "before_cursor_execute", listen)
    assert not [line for line in said if line.startswith("SCAN agent_interval")], said
    reading = [line for line in said if " USING INDEX " in line]
    ways = {line.rpartition("(")[2] for line in reading}
    assert ways == {"start>? AND start<?)", "agent_id=? AND slot=? AND start<?)"}, said
