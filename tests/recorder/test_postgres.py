"""What only a server can do to us: die in the midst, be elsewhere, serve another engine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId
from gkc_engine.recorder import schema
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger, batch_of
from gkc_engine.recorder.rebuild import dump, settle_left
from gkc_engine.recorder.rows import Step
from gkc_engine.recorder.store import LedgerError, LedgerStore, StoreHeldError
from gkc_engine.recorder.writer import DurableWriter, Mode
from tests.postgres import Server
from tests.recorder.places import PostgresPlace, SqlitePlace
from tests.recorder.support import History
from tests.recorder.test_projections import random_day
from tests.recorder.test_writer import rebuilt_the_same, standstill, until

pytestmark = pytest.mark.accept


@pytest.fixture
def place(postgres: Server) -> Iterator[PostgresPlace]:
    with PostgresPlace(postgres) as place:
        yield place


def groups(steps: Sequence[Step], size: int) -> Iterator[Sequence[Step]]:
    return (steps[at : at + size] for at in range(0, len(steps), size))


def day(first: int, contacts: int) -> History:
    history = History(sequence=first, offers=first)
    history.configured()
    for n in range(first, first + contacts):
        history.step(ev.AgentLoggedIn(agent_id=AgentId(f"a{n}")), key=f"login-{n}")
        history.talk(f"c{n}", f"a{n}")
    return history


async def test_a_server_that_dies_under_load_costs_and_doubles_nothing(
    server: Server, tmp_path: Path
) -> None:
    with PostgresPlace(server) as place:
        engine = place.engine()
        writer = DurableWriter(
            Ledger("", "centr", engine=engine), Journal(tmp_path / "journal", size=1 << 20)
        )
        await writer.open()
        history = day(0, 60)
        behind = 0
        for n, steps in enumerate(groups(history.steps, 4)):
            if n in (10, 40):
                await asyncio.to_thread(server.stop, signal.SIGQUIT)  # as a crash: no checkpoint
            if n in (20, 50):
                behind += writer.mode is Mode.JOURNAL
                await asyncio.to_thread(server.start)
            await writer.write(steps)
            assert writer.accepting
        assert behind == 2
        await until(lambda: writer.mode is Mode.LEDGER)
        await writer.write(day(60, 1).steps)
        assert (await writer.load()).tail[: len(history.steps)] == history.steps
        assert await rebuilt_the_same(writer)
        await writer.close()
        assert place.sql("SELECT count(*), count(DISTINCT event_id), max(seq) FROM event") == [
            place.sql("SELECT count(*), count(*), count(*) FROM event")[0]
        ]


async def test_a_server_that_hangs_holds_nobody_up(server: Server, tmp_path: Path) -> None:
    with PostgresPlace(server) as place:
        writer = DurableWriter(
            Ledger("", "centr", engine=place.engine()), Journal(tmp_path / "j", size=1 << 20)
        )
        await writer.open()
        history = day(0, 5)
        await writer.write(history.steps[:3])
        await until(lambda: writer.mode is Mode.LEDGER)  # a busy machine may be late with them
        before = writer.stats.ledger_timeouts
        loop = asyncio.get_running_loop()
        with server.frozen(), standstill() as stood:
            longest = 0.0
            for step in history.steps[3:]:
                begun = loop.time()
                await writer.write([step])
                longest = max(longest, loop.time() - begun)
            assert (writer.mode, writer.stats.ledger_timeouts) == (Mode.JOURNAL, before + 1)
        assert longest < 1.0 + stood[0]
        await until(lambda: writer.mode is Mode.LEDGER)
        assert (await writer.load()).tail == history.steps
        await writer.close()


def test_a_second_engine_is_refused_by_name(place: PostgresPlace) -> None:
    first = place.store()
    first.open()
    first.append(batch_of(day(0, 2).steps, "centr"))
    with pytest.raises(StoreHeldError, match=r"held by gkc pid \d+ on .*stop that one first"):
        place.store().open(wait_s=0.05)
    # Who only reads goes on; it sees what is settled.
    settle_left(place.url)
    assert place.sql("SELECT count(*) FROM contact") == [(0,)]
    first.close()
    place.store().open()


def test_a_session_that_was_ended_from_outside_is_taken_up_again(place: PostgresPlace) -> None:
    store = place.store()
    store.open()
    store.append(batch_of(day(0, 1).steps, "centr"))
    with place.server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'gkc pid%'"
        )
    later = batch_of(day(1, 1).steps, "centr")
    with pytest.raises(LedgerError):
        store.append(later)
    assert store.append(later).written == len(later.rows)


def test_a_long_report_holds_up_no_writer_and_sees_one_instant(place: PostgresPlace) -> None:
    store = place.store()
    store.open()
    store.append(batch_of(day(0, 2).steps, "centr"))
    store.settle()
    count = sa.select(sa.func.count()).select_from(schema.contact)
    with place.reading().connect() as report:
        assert report.scalar(count) == 2
        store.append(batch_of(day(2, 1).steps, "centr"))
        store.settle()
        assert report.scalar(count) == 2
    with place.reading().connect() as report:
        assert report.scalar(count) == 3


def test_no_server_is_named_with_its_remedy() -> None:
    store = LedgerStore("postgresql+psycopg://gkc@127.0.0.1:1/gkc")
    with pytest.raises(LedgerError, match=r"(?i)connection refused.*start the server"):
        store.open()
    store.close()


def test_a_password_is_in_no_message() -> None:
    store = LedgerStore("postgresql+psycopg://gkc:hunter2@127.0.0.1:1/gkc")
    with pytest.raises(LedgerError) as caught:
        store.open()
    assert "hunter2" not in str(caught.value)
    store.close()


def test_rows_and_their_order_are_the_same_on_both(place: PostgresPlace, tmp_path: Path) -> None:
    """Also where a language sorts otherwise than bytes do: capitals, Cyrillic, hyphens."""
    history = random_day(7, 30)
    for name in ("Б-1", "а-1", "ё", "A", "a", "_", "-b", "Z"):
        history.talk(f"c-{name}", name)
    dumps = []
    with SqlitePlace(tmp_path) as file:
        for where in (file, place):
            store = where.store()
            store.open()
            store.append(batch_of(history.steps, "centr"))
            store.settle()
            with store.transaction() as connection:
                dumps.append([ln for ln in dump(connection) if "config_version" not in ln[:15]])
    assert dumps[0] == dumps[1]
    assert len(dumps[0]) > 100


def test_every_text_column_is_sorted_by_bytes(place: PostgresPlace) -> None:
    place.store().open()
    found = place.sql(
        "SELECT table_name, column_name FROM information_schema.columns "
        f"WHERE table_schema = '{place.schema}' AND data_type = 'text' "
        "AND collation_name IS DISTINCT FROM 'C'"
    )
    assert found == [], "in schema.py write TEXT, not sa.Text"


def test_a_text_that_the_server_cannot_hold_keeps_nothing_in_the_journal(
    place: PostgresPlace,
) -> None:
    history = History()
    history.configured()
    history.arrive("c1", citizen="a\0b")
    store = place.store()
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.settle()
    assert place.sql("SELECT citizen_id FROM contact") == [("a\ufffdb",)]


def test_what_is_acknowledged_is_on_disk_whatever_the_server_s_default(
    place: PostgresPlace,
) -> None:
    with place.engine().connect() as connection:
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == "on"
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "100ms"
        assert connection.scalar(sa.text("SHOW jit")) == "off"
