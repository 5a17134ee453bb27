"""Keeps the engine alive: starts it again 1 s after a crash, kills it when it hangs.

The worker writes a byte to a pipe twice a second from its event loop. Silence means that the loop
does not turn: callers in AGI would wait for nothing, so it is killed and the sockets close, upon
which Asterisk's own queue takes everybody within milliseconds (telephony contract).

Beside the worker a spare one stands by (ADR 0019): Python, our code and the configuration are
loaded, nothing is opened. It takes the place of a worker that died at once, where a new process
needs a second of CPU to begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from gkc_engine.endings import end_tasks

log = structlog.get_logger(__name__)

RESTART_S = 1.0
"""Between the end of one worker and the start of the next."""

SILENCE_S = 3.0
"""How long the worker's loop may stand still; longer than any group commit or reload."""

LATE_S = 0.5
"""Who notices a silence so much later than it was due has stood still himself."""

BOOT_S = 60.0
"""How long a worker may take to its first sign of life (a large ledger to recover)."""

SPARE_AFTER_S = 3.0
"""From a worker's first sign of life to the start of its spare: first things first, and one that
crashes at once needs none."""

SPARE_LOADS_S = 10.0
"""How long one that has its turn while it still loads is waited for: a new one would not be
sooner."""

SPARE_AGAIN_S = 60.0
"""Between two spares that end by themselves."""

BEAT_S = 0.5
ENV_PIPE = "GKC_WATCHDOG_FD"
"""Names the worker's end of the pipe for its signs of life."""

ENV_SPARE = "GKC_SPARE_FD"
"""Names a spare's end of the pipe on which it is told to take over."""

TAKE = b"t"
"""Told to a spare: you are the worker now. It answers with a sign of life at once."""


def sign_of_life() -> None:
    """In the worker: write one byte to the watchdog, if there is one."""
    fd = os.environ.get(ENV_PIPE)
    if fd is not None:
        os.set_blocking(int(fd), False)
        with contextlib.suppress(BlockingIOError):  # a stopped watchdog must not stop us
            os.write(int(fd), b".")


async def beat_forever() -> None:
    """In the worker: say that the loop turns, for as long as it does."""
    while ENV_PIPE in os.environ:
        sign_of_life()
        await asyncio.sleep(BEAT_S)


class _Signs:
    """What a process writes to its pipe, as the watchdog hears it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.any = False
        """Whether there ever was one."""
        self._heard = asyncio.Event()
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not os.read(self.fd, 4096):
                asyncio.get_running_loop().remove_reader(self.fd)
        self.any = True
        self._heard.set()

    async def next(self, limit_s: float | None) -> None:
        """Wait for a sign from now on.

        Raises:
            TimeoutError: there was none in ``limit_s``.
        """
        self._heard.clear()
        async with asyncio.timeout(limit_s):
            await self._heard.wait()

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self.fd)
        os.close(self.fd)


@dataclass(slots=True)
class _Worker:
    """A process that serves, or stands by to."""

    process: asyncio.subprocess.Process
    signs: _Signs
    order_fd: int | None = None
    """Where a spare is told to take over; its end of file tells it to go."""

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def speaks(self, limit_s: float | None) -> bool:
        """Return whether it gives a sign of life in time, and before its end."""
        said = asyncio.create_task(self.signs.next(limit_s))
        ended = asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait({said, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (said, ended):
                task.cancel()
        outcome, _ = await asyncio.gather(said, ended, return_exceptions=True)
        return outcome is None and self.alive

    def kill(self) -> None:
        """SIGKILL, for a stopped process takes nothing else."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def close(self) -> None:
        """Close our ends of its pipes."""
        self.signs.close()
        self.forget_order()

    def forget_order(self) -> None:
        """Close the pipe that makes a spare a worker."""
        if self.order_fd is not None:
            os.close(self.order_fd)
            self.order_fd = None


class Watchdog:
    """Supervises one worker process, with another beside it to take its place.

    Args:
        argv: The worker's command.
        restart: Whether one that died is followed by another.
        warm: Whether a spare stands by (only with ``restart``).
        on_start: Told the pid of each worker as it begins, not of a spare before its turn.
        on_spare: Told the pid of each spare as soon as it is ready.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        restart: bool = True,
        warm: bool = False,
        on_start: Callable[[int], None] = lambda _pid: None,
        on_spare: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._argv = list(argv)
        self._restart = restart
        self._warm = warm and restart
        self._on_start = on_start
        self._on_spare = on_spare
        self._stopping = asyncio.Event()
        self._worker: _Worker | None = None
        self._spare: _Worker | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        worker = self._worker
        return worker.process.pid if worker is not None and worker.alive else None

    @property
    def spare_pid(self) -> int | None:
        """The process id of the spare while one stands by."""
        spare = self._spare
        return spare.process.pid if spare is not None and spare.alive else None

    async def run(self) -> int:
        """Run workers until :meth:`stop`; return the exit code of the last one.

        A worker that ends with 0 or 2 (asked to stop, or a config that a restart cannot mend)
        is not started again.
        """
        try:
            while True:
                code = await self._one()
                if self._stopping.is_set() or not self._restart or code in (0, 2):
                    return code
                log.error("engine_died", code=code, restart_in_s=RESTART_S)
                self.restarts += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESTART_S):
                        await self._stopping.wait()
                if self._stopping.is_set():
                    return code
        finally:
            spare = self._take_spare()
            if spare is not None:
                await self._end(spare)

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on to the worker, if it runs."""
        if self.pid is not None:
            os.kill(self.pid, number)

    async def stop(self, grace_s: float = 3.0) -> None:
        """Ask the worker to end, then make it."""
        self._stopping.set()
        worker = self._worker
        if worker is None or not worker.alive:
            return
        worker.process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await worker.process.wait()
        except TimeoutError:
            worker.kill()
            await worker.process.wait()

    # --- workers ---------------------------------------------------------------------------

    async def _one(self) -> int:
        """Run one worker to its end; return its exit code."""
        worker, warm = await self._next()
        if self._stopping.is_set():  # asked to stop while there was nobody to ask
            await self._end(worker)
            return 0
        self._worker = worker
        log.info("engine_started", pid=worker.process.pid, warm=warm)
        self._on_start(worker.process.pid)
        begun = asyncio.Event()
        if warm:
            begun.set()  # it has answered
        tasks = [asyncio.create_task(self._watch(worker, begun))]
        if self._warm:
            tasks.append(asyncio.create_task(self._keep_spare(begun)))
        try:
            return await worker.process.wait()
        finally:
            await end_tasks(tasks)
            worker.close()

    async def _next(self) -> tuple[_Worker, bool]:
        """Return the next worker, and whether it had stood by."""
        spare = self._take_spare()
        if spare is not None:
            if await self._told(spare):
                return spare, True
            log.warning("spare_useless", pid=spare.process.pid)
            await self._end(spare)
        return await self._spawn(spare=False), False

    async def _watch(self, worker: _Worker, begun: asyncio.Event) -> None:
        """Kill the worker when it is silent.

        If we were late to notice, the machine may have stood still, and the worker with it: then
        it has its time once more.
        """
        loop = asyncio.get_running_loop()
        limit, excused = BOOT_S, False
        while True:
            due = loop.time() + limit
            try:
                await worker.signs.next(limit)
            except TimeoutError:
                if excused or loop.time() < due + LATE_S:
                    break
                excused = True
                log.warning("watchdog_late", pid=worker.process.pid, by_s=loop.time() - due)
            else:
                begun.set()
                limit, excused = SILENCE_S, False
        log.critical("engine_hangs", pid=worker.process.pid, silent_s=limit)
        worker.kill()

    async def _spawn(self, *, spare: bool) -> _Worker:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            read_fd, write_fd = _pipe(ours, theirs)
            env = {**os.environ, ENV_PIPE: str(write_fd)}
            env.pop(ENV_SPARE, None)
            pass_fds = [write_fd]
            order_fd = None
            if spare:
                wait_fd, order_fd = _pipe(theirs, ours)
                env[ENV_SPARE] = str(wait_fd)
                pass_fds.append(wait_fd)
            # Everything else stays with us: a worker must hold no socket but its own, or the
            # callers on a dead worker's sockets would wait for nothing.
            process = await asyncio.create_subprocess_exec(
                *self._argv, env=env, pass_fds=pass_fds, close_fds=True
            )
            ours.pop_all()
        return _Worker(process, _Signs(read_fd), order_fd)

    @staticmethod
    async def _end(worker: _Worker) -> None:
        worker.kill()
        await worker.process.wait()
        worker.close()

    # --- the spare -------------------------------------------------------------------------

    def _take_spare(self) -> _Worker | None:
        spare, self._spare = self._spare, None
        return spare

    async def _told(self, spare: _Worker) -> bool:
        """Tell the spare to be the worker; return whether it said that it is."""
        assert spare.order_fd is not None
        limit = SILENCE_S if spare.signs.any else SPARE_LOADS_S
        with contextlib.suppress(BrokenPipeError):
            os.write(spare.order_fd, TAKE)
        spare.forget_order()
        return await spare.speaks(limit)

    async def _keep_spare(self, begun: asyncio.Event) -> None:
        """Have one stand by as long as the worker lives."""
        await begun.wait()
        await asyncio.sleep(SPARE_AFTER_S)
        while True:
            spare = self._spare = await self._spawn(spare=True)
            log.info("spare_started", pid=spare.process.pid)
            if await spare.speaks(None):
                self._on_spare(spare.process.pid)
            code = await spare.process.wait()
            self._spare = None
            spare.close()
            log.warning("spare_died", code=code, again_in_s=SPARE_AGAIN_S)
            await asyncio.sleep(SPARE_AGAIN_S)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Return a new pipe; each end is closed with its stack."""
    read_fd, write_fd = os.pipe()
    reader.callback(os.close, read_fd)
    writer.callback(os.close, write_fd)
    return read_fd, write_fd
