"""A folder of its own for ``gkc demo`` and the commands that read what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gkc_engine.pbx.install import Install

CONFIG = Path(__file__).parents[2] / "config"


class Home:
    """A folder that ``.gkc`` lies in, with this machine's Asterisk known to it."""

    def __init__(self, folder: Path, install: Install) -> None:
        self.folder = folder
        self.state = folder / ".gkc"
        self.state.mkdir()
        (self.state / "asterisk.json").write_text(json.dumps(asdict(install), default=str))
        self.environment = {**os.environ, "GKC_HOME": str(folder)}
        for name in ("GKC_ASTERISK", "GKC_RUN_DIR"):
            self.environment.pop(name, None)

    @property
    def note(self) -> Path:
        return self.state / "run" / "demo.json"

    @property
    def config(self) -> Path:
        """The demo's own copy of the configuration."""
        return self.state / "demo" / "config"

    @property
    def store(self) -> Path:
        return self.state / "demo" / "gkc.sqlite"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gkc_engine", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command("demo", "--config", str(CONFIG), *arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell may have left SIGINT ignored for what it runs in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def says(self, *arguments: str) -> str:
        """Return what a command prints; it must succeed."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, (arguments, done.returncode, done.stderr, done.stdout[-4000:])
        return done.stdout

    def gkc(self, *arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.says(*arguments, "--json"))
        return rows

    def object(self, *arguments: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.says(*arguments, "--json"))
        return value

    def processes(self) -> dict[int, str]:
        """Everything that has this folder in its command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.folder) in command:
                found[int(entry.name)] = command
        return found

    def leave(self) -> None:
        """End what is left running; nothing should be."""
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left


def until(fact: Callable[[], bool], limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.02)
