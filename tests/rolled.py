"""Sums of contacts and intervals that a test has put into their tables by hand."""

from __future__ import annotations

import sqlalchemy as sa

from gkc_engine.recorder import schema
from gkc_engine.recorder.agent_time import AgentTime
from gkc_engine.recorder.rollup import RollUps


def count_anew(connection: sa.Connection) -> None:
    """Let the roll-ups be of the contacts as they stand now."""
    rolled = RollUps()
    for row in connection.execute(sa.select(schema.contact)).mappings().all():
        rolled.count(dict(row))
    connection.execute(schema.rollup.delete())
    rows = rolled.take()
    if rows:
        connection.execute(schema.rollup.insert(), rows)


def add_time_up(connection: sa.Connection) -> None:
    """Let the sums of operators' time be of the intervals as they stand now."""
    rows = [dict(row) for row in connection.execute(sa.select(schema.agent_interval)).mappings()]
    long = [row for row in rows if row["end"] is None or row["end"] > row["start"]]
    begins = {(row["agent_id"], row["slot"], row["start"]) for row in long}
    gone = [
        {**row, "start": row["end"], "state": "offline", "reason": "", "contact_id": None}
        for row in long
        if row["end"] is not None and (row["agent_id"], row["slot"], row["end"]) not in begins
    ]
    time = AgentTime()
    for change in sorted([*long, *gone], key=lambda row: row["start"]):
        time.changes(change)
    connection.execute(schema.agent_time.delete())
    added = time.take()
    if added:
        connection.execute(schema.agent_time.insert(), added)
