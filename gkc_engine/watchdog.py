"""Keeps the engine alive: starts it again 1 s after a crash, kills it when it hangs.

The worker writes a byte to a pipe twice a second from its event loop. Silence means that the loop
does not turn: callers in AGI would wait for nothing, so it is killed and the sockets close, upon
which Asterisk's own queue takes everybody within milliseconds (telephony contract).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger(__name__)

RESTART_S = 1.0
"""Between the end of one worker and the start of the next."""

SILENCE_S = 3.0
"""How long the worker's loop may stand still; longer than any group commit or reload."""

BOOT_S = 60.0
"""How long a worker may take to its first sign of life (a large ledger to recover)."""

BEAT_S = 0.5
ENV_PIPE = "GKC_WATCHDOG_FD"


async def beat_forever() -> None:
    """In the worker: say that the loop turns, for as long as it does."""
    fd = os.environ.get(ENV_PIPE)
    if fd is None:
        return
    os.set_blocking(int(fd), False)
    while True:
        with contextlib.suppress(BlockingIOError):  # a stopped watchdog must not stop us
            os.write(int(fd), b".")
        await asyncio.sleep(BEAT_S)


class Watchdog:
    """Supervises one worker process."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        restart: bool = True,
        on_start: Callable[[int], None] | None = None,
    ) -> None:
        self._argv = list(argv)
        self._restart = restart
        self._on_start = on_start
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> int:
        """Run workers until :meth:`stop`; return the exit code of the last one.

        A worker that ends with 0 or 2 (asked to stop, or a config that a restart cannot mend)
        is not started again.
        """
        while True:
            code = await self._one()
            if self._stopping.is_set() or not self._restart or code in (0, 2):
                return code
            log.error("engine_died", code=code, restart_in_s=RESTART_S)
            self.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RESTART_S)
            if self._stopping.is_set():
                return code

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on to the worker, if it runs."""
        if self.pid is not None:
            os.kill(self.pid, number)

    async def stop(self, grace_s: float = 3.0) -> None:
        """Ask the worker to end, then make it."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _one(self) -> int:
        read_fd, write_fd = os.pipe()
        env = {**os.environ, ENV_PIPE: str(write_fd)}
        process = await asyncio.create_subprocess_exec(*self._argv, env=env, pass_fds=[write_fd])
        os.close(write_fd)
        self._process = process
        if self._on_start is not None:
            self._on_start(process.pid)
        watch = asyncio.create_task(self._watch(process, read_fd))
        try:
            return await process.wait()
        finally:
            watch.cancel()
            os.close(read_fd)

    async def _watch(self, process: asyncio.subprocess.Process, fd: int) -> None:
        beat = asyncio.Event()
        loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)

        def readable() -> None:
            with contextlib.suppress(BlockingIOError):
                if not os.read(fd, 4096):
                    loop.remove_reader(fd)
            beat.set()

        loop.add_reader(fd, readable)
        limit = BOOT_S
        try:
            while True:
                beat.clear()
                await asyncio.wait_for(beat.wait(), limit)
                limit = SILENCE_S
        except TimeoutError:
            log.critical("engine_hangs", pid=process.pid, silent_s=limit)
            # SIGKILL, for a stopped process takes nothing else.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        finally:
            loop.remove_reader(fd)
