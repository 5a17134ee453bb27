"""``gkc records erase|retention|hold``: what is known of citizens, destroyed or held back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.control.protocol import Params

REPLY_S = 620.0
"""Longer than the engine takes at most (``control.destroying.TIMEOUT_S``)."""

LEFT = 1
"""Exit code: something could not be destroyed."""

Row = dict[str, Any]

CitizenOption = Annotated[
    str,
    typer.Option("--citizen", help="His telephone number, in any spelling.", metavar="NUMBER"),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="What for: stands in the act and in the audit.")
]

hold_app = typer.Typer(help="Citizens whose data must be kept for now.", no_args_is_help=True)


def erase(
    *,
    citizen: CitizenOption,
    reason: ReasonOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; nothing can be undone.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Destroy what is known of one citizen; the statistics stay, an act is written."""
    if not yes:
        typer.confirm("Number, name and recordings cannot be had back. Destroy them?", abort=True)
    params: Params = {"citizen": {"number": citizen}, "reason": reason}
    _acted("records.erase", params, json=json, config=config)


def retention(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Destroy nothing: count what is due.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Destroy now, not at night, what retention: says is kept long enough."""
    if not dry_run:
        _acted("records.retain", {}, json=json, config=config)
        return
    with refusals(), connect(config, REPLY_S) as client:
        rows = client.call("records.due")
    if json:
        print_json(rows)
    else:
        _tables.print_rows(_tables.DUE, rows, "Nothing is due.")


def _acted(method: str, params: Params, *, json: bool, config: Path | None) -> None:
    progress("reading what Asterisk and the records hold; some minutes, if that is much")
    with refusals(), connect(config, REPLY_S) as client:
        rows: list[Row] = client.call(method, params)
    if json:
        print_json(rows)
    else:
        _tables.print_rows(_tables.DESTROYED, rows, "Nothing was due.")
        for left in (one for row in rows for one in row["left"]):
            typer.echo(f"NOT destroyed: {left}", err=True)
    if any(row["left"] for row in rows):
        raise typer.Exit(LEFT)


@hold_app.command("add")
def hold_add(
    *,
    citizen: CitizenOption,
    reason: ReasonOption,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Keep what is known of a citizen, whatever is due and whoever asks."""
    params: Params = {"citizen": {"number": citizen}, "reason": reason}
    _held("records.hold", params, "is held", json=json, config=config)


@hold_app.command("remove")
def hold_remove(
    *, citizen: CitizenOption, json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Let time run again."""
    params: Params = {"citizen": {"number": citizen}}
    _held("records.release", params, "is not held any longer", json=json, config=config)


def _held(method: str, params: Params, done: str, *, json: bool, config: Path | None) -> None:
    with refusals(), connect(config) as client:
        rows: list[Row] = client.call(method, params)
    if json:
        print_json(rows)
    else:
        print(f"citizen {rows[0]['citizen']} {done}")


@hold_app.command("list")
def hold_list(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """List who is held, since when, why and on whose word."""
    with refusals(), connect(config) as client:
        rows = client.call("records.holds")
    if json:
        print_json(rows)
    else:
        _tables.print_rows(_tables.HOLDS, rows, "Nobody is held.")
