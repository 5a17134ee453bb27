"""The form of a store's tables: made new, or brought up by alembic's migrations (ADR 0025).

What cannot be made anew (ledger, snapshots, citizens, audit) is changed step by step by the files
of ``migrations/versions``; projections are dropped there and come back out of the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from gkc_engine.errors import GkcError
from gkc_engine.recorder import schema

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER: Final = Path(__file__).parent / "migrations"

_VERSION: Final = sa.Table(
    "alembic_version",
    sa.MetaData(),  # alembic's own: no table of ours
    sa.Column("version_num", sa.String(32), primary_key=True),
)
_STORE_VERSION: Final = "store_version"
"""Key in ``meta`` of stores from before the migrations; engines of that time look at it alone,
and refuse a number above 2."""
_KEEPS_OFF: Final = "3"


class NewerStoreError(GkcError):
    """The store is of a form that this engine does not know."""


def current(connection: sa.Connection) -> str | None:
    """Return the revision of the store's tables; ``None``: there are none yet."""
    tables = set(sa.inspect(connection).get_table_names())
    if _VERSION.name in tables:
        found = connection.scalar(sa.select(_VERSION.c.version_num))
        if found is not None:
            return str(found)
    if schema.meta.name not in tables:
        return None
    query = sa.select(schema.meta.c.value).where(schema.meta.c.key == _STORE_VERSION)
    before = connection.scalar(query)
    return None if before is None else f"{int(before):04}"


def bring_up(connection: sa.Connection) -> None:
    """Make the tables, or bring an older store's up; within the caller's transaction.

    Raises:
        NewerStoreError: A newer engine wrote it.
    """
    found = current(connection)
    if found == schema.REVISION:
        return
    if found is not None and found > schema.REVISION:
        raise NewerStoreError(
            f"store version {found}, this engine knows {schema.REVISION}; start the newer engine"
        )
    if found is None:
        _VERSION.create(connection, checkfirst=True)
        schema.metadata.create_all(connection)
        connection.execute(_VERSION.insert(), {"version_num": schema.REVISION})
        row = {"key": _STORE_VERSION, "value": _KEEPS_OFF}
        connection.execute(schema.meta.insert(), row)
        return
    upgrade(connection, found)
    # Whatever a migration dropped to be made anew.
    schema.metadata.create_all(connection)


def upgrade(connection: sa.Connection, found: str | None, to: str = "head") -> None:
    """Run the migrations after ``found``; ``None``: from the first one on."""
    from alembic import command

    _VERSION.create(connection, checkfirst=True)
    if found is not None and connection.scalar(sa.select(_VERSION.c.version_num)) is None:
        connection.execute(_VERSION.insert(), {"version_num": found})
    command.upgrade(config(connection), to)


def history() -> list[tuple[str, str]]:
    """Return each revision with what it is for, the first one first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config())
    every = [(script.revision, script.doc) for script in scripts.walk_revisions()]
    return every[::-1]


def config(connection: sa.Connection | None = None) -> Config:
    """Return what alembic asks for; no file is needed."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made
