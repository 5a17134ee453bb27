"""Roll-ups of contacts that a test has put into their table by hand."""

from __future__ import annotations

import sqlalchemy as sa

from gkc_engine.recorder import schema
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
