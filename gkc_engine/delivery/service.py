"""Delivery in a thread and an event loop of its own: calls never wait for files, SQL or SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from gkc_engine.clock import Clock
from gkc_engine.config.models import Config
from gkc_engine.delivery.courier import Courier, Opens, Plan
from gkc_engine.delivery.letter import Message
from gkc_engine.delivery.making import Maker
from gkc_engine.delivery.outbox import FILE, Outbox, OutboxError, State, left_in, public
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant

log = structlog.get_logger(__name__)

LOOK_AGAIN_S: Final = 30.0
"""The longest pause: the machine's clock may be stepped while we wait (as in ``hours.py``)."""

LOOKS_APART_S: Final = 0.5
"""The shortest pause, unless somebody asks."""

STOP_S: Final = 5.0
"""How long a stop waits for a mail that is being sent; then it is sent again at the next start."""

POSTED_MAX: Final = 1000
"""Messages that wait for the thread; with more, the oldest go. The log has them all."""

_T = TypeVar("_T")


class DeliveryDownError(GkcError):
    """Nothing is delivered yet, or no more."""


class Delivery:
    """Sends the reports of one center while its engine runs. Methods are for the engine's loop."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        state_dir: Path,
        run_dir: Path,
        clock: Clock,
        open_session: Opens | None = None,
    ) -> None:
        """``open_session``: another way to the server than SMTP, for tests."""
        self.counts = {str(state): 0 for state in State}
        """Mails in each state, as of the last look."""
        self._oldest: Instant | None = None
        self.looked = False
        """Whether the outbox has been looked at in this run."""
        self._posted: deque[Message] = deque(maxlen=POSTED_MAX)
        self._plan = Plan(config, folder)
        self._path = state_dir / FILE
        self._maker = Maker(run_dir=run_dir)
        self._clock = clock
        self._open_session = open_session
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._started = False
        self._closing = False
        self._courier: Courier | None = None

    def start(self) -> None:
        """Begin; returns at once. What it needs is imported and opened in its own thread.

        Without ``mail:``, and with nothing left in an outbox, it begins when a reload brings it.
        """
        self._started = True
        wanted = self._plan.config.mail is not None or self._path.exists()
        if wanted and self._thread is None:
            self._thread = threading.Thread(target=self._main, name="delivery", daemon=True)
            self._thread.start()

    def replace(self, config: Config) -> None:
        """Go by another config from the next look on, which is now."""
        self._plan = Plan(config, self._plan.folder)
        if self._started:
            self.start()
        self._call(self._take_plan)

    async def close(self) -> None:
        """End; a mail that is being sent is given a moment to arrive."""
        self._closing = True
        self._call(self._stop.set)
        self._call(self._wake.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, STOP_S + 1.0)

    def post(self, message: Message) -> None:
        """Send a message that is no report (an alert); returns at once. Once for each key."""
        log.info("message_posted", name=message.name, key=message.key)
        self._posted.append(message)
        self._call(self._wake.set)

    def oldest_s(self) -> float:
        """Return since when the oldest mail that waits was due, in seconds; 0: none waits."""
        oldest = self._oldest
        return 0.0 if oldest is None else max(0, self._clock.now() - oldest) / SECOND

    # --- for the control socket --------------------------------------------------------------

    async def outbox(self, limit: int, mail_id: int | None = None) -> list[dict[str, Any]]:
        """Return the last mails, the newest first, as people and scripts see them."""
        if self._courier is None:
            return await asyncio.to_thread(left_in, self._path, limit, mail_id)
        return await self._ask(lambda courier, _: shown(courier, limit, mail_id), look=False)

    async def send(self, name: str, *, again: bool) -> dict[str, Any]:
        """Put the last whole period of a report in line at once; return its mail."""

        def work(courier: Courier, now: Instant) -> dict[str, Any]:
            mail_id = courier.send_now(name, now, again=again)
            return shown(courier, 1, mail_id)[0]

        return await self._ask(work)

    async def retry(self, mail_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Try a mail at once, also one that was given up; return it before and after."""

        def work(courier: Courier, now: Instant) -> tuple[dict[str, Any], dict[str, Any]]:
            before = shown(courier, 1, mail_id)
            courier.retry(mail_id, now)
            return before[0], shown(courier, 1, mail_id)[0]

        return await self._ask(work)

    async def send_all(self) -> int:
        """Try everything that waits at once; return how many mails that is."""
        return await self._ask(lambda courier, now: courier.send_all(now))

    async def _ask(self, work: Callable[[Courier, Instant], _T], *, look: bool = True) -> _T:
        loop, courier = self._loop, self._courier
        if loop is None or courier is None or self._closing:
            why = "some seconds after a start" if self._plan.config.mail else "once mail: is there"
            raise DeliveryDownError(f"nothing is delivered yet: reports are, {why}")

        async def done() -> _T:
            courier.outbox.open()  # Somebody may ask before the first look.
            found = work(courier, self._clock.now())
            if look:
                self._wake.set()
            return found

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(done(), loop))

    # --- in the thread -----------------------------------------------------------------------

    def _call(self, work: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                self._loop.call_soon_threadsafe(work)

    def _take_plan(self) -> None:
        if self._courier is not None:
            self._courier.plan = self._plan
        self._wake.set()

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        outbox = Outbox(self._path)
        self._courier = Courier(outbox, self._plan, self._maker, self._open_session or _smtp())
        try:
            while not (self._stop.is_set() or self._closing):
                self._wake.clear()
                await self._until_over(self._look(self._courier))
                await self._pause(self._courier)
        finally:
            outbox.close()

    async def _until_over(self, look: Coroutine[Any, Any, None]) -> None:
        """Return when the look is over, or when a stop has waited for it long enough."""
        looking = asyncio.ensure_future(look)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({looking, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not looking.done():
            await asyncio.wait({looking}, timeout=STOP_S)
            looking.cancel()
        stop.cancel()
        await asyncio.gather(looking, stop, return_exceptions=True)

    async def _look(self, courier: Courier) -> None:
        try:
            courier.outbox.open()
            self._take_posted(courier)
            await courier.look(self._clock.now())
            self.counts, self._oldest = courier.outbox.counts()
            if not self.looked:
                log.info("delivery_up", **self.counts)
            self.looked = True
        except OutboxError as error:
            log.error("outbox_unavailable", error=str(error))  # noqa: TRY400 - said in a sentence
        except Exception:
            # Ours. Unlike a mistake of the engine's it ends nothing: calls go on without mail.
            log.exception("delivery_failed")

    def _take_posted(self, courier: Courier) -> None:
        while self._posted:
            message = self._posted.popleft()
            try:
                courier.post(message, self._clock.now())
            except OutboxError:
                self._posted.appendleft(message)
                raise

    async def _pause(self, courier: Courier) -> None:
        now = self._clock.now()
        following: Instant | None = None
        with contextlib.suppress(OutboxError):  # told by the look, and again by the next one
            following = courier.next_look(now)
        wait_s = LOOK_AGAIN_S if following is None else (following - now) / SECOND
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK_AGAIN_S, max(LOOKS_APART_S, wait_s))):
                await self._wake.wait()


def shown(courier: Courier, limit: int, mail_id: int | None = None) -> list[dict[str, Any]]:
    """Return the outbox's rows; a mail does not go before the server is tried again."""
    return [
        public(row, server_again=courier.server_again)
        for row in courier.outbox.rows(limit, mail_id)
    ]


def _smtp() -> Opens:
    """Return the way over SMTP; its library is first imported here, out of every call's way."""
    from gkc_engine.delivery import smtp

    return partial(smtp.session, limits=smtp.Limits())
