"""A real control server in a thread of its own, and the commands run against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkc_engine.control.methods import Methods
from gkc_engine.control.server import ControlServer
from tests.control.fake import AuditLog, FakeBackend, directory


@dataclass
class Running:
    """An engine's control socket over a fake backend."""

    backend: FakeBackend
    audit: AuditLog
    config: Path


class ServerThread:
    """Serves until ``stop``; started and stopped from a thread without a loop."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty run directory that the commands look into."""
    folder = tmp_path / ".gkc" / "run"
    folder.mkdir(parents=True)
    monkeypatch.setenv("GKC_RUN_DIR", str(folder))
    return folder


@pytest.fixture
def engine(run: Path, tmp_path: Path) -> Iterator[Running]:
    config = tmp_path / "config"
    config.mkdir()
    backend, audit = FakeBackend(directory=directory(str(config))), AuditLog()
    server = ControlServer(run / "engine.sock", audit)
    Methods(backend, "0.1.0").register(server)
    for name, method in server._methods.items():
        if method.every_s is not None:  # a display's next look, for which nobody has to wait here
            server._methods[name] = replace(method, every_s=0.05)
    serving = ServerThread(server)
    serving.start()
    yield Running(backend, audit, config)
    serving.stop()


@pytest.fixture
def gkc() -> CliRunner:
    return CliRunner()
