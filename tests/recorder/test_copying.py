"""All records into another store: the same rows, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gkc_engine.recorder import schema
from gkc_engine.recorder.copying import CopyError, copy_rows
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.schema import audit
from gkc_engine.recorder.store import LedgerStore
from tests.postgres import Server
from tests.recorder.places import Place, PostgresPlace, SqlitePlace
from tests.recorder.test_projections import random_day

ROW = {"ts_us": 1, "actor": "vera", "action": "reload", "object": "config"}


def filled(place: Place) -> LedgerStore:
    store = place.store()
    store.open()
    store.append(batch_of(random_day(5, 20).steps, "centr"))
    store.snapshot(1, "test", "{}")
    store.settle()
    with store.transaction() as connection:
        connection.execute(audit.insert(), [ROW, ROW])
        connection.execute(
            schema.citizen_key.insert(), {"citizen_key": "k", "wrapped": bytes(range(256))}
        )
    return store


def everything(store: LedgerStore) -> dict[str, list[str]]:
    """Every row of every table, by a query of our own."""
    found = {}
    with store.transaction() as connection:
        for table in schema.metadata.sorted_tables:
            rows = connection.execute(sa.select(table)).all()
            found[table.name] = sorted(repr(tuple(row)) for row in rows)
    return found


def copied(source: LedgerStore, target: LedgerStore) -> int:
    with source.transaction() as connection:
        return copy_rows(connection, target, lambda _: None)


def goes_over(source: Place, target: Place) -> None:
    store, other = filled(source), target.store()
    before = everything(store)
    assert copied(store, other) == sum(map(len, before.values()))
    assert everything(other) == before
    assert len(before["event"]) > 50
    # The copy is a store like any other: it goes on where the first one ended.
    other.close()
    again = target.store()
    again.open()
    later = random_day(6, 3)
    later.configured("v9")
    assert again.append(batch_of(later.steps[-1:], "centr")).seq == len(before["event"]) + 1
    with again.transaction() as connection:
        connection.execute(audit.insert(), ROW)
        assert connection.scalar(sa.select(sa.func.max(audit.c.audit_id))) == 3


def test_a_store_goes_over_to_another_of_its_kind(place: Place) -> None:
    goes_over(place, place.another())


@pytest.mark.accept
@pytest.mark.parametrize("direction", ["to", "from"])
def test_a_store_goes_over_between_sqlite_and_postgresql(
    tmp_path: Path, postgres: Server, direction: str
) -> None:
    with PostgresPlace(postgres) as server, SqlitePlace(tmp_path) as file:
        goes_over(*((file, server) if direction == "to" else (server, file)))


def test_nothing_is_copied_over_records(place: Place) -> None:
    source, target = filled(place), filled(place.another())
    before = everything(target)
    with pytest.raises(CopyError, match="has records already"):
        copied(source, target)
    assert everything(target) == before


def test_a_copy_that_breaks_off_leaves_nothing(place: Place) -> None:
    source, target = filled(place), place.another()
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        if text.startswith("event:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), source.transaction() as connection:
        copy_rows(connection, target.store(), say)
    again = target.store()
    again.open()
    assert everything(again)["event"] == []
    assert everything(again)["citizen_key"] == []
    assert told
