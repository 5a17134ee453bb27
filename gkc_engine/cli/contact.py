"""``gkc contact``: records of contacts, from the running engine or the last one's store."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli._store import Row, engine_of, last_store
from gkc_engine.cli.queue import zone_of
from gkc_engine.clock import SystemClock
from gkc_engine.control.client import NOT_RUNNING
from gkc_engine.control.methods import LIMIT_MAX
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.story import story
from gkc_engine.control.when import from_iso, parse_past

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Records of contacts.", no_args_is_help=True)


class Direction(StrEnum):
    """Who began it."""

    IN = "in"
    OUT = "out"


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
    citizen: Annotated[
        str | None,
        typer.Option(help="Only this citizen's, by his number in any spelling.", metavar="NUMBER"),
    ] = None,
    direction: Annotated[
        Direction | None,
        typer.Option(help="Only those of citizens (in) or calls that operators made (out)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 50,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List contacts, the newest first, those in progress too."""
    with refusals():
        rows, zone = _list(since, queue, citizen, direction, limit, config)
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
    since: str | None,
    queue: str | None,
    citizen: str | None,
    direction: Direction | None,
    limit: int,
    config: Path | None,
) -> tuple[list[Row], ZoneInfo]:
    client = engine_of(config)
    if client is None:
        if citizen is not None:
            raise ControlError(NOT_RUNNING, "--citizen asks the engine, and none is running")
        store = last_store()
        now = SystemClock().now()
        since_us = None if since is None else instant_of("--since", since, now, store.zone)
        return store.list_contacts(since_us, queue, direction, limit), store.zone
    with client:
        zone = zone_of(client)
        params: Params = {"limit": limit}
        if queue is not None:
            params["queue"] = queue
        if citizen is not None:
            params["citizen"] = citizen
        if direction is not None:
            params["direction"] = direction.value
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
