"""Guests of other centers, and contacts that other centers served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gkc_engine.recorder import schema

revision = "0010"
down_revision = "0009"

_OF_CONTACT = (
    sa.Column("overflow_returned", sa.Integer),
    sa.Column("owner", schema.TEXT),
    sa.Column("origin", schema.TEXT),
)
_OF_ROLLUP = ("overflow_sent", "overflow_answered", "overflow_returned")


def upgrade() -> None:
    """Add the columns where the tables are not to be made anew: no older ledger has either."""
    if not sa.inspect(op.get_bind()).has_table("contact"):
        return
    there = {
        table: {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        for table in ("contact", "rollup")
    }
    for column in _OF_CONTACT:
        if column.name not in there["contact"]:
            op.add_column("contact", sa.Column(column.name, column.type))
    for name in _OF_ROLLUP:
        if name in there["rollup"]:
            continue
        op.add_column(
            "rollup", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
