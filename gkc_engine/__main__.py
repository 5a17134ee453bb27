"""The command ``gkc``: a table of commands, each imported only when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Annotated, Final

import typer
from typer._click import Command, Context  # Typer's own copy of click: its base classes' types.
from typer.core import TyperCommand, TyperGroup

from gkc_engine.errors import ConfigError, GkcError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("gkc_engine.cli.demo:app", "The whole city on this machine."),
    "test": ("gkc_engine.cli.test:run_checks", "Install what the tests need and run them."),
    "check": ("gkc_engine.cli.check:check", "Find every mistake in a folder of configuration."),
    "run": ("gkc_engine.cli.run:run", "Run the engine of one center."),
    "reload": ("gkc_engine.cli.reload:reload", "Let the running engine take changed files."),
    "queue": ("gkc_engine.cli.queue:app", "Queues of the running engine."),
    "wall": ("gkc_engine.cli.wall:wall", "A wallboard on the whole screen."),
    "city": ("gkc_engine.cli.city:app", "The records of all centers, in the city's store."),
    "center": ("gkc_engine.cli.center:app", "The other centers of the city."),
    "agent": ("gkc_engine.cli.agent:app", "Operators of the running engine."),
    "alert": ("gkc_engine.cli.alert:app", "What needs a supervisor now."),
    "contact": ("gkc_engine.cli.contact:app", "Records of contacts, and those who wait."),
    "citizen": ("gkc_engine.cli.citizen:app", "Citizens whose calls are refused at the door."),
    "simulate": (
        "gkc_engine.cli.simulate:simulate_scenario",
        "What a scenario's waits would be, by this engine's routing.",
    ),
    "report": ("gkc_engine.cli.report:app", "Figures over a stretch of time."),
    "records": (
        "gkc_engine.cli.records:app",
        "Whether the records are right, and how long they are kept.",
    ),
    "db": ("gkc_engine.cli.db:app", "The database of the records."),
    "export": ("gkc_engine.cli.export:app", "A Grafana dashboard and Prometheus alert rules."),
    "explain": ("gkc_engine.cli.explain:explain", "Why a contact waited, and who was chosen."),
    "replay": ("gkc_engine.cli.replay:replay", "Recorded events once more through the core."),
    "plan": ("gkc_engine.cli.plan:plan", "What another configuration would have done."),
    "pbx": ("gkc_engine.cli.pbx:pbx_app", "Asterisk: install it, write its configuration."),
    "clean": ("gkc_engine.cli.clean:clean", "Remove .gkc and .venv."),
}
"""Name -> where it is defined (a function or a Typer app) and its line in ``gkc --help``."""


class _LazyGroup(TyperGroup):
    """Lists the table without importing anything; imports the one command that is called."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _load(name), rest


def _load(name: str) -> Command:
    module_name, attribute = COMMANDS[name][0].split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise GkcError(f"gkc {name}: this installation has no {module_name}") from error
    found = getattr(module, attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)  # Also when it has one command: `gkc pbx install`.
    single = typer.Typer(add_completion=False)
    single.command(name, help=None if found.__doc__ else COMMANDS[name][1])(found)
    return typer.main.get_command(single)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gkc {version('gkc-engine')}")
        raise typer.Exit


_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(cls=_LazyGroup, name="gkc", no_args_is_help=True, pretty_exceptions_enable=False)


def _of_city(wanted: bool) -> None:
    if wanted:
        from gkc_engine.cli._store import read_city

        read_city()


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    _city: Annotated[
        bool,
        typer.Option(
            "--city",
            help="Reports and records of the whole city: gkc --city report day.",
            callback=_of_city,
        ),
    ] = False,
) -> None:
    """Contact-center engine for a whole city, on Asterisk."""


def main() -> None:
    """Run ``gkc``. Exit codes: 0 done, 1 failed or differences, 2 usage or config, 130 Ctrl-C."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # Here a full disk can be told of; at the end of Python it is not.
    except BrokenPipeError:
        _lose_output()  # `gkc contact list | head`: the reader has seen enough.
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        _lose_output()
        typer.echo(f"the output cannot be written: {error.strerror}; is its disk full?", err=True)
        sys.exit(1)
    except ConfigError as error:
        sys.exit(_refuse(error, 2))
    except GkcError as error:
        sys.exit(_refuse(error, 1))
    except KeyboardInterrupt:
        sys.exit(130)


def _lose_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(error: GkcError, code: int) -> int:
    typer.echo(error, err=True)
    return code


if __name__ == "__main__":
    main()
