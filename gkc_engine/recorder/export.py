"""A day of the records as files for other programs: Parquet or CSV, one file a table.

Rows belong to the day on which they began, so that the days together hold each row once. Nobody
is named: of a citizen there is only the keyed hash that stands in every table.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.cells import disarmed
from gkc_engine.recorder.history import span
from gkc_engine.recorder.ledger import engine_version
from gkc_engine.recorder.queries import iso

TABLES: Final[Mapping[sa.Table, str]] = {
    schema.contact: "started",
    schema.segment: "start",
    schema.offer: "created",
    schema.agent_interval: "start",
    schema.rollup: "start",
    schema.agent_time: "start",
}
"""What is exported, and the column by which a row has its day."""

TIMES: Final = frozenset(
    [
        *("started", "first_queued", "answered", "ended", "ewt_told"),
        *("start", "end", "created", "ringing"),
    ]
)
"""Columns that are instants; the others that end in ``_us`` are durations."""

MANIFEST: Final = "manifest.json"
MANIFEST_VERSION: Final = 1

PREFIX: Final = ".gkc-export-"
"""How the folder begins in which an export is made; one that is left is cleared by the next."""

_YIELD: Final = 5_000


class Format(StrEnum):
    """Forms of the files."""

    PARQUET = "parquet"
    CSV = "csv"


class ExportError(GkcError):
    """The export could not be written; says why and what to do. Nothing half is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What is exported."""

    center: str
    name: str
    """The local day, as ``2026-11-28``."""
    timezone: str
    since: Instant
    until: Instant
    over: bool
    """Whether the day is over; else more will come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    rows: dict[str, int]


def center_of(connection: sa.Connection) -> str:
    """Return the center whose records these are.

    Raises:
        HistoryError: nothing was ever recorded.
    """
    last = span(connection).last_seq
    e = schema.event.c
    return str(connection.scalar(sa.select(e.center).where(e.seq == last)))


def export(
    connection: sa.Connection,
    day: Day,
    form: Format,
    out: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write ``OUT/CENTER-DAY-FORM/``: a file a table, ``manifest.json``; in place of a former one.

    The folder appears whole or not at all. One export at a time writes into ``out``.

    Raises:
        ExportError: it cannot be written.
    """
    name = f"{day.center}-{day.name}-{form}"
    try:
        with _alone(out):
            draft = out / f"{PREFIX}{name}"
            try:
                rows = _fill(connection, day, form, draft, say)
                _take_place(draft, out / name)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    except OSError as error:
        raise ExportError(
            f"{error.filename or out}: {error.strerror}; nothing was written. Free some room, or "
            "name another folder with --out"
        ) from error
    return Exported(folder=out / name, rows=rows)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder; clear what a killed export left in it."""
    out.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(f"{out}: another export is writing there; wait for its end") from None
        for left in out.glob(f"{PREFIX}*"):
            former = out / left.name.removeprefix(f"{PREFIX}former-")
            if left.name.startswith(f"{PREFIX}former-") and not former.exists():
                left.rename(former)  # Killed between the two: the former one stays.
            else:
                shutil.rmtree(left)
        yield
    finally:
        os.close(handle)


def _take_place(draft: Path, final: Path) -> None:
    former = final.with_name(f"{PREFIX}former-{final.name}")
    if final.exists():
        final.rename(former)
    draft.rename(final)
    handle = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    if former.exists():
        shutil.rmtree(former)


def _fill(
    connection: sa.Connection, day: Day, form: Format, draft: Path, say: Callable[[str], None]
) -> dict[str, int]:
    draft.mkdir(mode=0o750)
    tables = {}
    for table, column in TABLES.items():
        path = draft / f"{table.name}.{form}"
        say(f"{table.name}")
        write = _parquet if form is Format.PARQUET else _csv
        rows = write(table, _rows(connection, table, column, day), path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        tables[table.name] = {
            "file": path.name,
            "rows": rows,
            "bytes": path.stat().st_size,
            "sha256": digest,
        }
    manifest = {
        "version": MANIFEST_VERSION,
        "engine": engine_version(),
        "center": day.center,
        "day": day.name,
        "timezone": day.timezone,
        "from": iso(day.since),
        "to": iso(day.until),
        "complete": day.over and not _open(connection, day),
        "format": str(form),
        "tables": tables,
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2)
    with (draft / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    return {name: int(str(told["rows"])) for name, told in tables.items()}


def _open(connection: sa.Connection, day: Day) -> bool:
    """Whether a contact of the day has not ended: its row will change."""
    c = schema.contact.c
    query = sa.select(c.contact_id).where(c.started >= day.since, c.started < day.until)
    return connection.execute(query.where(c.ended.is_(None)).limit(1)).first() is not None


def _rows(
    connection: sa.Connection, table: sa.Table, column: str, day: Day
) -> Iterator[dict[str, Any]]:
    at = table.c[column]
    query = sa.select(table).where(at >= day.since, at < day.until)
    query = query.order_by(at, *table.primary_key.columns)
    rows = connection.execution_options(yield_per=_YIELD).execute(query)
    for row in rows.mappings():
        yield dict(row)


def _csv(table: sa.Table, rows: Iterator[dict[str, Any]], path: Path) -> int:
    """Write as RFC 4180 has it; an instant is ISO 8601, what is not known is empty."""
    names = [column.name for column in table.columns]
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\r\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(name, value) for name, value in row.items()})
            count += 1
    return count


def _cell(name: str, value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if name in TIMES and isinstance(value, int):
        return iso(value)
    return disarmed(value)


def _parquet(table: sa.Table, rows: Iterator[dict[str, Any]], path: Path) -> int:
    """Write through DuckDB, types given; nothing is guessed and no extension is fetched."""
    import duckdb

    stage, count = path.with_suffix(".jsonl"), 0
    encode = msgspec.json.Encoder().encode
    with stage.open("wb") as file:
        for row in rows:
            file.write(encode(row) + b"\n")
            count += 1
    types = {column.name: _type(column.type) for column in table.columns}
    read = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    selected = ", ".join(
        f'make_timestamptz("{name}") AS "{name}"' if name in TIMES else f'"{name}"'
        for name in types
    )
    offline: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "threads": 1,
        "memory_limit": "256MB",
        "temp_directory": str(path.parent),
    }
    try:
        with duckdb.connect(":memory:", config=offline) as connection:
            connection.execute(
                f"COPY (SELECT {selected} FROM read_json({_text(stage)},"
                f" format = 'newline_delimited', columns = {{{read}}}))"
                f" TO {_text(path)} (FORMAT parquet, COMPRESSION zstd)"
            )
    except duckdb.Error as error:
        raise OSError(0, str(error).splitlines()[0], str(path)) from error
    stage.unlink()
    return count


def _type(kind: sa.types.TypeEngine[Any]) -> str:
    if isinstance(kind, sa.Boolean):
        return "BOOLEAN"
    return "BIGINT" if isinstance(kind, sa.Integer) else "VARCHAR"


def _text(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"
