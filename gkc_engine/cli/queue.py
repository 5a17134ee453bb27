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
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, instant_ahead, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli._feed import REPLY_S, Feed, Seen
from gkc_engine.cli._feed import show as draw
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.when import parse_duration

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions, RenderableType

ANNOUNCE_REPLY_S = 35.0
"""A text is spoken by another program before it is announced."""

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


@app.command()
def announce(
    name: Annotated[str, typer.Argument(help="The queue's key under `queues:`.")],
    prompt: Annotated[str | None, typer.Argument(help="A prompt, as under `prompts:`.")] = None,
    *,
    text: Annotated[
        str | None, typer.Option(help="The words themselves; needs `tts.command` in the config.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Each of those who wait now hears it once; the default.")
    ] = False,
    every: Annotated[
        str | None, typer.Option(help="Again after so long: 2m. Needs --until.", metavar="DURATION")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Who comes until then hears it, too: 14:30, 2h.", metavar="TIME"),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End what is being announced.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say something now to all who wait in a queue; places stay, who is offered is connected."""
    if stop:
        if prompt or text or once or every or until:
            raise typer.BadParameter("--stop stands alone")
        _change("queue.silence", {"queue": name}, json=json, config=config)
        return
    if (prompt is None) is (text is None):
        raise typer.BadParameter("give either a prompt or --text")
    if once and (every is not None or until is not None):
        raise typer.BadParameter("--once goes without --every and --until")
    params: Params = {"queue": name, "prompt": prompt, "text": text}
    with refusals(), connect(config, reply_s=ANNOUNCE_REPLY_S) as client:
        if every is not None:
            span = parse_duration(every)
            if not span:
                raise ControlError(
                    "bad_params", f"--every: found {every!r}, expected a duration such as 2m"
                )
            params["every_s"] = span / 1_000_000
        if until is not None:
            params["until_us"] = instant_ahead(client, "--until", until)
        _print_changed(client, client.call("queue.announce", params), json=json)


def _which(name: str | None, all_: bool) -> str | None:
    if (name is None) is not all_:
        raise typer.BadParameter("give either the name of a queue or --all")
    return name


def _change(method: str, params: Params, *, json: bool, config: Path | None) -> None:
    with refusals(), connect(config) as client:
        _print_changed(client, client.call(method, params), json=json)


def _print_changed(client: ControlClient, rows: list[_tables.Row], *, json: bool) -> None:
    if json:
        print_json(rows)
        return
    _tables.print_rows(_tables.QUEUES, rows, "No queues.")
    _print_standing(rows, zone_of(client))
    if rows and rows[0].get("led_on"):
        print(f"led on or told: {rows[0]['led_on']}")
    if rows and rows[0].get("told") is not None:
        print(f"{rows[0]['told']} wait there and hear it")


def _print_standing(rows: list[_tables.Row], zone: ZoneInfo) -> None:
    """Print what a supervisor did and what lasts until somebody or the clock ends it."""
    for line in (*_tables.closed_lines(rows), *_tables.broadcast_lines(rows, zone)):
        print(line)


def _show(client: ControlClient, name: str | None, params: Params) -> None:
    zone = zone_of(client)
    warn_without_ami(client)
    rows = client.call("queue.show", params)
    _tables.print_rows(_tables.QUEUES, rows, "No queues.")
    _print_standing(rows, zone)
    if name is None:
        return
    print()
    waiting = client.call("queue.waiting", params)
    _tables.print_rows(_tables.waiting(zone), waiting, f"Nobody waits or talks in {name}.")
    print()
    staff = [row for row in client.call("agent.show") if name in row["queues"]]
    _tables.print_rows(_tables.agents(zone), staff, f"No operator can serve {name}.")
    for line in _tables.override_lines(staff, zone):
        print(line)


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
