"""One connection to a nats-server, for link and shipping alike: begun, named, let go of."""

from __future__ import annotations

import ssl
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from gkc_engine.errors import PeerError
from gkc_engine.federation.settings import LinkSettings

CONNECT_S: Final = 3.0

TROUBLES: Final = (OSError, TimeoutError, nats.errors.Error, ssl.SSLError, PeerError)
"""What goes wrong between us and a server; everything else is our own mistake."""


def tls_of(settings: LinkSettings) -> ssl.SSLContext | None:
    """Return whom we believe, and what we show; ``None``: as the system has it."""
    if settings.ca is None and settings.cert is None:
        return None  # Of a ``tls://`` the system's authorities are believed.
    context = ssl.create_default_context(cafile=settings.ca)
    if settings.cert is not None:
        context.load_cert_chain(settings.cert, settings.key)
    return context


async def connect(client: Client, options: dict[str, Any]) -> None:
    """Connect.

    Raises:
        PeerError: What answers there is no nats-server: of such the client raises anything.
        OSError, TimeoutError, nats.errors.Error: There is no connection.
    """
    try:
        await client.connect(**options)
    except TROUBLES:
        raise
    except Exception as error:
        raise PeerError("what answers there does not speak as a nats-server") from error


def abort(client: Client) -> None:
    """Let go of the socket at once: a client that closes waits for a server that may be frozen."""
    listening = [sub._wait_for_msgs_task for sub in client._subs.values()]
    own = (client._reading_task, client._ping_interval_task, client._flusher_task)
    for task in (*own, *listening):
        if task is not None:
            task.cancel()
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()


def why(error: Exception, said: str, url: str) -> str:
    """Return in a line why there is no connection; ``said``: what the server told last."""
    text = said or str(error) or type(error).__name__
    if "uthorization" in text:
        return f"{url} refuses us: user or password is not one of its own"
    if isinstance(error, TimeoutError):
        return f"{url} does not answer"
    return f"{url}: {text}"
