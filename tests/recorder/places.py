"""Where a test's store lies: in an SQLite file or in PostgreSQL, looked at past our own code."""

from __future__ import annotations

import itertools
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import psycopg
from sqlalchemy.engine import Engine

from gkc_engine.recorder import schema
from gkc_engine.recorder.copying import copy_rows
from gkc_engine.recorder.store import LedgerStore
from tests.postgres import Server

_NUMBERS = itertools.count()


class Place(ABC):
    """One store, and others beside it."""

    url: str

    def __init__(self) -> None:
        self._engines: list[Engine] = []
        self._stores: list[LedgerStore] = []

    def engine(self, *, busy_ms: int = 100, read_only: bool = False) -> Engine:
        """Return an engine for it, which ends with the test."""
        engine = schema.make_engine(self.url, busy_ms=busy_ms, read_only=read_only)
        self._engines.append(engine)
        return engine

    def store(self) -> LedgerStore:
        """Return the store, not opened."""
        self._stores.append(LedgerStore(self.url, engine=self.engine()))
        return self._stores[-1]

    def reading(self) -> Engine:
        """Return an engine that can only read."""
        return self.engine(read_only=True)

    def close(self) -> None:
        """Let go whatever a test has left open."""
        for store in self._stores:
            store._drop()
        for engine in self._engines:
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @abstractmethod
    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run one statement by the driver alone; return its rows."""

    @abstractmethod
    def script(self, text: str) -> None:
        """Run several statements by the driver alone."""

    @abstractmethod
    @contextmanager
    def held(self, *tables: str) -> Iterator[None]:
        """Keep every writer (of these tables, if any are named) out until the end."""

    @abstractmethod
    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be a writer in the midst of it: who only reads is not held up."""

    @abstractmethod
    def another(self) -> Place:
        """Return an empty store beside this one."""

    @abstractmethod
    def content(self) -> bytes:
        """Return whatever lies on disk of it."""


class SqlitePlace(Place):
    def __init__(self, folder: Path, name: str = "ledger.db") -> None:
        super().__init__()
        self.folder = folder
        self.path = folder / name
        self.url = schema.sqlite_url(str(self.path))

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(text).fetchall()

    def script(self, text: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.executescript(text)

    @contextmanager
    def held(self, *_tables: str) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    def another(self) -> Place:
        other = SqlitePlace(self.folder, f"ledger{next(_NUMBERS)}.db")
        other._engines, other._stores = self._engines, self._stores
        return other

    def content(self) -> bytes:
        return all_bytes(self.folder)


class PostgresPlace(Place):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.url = server.schema()
        self.schema = unquote(self.url).partition("search_path=")[2]

    def connect(self) -> psycopg.Connection:
        connection = self.server.connect()
        connection.execute(f"SET search_path = {self.schema}".encode())
        return connection

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def script(self, text: str) -> None:
        self.sql(text)

    @contextmanager
    def held(self, *tables: str) -> Iterator[None]:
        names = ", ".join(tables or ("event", "contact", "meta"))
        with self.connect() as other:
            other.autocommit = False
            other.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
            yield
            other.rollback()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self.connect() as other:
            other.autocommit = False
            other.execute("LOCK TABLE event, contact, meta IN EXCLUSIVE MODE")
            yield

    def another(self) -> Place:
        other = PostgresPlace(self.server)
        other._engines, other._stores = self._engines, self._stores
        return other

    def content(self) -> bytes:
        with self.server.connect() as connection:
            connection.execute("CHECKPOINT")
        return all_bytes(self.server.data, without="pg_wal")


def copied(path: Path, url: str) -> str:
    """Bring the records of an SQLite file into the empty store at ``url``; return that."""
    reading = schema.make_engine(schema.sqlite_url(str(path)), read_only=True)
    target = LedgerStore(url)
    with reading.connect() as connection:
        copy_rows(connection, target, lambda _: None)
    reading.dispose()
    target.close()
    return url


def all_bytes(folder: Path, without: str = "") -> bytes:
    """Return the content of every file below ``folder``."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and without not in p.parts)
    return b"".join(path.read_bytes() for path in files)
