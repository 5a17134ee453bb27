"""A table that is not what the ledger says is found, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.recorder import schema
from gkc_engine.recorder.compare import PREFIX, Difference, differences
from gkc_engine.recorder.history import HistoryError
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.places import Place, SqlitePlace
from tests.recorder.support import History


def made(path: Path) -> Path:
    """Leave a day in an SQLite file."""
    fill(LedgerStore(schema.sqlite_url(str(path))))
    return path


def fill(store: LedgerStore) -> None:
    history = History()
    history.configured()
    history.talk("c1", "anna")
    history.abandon("c2", 30)
    history.talk("c3", "boris")
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.close()


def compared(path: Path) -> list[Difference]:
    return list(differences(schema.sqlite_url(str(path)), path.parent, lambda _: None))


def change(path: Path, *statements: str) -> None:
    for statement in statements:
        assert SqlitePlace(path.parent, path.name).sql(f"{statement} RETURNING 1") == [(1,)]


@pytest.fixture
def filled(place: Place) -> Place:
    fill(place.store())
    return place


def compare(place: Place, folder: Path) -> list[Difference]:
    return list(differences(place.url, folder, lambda _: None))


def test_tables_that_grew_are_those_made_anew(filled: Place, tmp_path: Path) -> None:
    store = tmp_path / "ledger.db"
    before = store.read_bytes() if store.exists() else b""
    assert compare(filled, tmp_path) == []
    assert before == (store.read_bytes() if store.exists() else b"")
    assert not list(tmp_path.glob(f"{PREFIX}*")), "copies were left"


def test_each_wrong_row_is_named_with_what_it_should_be(filled: Place, tmp_path: Path) -> None:
    for statement in (
        "UPDATE contact SET talk_us = 61000000, queue = 'tax' WHERE contact_id = 'c1'",
        "DELETE FROM segment WHERE contact_id = 'c2' AND n = 1",
        "UPDATE offer SET contact_id = 'c1', offer_id = 77 WHERE contact_id = 'c3'",
    ):
        assert filled.sql(f"{statement} RETURNING 1") == [(1,)]
    found = compare(filled, tmp_path)
    contact = [(d.key, d.column, d.stands, d.told) for d in found if d.table == "contact"]
    assert contact == [
        (("c1",), "queue", "tax", "passport"),
        (("c1",), "talk_us", 61_000_000, 60_000_000),
    ]
    (gone,) = [d for d in found if d.table == "segment"]
    assert (gone.column, gone.stands) == (None, None)
    assert isinstance(gone.told, tuple)
    assert "c2" in gone.told
    # One offer under another number: one row is too many, one is missing.
    offers = [(d.key[0], d.stands is None) for d in found if d.table == "offer"]
    assert offers == [(2, True), (77, False)]
    assert {d.table for d in found} == {"contact", "segment", "offer"}


def test_what_the_engine_has_not_yet_written_is_no_difference(
    filled: Place, tmp_path: Path
) -> None:
    history = History()
    history.sequence = 10
    history.abandon("later", 5)
    store = filled.store()
    store.open()
    store.append(batch_of(history.steps, "centr"))
    assert store.behind > 0
    assert compare(filled, tmp_path) == []
    assert store.behind > 0
    store.close()


@pytest.mark.parametrize("content", [None, b"", b"not a store at all" * 100])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "gkc.sqlite"
    if content is None:
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(HistoryError, match=r"gkc\.sqlite: cannot be copied to"):
        compared(path)
    assert not list(tmp_path.glob(f"{PREFIX}*"))
