"""The ledger, snapshots and citizens, as the first engines made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make what cannot be made anew; projections come with the store's opening."""
    op.create_table(
        "meta",
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("value", _TEXT, nullable=False),
    )
    op.create_table(
        "event",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("event_id", _TEXT, nullable=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
        sa.Column("center", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("contact_id", _TEXT),
        sa.Column("agent_id", _TEXT),
        sa.Column("queue", _TEXT),
        sa.Column("offer_id", sa.BigInteger),
        sa.Column("config_version", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("source_key", _TEXT),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("data", _TEXT, nullable=False),
        sa.UniqueConstraint("event_id"),
    )
    op.create_index("ix_event_contact_id", "event", ["contact_id"])
    op.create_index("ix_event_offer_id", "event", ["offer_id"])
    there = sa.text("source_key IS NOT NULL")
    op.create_index(
        "event_source_key",
        "event",
        ["source", "source_key"],
        unique=True,
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_table(
        "snapshot",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("ts_us", sa.BigInteger, nullable=False),
        sa.Column("engine_version", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
    )
    op.create_table(
        "citizen",
        sa.Column("citizen_key", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("cipher", sa.LargeBinary, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "citizen_key",
        sa.Column("citizen_key", _TEXT, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
