"""Operators' time is added up by quarter-hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gkc_engine.recorder import schema
from gkc_engine.recorder.adding import Adding
from gkc_engine.recorder.agent_time import AgentTime

revision = "0009"
down_revision = "0008"

_PAGE = 50_000


def upgrade() -> None:
    """Make the table, and add up the intervals as they stand: the ledger need not be folded."""
    connection = op.get_bind()
    if sa.inspect(connection).has_table("agent_interval"):
        schema.agent_time.create(connection, checkfirst=True)
        add_up(connection)
    # Else an older migration has dropped all of them: the store folds its ledger when it opens.


def add_up(connection: sa.Connection) -> None:
    """Fill the empty table."""
    time, adding = AgentTime(), Adding(schema.agent_time, connection.engine)
    # What the order is within an instant changes nothing.
    query = sa.select(schema.agent_interval).order_by(schema.agent_interval.c.start)
    result = connection.execute(query, execution_options={"yield_per": _PAGE})
    for page in result.mappings().partitions():
        for interval in page:
            time.changes(dict(interval))
        adding.execute(connection, time.take())
