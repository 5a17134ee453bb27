"""What the migrations share. A new one: the next file in ``versions``; see ``r0003_…`` for one."""

from __future__ import annotations

from alembic import op

from gkc_engine.recorder import schema


def make_projections_anew() -> None:
    """Drop them all, and the mark of how far they are: the store folds its ledger when it opens.

    Enough of a migration for any change of a projection: a column, an index, a table more.
    """
    connection = op.get_bind()
    schema.metadata.drop_all(connection, tables=schema.PROJECTIONS)
    connection.execute(schema.meta.delete().where(schema.meta.c.key == schema.PROJECTED))
