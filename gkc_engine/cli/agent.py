"""``gkc agent``: operators of the running engine; the same state as their feature codes."""

from __future__ import annotations

from typing import Annotated

import typer

from gkc_engine.cli import _tables, agent_skill
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, instant_ahead, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli.queue import zone_of
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.when import parse_duration

app = typer.Typer(help="Operators of the running engine.", no_args_is_help=True)
app.add_typer(agent_skill.app, name="skill")

Name = Annotated[str, typer.Argument(help="The operator's key under `operators:`.")]
Reason = Annotated[str, typer.Option(help="Why; shown to supervisors and on record.")]


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One operator; without it, all.")] = None,
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show state, reason, phone and queues."""
    with refusals(), connect(config) as client:
        _print(client, client.call("agent.show", {} if name is None else {"agent": name}), json)


@app.command()
def login(name: Name, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Log an operator in, ready."""
    _change("agent.login", {"agent": name}, json=json, config=config)


@app.command()
def logout(
    name: Name, *, reason: Reason = "", json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Log an operator out; a talk and its wrap-up end first."""
    _change("agent.logout", {"agent": name, "reason": reason}, json=json, config=config)


@app.command()
def pause(
    name: Name,
    *,
    reason: Reason = "",
    for_: Annotated[
        str | None, typer.Option("--for", help="For how long: 15m, 1.5h.", metavar="DURATION")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Until when: 14:30, in the center's time.", metavar="TIME")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make an operator not ready, after the contact in hand; without an end, until `ready`."""
    with refusals(), connect(config) as client:
        params: Params = {"agent": name, "reason": reason}
        if for_ is not None:
            span = parse_duration(for_)
            if not span:
                raise ControlError(
                    "bad_params", f"--for: found {for_!r}, expected a duration such as 15m or 1h"
                )
            params["for_s"] = span / 1_000_000
        if until is not None:
            params["until_us"] = instant_ahead(client, "--until", until)
        _print(client, client.call("agent.pause", params), json)


@app.command()
def ready(name: Name, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """End a pause, an automatic pause or wrap-up."""
    _change("agent.ready", {"agent": name}, json=json, config=config)


@app.command()
def result(
    name: Name,
    code: Annotated[str, typer.Argument(help="The code, as with *48.")],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Record what came of an operator's present contact, or of the last one."""
    _change("agent.result", {"agent": name, "code": code}, json=json, config=config)


def _change(method: str, params: Params, *, json: bool, config: ConfigOption) -> None:
    with refusals(), connect(config) as client:
        _print(client, client.call(method, params), json)


def _print(client: ControlClient, rows: list[_tables.Row], json: bool) -> None:
    if json:
        print_json(rows)
    else:
        zone = zone_of(client)
        _tables.print_rows(_tables.agents(zone), rows, "No operators.")
        for line in _tables.override_lines(rows, zone):
            print(line)
