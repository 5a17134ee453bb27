"""The ways by which an alert reaches people. None of them may hold anything else up.

A webhook has a thread and a bounded queue of its own: a server that hangs costs its own messages
and nobody's call. Signature, as Stripe's and GitHub's: HMAC-SHA-256 over ``TIMESTAMP.BODY``.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import queue
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from gkc_engine.clock import SystemClock
from gkc_engine.ids import SECOND

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 3.0
"""For one attempt, the answer included."""
ATTEMPTS: Final = 5
PENDING_MAX: Final = 100
"""Messages that wait for one webhook; one more is dropped, logged and counted."""

SIGNATURE = "X-GKC-Signature"
TIMESTAMP = "X-GKC-Timestamp"
DELIVERY = "X-GKC-Delivery"

Count = Callable[[str, str], None]
"""``count(way, outcome)``: ``way`` is log, mail or webhook; outcome sent, failed or dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One transition, as it is told."""

    delivery: str
    """``ALERT_ID.raised`` or ``.cleared``: the same when it is sent again."""
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


class WebhookError(Exception):
    """The server did not take the message; ``str()`` says why."""


class Webhook:
    """Sends to one URL, one message after another, from a thread of its own."""

    def __init__(self, name: str, url: str, secret: str, count: Count) -> None:
        self.name, self.url = name, url
        self._secret = secret
        self._count = count
        self._pending: queue.Queue[Notice | None] = queue.Queue(PENDING_MAX)
        # A daemon: one that hangs in a resolver does not hold up the end of the engine.
        self._thread = threading.Thread(target=self._run, name=f"webhook-{name}", daemon=True)
        self._thread.start()

    def send(self, notice: Notice) -> None:
        """Take a message. Never blocks."""
        try:
            self._pending.put_nowait(notice)
        except queue.Full:
            log.warning("webhook_overrun", webhook=self.name, delivery=notice.delivery)
            self._count("webhook", "dropped")

    def close(self) -> None:
        """Take no more; what waits is not sent any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._pending.get_nowait()
        self._pending.put_nowait(None)

    def _run(self) -> None:
        import stamina  # Here, for it costs a start of the engine 20 ms.

        while (notice := self._pending.get()) is not None:
            try:
                for attempt in stamina.retry_context(
                    on=(OSError, WebhookError, http.client.HTTPException),
                    attempts=ATTEMPTS,
                    wait_initial=0.5,
                    wait_max=10.0,
                    timeout=60.0,
                ):
                    with attempt:
                        self._post(notice)
            except (OSError, WebhookError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
                log.warning(
                    "webhook_failed", webhook=self.name, delivery=notice.delivery, reason=why
                )
                self._count("webhook", "failed")
            else:
                log.info("webhook_sent", webhook=self.name, delivery=notice.delivery)
                self._count("webhook", "sent")

    def _post(self, notice: Notice) -> None:
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
            body = msgspec.json.encode(notice.body)
            now = str(SystemClock().now() // SECOND)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "gkc-alerts",
                TIMESTAMP: now,
                SIGNATURE: signature(self._secret, now, body),
                DELIVERY: notice.delivery,
            }
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        finally:
            over.cancel()
            connection.close()
        if not 200 <= status < 300:
            raise WebhookError(f"{self.url} answered {status}")


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
