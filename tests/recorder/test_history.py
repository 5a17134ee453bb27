"""The ledger read back: where a replay may begin, and what is missing in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.ids import Instant, seconds
from gkc_engine.recorder import history, schema
from gkc_engine.recorder.history import HistoryError
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.support import START
from tests.simulation.ledgers import change, overtaken


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return overtaken().write(tmp_path_factory.mktemp("history") / "ledger.sqlite").read_bytes()


@pytest.fixture
def store(recorded: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(recorded)
    return path


def reading(path: Path) -> sa.Engine:
    return schema.make_engine(schema.sqlite_url(str(path)), read_only=True)


@pytest.fixture
def ledger(store: Path) -> Iterator[sa.Connection]:
    engine = reading(store)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def after(second: float) -> Instant:
    return Instant(START + seconds(second))


def test_steps_come_back_as_they_were_written(ledger: sa.Connection) -> None:
    center = overtaken()
    steps = list(history.steps(ledger))
    assert [(s.now, s.event, s.commands()) for s in steps] == [
        (s.now, s.event, s.commands) for s in center.steps
    ]
    assert [s.said for s in steps] == [[history.said(c) for c in s.commands] for s in center.steps]


def test_a_snapshot_serves_only_what_comes_after_it(ledger: sa.Connection) -> None:
    taken = history.base_before(ledger, after(5))
    assert taken.seq > 0
    assert taken.core().contact_view(next(taken.core().contacts())) is not None
    assert history.base_before(ledger, after(3)).seq == 0
    first = next(history.steps(ledger, taken.seq))
    assert first.now == after(5)
    assert isinstance(first.event, ev.ContactStarted)


def refused(path: Path, since: Instant) -> str:
    engine = reading(path)
    with engine.connect() as connection, pytest.raises(HistoryError) as caught:
        list(history.steps(connection, history.base_before(connection, since).seq))
    engine.dispose()
    return str(caught.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("seq = 40", "the ledger has a gap: row 40 is missing, between 2026-09-21T14:13:3"),
        ("seq IN (40, 41)", "rows 40 to 41 are missing"),
        ("seq < 4", "the ledger begins at row 4"),
    ],
)
def test_a_gap_is_named(store: Path, rows: str, said: str) -> None:
    change(store, f"DELETE FROM event WHERE {rows}")
    assert said in refused(store, after(1))


def test_a_lost_beginning_does_not_matter_after_a_snapshot(store: Path) -> None:
    change(store, "DELETE FROM event WHERE seq < 4")
    engine = reading(store)
    with engine.connect() as connection:
        base = history.base_before(connection, after(5))
        assert len(list(history.steps(connection, base.seq))) > 10
    engine.dispose()


def test_rows_out_of_order_and_answers_without_an_event_are_refused(store: Path) -> None:
    change(store, "UPDATE event SET ts_us = ts_us - 60000000 WHERE seq > 60")
    assert "out of order" in refused(store, after(1))
    change(store, "UPDATE event SET role = 'out' WHERE seq = 1")
    assert "its event is missing" in refused(store, after(1))


def test_an_empty_ledger_is_named(tmp_path: Path) -> None:
    store = LedgerStore(schema.sqlite_url(str(tmp_path / "new.sqlite")))
    store.open()
    store.close()
    assert "the ledger is empty" in refused(tmp_path / "new.sqlite", after(1))
    (tmp_path / "none.sqlite").write_bytes(b"no database at all")
    engine = reading(tmp_path / "none.sqlite")
    with engine.connect() as connection, pytest.raises(HistoryError, match="no records that can"):
        history.span(connection)
    engine.dispose()


def test_the_engine_that_wrote_it_is_known_from_the_snapshots(ledger: sa.Connection) -> None:
    base = history.base_before(ledger, after(5))
    assert base.engine is not None
    assert history.engine_versions(ledger, base, 10_000) == {base.engine}
    start = history.base_before(ledger, after(1))
    assert history.engine_versions(ledger, start, 2) == {base.engine}
