"""A server as a child process in a session of its own: started, waited for, asked, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from gkc_engine.errors import PeerError


class Child(ABC):
    """``async with`` runs it till the end of the block.

    It may be started again after `stop` or `kill`, with the same files.
    """

    NAME: ClassVar[str]
    """What it is called in messages."""
    LATE: ClassVar[str]
    """What it has not done when it is given up."""
    LOOK_S: ClassVar[float] = 0.05
    """Between two looks whether it is ready."""
    TAIL_LINES: ClassVar[int] = 15
    """Of each of its logs, in the message that it failed."""

    def __init__(self, boot_s: float) -> None:
        """``boot_s``: so long it may take to be ready."""
        self._boot_s = boot_s
        self._process: asyncio.subprocess.Process | None = None

    @property
    @abstractmethod
    def output(self) -> Path:
        """What it wrote on stdout and stderr."""

    @property
    def logs(self) -> Sequence[Path]:
        """Where it says why it failed."""
        return (self.output,)

    @property
    def pid(self) -> int | None:
        """The process id, ``None`` when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @abstractmethod
    def prepare(self) -> Sequence[str]:
        """Make its files ready; return the command line."""

    @abstractmethod
    async def is_ready(self) -> bool:
        """Return whether it can be used."""

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
        """Start it and wait until it is ready.

        Raises:
            GkcError: It is not installed here.
            PeerError: It ended, or was not ready in time; the end of its logs is in the text.
        """
        command = self.prepare()
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            # Its own session: Ctrl-C at a terminal is for us; we stop it in our order.
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(self._boot_s):
                await self._ready()
        except TimeoutError:
            await self.kill()
            raise PeerError(
                f"{self.NAME} {self.LATE} in {self._boot_s:g} s:\n{self._tail()}"
            ) from None
        except BaseException:
            await self.kill()
            raise

    async def _ready(self) -> None:
        while self.pid is not None:
            if await self.is_ready():
                return
            await asyncio.sleep(self.LOOK_S)
        code = None if self._process is None else self._process.returncode
        raise PeerError(f"{self.NAME} ended at once (status {code}):\n{self._tail()}")

    async def stop(self, grace_s: float = 5.0) -> None:
        """End it with SIGTERM, after ``grace_s`` with SIGKILL. Nothing happens if it is over."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
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

    async def wait(self) -> int:
        """Return its exit status when it has ended."""
        if self._process is None:
            raise PeerError(f"{self.NAME} was not started")
        return await self._process.wait()

    def _tail(self) -> str:
        lines: list[str] = []
        for path in self.logs:
            if path.exists():
                lines += path.read_text("utf-8", "replace").splitlines()[-self.TAIL_LINES :]
        return "\n".join(lines) or "(it wrote nothing)"
