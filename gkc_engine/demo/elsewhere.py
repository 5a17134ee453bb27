"""Records of the demo that do not lie in its own folder: in a PostgreSQL, as a rule."""

from __future__ import annotations

import sqlalchemy as sa

from gkc_engine.config.store import sqlite_path
from gkc_engine.demo.tree import Document
from gkc_engine.errors import GkcError
from gkc_engine.recorder import migrate, schema
from gkc_engine.recorder.store import cause_of


def put(document: Document, store: str) -> None:
    """Let the demo's own configuration keep its records in ``store``, a URL or a reference.

    Of its files the one with the ports says so; the others are left as they are.
    """
    if "pbx" in document:
        document["store"] = {"url": store}


def look(url: str, said: str, *, keep: bool) -> None:
    """Make sure that the demo may write there: it answers, and holds no records of before.

    The demo empties its own folder before each run, and never a database: that is its owner's.

    Args:
        url: With its password, if it has one; never shown.
        said: What was written on the command line.
        keep: Whether the run is to go on with the records that are there.

    Raises:
        GkcError: it cannot be reached, or has records; what to do.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return
    engine = schema.make_engine(url, read_only=True)
    try:
        with engine.connect() as connection:
            refusal = _refusal(connection, keep=keep)
    except sa.exc.SQLAlchemyError as error:
        refusal = f"cannot be asked: {cause_of(error)}"
    finally:
        engine.dispose()
    if refusal is not None:
        raise GkcError(f"--store {said}: {refusal}")


def _refusal(connection: sa.Connection, *, keep: bool) -> str | None:
    server = connection.dialect.name == "postgresql"
    if server and connection.scalar(sa.text("SELECT current_schema()")) is None:
        return "no schema in search_path that is there; CREATE SCHEMA it"
    if keep or migrate.current(connection) is None:
        return None
    if connection.scalar(sa.select(schema.event.c.seq).limit(1)) is None:
        return None
    return (
        "there are records already, and a demo begins anew: name an empty database or schema,"
        " or say --keep to go on with these"
    )
