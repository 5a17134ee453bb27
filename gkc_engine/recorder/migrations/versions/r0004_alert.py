"""Alerts that were raised stand in a table of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, where no engine of the time between has done so already."""
    if sa.inspect(op.get_bind()).has_table("alert"):
        return
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("queue", _TEXT),
        sa.Column("measure", _TEXT, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("raised_us", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("told_us", sa.BigInteger),
        sa.Column("cleared_us", sa.BigInteger),
        sa.Column("cleared_value", sa.Float),
        sa.Column("acked_us", sa.BigInteger),
        sa.Column("acked_by", _TEXT),
        sa.Column("note", _TEXT),
    )
    op.create_index("ix_alert_raised_us", "alert", ["raised_us"])
