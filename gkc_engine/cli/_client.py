"""What the commands that talk to the running engine share: finding it, and how they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from gkc_engine.cli._console import state_dir
from gkc_engine.control.client import NOT_RUNNING, REPLY_S, ControlClient
from gkc_engine.control.protocol import (
    RUN_DIRECTORY_VARIABLE,
    SOCKET_NAME,
    ControlError,
    socket_path,
)
from gkc_engine.control.when import from_iso, parse_future

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The engine of this configuration; without it, the running one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a list of objects for programs.")]

REFUSED = 1
"""Exit code: no engine, or it refused."""

USAGE = 2
"""Exit code: the command line or the configuration is wrong."""

_USAGE_IDS = frozenset({"bad_params", "bad_request", "config", "unknown_method"})


def run_dir() -> Path:
    """Return the directory of the control sockets: ``GKC_RUN_DIR``, else ``.gkc/run``."""
    named = os.environ.get(RUN_DIRECTORY_VARIABLE)
    return Path(named) if named else state_dir() / "run"


def connect(config: Path | None, reply_s: float = REPLY_S) -> ControlClient:
    """Return a connection to the engine of ``config``, or to the one that runs.

    Raises:
        ControlError: ``not_running``, ``forbidden``, or ``other_config`` when the engine that
            runs was started with another configuration.
    """
    run = run_dir()
    if config is None:
        return ControlClient(_only_socket(run), reply_s=reply_s)
    own = socket_path(run, config)
    try:
        return ControlClient(own, reply_s=reply_s)
    except ControlError as error:
        if error.error_id != NOT_RUNNING:
            raise
    client = ControlClient(socket_path(run), reply_s=reply_s)
    try:
        _same_config(client, config)
    except BaseException:
        client.close()
        raise
    return client


def _same_config(client: ControlClient, config: Path) -> None:
    running = client.call("engine.show")[0]["config"]
    if Path(running).resolve() != config.resolve():
        raise ControlError(
            "other_config",
            f"The running engine uses {running}, not {config}. Leave --config out to ask it, "
            f"or start another with `gkc run --config {config}`.",
        )


def _only_socket(run: Path) -> Path:
    usual = run / SOCKET_NAME
    if usual.exists():
        return usual
    others = sorted(run.glob("engine-*.sock"))
    if len(others) > 1:
        raise ControlError(
            "several",
            f"{len(others)} engines run here ({run}): say which with --config DIR.",
        )
    return others[0] if others else usual


@contextmanager
def refusals() -> Iterator[None]:
    """Say what was refused in one sentence on stderr and leave with its exit code."""
    try:
        yield
    except ControlError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE if error.error_id in _USAGE_IDS else REFUSED) from None
    except BrokenPipeError:
        # `gkc contact list | head`: the reader has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(0) from None


def instant_ahead(client: ControlClient, option: str, text: str) -> int:
    """Return the instant in the future that an option names, or refuse it by name."""
    about = client.call("engine.show")[0]
    try:
        return parse_future(text, from_iso(about["now"]), ZoneInfo(about["timezone"]))
    except ValueError as error:
        raise ControlError("bad_params", f"{option}: {error}") from error
