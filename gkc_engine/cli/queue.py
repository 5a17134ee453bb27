"""``gkc queue``: the queues of the running engine, as ``asterisk -rx "queue show"`` does."""

from __future__ import annotations

import contextlib
import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli._feed import REPLY_S, Feed, Seen
from gkc_engine.cli._feed import show as draw
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import Params

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions, RenderableType

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
    params: Params = {} if name is None else {"queue": name}
    with refusals():
        if live and not json and sys.stdout.isatty():
            _draw(config, params)
            return
        with connect(config) as client:
            if live:
                with contextlib.suppress(KeyboardInterrupt):  # The ordinary way to end it.
                    _live(client, params, json=json)
            elif json:
                print_json(client.call("queue.show", params))
            else:
                _show(client, name, params)


@app.command()
def close(
    name: Annotated[str | None, typer.Argument(help="The queue's key under `queues:`.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every queue of the center.")] = False,
    reason: Annotated[str, typer.Option(help="Why; shown to supervisors and on record.")] = "",
    to: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="Lead its citizens on to this queue.")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Close a queue at once, until `open`: who waits and who comes is told, and led on.

    Without --to by the queue's `emergency_closed`. Talks and ringing phones are not touched.
    """
    params: Params = {"queue": _which(name, all_), "reason": reason, "to": to}
    _change("queue.close", params, json=json, config=config)


@app.command(name="open")
def open_(
    name: Annotated[str | None, typer.Argument(help="The queue's key under `queues:`.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every queue of the center.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """End an emergency closing; hours hold as before."""
    _change("queue.open", {"queue": _which(name, all_)}, json=json, config=config)


def _which(name: str | None, all_: bool) -> str | None:
    if (name is None) is not all_:
        raise typer.BadParameter("give either the name of a queue or --all")
    return name


def _change(method: str, params: Params, *, json: bool, config: Path | None) -> None:
    with refusals(), connect(config) as client:
        rows = client.call(method, params)
        if json:
            print_json(rows)
            return
        _tables.print_rows(_tables.QUEUES, rows, "No queues.")
        _print_closed(rows)
        if rows and rows[0]["led_on"]:
            print(f"led on or told: {rows[0]['led_on']}")


def _print_closed(rows: list[_tables.Row]) -> None:
    for line in _tables.closed_lines(rows):
        print(line)


def _show(client: ControlClient, name: str | None, params: Params) -> None:
    zone = zone_of(client)
    warn_without_ami(client)
    rows = client.call("queue.show", params)
    _tables.print_rows(_tables.QUEUES, rows, "No queues.")
    _print_closed(rows)
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
    """Print each second, for a pipe."""
    for snapshot in client.stream("watch", params):
        if json:
            print(json_module.dumps(snapshot["queues"], ensure_ascii=False), flush=True)
        else:
            print(_tables.plain_table(_tables.QUEUES, snapshot["queues"]), end="\n\n", flush=True)


def _draw(config: Path | None, params: Params) -> None:
    from rich.console import Group

    def view(seen: Seen, size: ConsoleDimensions) -> RenderableType:
        zone = ZoneInfo(seen.picture["timezone"])
        return Group(
            _tables.age_line(seen.age_s, seen.problem, stale=seen.stale),
            _tables.snapshot_view(seen.picture, zone, size.width),
        )

    with Feed(lambda: connect(config, REPLY_S), "watch", params) as feed:
        draw(feed, _tables.terminal(), view)
