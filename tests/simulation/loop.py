"""An asyncio event loop on virtual time, with processes that can be stopped and killed.

When nothing is ready, time jumps to the next timer: an hour of a city takes a second. Nothing here
asks the machine for time, sockets, threads or randomness, so the same program runs the same way
each time. Every callback belongs to the *process* in whose context it was scheduled: a killed
process runs no more callbacks (no ``finally`` either, as after kill -9), a stopped one runs them
when it goes on, late.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import traceback
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CALLBACKS_MAX = 200_000
"""Callbacks at one instant before the loop is taken for one that turns in circles."""


class Process:
    """What would be one process of the operating system."""

    def __init__(self, loop: SimLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self.paused = False
        self.backlog: deque[asyncio.Handle] = deque()
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.at_kill: list[Callable[[], None]] = []
        """What the operating system does when the process ends: it closes its sockets."""
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a coroutine inside this process."""
        task = self.context.run(self.loop.create_task, work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = "".join(traceback.format_exception(error))
            self.loop.errors.append(f"{self.name}: {trace}")

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self.alive = False
        self.paused = False
        self.backlog.clear()
        for close in tuple(self.at_kill):
            close()
        self.at_kill.clear()

    def pause(self) -> None:
        """SIGSTOP: time passes without it."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: what was due runs now, late, in its order."""
        self.paused = False
        self.loop.requeue(self.backlog)

    async def bury(self) -> None:
        """After the simulation: end what a kill left hanging, so that nothing is left open."""
        self.alive = True
        self.paused = False
        await self.end_others()
        self.alive = False

    async def end_others(self) -> None:
        """Cancel every task of this process but the one that asks."""
        for _ in range(20):
            me = asyncio.current_task()
            left = [task for task in self.tasks if task is not me and not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            # Not gather: one that waits in its cleanup for what died before would wait for ever.
            await asyncio.wait(left, timeout=1.0)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Timer(asyncio.TimerHandle):
    """A timer with a place in the heap that does not depend on floats."""


class SimLoop(asyncio.AbstractEventLoop):
    """Just enough of an event loop for the engine; whatever else is asked of it raises."""

    def __init__(self) -> None:
        self.now_us = 0
        """Virtual microseconds since the simulation began."""
        self.errors: list[str] = []
        """What was reported to the loop's exception handler."""
        self.disk_us: Callable[[], int] = lambda: 0
        """How long the next job of a thread takes."""
        self._ready: deque[tuple[asyncio.Handle, Process | None]] = deque()
        self._heap: list[tuple[int, int, asyncio.Handle, Process | None]] = []
        self._sequence = 0
        self._running = False
        self._turns = 0
        """Callbacks of this instant."""
        self._threads_free: dict[int, int] = {}
        self.dead: list[Process] = []

    # --- time and callbacks ----------------------------------------------------------------

    def time(self) -> float:
        return self.now_us / 1_000_000

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        context = contextvars.copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, context.get(PROCESS)))
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        # Who waits for what is left of a limit must get beyond it: time stands still here.
        least = 1 if delay > 0 else 0
        return self.call_at_us(
            self.now_us + max(least, round(delay * 1_000_000)), callback, *args, context=context
        )

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at_us(round(when * 1_000_000), callback, *args, context=context)

    def call_at_us(
        self,
        when_us: int,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run at a virtual microsecond."""
        context = contextvars.copy_context() if context is None else context
        handle = _Timer(when_us / 1_000_000, callback, args, self, context)
        self._sequence += 1
        entry = (max(when_us, self.now_us), self._sequence, handle, context.get(PROCESS))
        heapq.heappush(self._heap, entry)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked by ``TimerHandle.cancel``; the heap drops it when its time comes."""

    def requeue(self, handles: deque[asyncio.Handle]) -> None:
        """Put callbacks of a process that was stopped back, before all others."""
        while handles:
            handle = handles.pop()
            context = handle._context  # type: ignore[attr-defined]
            self._ready.appendleft((handle, context.get(PROCESS)))

    # --- running ---------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:  # noqa: ANN401
        task = asyncio.ensure_future(future, loop=self)
        self._running = True
        events._set_running_loop(self)
        try:
            while True:
                self._instant()
                if task.done():
                    break
                self._next_instant()
        finally:
            events._set_running_loop(None)
            self._running = False
        return task.result()

    def _instant(self) -> None:
        """Run everything that is ready."""
        while self._ready:
            self._turns += 1
            assert self._turns < CALLBACKS_MAX, f"in circles at {self.time()} s: {self._ready[0]}"
            self._run_one(*self._ready.popleft())

    def _next_instant(self) -> None:
        """Let time jump to the next timer."""
        if not self._heap:
            raise RuntimeError(f"nothing will ever happen again after {self.time()} s")
        if self._heap[0][0] > self.now_us:
            self.now_us, self._turns = self._heap[0][0], 0
        while self._heap and self._heap[0][0] <= self.now_us:
            _, _, handle, process = heapq.heappop(self._heap)
            if not handle.cancelled():
                self._ready.append((handle, process))

    @staticmethod
    def _run_one(handle: asyncio.Handle, process: Process | None) -> None:
        if handle.cancelled():
            return
        if process is not None:
            if not process.alive:
                return
            if process.paused:
                process.backlog.append(handle)
                return
        handle._run()

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def close(self) -> None:
        """Drop what is left: nobody waits for it any more."""
        self._ready.clear()
        self._heap.clear()

    # --- what asyncio asks of a loop ---------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        context = contextvars.copy_context() if context is None else context
        label = None if name is None else str(name)
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=label, context=context)
        process = context.get(PROCESS)
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(lambda done: process.tasks.pop(done, None))
        return task

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(f"{context.get('message')}: {error!r}")

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """Do a thread's job in virtual time: it begins after the ones before it, and takes some."""
        future: asyncio.Future[T] = self.create_future()
        free = max(self.now_us, self._threads_free.get(id(executor), 0)) + self.disk_us()
        self._threads_free[id(executor)] = free

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_at_us(free, work)
        return future

    async def create_server(self, factory: Any, _host: Any, port: int, **_: object) -> Any:  # type: ignore[override]  # noqa: ANN401
        return self.network.listen(factory, port)

    def remove_reader(self, fd: Any) -> bool:  # noqa: ANN401
        del fd
        return False  # `network.Server` has none.

    async def create_connection(self, factory: Any, _host: Any, port: int, **_: object) -> Any:  # type: ignore[override]  # noqa: ANN401
        return await self.network.connect(factory, port)

    network: Any
    """``network.Network``; set by its constructor."""
