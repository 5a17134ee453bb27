"""One connection to NATS for records, and JetStream on it. A new client each time.

Like the link's (``federation/link.py``): it never reconnects by itself, so that whoever works on it
begins anew from what the store says, not from what was under way.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from gkc_engine.errors import PeerError
from gkc_engine.federation.connection import CONNECT_S, TROUBLES, abort, connect, tls_of, why
from gkc_engine.federation.settings import LinkSettings

STREAM: Final = "records"
"""In the JetStream domain of each center, in the account of its records."""

SUBJECT: Final = "gkc.records.batch"

CONSUMER: Final = "city"
"""The durable pull consumer of the collector."""

PENDING_MAX: Final = 2 * 1024 * 1024
"""Bytes of ours that wait for the socket."""

API_S: Final = 5.0
"""For an answer of JetStream."""

PING_S: Final = 2

WRONG_LAST: Final = 10071
"""JetStream's code: the stream's last message is another than we said."""

FULL: Final = (10077, 10023, 10047, 10082)
"""JetStream's codes: the stream, its account or the disk holds no more."""


@dataclass(frozen=True, slots=True)
class Line:
    """An open connection."""

    client: Client
    jetstream: JetStreamContext


@asynccontextmanager
async def line(settings: LinkSettings, name: str, domain: str | None) -> AsyncIterator[Line]:
    """Connect; let go at once at the end, also of a server that is frozen.

    Args:
        settings: Where and as whom.
        name: By which the server knows us.
        domain: The JetStream that is meant; ``None``: the server's own.

    Raises:
        PeerError: There is no connection; says why.
    """
    client = Client()
    said: list[str] = []

    async def failed(error: Exception) -> None:
        said.append(str(error) or type(error).__name__)
        del said[:-1]

    try:
        try:
            await connect(client, _options(settings, name, failed))
        except TROUBLES as error:
            text = why(error, said[-1] if said else "", ", ".join(settings.urls))
            raise PeerError(text) from error
        yield Line(client, client.jetstream(timeout=API_S, domain=domain))
    finally:
        for subscription in client._subs.values():
            subscription._stop_processing()
        with contextlib.suppress(Exception):
            abort(client)


def _options(settings: LinkSettings, name: str, failed: Callable[..., Any]) -> dict[str, Any]:
    return {
        "servers": list(settings.urls),
        "name": name,
        "user": settings.user,
        "password": settings.password,
        "tls": tls_of(settings),
        "allow_reconnect": False,
        "dont_randomize": True,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": CONNECT_S,
        "ping_interval": PING_S,
        "max_outstanding_pings": 2,
        "pending_size": PENDING_MAX,
        "error_cb": failed,
    }


def trouble(error: BaseException) -> str:
    """Return in a line what a server did not do."""
    if isinstance(error, PeerError):
        return str(error)
    if isinstance(error, nats.js.errors.NotFoundError):
        return f"no stream or consumer there: {error.description or error}"
    if isinstance(error, nats.js.errors.APIError):
        return f"JetStream: {error.description or error}"
    if isinstance(error, TimeoutError | nats.errors.NoRespondersError):
        return "no answer"
    return (str(error) or type(error).__name__)[:200]  # Some show the whole message.


def is_full(error: nats.js.errors.APIError) -> bool:
    """Return whether the stream takes nothing more for now."""
    return error.err_code in FULL or (error.code or 0) == 503
