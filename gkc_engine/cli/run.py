"""``gkc run``: the engine of one center, under its watchdog."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._console import state_dir


def run(
    *,
    config: Annotated[Path, typer.Option(help="Folder of *.yaml.")] = Path("config"),
    state: Annotated[
        Path | None, typer.Option(help="Where records and sockets lie (default: .gkc).")
    ] = None,
    watchdog: Annotated[
        bool, typer.Option(help="Start it again after a crash and kill it when it hangs.")
    ] = True,
    restart: Annotated[bool, typer.Option(help="Let the watchdog restart it.")] = True,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the engine until Ctrl-C or SIGTERM; SIGHUP reloads the configuration."""
    from gkc_engine import log

    log.configure(log_level)
    folder = state if state is not None else state_dir()
    if watchdog:
        raise typer.Exit(_supervise(config, folder, log_level, restart=restart))
    from gkc_engine import app

    raise typer.Exit(app.run(config, folder, app.Overrides()))


def _supervise(config: Path, folder: Path, log_level: str, *, restart: bool) -> int:
    from gkc_engine.config.loader import load_config
    from gkc_engine.watchdog import Watchdog

    load_config(config)  # a broken config is told once, here, and not by a worker in a loop
    argv = [sys.executable, "-m", "gkc_engine", "run", "--no-watchdog"]
    argv += ["--config", str(config), "--state", str(folder), "--log-level", log_level]

    async def main() -> int:
        dog = Watchdog(argv, restart=restart)
        loop = asyncio.get_running_loop()
        stops: list[asyncio.Task[None]] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: stops.append(loop.create_task(dog.stop())))
        loop.add_signal_handler(signal.SIGHUP, lambda: dog.signal(signal.SIGHUP))
        code = await dog.run()
        await asyncio.gather(*stops)
        return 0 if stops else code

    return asyncio.run(main())
