"""The form of the store is alembic's business; audit and holds are made with the rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gkc_engine.recorder import schema

revision = "0003"
down_revision = "0002"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make what a store lacks that only commands have opened; keep older engines off."""
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("audit"):
        op.create_table(
            "audit",
            sa.Column("audit_id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("ts_us", sa.BigInteger, nullable=False),
            sa.Column("actor", _TEXT, nullable=False),
            sa.Column("action", _TEXT, nullable=False),
            sa.Column("object", _TEXT, nullable=False),
            sa.Column("before", _TEXT),
            sa.Column("after", _TEXT),
        )
        op.create_index("ix_audit_ts_us", "audit", ["ts_us"])
    if not sa.inspect(connection).has_table("hold"):
        op.create_table(
            "hold",
            sa.Column("citizen_key", _TEXT, primary_key=True),
            sa.Column("since", sa.BigInteger, nullable=False),
            sa.Column("actor", _TEXT, nullable=False),
            sa.Column("reason", _TEXT, nullable=False),
        )
    # Engines from before the migrations look at this alone, and refuse a number above 2.
    meta = schema.meta
    connection.execute(meta.delete().where(meta.c.key == "store_version"))
    connection.execute(meta.insert(), {"key": "store_version", "value": "3"})
