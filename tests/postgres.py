"""A real PostgreSQL server of the tests' own, under ``.gkc``; nothing of it outlives them."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.ports import free_port

USER = "postgres"
"""Who runs the server when we are root: PostgreSQL refuses root."""

_STATE = Path(__file__).parents[1] / ".gkc" / "test"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class NoServerError(Exception):
    """There is no PostgreSQL here that may be started; says why."""


def _program(name: str) -> str:
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    on_path = shutil.which(name)
    if not found and on_path is None:
        raise NoServerError(f"no {name} here: apt-get install postgresql")
    return found[-1] if found else str(on_path)


def _as_user() -> list[str]:
    """Return how a command is started as one who may run PostgreSQL, and dies with us."""
    with_us = ["--pdeathsig", "INT"]
    if os.geteuid() != 0:
        return ["setpriv", *with_us]
    try:
        pwd.getpwnam(USER)
    except KeyError:
        raise NoServerError(f"root may not run PostgreSQL, and there is no user {USER}") from None
    return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *with_us]


class Server:
    """One server, on a free loopback port and a Unix socket."""

    def __init__(self, *, fsync: bool = False) -> None:
        """Without ``fsync`` what is committed still survives the death of the server."""
        self._settings = _SETTINGS | {"fsync": "on" if fsync else "off"}
        self._initdb, self._postgres = _program("initdb"), _program("postgres")
        _STATE.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_STATE))
        if os.geteuid() == 0:
            shutil.chown(self._folder, USER, USER)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        self.port = free_port()
        self._make()
        self.start()

    @property
    def data(self) -> Path:
        """The server's files."""
        return self._folder / "data"

    def _make(self) -> None:
        """Copy an empty server's files; the first time they are made, in seconds."""
        version = subprocess.run([self._initdb, "--version"], check=True, capture_output=True)
        number = version.stdout.decode().split()[2]
        empty = _STATE / f"pg-empty-{number}-{os.geteuid()}"
        with (_STATE / "pg.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not empty.is_dir():
                made = self._folder / "empty"
                command = [*_as_user(), self._initdb, "-D", str(made), "-U", USER, "-N"]
                command += ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
                if int(number.split(".")[0]) >= 15:
                    # It sorts as Russian does: that ours is by bytes is to be seen.
                    command += ["--locale-provider=icu", "--icu-locale=ru-RU"]
                done = subprocess.run(command, check=False, capture_output=True, cwd="/")
                if done.returncode != 0:
                    shutil.rmtree(self._folder, ignore_errors=True)
                    raise NoServerError(f"initdb: {done.stderr.decode().strip()[-300:]}")
                made.rename(empty)
        subprocess.run(["cp", "-a", str(empty), str(self.data)], check=True)

    def start(self) -> None:
        """Start it and return once it takes connections."""
        settings = dict(self._settings, port=str(self.port))
        # Longer paths are refused: sun_path has 108 bytes.
        settings["unix_socket_directories"] = (
            str(self._folder) if len(str(self._folder)) < 80 else ""
        )
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_user(), self._postgres, "-D", str(self.data), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
            )
        for _ in range(600):
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        said = (self._folder / "log").read_text("utf-8", "replace")
        raise NoServerError(f"postgres did not start: {said[-500:]}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: at once by ``SIGQUIT``, as a crash does; by ``SIGINT`` in order."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it and all its processes answer nothing for a while."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        every = [self._process.pid, *map(int, children.read_text().split())]
        try:
            for pid in every:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in every:
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection of the tests' own, each statement by itself."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname=database, autocommit=True
        )

    def schema(self) -> str:
        """Return the URL of an empty place of its own: a schema, made in a fraction of the time."""
        name = f"t{os.getpid()}_{next(self._names)}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        options = quote(f"-csearch_path={name}")
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres?options={options}"
