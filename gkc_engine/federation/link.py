"""Carries what centers say over NATS: the asyncio driver of ``protocol.Federation``.

One connection, to the leaf node beside us. Nothing here is waited for by a call: whatever NATS
does, slow, frozen, dead or refusing, the others' loads grow old and nobody is sent anywhere.

**Our own mistakes.** Elsewhere one of ours ends the process, and the ledger restores it. One of the
protocol costs no call: without it the citizens here are served as ever, and a message that we
cannot take would end the engines of the whole city, again and again. What the engine calls
(``perform``, ``observe``) it guards itself, as for all its performers; what the line and the timer
call ends in ``_failed``: counted (``failed``), shown, logged, and what it was about is not done.

Subjects: ``gkc.load.NAME`` for all, ``gkc.to.DONOR.NAME`` for one; the last word is who says it,
and the hub lets nobody say another's (``bus.config``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from gkc_engine.acd.commands import Command
from gkc_engine.acd.events import (
    Event,
    ReservationAsked,
    ReservationGranted,
    ReservationReleased,
)
from gkc_engine.errors import GkcError
from gkc_engine.federation.connection import CONNECT_S, TROUBLES, abort, connect, tls_of, why
from gkc_engine.federation.peers import Refused
from gkc_engine.federation.protocol import EVERYBODY, HEARD, Federation, Send
from gkc_engine.federation.settings import LinkSettings
from gkc_engine.ids import SECOND, Instant

log = structlog.get_logger(__name__)

SOURCE: Final = "federation"

PENDING_MAX: Final = 262_144
"""Bytes that wait to be sent; of what comes on top nobody would hear in time."""

STALE_S: Final = 1.0
"""What has waited so long to be sent is not: whom it concerns has given up."""

PEER_RATE: Final = 500.0
PEER_BURST: Final = 1_000.0
"""Messages of one center that are listened to, a second and at once."""

RECEIVED_MAX: Final = 4_096
"""Messages that wait to be heard; the client drops what comes on top."""

AGAIN_S: Final = 1.0
"""Between two tries to connect."""

PING_S: Final = 1
PINGS_MAX: Final = 2
"""A server that is silent for 3 s is taken for dead."""

HEARD_S: Final = 0.05
"""So soon after a word of another center we look who may be sent there: a city says much."""

GAP_S: Final = 0.01
SHARE: Final = 20.0
"""After a look at who may be sent elsewhere the next comes not before so many times as long: it
takes a twentieth of a core at most, whatever happens."""

LEAVE_S: Final = 0.5

FAILED_EVERY_S: Final = 10.0
"""Mistakes of ours are logged so often at most: others may say hundreds of things a second."""

_KEYS: Final = {
    ReservationAsked: "asked",
    ReservationGranted: "granted",
    ReservationReleased: "released",
}


class EngineLike(Protocol):
    """What of ``engine.Engine`` is needed."""

    def now(self) -> Instant:
        """Return the engine's time."""

    def submit(self, event: Event, *, source: str = ..., key: str | None = ...) -> None:
        """Hand an event to the core."""


class _Allowance:
    """How many messages a center may still say (a token bucket)."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left, self._at = PEER_BURST, now

    def take(self, now: float) -> bool:
        self._left = min(PEER_BURST, self._left + (now - self._at) * PEER_RATE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Link:
    """One center's line to the others. Attach it to the engine, then ``run``."""

    def __init__(self, engine: EngineLike, federation: Federation, settings: LinkSettings) -> None:
        self.federation = federation
        self.up = False
        """Whether our leaf node answers; the hub may be gone all the same."""
        self.problem = "not connected yet"
        self.connects = 0
        self.dropped: Counter[str] = Counter()
        """Why what was to be said, or submitted, was not -> how often."""
        self._engine, self._settings = engine, settings
        self._name = federation.settings.center
        self._where = ", ".join(settings.urls)
        self._allowances: dict[str, _Allowance] = {}
        self._outbox: deque[tuple[str, bytes, float]] = deque()
        self._outbox_bytes = 0
        self._more = asyncio.Event()
        self._client: Client | None = None
        self._last_error = ""
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        """When we may look again at who is sent elsewhere; the loop's time."""
        self._failure_due = 0.0
        """When a mistake of ours may be logged again; the loop's time."""

    def now(self) -> Instant:
        """Return the engine's time."""
        return self._engine.now()

    # --- the engine's side ----------------------------------------------------------------------

    def perform(self, command: Command, now: Instant) -> None:
        """Take note of a command of the core (``Engine.attach``)."""
        if type(command) in HEARD:
            self.federation.said(command, now)

    def observe(self, steps: Sequence[object]) -> None:
        """After a group of steps: say what is to be said (``Engine.observe``)."""
        del steps
        self._pour()
        self._wake(0.0)

    def _pour(self) -> None:
        """Say and submit what the protocol has to."""
        unheard = False
        for one in self.federation.take():
            if isinstance(one, Send):
                self._post(one)
                continue
            key = f"{_KEYS[type(one.event)]}:{one.event.reservation_id}"
            try:
                self._engine.submit(one.event, source=SOURCE, key=key)
            except GkcError:
                self.dropped["engine_busy"] += 1  # Silence to who asks; his contact keeps its place
                self.federation.unheard(one)
                unheard = True
        if unheard:
            self._pour()

    def _failed(self, error: Exception, by: str = "") -> None:
        """Take note of a mistake of ours; ``by``: whose message showed it."""
        self.dropped["failed"] += 1
        now = asyncio.get_running_loop().time()
        if now >= self._failure_due:
            self._failure_due = now + FAILED_EVERY_S
            so_far = self.dropped["failed"]
            log.error("federation_failed", center=by[:64], times=so_far, exc_info=error)

    def _wake(self, after_s: float) -> None:
        """Have the protocol settle after so long, but not too soon after the last time."""
        if not self.up:
            return
        loop = asyncio.get_running_loop()
        at = max(loop.time() + after_s, self._not_before)
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._settle)

    def _settle(self) -> None:
        self._timer = None
        loop, now = asyncio.get_running_loop(), self._engine.now()
        begun, due = loop.time(), 1.0
        try:
            self.federation.settle(now)
            self._pour()
            due = max(0.0, (self.federation.next_deadline(now) - now) / SECOND)
        except Exception as error:
            self._failed(error)
        ended = loop.time()
        self._not_before = ended + max(GAP_S, SHARE * (ended - begun))
        self._wake(due)

    # --- the line's side ------------------------------------------------------------------------

    def _post(self, send: Send) -> None:
        if not self.up:
            self.dropped["no_bus"] += 1
            return
        if self._outbox_bytes + len(send.data) > PENDING_MAX:
            self.dropped["full"] += 1
            return
        everybody = send.center == EVERYBODY
        subject = f"gkc.load.{self._name}" if everybody else f"gkc.to.{send.center}.{self._name}"
        self._outbox.append((subject, send.data, asyncio.get_running_loop().time()))
        self._outbox_bytes += len(send.data)
        self._more.set()

    async def _send(self, client: Client) -> None:
        """Send what stands in the outbox, for as long as the connection lasts."""
        loop = asyncio.get_running_loop()
        while True:
            while self._outbox:
                subject, data, since = self._outbox.popleft()
                self._outbox_bytes -= len(data)
                if loop.time() - since > STALE_S:
                    self.dropped["stale"] += 1
                elif client.pending_data_size > PENDING_MAX:
                    self.dropped["full"] += 1
                else:
                    await client.publish(subject, data)
            self._more.clear()
            await self._more.wait()

    async def _hear(self, message: Msg) -> None:
        by = message.subject.rpartition(".")[2]
        now, due = self._engine.now(), HEARD_S
        if not self._allowed(by):
            self.federation.refuse(by, Refused.FLOODED, now)
            return
        try:
            self.federation.hear(message.data, now, by)
            self._pour()
            # Sooner if it is an asking that is kept for a moment.
            due = min(due, max(0.0, (self.federation.next_deadline(now) - now) / SECOND))
        except Exception as error:
            self._failed(error, by)
        self._wake(due)

    def _allowed(self, by: str) -> bool:
        known = by if by in self.federation.peers or by == self._name else ""
        now = asyncio.get_running_loop().time()
        allowance = self._allowances.get(known)
        if allowance is None:
            allowance = self._allowances[known] = _Allowance(now)
        return allowance.take(now)

    # --- the connection -------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection, until cancelled."""
        while True:
            try:
                await self._connected()
            except TROUBLES as error:
                self._down(why(error, self._last_error, self._where))
            except Exception as error:
                self._failed(error)  # It would end the engine.
                self._down(why(error, "", self._where))
            await asyncio.sleep(AGAIN_S)

    async def _connected(self) -> None:
        """Connect and stay, until the connection is over.

        A new client each time, which never reconnects by itself: nothing that was meant for a
        moment long past is said later.
        """
        client, over = Client(), asyncio.Event()
        self._last_error = ""
        try:
            async with asyncio.timeout(CONNECT_S):
                await connect(client, self._options(over))
                for subject in ("gkc.load.*", f"gkc.to.{self._name}.*"):
                    await client.subscribe(subject, cb=self._hear, pending_msgs_limit=RECEIVED_MAX)
                await client.flush()
            self._came_up(client)
            sending = asyncio.get_running_loop().create_task(self._send(client))
            sending.add_done_callback(lambda _: over.set())
            try:
                while client.is_connected and not sending.done():
                    # Its own end may hang where a frozen server takes no more bytes.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await over.wait()
            finally:
                sending.cancel()
                (ended,) = await asyncio.gather(sending, return_exceptions=True)
            if client.is_connected and isinstance(ended, Exception):
                raise ended  # We hear, and can say nothing: rather begin anew, and say so.
            self._down(self._last_error or "the connection was closed")
        finally:
            self._went_down()
            abort(client)

    def _options(self, over: asyncio.Event) -> dict[str, Any]:
        settings = self._settings

        async def closed() -> None:
            over.set()

        async def failed(error: Exception) -> None:
            self._last_error = str(error) or type(error).__name__

        return {
            "servers": list(settings.urls),
            "name": f"gkc {self._name}",
            "user": settings.user,
            "password": settings.password,
            "tls": tls_of(settings),
            "allow_reconnect": False,
            "dont_randomize": True,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": 2,
            "ping_interval": PING_S,
            "max_outstanding_pings": PINGS_MAX,
            "no_echo": True,
            "error_cb": failed,
            "closed_cb": closed,
        }

    def _came_up(self, client: Client) -> None:
        self._client, self.up, self.problem = client, True, ""
        self.connects += 1
        log.info("bus_up", url=self._where, center=self._name)
        self._wake(0.0)

    def _went_down(self) -> None:
        self._client, self.up = None, False
        self._outbox.clear()
        self._outbox_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _down(self, problem: str) -> None:
        """Say why there is no connection, once for each reason."""
        if problem != self.problem:
            self.problem = problem
            log.warning("bus_down", url=self._where, problem=problem)

    async def leave(self) -> None:
        """Tell the others that we go down, if the bus lets us."""
        client = self._client
        if client is None:
            return
        try:
            self.federation.leave(self._engine.now())
            for one in self.federation.take():
                if isinstance(one, Send):
                    self._post(one)
        except Exception as error:
            self._failed(error)
        with contextlib.suppress(TimeoutError, OSError, nats.errors.Error):
            async with asyncio.timeout(LEAVE_S):
                while self._outbox:  # noqa: ASYNC110 - the sender has no other end
                    await asyncio.sleep(0.005)
                await client.flush()
        self.up = False
