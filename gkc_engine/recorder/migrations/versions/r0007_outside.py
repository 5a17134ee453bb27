"""A segment names the outside party by the keyed hash of its number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gkc_engine.recorder import schema

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column where the table is not to be made anew: no older segment has such a party."""
    if not sa.inspect(op.get_bind()).has_table("segment"):
        return
    op.add_column("segment", sa.Column("citizen_id", schema.TEXT))
    named = sa.text("citizen_id IS NOT NULL")
    op.create_index(
        "segment_citizen",
        "segment",
        ["citizen_id"],
        sqlite_where=named,
        postgresql_where=named,
    )
