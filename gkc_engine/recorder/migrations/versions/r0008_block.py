"""The block list: whose calls are refused at the door."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, where no store's opening has done so already."""
    if sa.inspect(op.get_bind()).has_table("block"):
        return
    op.create_table(
        "block",
        sa.Column("citizen_key", _TEXT, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
    )
