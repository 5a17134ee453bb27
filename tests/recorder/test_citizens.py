from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.recorder import schema
from gkc_engine.recorder.citizens import KEY_CHARS, CitizenError, Citizens
from gkc_engine.recorder.store import Batch
from tests.recorder.places import Place, all_bytes
from tests.recorder.support import START

NUMBER = "+79165550123"
NAME = "Тестова Анна"


@pytest.fixture
def engine(place: Place) -> Engine:
    engine = place.engine(busy_ms=20)
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
    return engine


@pytest.fixture
def citizens(engine: Engine, tmp_path: Path) -> Citizens:
    return Citizens(engine, tmp_path / "keys" / "citizen.key")


def kept(citizens: Citizens, number: str, name: str | None = None) -> str:
    """Remember a citizen and write the row, as an append to the ledger does."""
    key = citizens.remember(number, name, now=START)
    write(citizens)
    return key


def write(citizens: Citizens) -> None:
    with citizens._engine.begin() as connection:
        committed = citizens.write(connection)
    committed()


def test_a_citizen_is_found_again_and_is_nowhere_in_clear(
    citizens: Citizens, place: Place, tmp_path: Path
) -> None:
    key = kept(citizens, NUMBER, NAME)
    assert key == citizens.key_of(NUMBER)
    assert len(key) == KEY_CHARS
    assert NUMBER[1:] not in key
    found = citizens.reveal(key)
    assert found is not None
    assert (found.number, found.name) == (NUMBER, NAME)
    for secret in (NUMBER, NUMBER[2:], NUMBER[-7:], NAME):
        assert secret.encode() not in all_bytes(tmp_path) + place.content()


def test_the_key_holds_over_restarts_and_differs_between_stores(
    citizens: Citizens, engine: Engine, tmp_path: Path
) -> None:
    again = Citizens(engine, tmp_path / "keys" / "citizen.key")
    other = Citizens(engine, tmp_path / "other" / "citizen.key")
    assert again.key_of(NUMBER) == citizens.key_of(NUMBER)
    assert other.key_of(NUMBER) != citizens.key_of(NUMBER)
    assert citizens.key_of(NUMBER) != citizens.key_of("+79165550124")


def test_a_new_name_replaces_and_none_leaves_it(citizens: Citizens) -> None:
    key = kept(citizens, NUMBER)
    kept(citizens, NUMBER, NAME)
    citizens.remember(NUMBER, address="ул. Ленина, 1", now=START)
    write(citizens)
    kept(citizens, NUMBER)
    found = citizens.reveal(key)
    assert found is not None
    assert (found.name, found.address) == (NAME, "ул. Ленина, 1")


def test_erased_even_a_backup_of_the_row_cannot_be_read(
    citizens: Citizens, engine: Engine, place: Place
) -> None:
    for n in range(3):  # Their rows keep the page that the deleted one lies on.
        kept(citizens, f"+7916555020{n}")
    key = kept(citizens, NUMBER, NAME)
    of_key, cipher = schema.citizen_key.c, schema.citizen
    with engine.connect() as connection:
        query = cipher.select().where(cipher.c.citizen_key == key)
        row = dict(connection.execute(query).mappings().one())
        wrapped = connection.scalar(sa.select(of_key.wrapped).where(of_key.citizen_key == key))
    assert isinstance(wrapped, bytes)
    assert wrapped in place.content()
    assert citizens.forget([key]) == 1
    assert citizens.clear_traces()
    assert citizens.reveal(key) is None
    assert citizens.forget([key]) == 0
    assert wrapped not in place.content()
    with engine.begin() as connection:
        connection.execute(schema.citizen.insert(), row)
    assert citizens.reveal(key) is None
    # Who calls again is a citizen like any other.
    assert kept(citizens, NUMBER) == key
    found = citizens.reveal(key)
    assert found is not None
    assert found.number == NUMBER


def test_until_it_is_committed_it_waits_in_memory(citizens: Citizens, place: Place) -> None:
    with place.held("citizen_key"):
        key = citizens.remember(NUMBER, NAME, now=START)
        with pytest.raises(sa.exc.OperationalError):
            write(citizens)
        waiting = citizens.reveal(key)
    assert waiting is not None
    assert waiting.name == NAME
    kept(citizens, "+79165550124")
    assert place.sql("SELECT count(*) FROM citizen") == [(2,)]
    assert not citizens._waiting


def test_who_was_told_anew_meanwhile_is_written_again(citizens: Citizens) -> None:
    key = citizens.remember(NUMBER, now=START)
    with citizens._engine.begin() as connection:
        committed = citizens.write(connection)
    citizens.remember(NUMBER, NAME, now=START)
    committed()
    write(citizens)
    found = citizens.reveal(key)
    assert found is not None
    assert found.name == NAME


def test_who_calls_is_on_disk_with_the_contact(place: Place, tmp_path: Path) -> None:
    store = place.store()
    store.open()
    citizens = Citizens(store.engine, tmp_path / "key")
    store.along(citizens.write)
    key = citizens.remember(NUMBER, NAME, now=START)
    store.append(Batch(()))
    assert place.sql("SELECT citizen_key FROM citizen") == [(key,)]
    citizens.remember("+79165550124", now=START)
    store.close()
    assert place.sql("SELECT count(*) FROM citizen") == [(2,)]


def test_the_key_file_is_the_owners_alone(citizens: Citizens, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "citizen.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["citizen.key"]
    assert citizens.key_of(NUMBER)
    path.chmod(0o640)
    with pytest.raises(CitizenError, match="chmod 600"):
        Citizens(schema.make_engine("sqlite://"), path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(CitizenError, match="5 bytes"):
        Citizens(schema.make_engine("sqlite://"), path)


def test_another_key_file_opens_nothing_and_says_so(
    citizens: Citizens, engine: Engine, tmp_path: Path
) -> None:
    key = kept(citizens, NUMBER)
    other = Citizens(engine, tmp_path / "other.key")
    with pytest.raises(CitizenError, match="restore"):
        other.reveal(key)
