"""The forms of a store: migrations lead where the tables of the code are."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gkc_engine.recorder import migrate, schema
from gkc_engine.recorder.store import LedgerError
from tests.recorder.places import Place

LASTING = frozenset(t.name for t in schema.metadata.sorted_tables if t not in schema.PROJECTIONS)


def differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, schema.metadata))


def test_migrations_from_nothing_lead_to_the_tables_of_the_code(place: Place) -> None:
    with place.engine().begin() as connection:
        migrate.upgrade(connection, None)
        tables = sa.inspect(connection).get_table_names()
        assert set(tables) - {"alembic_version"} == LASTING
        schema.metadata.create_all(connection)
        assert differences(connection) == []
        assert migrate.current(connection) == schema.REVISION


def test_a_store_made_at_once_is_of_the_same_form(place: Place) -> None:
    with place.engine().begin() as connection:
        migrate.bring_up(connection)
        assert differences(connection) == []
        assert migrate.current(connection) == schema.REVISION


def test_what_is_added_comes_to_a_store_whose_tables_stay(place: Place) -> None:
    with place.engine().begin() as connection:
        migrate.bring_up(connection)
        connection.execute(schema.meta.insert(), {"key": schema.PROJECTED, "value": "0"})
        added = {"segment_work", "segment_citizen", "contact_out", "offer_created"}
        for table in (schema.segment, schema.contact, schema.offer):
            for index in [index for index in table.indexes if index.name in added]:
                index.drop(connection)
        connection.exec_driver_sql("ALTER TABLE segment DROP COLUMN citizen_id")
        for column in ("overflow_returned", "owner", "origin"):
            connection.exec_driver_sql(f"ALTER TABLE contact DROP COLUMN {column}")
        for column in ("overflow_sent", "overflow_answered", "overflow_returned"):
            connection.exec_driver_sql(f"ALTER TABLE rollup DROP COLUMN {column}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
        migrate.bring_up(connection)
        assert differences(connection) == []
        # Still there: nothing is made anew.
        assert connection.scalar(sa.select(schema.meta.c.value).where(_PROJECTED)) == "0"


_PROJECTED = schema.meta.c.key == schema.PROJECTED


def test_the_revisions_are_numbers_in_order_and_the_last_is_the_codes() -> None:
    found = migrate.history()
    assert [revision for revision, _ in found] == [f"{n:04}" for n in range(1, len(found) + 1)]
    assert found[-1][0] == schema.REVISION
    assert all(what and "\n" not in what for _, what in found)
    files = sorted(p.name for p in (migrate.FOLDER / "versions").glob("r*.py"))
    assert [name[1:5] for name in files] == [revision for revision, _ in found]


def test_a_migration_that_fails_leaves_everything_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.engine().begin() as connection:
        migrate.upgrade(connection, None, "0001")
    columns = {c["name"] for c in sa.inspect(place.reading()).get_columns("event")}

    def fails(*_given: object, **_named: object) -> None:
        raise sa.exc.OperationalError("CREATE", None, OSError("No space left on device"))

    monkeypatch.setattr(schema.metadata, "create_all", fails)
    with pytest.raises(LedgerError, match="free space on the server's disk"):
        place.store().open()
    with place.reading().connect() as connection:
        assert migrate.current(connection) == "0001"
        now = {c["name"] for c in sa.inspect(connection).get_columns("event")}
    assert now == columns
    assert "segment_id" not in columns


def test_the_migrations_are_in_the_package() -> None:
    assert (migrate.FOLDER / "env.py").is_file()
    assert migrate.FOLDER.is_relative_to(Path(schema.__file__).parent)
