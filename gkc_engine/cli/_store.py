"""The records that a command reads itself: of the running engine, else of the last one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli._client import USAGE, connect, run_dir
from gkc_engine.cli._console import state_dir
from gkc_engine.control.client import NOT_RUNNING, ControlClient
from gkc_engine.control.protocol import ControlError
from gkc_engine.control.when import EXPECTED_WHEN, from_iso, parse_past
from gkc_engine.ids import Instant

if TYPE_CHECKING:
    import sqlalchemy as sa

Row = dict[str, Any]

CITY_NOTE = "city_at.json"
"""What a collector leaves in its state folder (``shipping.collector``)."""

CITY_STATE_VARIABLE = "GKC_CITY_STATE"
"""Names that folder, where it is not under the one that commands look into."""

_city = False


def read_city() -> None:
    """Let every command of this process read the city's store: no engine writes that."""
    global _city
    _city = True


def of_city() -> bool:
    """Return whether this process reads the city's store."""
    return _city


@dataclass(frozen=True)
class Store:
    """Records that an engine left behind; read only."""

    name: str
    """Path, URL or reference (``config.store``); shown to people."""
    said: str | None = None
    """The center's time zone, if a note beside the store tells it."""
    folder: Path = Path()
    """Of the configuration: a reference may be relative to it."""
    state: Path | None = None
    """The folder of the engine that wrote it, if that is known."""

    @cached_property
    def url(self) -> str:
        """Where it lies, with its password if it has one.

        Raises:
            ControlError: what the configuration refers to is not there.
        """
        from gkc_engine.config.store import store_url
        from gkc_engine.errors import ConfigError

        try:
            return store_url(self.name, self.folder)
        except ConfigError as error:
            raise ControlError("config", str(error)) from error

    @property
    def is_there(self) -> bool:
        """Whether the file is there; of a store in a server its own answer will tell."""
        from gkc_engine.config.store import sqlite_path

        path = sqlite_path(self.url)
        return path is None or path.is_file()

    @property
    def scratch(self) -> Path:
        """Where copies of it may lie for a while."""
        from gkc_engine.config.store import sqlite_path

        path = sqlite_path(self.url)
        return state_dir() if path is None else path.parent

    @property
    def beside(self) -> Path:
        """Where what the engine writes beside its records lies: ``queue_log``, exports."""
        return self.scratch if self.state is None else self.state

    @cached_property
    def zone(self) -> ZoneInfo:
        """The center's time zone; UTC when neither note nor records tell it."""
        from gkc_engine.recorder import queries

        if self.said is not None:
            return ZoneInfo(self.said)
        with self._records() as engine:
            return ZoneInfo(queries.timezone(engine) or "UTC")

    def list_contacts(
        self, since: int | None, queue: str | None, direction: str | None, limit: int
    ) -> list[Row]:
        from gkc_engine.ids import Instant
        from gkc_engine.recorder import queries

        with self._records() as engine:
            start = None if since is None else Instant(since)
            return queries.list_contacts(
                engine, since=start, queue=queue, direction=direction, limit=limit
            )

    def told_waits(self, since: int, until: int | None, queue: str | None) -> list[Row]:
        from gkc_engine.ids import Instant
        from gkc_engine.recorder import queries

        with self._records() as engine:
            end = None if until is None else Instant(until)
            return queries.told_waits(engine, since=Instant(since), until=end, queue=queue)

    def show_contact(self, key: str) -> Row:
        from gkc_engine.errors import GkcError
        from gkc_engine.recorder import queries

        with self._records() as engine:
            try:
                return queries.show_contact(engine, key)
            except GkcError as error:
                raise ControlError("unknown_contact", str(error)) from error

    @contextmanager
    def _records(self) -> Iterator[sa.Engine]:
        self.settle()
        with self.opened() as engine:
            yield engine

    @contextmanager
    def opened(self) -> Iterator[sa.Engine]:
        """Give an engine that only reads.

        Raises:
            HistoryError: what lies there are no records, or they are damaged.
        """
        import sqlalchemy as sa

        from gkc_engine.recorder import schema
        from gkc_engine.recorder.history import HistoryError
        from gkc_engine.recorder.troubles import unreadable

        engine = schema.make_engine(self.url, read_only=True)
        try:
            yield engine
        except sa.exc.DatabaseError as error:
            raise HistoryError(unreadable(error, self.name)) from error
        finally:
            engine.dispose()

    def settle(self) -> None:
        """Return once the store's tables can be asked."""
        from gkc_engine.errors import GkcError
        from gkc_engine.recorder import rebuild

        with self.kept() as ours:
            if not ours:
                return  # Its collector does.
            try:
                rebuild.settle_left(self.url)
            except GkcError as error:
                raise ControlError("older_records", str(error)) from error

    @contextmanager
    def kept(self) -> Iterator[bool]:
        """Keep collectors out of the city's store; give whether that can be. Of a center's: yes."""
        from gkc_engine.shipping.lock import alone

        if not _city:
            yield True
            return
        with ExitStack() as stack:
            try:
                if self.state is not None:
                    stack.enter_context(alone(self.state))
            except OSError:
                yield False
                return
            yield self.state is not None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection that only reads, all of it in one transaction."""
        with self.opened() as engine, engine.connect() as connection:
            yield connection


@dataclass(frozen=True, slots=True)
class Found:
    """The store, the instant that is now there, and the engine if one runs."""

    store: Store
    now: Instant
    client: ControlClient | None

    def contact_id(self, key: str) -> str:
        """Return the id of the contact that is named by id, number, or the beginning of either.

        Raises:
            ControlError: no contact, or several, answer to ``key``.
        """
        if self.client is None:
            return str(self.store.show_contact(key)["contact_id"])
        return str(self.client.call("contact.show", {"contact": key})[0]["contact_id"])

    def settle(self) -> None:
        """Have the tables brought up to the ledger: they follow it by half a second."""
        if self.client is not None:
            self.client.call("contact.list", {"limit": 1})  # Who asks for contacts sees them all.
        else:
            self.store.settle()

    def instant(self, name: str, text: str) -> Instant:
        """Return the instant that an argument names.

        Raises:
            ControlError: it names none.
        """
        try:
            return parse_past(text, self.now, self.store.zone)
        except ValueError:
            found = f"{name}: found {text[:40]!r}, expected {EXPECTED_WHEN}"
            raise ControlError("bad_params", found) from None


@contextmanager
def found(config: Path | None, *, of_city: bool = True) -> Iterator[Found]:
    """Find the store: of the engine of ``config``, of the one that runs, else the last one's.

    ``of_city``: whether what is asked can be asked of the whole city's records, too.

    Raises:
        ControlError: there is none, or the engine that was named does not run.
    """
    if _city and not of_city:
        raise ControlError(
            "bad_params", "the city's store does not tell that: ask the center itself, no --city"
        )
    client = engine_of(config)
    if client is None:
        from gkc_engine.clock import SystemClock

        store = city_store(config) if _city else last_store()
        yield Found(store, SystemClock().now(), None)
        return
    with client:
        row = client.call("engine.show")[0]
        if not row.get("store"):
            raise ControlError("refused", "the running engine does not say where its records lie")
        state = Path(row["state"]) if row.get("state") else None
        store = Store(row["store"], row["timezone"], Path(row["config"]), state)
        yield Found(store, from_iso(row["now"]), client)


def engine_of(config: Path | None) -> ControlClient | None:
    """Return the running engine; ``None`` when none runs and none was named, or of the city."""
    if _city:
        return None
    try:
        return connect(config)
    except ControlError as error:
        if error.error_id != NOT_RUNNING or config is not None:
            raise
        return None


def city_store(config: Path | None = None) -> Store:
    """Return the city's store: of the collector of ``config``, else of the one that began last.

    Raises:
        ControlError: No collector has left a note.
    """
    return _noted(city_note(config))


def city_note(config: Path | None = None) -> dict[str, Any]:
    """Return what the collector left: ``store``, ``config``, ``timezone``, ``state``.

    Raises:
        ControlError: There is no note.
    """
    state = run_dir().parent
    for said in _city_notes(state):
        if config is None or Path(said["config"]).resolve() == config.resolve():
            return said
    of = "" if config is None else f" with {config}"
    where = os.environ.get(CITY_STATE_VARIABLE) or state
    raise ControlError(
        NOT_RUNNING,
        f"No collector{of} has left its note under {where}. Start one with "
        f"`gkc city collect --config DIR`, or say where it has its state: {CITY_STATE_VARIABLE}.",
    )


def _city_notes(state: Path) -> list[dict[str, Any]]:
    """Return what collectors left, the newest first."""
    named = os.environ.get(CITY_STATE_VARIABLE)
    if named:
        paths = list(Path(named).glob(CITY_NOTE))
    else:
        paths = [path for deep in ("", "*/", "*/*/") for path in state.glob(deep + CITY_NOTE)]
    newest = sorted(paths, key=lambda one: one.stat().st_mtime, reverse=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in newest]


def last_store() -> Store:
    """Return the store that ``demo.json`` names, else the newest one under ``.gkc``.

    Of the city, if that was asked for.
    """
    from gkc_engine.config.store import STORE_NOTE

    if _city:
        return city_store()
    state = run_dir().parent
    note = run_dir() / "demo.json"
    said: dict[str, Any] = {}
    if note.is_file():
        said = json.loads(note.read_text(encoding="utf-8"))
    named = said.get("store")
    if named and not Path(named).is_absolute():
        return _noted(said)
    kinds = ("*.sqlite", "*/*.sqlite", STORE_NOTE, f"*/{STORE_NOTE}")
    found = [Path(named)] if named else [path for kind in kinds for path in state.glob(kind)]
    citys = {note["store"] for note in _city_notes(state)}
    found = [path for path in found if str(path.resolve()) not in citys]
    stores = sorted((p for p in found if p.is_file()), key=lambda p: p.stat().st_mtime)
    if not stores:
        raise ControlError(
            NOT_RUNNING,
            f"No engine is running, and no engine has left records under {state}. "
            "Start one with `gkc run --config DIR`, or `gkc demo`.",
        )
    if stores[-1].name == STORE_NOTE:
        return _noted(json.loads(stores[-1].read_text(encoding="utf-8")))
    return Store(str(stores[-1]), said.get("timezone"))


def _noted(said: Mapping[str, Any]) -> Store:
    state = Path(said["state"]) if said.get("state") else None
    return Store(said["store"], said.get("timezone"), Path(said.get("config", ".")), state)


@contextmanager
def missing() -> Iterator[None]:
    """Say what is missing in the ledger on stderr, and leave with the exit code of a wrong call."""
    from gkc_engine.recorder.history import HistoryError

    try:
        yield
    except HistoryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from None
