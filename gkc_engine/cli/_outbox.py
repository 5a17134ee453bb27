"""``gkc report outbox|send|retry``: reports that are sent by themselves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals, run_dir
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import engine_of, last_store
from gkc_engine.cli._tables import Column
from gkc_engine.cli.queue import zone_of
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.control.when import local_time

if TYPE_CHECKING:
    from gkc_engine.control.client import ControlClient

Row = dict[str, Any]

FOLLOW_S = 60.0
"""How long a command waits for what comes of it."""

LOOK_S = 0.2
FAILED = 1
"""Exit code: it was given up, or not taken yet."""


def outbox(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what was sent, what waits, and why: the newest first. Works without an engine."""
    with refusals():
        rows, zone = _rows(limit, config)
    if json:
        print_json(rows)
    else:
        _tables.print_rows(_columns(zone), rows, "No report was due yet.")


def send(
    name: Annotated[
        str | None, typer.Argument(help="The report's name: its last whole period.")
    ] = None,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Try at once everything that waits in the outbox.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also when that period is in line or sent already.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make and send a report now, whatever its time is; once for each period."""
    with refusals():
        if (name is None) is not now:
            raise ControlError(
                "bad_params", "give the NAME of a report, or --now for all that waits"
            )
        with connect(config) as client:
            if name is None:
                mails = client.call("report.send_all")[0]["mails"]
                if json:
                    print_json([{"mails": mails}])
                else:
                    print(f"{mails} mails are tried now: see gkc report outbox")
                return
            row = client.call("report.send", {"name": name, "again": again})[0]
            _follow(client, row, json=json)


def retry(
    mail: Annotated[int, typer.Argument(help="Its number in the outbox.")],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Try a mail now that waits or was given up; what was given up is made anew."""
    with refusals(), connect(config) as client:
        row = client.call("report.retry", {"mail": mail})[0]
        _follow(client, row, json=json)


def _follow(client: ControlClient, row: Row, *, json: bool) -> None:
    """Wait until the mail is sent, given up, or put off; say which."""
    mail_id, before = row["mail_id"], (row["attempts"], row["last_error"])
    progress(f"{row['name']} of {row['period']}: mail {mail_id}")
    deadline = time.monotonic() + FOLLOW_S
    while row["state"] not in ("sent", "failed") and time.monotonic() < deadline:
        if row["last_error"] and (row["attempts"], row["last_error"]) != before:
            break  # Tried, and put off.
        time.sleep(LOOK_S)
        (row,) = client.call("report.outbox", {"mail": mail_id})
    if json:
        print_json([row])
    elif row["state"] == "sent":
        print(f"sent to {', '.join(to['address'] for to in row['to'])}")
    else:
        print(f"{row['state']}: {row['last_error'] or 'not done yet'}; see gkc report outbox")
    if row["state"] != "sent":
        raise typer.Exit(FAILED)


def _rows(limit: int, config: Path | None) -> tuple[list[Row], ZoneInfo]:
    client = engine_of(config)
    if client is not None:
        with client:
            return client.call("report.outbox", {"limit": limit}), zone_of(client)
    from gkc_engine.delivery.outbox import FILE, left_in

    state = run_dir().parent
    left = [*state.glob(FILE), *state.glob(f"*/{FILE}")]
    newest = max(left, key=lambda path: path.stat().st_mtime, default=state / FILE)
    return left_in(newest, limit), last_store().zone


def _columns(zone: ZoneInfo) -> tuple[Column, ...]:
    def when(value: Json) -> str:
        return local_time(value, zone)

    return (
        Column(key="mail_id", head="Id", right=True),
        Column(key="name", head="Report"),
        Column(key="period", head="Period"),
        Column(key="state", head="State"),
        Column(key="attempts", head="Tries", right=True, drops=2),
        Column(key="sent", head="Sent", show=when),
        Column(key="next_try", head="Next try", show=when, drops=1),
        Column(key="to", head="To", show=_to, shrinks=True),
        Column(key="last_error", head="Last error", shrinks=True),
    )


def _to(value: Json) -> str:
    """Return the addresses; where they fared differently, each with its state."""
    alike = len({one["state"] for one in value}) == 1
    return ", ".join(
        one["address"] if alike else f"{one['address']} ({one['state']})" for one in value
    )
