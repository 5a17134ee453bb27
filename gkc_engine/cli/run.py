"""``gkc run``: the engine of one center, under its watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli._console import state_dir
from gkc_engine.errors import ConfigError, GkcError

if TYPE_CHECKING:
    from gkc_engine.config.models import Config


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
    """Run the engine until Ctrl-C or SIGTERM; SIGHUP reloads the configuration.

    Exit codes: 0 it was asked to end, 1 it could not start or it failed, 2 the configuration (or
    a secret that it refers to) is wrong.
    """
    from gkc_engine import log

    log.configure(log_level)
    folder = state if state is not None else state_dir()
    if not watchdog:
        raise typer.Exit(_work(config, folder, log_level))
    with _pid_file(folder / "run"):
        raise typer.Exit(_supervise(config, folder, log_level, restart=restart))


def _work(config: Path, folder: Path, log_level: str) -> int:
    from gkc_engine import spare
    from gkc_engine.watchdog import ENV_PIPE

    if ENV_PIPE not in os.environ:  # else its watchdog has looked
        _refuse_early(config, folder)
    spare.stand_by(config, _command(config, folder, log_level))
    from gkc_engine import app

    return app.run(config, folder, app.Overrides())


def _command(config: Path, folder: Path, log_level: str) -> list[str]:
    """Return what a worker is started with."""
    argv = [sys.executable, "-m", "gkc_engine", "run", "--no-watchdog"]
    return [*argv, "--config", str(config), "--state", str(folder), "--log-level", log_level]


def _supervise(config: Path, folder: Path, log_level: str, *, restart: bool) -> int:
    from gkc_engine.watchdog import Watchdog

    _refuse_early(config, folder)  # told once, here, and not by a worker in a loop

    async def main() -> int:
        dog = Watchdog(_command(config, folder, log_level), restart=restart, warm=True)
        loop = asyncio.get_running_loop()
        stops: list[asyncio.Task[None]] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: stops.append(loop.create_task(dog.stop())))
        loop.add_signal_handler(signal.SIGHUP, lambda: dog.signal(signal.SIGHUP))
        code = await dog.run()
        await asyncio.gather(*stops)
        return 0 if stops else code

    return asyncio.run(main())


def _refuse_early(folder: Path, state: Path) -> None:
    """Find what would stop every worker: files, secrets, another engine, ports that are held.

    Raises:
        ConfigError: the configuration is wrong, or a secret cannot be had.
        GkcError: another engine runs here, or somebody holds a port; says who.
    """
    from gkc_engine.config.loader import load_config
    from gkc_engine.config.secrets import resolve_secret
    from gkc_engine.config.store import store_name, store_url
    from gkc_engine.control.listener import SocketHeldError, listening_pid
    from gkc_engine.control.protocol import RUN_DIRECTORY_VARIABLE, socket_path

    config = load_config(folder)
    resolve_secret(config.pbx.ami.secret, folder)
    store_url(store_name(config.store, state), folder)
    path = socket_path(Path(os.environ.get(RUN_DIRECTORY_VARIABLE) or state / "run"))
    pid = listening_pid(path)
    if pid is not None:
        raise SocketHeldError(path, pid)
    busy = [told for told in _held(config) if told]
    if busy:
        raise GkcError("\n".join(busy))


def _held(config: Config) -> Iterator[str]:
    """Yield a sentence for each port of ours that cannot be listened on."""
    fastagi, metrics = config.pbx.fastagi, config.metrics
    yield _why_not(fastagi.host, fastagi.port, "FastAGI", "pbx.fastagi.port")
    yield _why_not(metrics.host, metrics.port, "Prometheus metrics", "metrics.port")


def _why_not(host: str, port: int, what: str, key: str) -> str:
    """Return why nobody can listen there now; empty when one can."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do it
            probe.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ConfigError(f"{key}: {host}:{port} for {what}: {error.strerror}") from error
        from gkc_engine.pbx.ports import port_holder

        holder = port_holder(port) or "a process that does not listen yet"
        return f"{host}:{port} for {what} is held by {holder}: stop that, or change {key}"
    return ""


@contextlib.contextmanager
def _pid_file(run_dir: Path) -> Iterator[None]:
    """Let ``gkc clean`` know, while we run, that we do."""
    path = run_dir / "engine.pid"
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = False
    if not _living(path):
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
        ours = True
    try:
        yield
    finally:
        if ours:
            path.unlink(missing_ok=True)


def _living(path: Path) -> bool:
    """Whether the file names a process that lives: an engine that we are about to find."""
    try:
        os.kill(int(path.read_text(encoding="ascii")), 0)
    except (OSError, ValueError) as error:
        return isinstance(error, PermissionError)
    return True
