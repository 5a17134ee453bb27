"""``gkc demo``: the whole city on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_module
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, Protocol, TypeVar

import typer

from gkc_engine.cli._client import run_dir
from gkc_engine.cli._console import home, progress, state_dir

if TYPE_CHECKING:
    from gkc_engine.config.models import Config
    from gkc_engine.demo.account import Account
    from gkc_engine.demo.setup import DemoOptions, Screen, Teller
    from gkc_engine.pbx.install import Install

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Runs(Protocol[T_co]):
    """A demo, whatever it is of."""

    @property
    def screen(self) -> Teller: ...

    async def run(self) -> T_co | None: ...

    def kill(self) -> None: ...


INTERRUPTED = 130
"""Exit code after Ctrl-C in a run that was to have an end; without one, Ctrl-C is the end."""

RATES: Final = {1: 0.5, 3: 1.0}
"""Calls a second, by the number of centers: what two slow cores can do beside other work."""

CenterArgument = Annotated[str, typer.Argument(metavar="CENTER")]


app = typer.Typer(invoke_without_command=True)


@app.callback()
def demo(
    context: typer.Context,
    *,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, max=86_400, help="Let citizens call so long, then compare the lists."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.01, max=50, help="Calls a second (default: 0.5, of 3 centers 1)."),
    ] = None,
    centers: Annotated[
        int, typer.Option(help="1, or 3: a city and two okrugs that help each other.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="The same seed, the same citizens.")] = 1,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; needs --seconds.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart/--no-restart", help="Let the watchdog restart the engine.")
    ] = True,
    free_ports: Annotated[
        bool,
        typer.Option(
            "--free-ports", help="Take none of the default ports: for demos side by side."
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Go on with the last demo's records.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            help="Keep the records there: postgresql+psycopg://ROLE@HOST/DATABASE, env:VARIABLE"
            " or file:PATH (default: a file of the demo's own)."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Folder of *.yaml (default: the sample city).")
    ] = None,
    asterisk: Annotated[
        Path | None, typer.Option(help="An Asterisk >= 18, or an unpacked root with one.")
    ] = None,
) -> None:
    """Run a city on this machine: Asterisk, the engine, citizens who call, operators who answer.

    Exit codes: 0 done and every call on record exactly once, 1 not, 2 usage or config.
    """
    if context.invoked_subcommand is not None:
        return
    if json and seconds is None:
        _refuse("--json needs --seconds: without an end there is no result")
    if centers not in RATES:
        _refuse(f"--centers: found {centers}, expected 1 or 3")
    if centers > 1 and store is not None:
        _refuse("--store is of one center; of several each has its own file")
    from gkc_engine.demo.setup import DemoOptions

    options = DemoOptions(
        config=config if config is not None else home() / "config",
        state=state_dir(),
        sockets=run_dir(),
        seconds=seconds,
        rate=rate if rate is not None else RATES[centers],
        seed=seed,
        restart=restart,
        keep=keep,
        free_ports=free_ports,
        store=None if store is None else _store(store),
    )
    run = _run if centers == 1 else _run_centers
    raise typer.Exit(run(options, asterisk, json=json))


def _refuse(text: str) -> NoReturn:
    typer.echo(f"gkc demo: {text}", err=True)
    raise typer.Exit(2)


@app.command()
def cut(center: CenterArgument) -> None:
    """Cut the line of a center to the others: bus, calls and their sound are gone."""
    _line("demo.cut", center)


@app.command()
def heal(center: CenterArgument) -> None:
    """Mend the line of a center."""
    _line("demo.heal", center)


def _line(method: str, center: str) -> None:
    from gkc_engine.cli._client import refusals
    from gkc_engine.control.client import NOT_RUNNING, ControlClient
    from gkc_engine.control.protocol import ControlError
    from gkc_engine.demo.centers_plan import LINES_SOCKET

    with refusals():
        try:
            client = ControlClient(run_dir() / LINES_SOCKET)
        except ControlError as error:
            if error.error_id != NOT_RUNNING:
                raise
            text = "No demo of several centers runs here: start one with `gkc demo --centers 3`."
            raise ControlError(NOT_RUNNING, text) from None
        with client:
            said = client.call(method, {"center": center})
    parted = ", ".join(said["parted"]) or "none"
    progress(f"{'done' if said['changed'] else 'it was so already'}; cut off now: {parted}")


def _store(text: str) -> str:
    """Return where the records are to lie, as the config says it."""
    from gkc_engine.config.store import named_store
    from gkc_engine.errors import ConfigError

    try:
        return named_store(text)
    except ConfigError as error:
        typer.echo(f"gkc demo: --store: {error}", err=True)
        raise typer.Exit(2) from None


def _run(options: DemoOptions, asterisk: Path | None, *, json: bool) -> int:
    from gkc_engine.cli._demo_screen import Lines, Table
    from gkc_engine.demo.run import Demo

    install, config = _found(options, asterisk)
    seen: Screen = Lines() if json or not sys.stdout.isatty() else Table(config.center.timezone)
    return _end(Demo(options, install, seen), options, partial(report_result, json=json))


def _run_centers(options: DemoOptions, asterisk: Path | None, *, json: bool) -> int:
    from gkc_engine import log
    from gkc_engine.cli._demo_centers import CentersLines, CentersTable, report_city
    from gkc_engine.demo.centers import CentersDemo
    from gkc_engine.demo.centers_seen import CentersScreen

    log.configure("warning")
    install, _ = _found(options, asterisk)
    plain = json or not sys.stdout.isatty()
    seen: CentersScreen = CentersLines() if plain else CentersTable()
    return _end(CentersDemo(options, install, seen), options, partial(report_city, json=json))


def _found(options: DemoOptions, asterisk: Path | None) -> tuple[Install, Config]:
    from gkc_engine.config.loader import load_config
    from gkc_engine.pbx.install import find_or_install

    config = load_config(options.config)
    named = config.pbx.asterisk
    if asterisk is None and named is not None:
        asterisk = Path(named)
    install = find_or_install(options.state, named=asterisk, progress=progress)
    progress(f"Asterisk {install.version}: {install.how}")
    return install, config


def _end(one: _Runs[T], options: DemoOptions, told: Callable[[T, DemoOptions], int]) -> int:
    with one.screen:
        result, stopped = asyncio.run(_until_signal(one))
    if result is not None:
        return told(result, options)
    if stopped:
        progress("stopped")
    return INTERRUPTED if options.seconds is not None else 0


async def _until_signal(one: _Runs[T]) -> tuple[T | None, bool]:
    """Run the demo; the first Ctrl-C or SIGTERM stops it in order, the second at once."""
    work = asyncio.ensure_future(one.run())
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            one.kill()
        work.cancel()

    with _handled(stop):
        try:
            return await work, False
        except asyncio.CancelledError:
            return None, True


@contextlib.contextmanager
def _handled(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def report_result(result: Account, options: DemoOptions, *, json: bool) -> int:
    """Print the account of a run with an end; return the exit code."""
    from gkc_engine.demo.account import report

    assert options.seconds is not None
    row = report(result, seconds=options.seconds, rate=options.rate, seed=options.seed)
    if json:
        print(json_module.dumps(row, ensure_ascii=False))
    else:
        for name, value in row.items():
            counts = value if isinstance(value, dict) else {}
            whole = sum(counts.values()) if isinstance(value, dict) else value
            print(f"{name:23} {'-' if whole is None else whole}")
            for kind, count in counts.items():
                if count:
                    print(f"  {kind:21} {count}")
    others = [f"{one} ({whose})" for one, whose in result.whose.items()]
    for what, ids in (
        ("lost", result.lost),
        ("doubled", result.doubled),
        ("other hands", others),
    ):
        if ids:
            progress(f"{what}: {', '.join(ids[:20])}{' …' if len(ids) > 20 else ''}")
    return 0 if result.balanced else 1
