"""The ways by which an alert reaches people. None of them may hold anything else up.

A webhook has a thread of its own, and a box on the disk in which its messages wait, also for the
next engine: a server that hangs costs its own messages time and nobody's call. Signature, as
Stripe's and GitHub's: HMAC-SHA-256 over ``TIMESTAMP.BODY``.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from gkc_engine.alerts.box import GIVE_UP_US, Box, BoxError, Waiting
from gkc_engine.clock import SystemClock
from gkc_engine.ids import SECOND, Instant

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 3.0
"""For one attempt, the answer included."""
ATTEMPTS: Final = 5
"""How often a server is asked again that has answered that it does not want a message."""
NOT_NOW: Final = (408, 425, 429)
"""Answers that speak of the moment and not of the message, as all from 500 on."""
FIRST_PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 300.0
"""Between tries: 0.5, 1, 2, 4, … s, and then 5 minutes."""
LOOK_AGAIN_S: Final = 30.0
"""The longest pause with nothing to send: a box that could not be read may be again."""
UNKEPT_MAX: Final = 100
"""Messages that could not be written down and wait for one webhook."""

SIGNATURE = "X-GKC-Signature"
TIMESTAMP = "X-GKC-Timestamp"
DELIVERY = "X-GKC-Delivery"

Count = Callable[[str, str], None]
"""``count(way, outcome)``: ``way`` is log, mail or webhook; outcome sent, failed or dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One transition, as it is told."""

    delivery: str
    """``ALERT_ID.raised.SECOND`` or ``.cleared.``: the same when it is sent again.

    The second in which it was raised: the id may come again if a crash kept its row from the disk.
    """
    subject: str
    text: str
    body: dict[str, object]
    """What a webhook gets."""


class Mailer(Protocol):
    """Takes mail and returns at once: a durable outbox sends it."""

    def send(self, key: str, to: str, subject: str, text: str) -> None:
        """Put one mail to one address into the outbox, once for each key. Never blocks."""
        ...


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of ``X-GKC-Signature``: ``sha256=HEX`` over ``TIMESTAMP.BODY``."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class AwayError(Exception):
    """The server does not serve now; ``str()`` says why."""


class RefusedError(Exception):
    """The server does not want this message; ``str()`` says why."""


class Webhook:
    """Sends to one URL, one message after another, from a thread of its own."""

    def __init__(
        self,
        target: tuple[str, str, str],
        count: Count,
        box: Box,
        now: Callable[[], Instant],
        former: Webhook | None = None,
    ) -> None:
        """``target``: name, URL, secret. ``former``: it had this name; its last word comes first.

        What earlier engines have left in the box is sent, too.
        """
        self.target = target
        self.name, self.url, self._secret = target
        self._count, self._box, self._now = count, box, now
        self._unkept: deque[Waiting] = deque()
        self._sent: set[int] = set()
        """Sent, but still in the box: the disk did not let it go."""
        self._wake, self._closed = threading.Event(), threading.Event()
        # A daemon: one that hangs in a resolver does not hold up the end of the engine.
        name = f"webhook-{self.name}"
        self._thread = threading.Thread(target=self._run, args=(former,), name=name, daemon=True)
        self._thread.start()

    def send(self, notice: Notice) -> None:
        """Keep a message until it is sent. Never blocks."""
        body = msgspec.json.encode(notice.body)
        self._box.put(self, Waiting(delivery=notice.delivery, body=body, made=self._now()))

    def take(self, message: Waiting | None) -> None:
        """See ``box.Taker``."""
        if message is not None and len(self._unkept) >= UNKEPT_MAX:
            self.dropped(message)
        elif message is not None:
            self._unkept.append(message)
        self._wake.set()

    def dropped(self, message: Waiting) -> None:
        """See ``box.Taker``."""
        log.warning("webhook_overrun", webhook=self.name, delivery=message.delivery)
        self._count("webhook", "dropped")

    def close(self) -> None:
        """Begin no other message; what waits is sent by who comes after."""
        self._closed.set()
        self._wake.set()

    def join(self, wait_s: float | None = None) -> None:
        """Wait until nothing is being sent any more."""
        self._thread.join(wait_s)

    # --- in the thread -----------------------------------------------------------------------

    def _run(self, former: Webhook | None) -> None:
        if former is not None:
            former.join()
            self._sent |= former._sent
            self._unkept.extendleft(reversed(former._unkept))
        failures = 0
        while not self._closed.is_set():
            self._wake.clear()
            message = self._first()
            if message is None:
                self._wake.wait(LOOK_AGAIN_S)
            elif self._tried(message):
                failures = 0
            else:
                # All that come after wait, too: they are told in the order in which they happened.
                failures += 1
                self._closed.wait(min(FIRST_PAUSE_S * 2 ** min(failures - 1, 20), PAUSE_MAX_S))

    def _first(self) -> Waiting | None:
        try:
            kept = self._box.first(self.name)
            while kept is not None and kept.message_id in self._sent:
                self._box.remove(kept.message_id)
                self._sent.discard(kept.message_id)
                kept = self._box.first(self.name)
        except BoxError as error:
            log.warning("webhook_box_unavailable", webhook=self.name, reason=str(error))
            kept = None
        return kept or (self._unkept[0] if self._unkept else None)

    def _tried(self, message: Waiting) -> bool:
        """Try one message once; return whether it is done with, sent or not."""
        if self._now() - message.made >= GIVE_UP_US:
            return self._done(message, "failed", f"not sent in {GIVE_UP_US // (3600 * SECOND)} h")
        try:
            self._post(message)
        except (OSError, AwayError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            log.warning("webhook_away", webhook=self.name, delivery=message.delivery, reason=why)
            return False
        except RefusedError as error:
            if message.refused + 1 >= ATTEMPTS:
                return self._done(message, "failed", str(error))
            self._refused(message)
            return False
        return self._done(message, "sent", "")

    def _refused(self, message: Waiting) -> None:
        if message.message_id is None:
            self._unkept[0] = replace(message, refused=message.refused + 1)
            return
        with contextlib.suppress(BoxError):  # Said when it is looked for next.
            self._box.refused(message.message_id)

    def _done(self, message: Waiting, outcome: str, why: str) -> bool:
        if message.message_id is None:
            self._unkept.popleft()
        else:
            try:
                self._box.remove(message.message_id)
            except BoxError:
                self._sent.add(message.message_id)  # ``_first`` tries again, and says so.
        if outcome == "sent":
            log.info("webhook_sent", webhook=self.name, delivery=message.delivery)
        else:
            log.error("webhook_failed", webhook=self.name, delivery=message.delivery, reason=why)
        self._count("webhook", outcome)
        return True

    def _post(self, message: Waiting) -> None:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        # Each read has its own timeout: a server that answers byte by byte would have no end.
        over = threading.Timer(TIMEOUT_S, _cut, [connection])
        over.start()
        try:
            body = message.body
            now = str(SystemClock().now() // SECOND)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "gkc-alerts",
                TIMESTAMP: now,
                SIGNATURE: signature(self._secret, now, body),
                DELIVERY: message.delivery,
            }
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        finally:
            over.cancel()
            connection.close()
        if not 200 <= status < 300:
            said = f"{self.url} answered {status}"
            raise AwayError(said) if status >= 500 or status in NOT_NOW else RefusedError(said)


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
