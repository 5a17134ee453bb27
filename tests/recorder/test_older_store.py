"""A store that an engine of the first form left behind is taken over whole, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.recorder import migrate, schema
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queries import list_contacts
from gkc_engine.recorder.rebuild import dump, settle_left
from gkc_engine.recorder.rows import rows_of
from gkc_engine.recorder.store import LedgerError
from tests.recorder.places import Place
from tests.recorder.support import History

BACK = """
DROP TABLE segment;
CREATE TABLE segment (contact_id TEXT, n INTEGER, kind TEXT, PRIMARY KEY (contact_id, n));
INSERT INTO segment VALUES ('0192-a1', 0, 'menu');
DROP TABLE rollup;
DROP INDEX contact_waits;
ALTER TABLE contact DROP COLUMN transfers;
ALTER TABLE contact DROP COLUMN requirement_final;
ALTER TABLE offer DROP COLUMN slot;
ALTER TABLE config_version DROP COLUMN author;
ALTER TABLE event DROP COLUMN segment_id;
DROP TABLE audit;
DROP TABLE alembic_version;
UPDATE meta SET value = '1' WHERE key = 'store_version';
"""
"""Makes a store one of version 1, as far as the difference matters."""


def filled(place: Place) -> list[str]:
    """Leave a store of version 1; return what its projections are in the present form."""
    history = History()
    history.configured()
    history.talk("0192-a1", "anna")
    history.abandon("0192-b2", 7)
    store = place.store()
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.settle()
    with store.transaction() as connection:
        before = list(dump(connection))
    store.close()
    place.script(BACK)
    return before


def test_an_older_store_is_made_anew_from_its_ledger(place: Place) -> None:
    before = filled(place)
    rows = place.sql("SELECT count(*) FROM event")[0]
    store = place.store()
    store.open()
    with store.transaction() as connection:
        assert list(dump(connection)) == before
        assert migrate.current(connection) == schema.REVISION
    later = History(offers=10, sequence=10)
    later.after(3600).talk("0193-c3", "anna")
    store.append(batch_of(later.steps, "centr"))
    store.close()
    found = place.sql("SELECT count(*), count(segment_id) FROM event")
    assert found == [(rows[0] + len(rows_of(later.steps, "c")), 3)]


def test_who_reads_first_brings_the_store_up_too(place: Place) -> None:
    filled(place)
    settle_left(place.url)
    reading = place.reading()
    assert [r["requirement_final"] for r in list_contacts(reading)] == [{}, {}]
    reading.dispose()


def test_an_older_store_that_cannot_be_written_is_refused_with_what_to_do(place: Place) -> None:
    filled(place)
    with (
        place.writing(),
        pytest.raises(LedgerError, match=r"older form \(version 0001.*start the engine on them"),
    ):
        settle_left(place.url)
    assert place.sql("SELECT value FROM meta WHERE key = 'store_version'") == [("1",)]


def test_a_store_of_a_much_newer_engine_is_refused(place: Place) -> None:
    filled(place)
    place.sql("UPDATE meta SET value = '99'")
    with pytest.raises(LedgerError, match="start the newer engine"):
        place.store().open()


def test_a_journal_of_an_older_engine_is_read(tmp_path: Path) -> None:
    history = History()
    history.configured()
    rows = rows_of(history.steps, "centr")
    journal = Journal(tmp_path / "j", size=1 << 16)
    journal.open()
    short = [tuple(row)[:-1] for row in rows]
    end = journal.append(short)  # type: ignore[arg-type]
    assert [group for _, group in journal.groups(end=end)] == [rows]
    journal.close()
