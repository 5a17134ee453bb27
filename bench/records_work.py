"""What operators did in a year of a large city: segments, offers and intervals, by the million."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import SECOND
from gkc_engine.recorder import schema
from gkc_engine.recorder.agent_time import COLUMNS, AgentTime

TABLES: Final = (schema.segment, schema.offer, schema.agent_interval)

WRAP_UP_US: Final = 20 * SECOND
RING_US: Final = 3 * SECOND

Row = dict[str, Any]


def inserting(table: sa.Table) -> str:
    """Return the statement that puts a row of all columns in."""
    named = ", ".join(f'"{column.name}"' for column in table.columns)
    places = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({named}) VALUES ({places})"


@dataclass(slots=True)
class Crew:
    """Operators, each with one place: who has been ready the longest is rung."""

    size: int
    begin: int
    """All of them log in."""
    _free: list[tuple[int, str]] = field(default_factory=list)
    """Since when each of them is ready."""

    def __post_init__(self) -> None:
        self._free = [(self.begin, f"agent{n}") for n in range(self.size)]

    def ring(self, at: int, busy_us: int) -> tuple[str, int]:
        """Take an operator who is ready at ``at``; return him, and since when he was.

        Where nobody is ready, one more logs in just then.
        """
        if self._free and self._free[0][0] <= at:
            since, agent_id = heappop(self._free)
        else:
            since, agent_id, self.size = at, f"agent{self.size}", self.size + 1
        heappush(self._free, (at + busy_us, agent_id))
        return agent_id, since

    def go_home(self, at: int) -> Iterator[tuple[Any, ...]]:
        """Give the last interval of each: he was ready until then."""
        for since, agent_id in self._free:
            if since < at:
                yield agent_id, 0, since, at, "ready", "", None, None


class Work:
    """Rows of what operators did, written some thousand contacts at a time."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._insert = [inserting(table) for table in TABLES]
        names = [column.name for column in schema.agent_interval.columns]
        self._interval = dict.fromkeys(names)
        self._time = AgentTime()

    def write(self, contacts: Sequence[Row]) -> None:
        """Put in what belongs to these contacts."""
        rows: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for contact in contacts:
            rows[0].extend(_segments(contact))
            if contact["disposition"] == Disposition.ANSWERED:
                rows[1].append(_offer(contact))
                rows[2].extend(_intervals(contact))
        for statement, made in zip(self._insert, rows, strict=True):
            self._raw.executemany(statement, made)
        self._add_up(rows[2])

    def go_home(self, rows: Iterator[tuple[Any, ...]]) -> None:
        """Put in the last interval of each operator, who is gone after it."""
        last = list(rows)
        self._raw.executemany(self._insert[2], last)
        self._add_up(last)
        self._add_up([(one[0], one[1], one[3], None, "offline", "", None, None) for one in last])

    def _add_up(self, intervals: list[tuple[Any, ...]]) -> None:
        for interval in intervals:
            self._time.changes(dict(zip(self._interval, interval, strict=True)))
        self._raw.executemany(
            f"{inserting(schema.agent_time)} ON CONFLICT DO UPDATE SET "
            + ", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS),
            [
                [record[column.name] for column in schema.agent_time.columns]
                for record in self._time.take()
            ],
        )


def _segments(contact: Row) -> Iterator[tuple[Any, ...]]:
    key, queue, agent_id = contact["contact_id"], contact["queue"], contact["agent_id"]
    queued, answered, ended = contact["first_queued"], contact["answered"], contact["ended"]
    offer = None if answered is None else offer_id(contact)

    def one(n: int, kind: str, start: int, end: int, outcome: str, by: str | None) -> Any:  # noqa: ANN401
        place = queue if n else None
        rung = offer if n else None
        return (
            *(f"{key}.{n}", key, n, "citizen", kind, start, end, "centr", place, by, rung, None),
            *(outcome, "", f"{contact['linkedid']}", None, None, None),
        )

    if queued is None:
        yield one(0, "menu", contact["started"], ended, "left", None)
        return
    yield one(0, "menu", contact["started"], queued, "queued", None)
    if answered is None:
        yield one(1, "queue", queued, ended, "left", None)
        return
    ringing = answered - contact["ring_us"]
    yield one(1, "queue", queued, ringing, "offered", None)
    yield one(2, "ring", ringing, answered, "answered", None)
    yield one(3, "talk", answered, ended, "left", agent_id)
    yield (
        *(f"{key}.3.w", key, 3, "agent", "wrap_up", ended, ended + WRAP_UP_US, "centr", queue),
        *(agent_id, offer, None, "released", "", None, None, f"{key}.3", None),
    )


def offer_id(contact: Row) -> int:
    """Return the number of the one offer that was made for it."""
    n: int = contact["number_seq"]
    return n + 1


def _offer(contact: Row) -> tuple[Any, ...]:
    answered = contact["answered"]
    ringing = answered - contact["ring_us"]
    return (
        *(offer_id(contact), contact["agent_id"], contact["contact_id"], 0, contact["queue"], 0),
        *(ringing, ringing, answered, answered, "accepted", "", contact["ring_us"]),
    )


def _intervals(contact: Row) -> Iterator[tuple[Any, ...]]:
    agent_id, key = contact["agent_id"], contact["contact_id"]
    answered, ended, ready = contact["answered"], contact["ended"], contact["ready"]
    ringing = answered - contact["ring_us"]
    if ready < ringing:
        yield agent_id, 0, ready, ringing, "ready", "", None, None
    yield agent_id, 0, ringing, answered, "ringing", "", "voice", key
    yield agent_id, 0, answered, ended, "talk", "", "voice", key
    yield agent_id, 0, ended, ended + WRAP_UP_US, "wrap_up", "", "voice", key
