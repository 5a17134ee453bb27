"""The newest picture of a running engine, for displays that must never wait for it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self

from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, Json, Params

if TYPE_CHECKING:
    from rich.console import Console, ConsoleDimensions, RenderableType

STALE_S: Final = 2.0
"""Older data is not the present state, and is shown as old."""

AGAIN_S: Final = 1.0
"""Between two tries to reach an engine that went away."""

REPLY_S: Final = 5.0
"""A stream says something each second: after so long without a word the engine is asked anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known now."""

    picture: Json
    age_s: float
    """Since the engine looked at itself for this picture."""
    problem: ControlError | None = None
    """Why no newer one comes."""

    @property
    def stale(self) -> bool:
        """Whether this must not pass for the present state."""
        return self.age_s > STALE_S or self.problem is not None


class Feed:
    """Follows a stream of the control socket in a thread, and connects anew when it breaks off."""

    def __init__(
        self,
        connect: Callable[[], ControlClient],
        method: str,
        params: Params | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        again_s: float = AGAIN_S,
    ) -> None:
        """Return when the first picture is there.

        Raises:
            ControlError: there is no engine yet, or it refuses: only one that was there is awaited.
        """
        self._connect = connect
        self._method = method
        self._params = params
        self._clock = clock
        self._again_s = again_s
        self._changed = threading.Condition()
        self._problem: ControlError | None = None
        self._ended = False
        self._client = connect()
        try:
            pictures = self._client.stream(method, params)
            self._take(next(pictures))
        except BaseException:
            self._client.close()
            raise
        self._thread = threading.Thread(target=self._follow, args=(pictures,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread and the connection."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._client.hang_up()
        self._thread.join(REPLY_S + 1)

    def seen(self) -> Seen:
        """Return what is known now."""
        with self._changed:
            age = self._clock() - self._at + self._picture.get("age_s", 0.0)
            return Seen(picture=self._picture, age_s=age, problem=self._problem)

    def wait(self, for_s: float) -> None:
        """Return when something new is known, at the latest after ``for_s``."""
        with self._changed:
            self._changed.wait(for_s)

    def _take(self, picture: Json) -> None:
        with self._changed:
            self._picture, self._at, self._problem = picture, self._clock(), None
            self._changed.notify_all()

    def _follow(self, pictures: Iterator[Json]) -> None:
        while not self._ended:
            try:
                for picture in pictures:
                    self._take(picture)
            except ControlError as error:
                self._broken(error)
            self._client.close()
            pictures = self._again()

    def _again(self) -> Iterator[Json]:
        while not self._ended:
            try:
                self._client = self._connect()
                return self._client.stream(self._method, self._params)
            except ControlError as error:
                self._broken(error)
        return iter(())

    def _broken(self, error: ControlError) -> None:
        with self._changed:
            if self._ended:
                return
            self._problem = error
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended, self._again_s)


def show(
    feed: Feed, console: Console, view: Callable[[Seen, ConsoleDimensions], RenderableType]
) -> None:
    """Draw on the whole screen, when something new is known and each second, until Ctrl-C."""
    from rich.live import Live

    with _ended_by_signals(), Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            screen.update(view(feed.seen(), console.size), refresh=True)
            feed.wait(1.0)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end a display as Ctrl-C does: the screen is given back.

    Ctrl-C too where whoever started us had it ignored, as a shell does for what it puts behind.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, end) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        pass  # The ordinary way to end it.
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
