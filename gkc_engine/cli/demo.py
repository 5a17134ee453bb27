"""``gkc demo``: the whole city on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_module
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli._client import run_dir
from gkc_engine.cli._console import home, progress, state_dir

if TYPE_CHECKING:
    from gkc_engine.demo.account import Account
    from gkc_engine.demo.run import Demo
    from gkc_engine.demo.setup import DemoOptions, Screen

INTERRUPTED = 130
"""Exit code after Ctrl-C in a run that was to have an end; without one, Ctrl-C is the end."""


def demo(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, max=86_400, help="Let citizens call so long, then compare the lists."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, max=50, help="Calls a second.")] = 0.5,
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
    if json and seconds is None:
        typer.echo("gkc demo: --json needs --seconds: without an end there is no result", err=True)
        raise typer.Exit(2)
    from gkc_engine.demo.setup import DemoOptions

    options = DemoOptions(
        config=config if config is not None else home() / "config",
        state=state_dir(),
        sockets=run_dir(),
        seconds=seconds,
        rate=rate,
        seed=seed,
        restart=restart,
        keep=keep,
        free_ports=free_ports,
        store=None if store is None else _store(store),
    )
    raise typer.Exit(_run(options, asterisk, json=json))


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
    from gkc_engine.config.loader import load_config
    from gkc_engine.demo.run import Demo
    from gkc_engine.pbx.install import find_or_install

    config = load_config(options.config)
    named = config.pbx.asterisk
    if asterisk is None and named is not None:
        asterisk = Path(named)
    install = find_or_install(options.state, named=asterisk, progress=progress)
    progress(f"Asterisk {install.version}: {install.how}")
    seen: Screen = Lines() if json or not sys.stdout.isatty() else Table(config.center.timezone)
    one = Demo(options, install, seen)
    with seen:
        result, stopped = asyncio.run(_until_signal(one))
    if result is not None:
        return report_result(result, options, json=json)
    if stopped:
        progress("stopped")
    return INTERRUPTED if options.seconds is not None else 0


async def _until_signal(one: Demo) -> tuple[Account | None, bool]:
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
            if name != "by_disposition":
                print(f"{name:22} {'-' if value is None else value}")
        for name, value in row["by_disposition"].items():
            if value:
                print(f"  {name:20} {value}")
    others = [f"{one} ({whose})" for one, whose in result.whose.items()]
    for what, ids in (
        ("lost", result.lost),
        ("doubled", result.doubled),
        ("other hands", others),
    ):
        if ids:
            progress(f"{what}: {', '.join(ids[:20])}{' …' if len(ids) > 20 else ''}")
    return 0 if result.balanced else 1
