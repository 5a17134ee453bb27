"""Whether the projections are what the ledger says: both are copied, one copy is made anew."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.errors import GkcError
from gkc_engine.recorder import schema
from gkc_engine.recorder.copying import copy_rows
from gkc_engine.recorder.history import HistoryError
from gkc_engine.recorder.store import LedgerStore

Row = tuple[Any, ...]

PREFIX: Final = ".gkc-compare-"
"""How the folder of the copies begins, in case a killed command left one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row that the ledger gives otherwise than it stands in its table."""

    table: str
    key: Row
    column: str | None
    """``None``: the whole row is missing or too many."""
    stands: object
    """As it is in the table; ``None`` where it is missing."""
    told: object
    """As the ledger has it; ``None`` where it should not be."""


def differences(url: str, folder: Path, say: Callable[[str], None]) -> Iterator[Difference]:
    """Give every row of the store's projections that a rebuild would change, in their order.

    The store is only read, an engine may go on writing to it: what is compared is a copy of one
    instant. It needs twice the room of the store in ``folder`` while it works.

    Args:
        url: Of the store.
        folder: Where the two copies lie meanwhile.
        say: Is told how far it is.

    Raises:
        HistoryError: What lies there is no store, or there is no room for the copies.
    """
    with (
        _two_copies(url, folder, say) as (grown, anew),
        grown.transaction() as before,
        anew.transaction() as after,
    ):
        for table in schema.PROJECTIONS:
            say(f"comparing {table.name}")
            yield from _of_table(table, before, after)


@contextmanager
def _two_copies(
    url: str, parent: Path, say: Callable[[str], None]
) -> Iterator[tuple[LedgerStore, LedgerStore]]:
    """Copy the store twice; give the settled copy, and the one of which all is made anew."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        first, second = folder / "grown.sqlite", folder / "anew.sqlite"
        _copy(url, first, say)
        shutil.copyfile(first, second)
        grown = LedgerStore(schema.sqlite_url(str(first)))
        anew = LedgerStore(schema.sqlite_url(str(second)))
        try:
            grown.open()
            anew.open()
            say("folding the ledger")
            say(f"{anew.rebuild()} rows of the ledger")
            yield grown, anew
        finally:
            grown.close()
            anew.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(url: str, to: Path, say: Callable[[str], None]) -> None:
    address = sa.make_url(url)
    try:
        if address.get_backend_name() == "sqlite":
            _backup(Path(address.database or ""), to, say)
        else:
            _fetch(url, to, say)
    except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError, GkcError) as error:
        name = address.render_as_string(hide_password=True)
        raise HistoryError(f"{name}: cannot be copied to {to.parent.parent}: {error}") from error


def _backup(path: Path, to: Path, say: Callable[[str], None]) -> None:
    say(f"copying {path.stat().st_size / 1e6:.0f} MB")
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(to)) as writing,
    ):
        reading.backup(writing)


def _fetch(url: str, to: Path, say: Callable[[str], None]) -> None:
    reading = schema.make_engine(url, read_only=True)
    target = LedgerStore(schema.sqlite_url(str(to)))
    try:
        with reading.connect() as connection:
            copy_rows(connection, target, say)
    finally:
        reading.dispose()
        target.close()


def _of_table(table: sa.Table, before: sa.Connection, after: sa.Connection) -> Iterator[Difference]:
    """Walk through both tables side by side, in the order of their keys."""
    keys = list(table.primary_key.columns)
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in keys]
    query = sa.select(table).order_by(*keys)

    def rows(connection: sa.Connection) -> Iterator[Row]:
        for row in connection.execution_options(yield_per=2000).execute(query):
            yield tuple(row)

    def key_of(row: Row) -> Row:
        return tuple([row[place] for place in places])

    grown, anew = rows(before), rows(after)
    one, other = next(grown, None), next(anew, None)
    while one is not None or other is not None:
        if other is None or (one is not None and key_of(one) < key_of(other)):
            assert one is not None
            yield Difference(table=table.name, key=key_of(one), column=None, stands=one, told=None)
            one = next(grown, None)
        elif one is None or key_of(other) < key_of(one):
            yield Difference(
                table=table.name, key=key_of(other), column=None, stands=None, told=other
            )
            other = next(anew, None)
        else:
            for name, stands, told in zip(names, one, other, strict=True):
                if stands != told:
                    yield Difference(
                        table=table.name, key=key_of(one), column=name, stands=stands, told=told
                    )
            one, other = next(grown, None), next(anew, None)
