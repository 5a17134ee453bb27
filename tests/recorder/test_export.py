"""A day's files hold what the store holds, appear whole or not at all, and name nobody."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.export import (
    MANIFEST,
    PREFIX,
    TABLES,
    TIMES,
    Day,
    Exported,
    ExportError,
    Format,
    center_of,
    export,
)
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.support import START, History

COMPILED: dict[Any, Any] = {}

MIDNIGHT = Instant(1_790_024_400 * SECOND)
"""2026-09-22 00:00 in Moscow, as ``date -d`` has it."""


@pytest.fixture(scope="module")
def store(module_store_url: str) -> str:
    """Two calls before midnight, the second of which ends after it, and one of the next day."""
    history = History()
    history.configured()
    history.talk("c1", "anna")
    history.now = Instant(MIDNIGHT - 20 * SECOND)
    history.talk("c2", "anna", talk_s=60)
    history.abandon("c3", 30)
    made = LedgerStore(module_store_url)
    made.open()
    made.append(batch_of(history.steps, "centr"))
    made.settle()
    with made.transaction() as connection:
        for n, reason in ((1, "=1+1"), (2, '\\N\n"x"')):
            here = (schema.segment.c.contact_id == "c1") & (schema.segment.c.n == n)
            connection.execute(schema.segment.update().where(here).values(end_reason=reason))
    made.close()
    return module_store_url


def day(n: int = 0, *, over: bool = True) -> Day:
    since = Instant(MIDNIGHT + (n - 1) * 86_400 * SECOND)
    return Day(
        center="centr",
        name=f"2026-09-{21 + n}",
        timezone="Europe/Moscow",
        since=since,
        until=Instant(since + 86_400 * SECOND),
        over=over,
    )


def exported(
    store: str, out: Path, form: Format, one: Day | None = None, *, room: int | None = None
) -> Exported:
    engine = schema.make_engine(store, read_only=True)
    try:
        with engine.connect() as connection:
            assert center_of(connection) == "centr"
            connection = connection.execution_options(compiled_cache=COMPILED)
            with nullcontext() if room is None else no_room(room):
                return export(connection, one or day(), form, out)
    finally:
        engine.dispose()


def asked(store: str, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names and the rows that the driver gives, past our own types."""
    engine = schema.make_engine(store, read_only=True)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(query)
        names, rows = list(found.keys()), [tuple(row) for row in found]
    engine.dispose()
    return names, rows


def stored(store: str, table: str, column: str, one: Day) -> list[tuple[Any, ...]]:
    names, rows = asked(
        store, f'SELECT * FROM {table} WHERE "{column}" >= {one.since} AND "{column}" < {one.until}'
    )
    flags = {"sl_met", "short", "queued"}
    return sorted(
        (
            tuple(
                None if v is None else bool(v) if n in flags else at(v) if n in TIMES else v
                for n, v in zip(names, row, strict=True)
            )
            for row in rows
        ),
        key=repr,
    )


def at(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def test_parquet_read_back_is_what_the_store_holds(store: str, tmp_path: Path) -> None:
    done = exported(store, tmp_path, Format.PARQUET)
    assert done.folder == tmp_path / "centr-2026-09-21-parquet"
    assert done.rows == {
        "contact": 2,
        "segment": 7,
        "offer": 2,
        "agent_interval": 6,
        "rollup": 2,
        "agent_time": 28,
    }
    with duckdb.connect(":memory:") as reader:
        reader.execute("SET TimeZone = 'UTC'")
        for table, column in TABLES.items():
            name = f"'{done.folder / table.name}.parquet'"
            rows = reader.execute(f"SELECT * FROM {name}").fetchall()
            read = [
                tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row)
                for row in rows
            ]
            assert sorted(read, key=repr) == stored(store, table.name, column, day())
            types = dict(
                reader.execute(
                    f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {name})"
                ).fetchall()
            )
            assert {
                n for n, t in types.items() if t == "TIMESTAMP WITH TIME ZONE"
            } == TIMES & types.keys()


def test_each_row_is_in_one_day(store: str, tmp_path: Path) -> None:
    of_both = [exported(store, tmp_path, Format.CSV, day(n)).rows for n in (0, 1)]
    for table in TABLES:
        _, ((count,),) = asked(store, f"SELECT count(*) FROM {table.name}")
        assert sum(rows[table.name] for rows in of_both) == count, table.name


def test_csv_has_utc_times_and_no_formula(store: str, tmp_path: Path) -> None:
    folder = exported(store, tmp_path, Format.CSV).folder
    with (folder / "segment.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    reasons = {row["end_reason"] for row in rows if row["contact_id"] == "c1"}
    assert "'=1+1" in reasons
    assert '\\N\n"x"' in reasons
    first = min(row["start"] for row in rows)
    assert first == "2026-09-21T14:13:20.000000Z"
    assert at(START).isoformat() == "2026-09-21T14:13:20+00:00"


def test_the_manifest_tells_rows_and_digests(store: str, tmp_path: Path) -> None:
    done = exported(store, tmp_path, Format.CSV)
    manifest = json.loads((done.folder / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["day"], manifest["center"], manifest["complete"]) == (
        "2026-09-21",
        "centr",
        True,
    )
    assert manifest["from"] == "2026-09-20T21:00:00.000000Z"
    for name, told in manifest["tables"].items():
        data = (done.folder / told["file"]).read_bytes()
        assert told["sha256"] == hashlib.sha256(data).hexdigest()
        assert (told["bytes"], told["rows"]) == (len(data), done.rows[name])
    assert sorted(p.name for p in done.folder.iterdir()) == sorted(
        [MANIFEST, *(told["file"] for told in manifest["tables"].values())]
    )
    early = exported(store, tmp_path, Format.CSV, day(over=False))
    assert json.loads((early.folder / MANIFEST).read_text())["complete"] is False


@pytest.mark.parametrize("form", Format)
def test_an_empty_day_has_its_files_and_columns(store: str, tmp_path: Path, form: Format) -> None:
    done = exported(store, tmp_path, form, day(7))
    assert set(done.rows.values()) == {0}
    path = f"'{done.folder}/contact.{form}'"
    with duckdb.connect(":memory:") as reader:
        columns = reader.execute(f"SELECT * FROM {path}").description
    assert [c[0] for c in columns or ()] == [c.name for c in schema.contact.columns]


def test_a_second_export_takes_the_place_of_the_first(store: str, tmp_path: Path) -> None:
    folder = exported(store, tmp_path, Format.CSV).folder
    (folder / "contact.csv").write_text("old")
    assert exported(store, tmp_path, Format.CSV).folder == folder
    assert (folder / "contact.csv").read_text() != "old"
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_what_a_killed_export_left_is_cleared_and_the_former_one_kept(
    store: str, tmp_path: Path
) -> None:
    half = tmp_path / f"{PREFIX}centr-2026-09-20-csv"
    former = tmp_path / f"{PREFIX}former-centr-2026-09-19-csv"
    for folder in (half, former):
        folder.mkdir()
        (folder / "contact.csv").write_text("x")
    exported(store, tmp_path, Format.CSV)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "centr-2026-09-19-csv",
        "centr-2026-09-21-csv",
    ]


@pytest.mark.parametrize("where", ["offer", "renamed"])
def test_an_export_that_is_killed_leaves_nothing_that_looks_finished(
    store: str, tmp_path: Path, where: str
) -> None:
    before = exported(store, tmp_path, Format.CSV).folder
    kept = (before / MANIFEST).read_text()
    argv = [sys.executable, "-m", "tests.recorder.killed_export", str(store)]
    done = subprocess.run([*argv, str(tmp_path), where], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = {p.name for p in tmp_path.iterdir()}
    hidden = {name for name in left if name.startswith(PREFIX)}
    assert hidden
    assert left - hidden == ({before.name} if where == "offer" else set())
    assert before.exists() == (where == "offer")
    exported(store, tmp_path, Format.CSV, day(1))  # Of another day: it clears all the same.
    assert {p.name for p in tmp_path.iterdir()} == {before.name, "centr-2026-09-22-csv"}
    assert (before / MANIFEST).read_text() == kept


def test_two_exports_at_a_time_are_refused(store: str, tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(ExportError, match="another export is writing there"):
        exported(store, tmp_path, Format.CSV)
    os.close(handle)


@contextmanager
def no_room(bytes_max: int) -> Iterator[None]:
    """No file can grow over so many bytes: a full disk for this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("form", "bytes_max"), [(Format.CSV, 0), (Format.PARQUET, 4000)])
def test_a_full_disk_leaves_nothing_half(
    store: str, tmp_path: Path, form: Format, bytes_max: int
) -> None:
    before = exported(store, tmp_path, form).folder
    kept = (before / MANIFEST).read_text()
    with pytest.raises(ExportError, match=r"nothing was written.*--out"):
        exported(store, tmp_path, form, room=bytes_max)
    assert [p.name for p in tmp_path.iterdir()] == [before.name]
    assert (before / MANIFEST).read_text() == kept


def test_a_folder_that_cannot_be_made_is_named(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"file.*: (Not a directory|File exists); nothing"):
        exported(store, tmp_path / "file" / "out", Format.CSV)
