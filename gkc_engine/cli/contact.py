"""``gkc contact``: records of contacts, from the running engine or the last one's store."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals, run_dir
from gkc_engine.cli._console import print_json
from gkc_engine.cli.queue import zone_of
from gkc_engine.clock import SystemClock
from gkc_engine.control.client import NOT_RUNNING, ControlClient
from gkc_engine.control.methods import LIMIT_MAX
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.story import story
from gkc_engine.control.when import from_iso, parse_past

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

app = typer.Typer(help="Records of contacts.", no_args_is_help=True)

Row = dict[str, Any]


@app.command("list")
def list_(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            help="From when on: 2h, 09:30, 2026-11-23 (the center's time).", metavar="TIME"
        ),
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Only contacts of this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 50,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List contacts, the newest first, those in progress too."""
    with refusals():
        rows, zone = _list(since, queue, limit, config)
    if json:
        print_json(rows)
    else:
        _tables.print_rows(_tables.contacts(zone), rows, "No contacts.")


@app.command()
def show(
    contact: Annotated[
        str, typer.Argument(metavar="ID", help="Contact id, registration number, or its beginning.")
    ],
    *,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the citizen's number; this is audited.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Tell the story of one contact to the second."""
    with refusals():
        row, zone = _show(contact, config, reveal=reveal)
    if json:
        print_json([row])
    else:
        print(story(row, zone))


def _list(
    since: str | None, queue: str | None, limit: int, config: Path | None
) -> tuple[list[Row], ZoneInfo]:
    client = engine_of(config)
    if client is None:
        store = last_store()
        now = SystemClock().now()
        since_us = None if since is None else instant_of("--since", since, now, store.zone)
        return store.list_contacts(since_us, queue, limit), store.zone
    with client:
        zone = zone_of(client)
        params: Params = {"limit": limit}
        if queue is not None:
            params["queue"] = queue
        if since is not None:
            now = from_iso(client.call("engine.show")[0]["now"])
            params["since_us"] = instant_of("--since", since, now, zone)
        return client.call("contact.list", params), zone


def instant_of(option: str, text: str, now: int, zone: ZoneInfo) -> int:
    """Return the instant in the past that an option names, or refuse it by name."""
    from gkc_engine.ids import Instant

    try:
        return parse_past(text, Instant(now), zone)
    except ValueError as error:
        raise ControlError("bad_params", f"{option}: {error}") from error


def _show(contact: str, config: Path | None, *, reveal: bool) -> tuple[Row, ZoneInfo]:
    client = engine_of(config)
    if client is not None:
        with client:
            rows = client.call("contact.show", {"contact": contact, "reveal": reveal})
            return rows[0], zone_of(client)
    if reveal:
        raise ControlError(
            NOT_RUNNING, "No engine is running, and only it reveals a number: it keeps the audit."
        )
    store = last_store()
    return store.show_contact(contact), store.zone


def engine_of(config: Path | None) -> ControlClient | None:
    """Return the running engine; ``None`` when none runs and none was named."""
    try:
        return connect(config)
    except ControlError as error:
        if error.error_id != NOT_RUNNING or config is not None:
            raise
        return None


@dataclass(frozen=True)
class _Store:
    """Records that an engine left behind; read only."""

    path: Path
    said: str | None
    """The center's time zone, if a note beside the store tells it."""

    @cached_property
    def zone(self) -> ZoneInfo:
        """The center's time zone; UTC when neither note nor records tell it."""
        from gkc_engine.recorder import queries

        if self.said is not None:
            return ZoneInfo(self.said)
        with self._records() as engine:
            return ZoneInfo(queries.timezone(engine) or "UTC")

    def list_contacts(self, since: int | None, queue: str | None, limit: int) -> list[Row]:
        from gkc_engine.ids import Instant
        from gkc_engine.recorder import queries

        with self._records() as engine:
            start = None if since is None else Instant(since)
            return queries.list_contacts(engine, since=start, queue=queue, limit=limit)

    def told_waits(self, since: int, until: int | None, queue: str | None) -> list[Row]:
        from gkc_engine.ids import Instant
        from gkc_engine.recorder import queries, rebuild, schema

        url = schema.sqlite_url(str(self.path))
        rebuild.settle_left(url)
        engine = schema.make_engine(url, read_only=True)
        try:
            end = None if until is None else Instant(until)
            return queries.told_waits(engine, since=Instant(since), until=end, queue=queue)
        finally:
            engine.dispose()

    def show_contact(self, key: str) -> Row:
        from gkc_engine.errors import GkcError
        from gkc_engine.recorder import queries

        with self._records() as engine:
            try:
                return queries.show_contact(engine, key)
            except GkcError as error:
                raise ControlError("unknown_contact", str(error)) from error

    @contextmanager
    def _records(self) -> Iterator[Engine]:
        from gkc_engine.recorder import schema

        url = self._settled()
        engine = schema.make_engine(url, read_only=True)
        try:
            yield engine
        finally:
            engine.dispose()

    def _settled(self) -> str:
        """Return the store's URL once its tables can be asked."""
        from gkc_engine.errors import GkcError
        from gkc_engine.recorder import rebuild, schema

        url = schema.sqlite_url(str(self.path))
        try:
            rebuild.settle_left(url)
        except GkcError as error:
            raise ControlError("older_records", str(error)) from error
        return url


def last_store() -> _Store:
    """Return the store that ``demo.json`` names, else the newest one under ``.gkc``."""
    state = run_dir().parent
    said: dict[str, Any] = {}
    note = run_dir() / "demo.json"
    if note.is_file():
        said = json_module.loads(note.read_text(encoding="utf-8"))
    named = said.get("store")
    found = [Path(named)] if named else [*state.glob("*.sqlite"), *state.glob("*/*.sqlite")]
    stores = sorted((p for p in found if p.is_file()), key=lambda p: p.stat().st_mtime)
    if not stores:
        raise ControlError(
            NOT_RUNNING,
            f"No engine is running, and no engine has left records under {state}. "
            "Start one with `gkc run --config DIR`, or `gkc demo`.",
        )
    return _Store(stores[-1], said.get("timezone"))
