"""``gkc citizen``: the block list, whose calls are refused at the door."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, instant_ahead, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli.queue import zone_of
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.when import local_time, parse_duration

app = typer.Typer(help="Citizens whose calls are refused at the door.", no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="His telephone number, in any spelling.")]
Row = dict[str, Any]


@app.callback()
def _root() -> None:
    """Citizens whose calls are refused at the door."""


@app.command()
def block(
    number: Number,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; on record. No number in it.")],
    for_: Annotated[
        str | None, typer.Option("--for", help="For how long: 2h, 30d.", metavar="DURATION")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Until when: 18:00, 2026-12-24, in the center's time.", metavar="TIME"),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Refuse a citizen's calls from the next one on, for 90 days at most (and if nothing is said).

    He hears that calls from this number are not taken, and his call ends.
    """
    params: Params = {"citizen": {"number": number}, "why": {"reason": reason}}
    with refusals(), connect(config) as client:
        if for_ is not None:
            span = parse_duration(for_)
            if not span:
                raise ControlError(
                    "bad_params", f"--for: found {for_!r}, expected a duration such as 30d"
                )
            params["for_s"] = span / 1_000_000
        if until is not None:
            params["until_us"] = instant_ahead(client, "--until", until)
        rows: list[Row] = client.call("citizen.block", params)
        zone = zone_of(client)
    if json:
        print_json(rows)
    else:
        print(f"citizen {rows[0]['citizen']} is blocked until {local_time(rows[0]['until'], zone)}")


@app.command()
def unblock(number: Number, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Take his calls again."""
    with refusals(), connect(config) as client:
        rows: list[Row] = client.call("citizen.unblock", {"citizen": {"number": number}})
    if json:
        print_json(rows)
    else:
        print(f"citizen {rows[0]['citizen']} is not blocked any longer")


@app.command()
def blocked(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """List who is blocked, until when, on whose word and why."""
    with refusals(), connect(config) as client:
        rows = client.call("citizen.blocked")
        zone = zone_of(client)
    if json:
        print_json(rows)
    else:
        _tables.print_rows(_tables.blocks(zone), rows, "Nobody is blocked.")
