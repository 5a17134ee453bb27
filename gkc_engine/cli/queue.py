"""``gkc queue``: the queues of the running engine, as ``asterisk -rx "queue show"`` does."""

from __future__ import annotations

import contextlib
import json as json_module
import sys
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import Json, Params

app = typer.Typer(help="Queues of the running engine.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Queues of the running engine."""


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One queue; without it, all.")] = None,
    *,
    live: Annotated[bool, typer.Option("--live", help="Again each second until Ctrl-C.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show waiting, staff and today's figures; with NAME also who waits and who serves it."""
    with refusals(), connect(config) as client:
        params: Params = {} if name is None else {"queue": name}
        if live:
            with contextlib.suppress(KeyboardInterrupt):  # The ordinary way to end it.
                _live(client, params, json=json)
        elif json:
            print_json(client.call("queue.show", params))
        else:
            _show(client, name, params)


def _show(client: ControlClient, name: str | None, params: Params) -> None:
    zone = zone_of(client)
    warn_without_ami(client)
    rows = client.call("queue.show", params)
    _tables.print_rows(_tables.QUEUES, rows, "No queues.")
    if name is None:
        return
    print()
    waiting = client.call("queue.waiting", params)
    _tables.print_rows(_tables.waiting(zone), waiting, f"Nobody waits or talks in {name}.")
    print()
    staff = [row for row in client.call("agent.show") if name in row["queues"]]
    _tables.print_rows(_tables.agents(zone), staff, f"No operator can serve {name}.")


def zone_of(client: ControlClient) -> ZoneInfo:
    """Return the time zone of the engine's center."""
    return ZoneInfo(client.call("engine.show")[0]["timezone"])


def warn_without_ami(client: ControlClient) -> None:
    """Say on stderr when Asterisk tells the engine nothing: what is shown may be old."""
    problem = client.call("engine.show")[0].get("ami_problem")
    if problem:
        typer.echo(f"no link to Asterisk's manager: {problem}", err=True)


def _live(client: ControlClient, params: Params, *, json: bool) -> None:
    zone = zone_of(client)
    snapshots = client.stream("watch", params)
    if json:
        for snapshot in snapshots:
            print(json_module.dumps(snapshot["queues"], ensure_ascii=False), flush=True)
    elif not sys.stdout.isatty():
        for snapshot in snapshots:
            print(_tables.plain_table(_tables.QUEUES, snapshot["queues"]), end="\n\n", flush=True)
    else:
        _draw(snapshots, zone)


def _draw(snapshots: Json, zone: ZoneInfo) -> None:
    from rich.live import Live

    console = _tables.terminal()
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        for snapshot in snapshots:
            screen.update(_tables.snapshot_view(snapshot, zone, console.width), refresh=True)
