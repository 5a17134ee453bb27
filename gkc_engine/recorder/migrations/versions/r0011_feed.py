"""How far each center's ledger is in the city's store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, where no store's opening has done so already."""
    if sa.inspect(op.get_bind()).has_table("feed"):
        return
    op.create_table(
        "feed",
        sa.Column("center", _TEXT, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        sa.Column("ledger", _TEXT),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("event_id", _TEXT, nullable=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
        sa.Column("taken_us", sa.BigInteger, nullable=False),
        sa.Column("stream_seq", sa.BigInteger, nullable=False),
        sa.Column("told_seq", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("problem", _TEXT),
    )
