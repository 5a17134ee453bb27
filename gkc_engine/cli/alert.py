"""``gkc alert``: what stands, what stood, and who sees to it."""

from __future__ import annotations

from typing import Annotated

import typer

from gkc_engine.alerts.limits import KEPT
from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli.queue import zone_of
from gkc_engine.control.protocol import Params

app = typer.Typer(help="Alerts of the running engine.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Alerts of the running engine."""


@app.command("list")
def list_(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the alerts that stand, the oldest first."""
    _show("alert.list", {}, "No alert stands.", json=json, config=config)


@app.command()
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, max=KEPT, help="At most so many.")] = 50,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the last alerts, the newest first, those that are over too."""
    _show("alert.history", {"limit": limit}, "No alert was raised.", json=json, config=config)


@app.command()
def ack(
    alert_id: Annotated[int, typer.Argument(metavar="ID", help="As `gkc alert list` shows it.")],
    *,
    note: Annotated[str, typer.Option(help="What is done about it; on record.")] = "",
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Note that you see to an alert; it stands until its value is back."""
    params: Params = {"alert_id": alert_id, "note": note}
    _show("alert.ack", params, "No alert.", json=json, config=config)


def _show(method: str, params: Params, nothing: str, *, json: bool, config: ConfigOption) -> None:
    with refusals(), connect(config) as client:
        rows = client.call(method, params)
        if json:
            print_json(rows)
        else:
            _tables.print_rows(_tables.alerts(zone_of(client)), rows, nothing)
