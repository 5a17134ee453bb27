"""``gkc contact``: records of contacts, from the running engine or the last one's store."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli._store import Row, engine_of, last_store
from gkc_engine.cli.queue import zone_of
from gkc_engine.clock import SystemClock
from gkc_engine.control.client import NOT_RUNNING
from gkc_engine.control.methods import LIMIT_MAX
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.story import story
from gkc_engine.control.when import from_iso, parse_duration, parse_past
from gkc_engine.control.when import span as span_text

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Records of contacts, and those who wait.", no_args_is_help=True)

CLASSES = ("emergency", "normal", "background")
"""``acd.settings.ContactClass``, which is not imported: this program is to start fast."""


class Direction(StrEnum):
    """Who began it."""

    IN = "in"
    OUT = "out"
    GUEST = "guest"
    """Another center's citizen."""
    CONSULT = "consult"
    """Another center's operator, who asked for advice."""


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
        typer.Option(
            help="Only citizens' (in), calls that operators made (out), other centers' (guest), "
            "calls for advice of their operators (consult)."
        ),
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


@app.command()
def move(
    contact: Annotated[
        str, typer.Argument(metavar="ID", help="Contact id, registration number, or its beginning.")
    ],
    queue: Annotated[str, typer.Argument(help="Where it is to wait.")],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Let a contact wait in another queue; its enqueue time stays, a ring is taken back."""
    params: Params = {"contact": contact, "queue": queue}
    _change("contact.move", params, json=json, config=config)


@app.command(context_settings={"ignore_unknown_options": True})
def priority(
    contact: Annotated[
        str, typer.Argument(metavar="ID", help="Contact id, registration number, or its beginning.")
    ],
    change: Annotated[
        str,
        typer.Argument(
            metavar="CLASS|±DURATION",
            help="emergency, normal, background; or more or less head start: +5m, -2m.",
        ),
    ],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give a contact that waits another class, or as if it had come so much earlier (later)."""
    with refusals():
        params = {"contact": contact, **_priority(change)}
    _change("contact.priority", params, json=json, config=config)


def _priority(change: str) -> Params:
    if change in CLASSES:
        return {"contact_class": change}
    span = parse_duration(change[1:]) if change[:1] in ("+", "-") else None
    if not span:
        raise ControlError(
            "bad_params",
            f"found {change!r}, expected {', '.join(CLASSES)}, or a head start such as +5m or -2m",
        )
    return {"head_start_s": (span if change[0] == "+" else -span) / 1_000_000}


def _change(method: str, params: Params, *, json: bool, config: Path | None) -> None:
    with refusals(), connect(config) as client:
        rows = client.call(method, params)
        if json:
            print_json(rows)
            return
        _tables.print_rows(_tables.waiting(zone_of(client)), rows, "No contact.")
        for row in rows:
            seconds = row["head_start_s"]
            head_start = f"{'-' if seconds < 0 else ''}{span_text(abs(seconds))}"
            print(f"{row['number']}: class {row['class']}, head start {head_start}")


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
