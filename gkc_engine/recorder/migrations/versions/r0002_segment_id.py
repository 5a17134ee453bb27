"""Segments have names of their own in the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gkc_engine.recorder.migrations import make_projections_anew

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column, where an engine of that time has not done so itself."""
    have = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("event")}
    if "segment_id" not in have:
        op.add_column("event", sa.Column("segment_id", _TEXT))
    make_projections_anew()
