"""Talks, offers and calls out are found by their time: operators' days are asked for, not all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the indexes, where the tables are not to be made anew anyway."""
    inspector = sa.inspect(op.get_bind())
    if inspector.has_table("segment"):
        worked = sa.text("agent_id IS NOT NULL")
        op.create_index(
            "segment_work", "segment", ["end"], sqlite_where=worked, postgresql_where=worked
        )
    if inspector.has_table("contact"):
        out = sa.text("direction = 'out'")
        op.create_index(
            "contact_out", "contact", ["started"], sqlite_where=out, postgresql_where=out
        )
    if inspector.has_table("offer"):
        op.create_index("offer_created", "offer", ["created"])
