"""The CLI's end of the control socket: blocking, one request at a time."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from gkc_engine.control.protocol import (
    REPLY_BYTES_MAX,
    ControlError,
    Failure,
    Json,
    Params,
    Peer,
    Reply,
    Request,
    decode_reply,
    encode,
    peer_of,
    short_path,
)

NOT_RUNNING = "not_running"
"""``error_id`` when no engine listens."""

CONNECT_S = 3.0
REPLY_S = 15.0
"""Longer than the server's own limit for a method, so that its word comes first."""


def actor_name() -> str:
    """Return who we are for the audit: the login name, and the one behind sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())  # A container's uid without a passwd line.
    behind = os.environ.get("SUDO_USER")
    return f"{behind} as {name}" if behind and behind != name else name


class ControlClient:
    """A connection to a running engine. A context manager."""

    def __init__(self, path: Path, *, reply_s: float = REPLY_S) -> None:
        """Connect. Raises ControlError ``not_running`` or ``forbidden``."""
        self.path = path
        self._next_id = 1
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(CONNECT_S)
        try:
            with short_path(path) as name:
                self._socket.connect(name)
        except PermissionError as error:
            self._socket.close()
            raise ControlError(
                "forbidden", f"{path} belongs to another user: run this as that user, or with sudo."
            ) from error
        except OSError as error:
            self._socket.close()
            raise ControlError(
                NOT_RUNNING,
                f"No engine is running: nobody listens at {path}. "
                "Start one with `gkc run --config DIR`, or `gkc demo`.",
            ) from error
        self._socket.settimeout(reply_s)

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; ends a stream too."""
        self._socket.close()

    def hang_up(self) -> None:
        """End the connection from another thread: who waits for a reply gets ``gone``."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def peer(self) -> Peer:
        """The engine's process."""
        return peer_of(self._socket)

    def call(self, method: str, params: Params | None = None) -> Json:
        """Return the result of ``method``.

        Raises:
            ControlError: the engine refused, or went away.
        """
        return self._reply(self._send(method, params))

    def stream(self, method: str, params: Params | None = None) -> Iterator[Json]:
        """Yield one result after another until the engine stops or the caller does."""
        request_id = self._send(method, params)
        while True:
            yield self._reply(request_id)

    def _send(self, method: str, params: Params | None) -> int:
        request_id = self._next_id
        self._next_id += 1
        request = Request(id=request_id, method=method, params=params or {}, actor=actor_name())
        # A server that refused the connection has said why before it closed: read that instead.
        with contextlib.suppress(OSError):
            self._socket.sendall(encode(request))
        return request_id

    def _reply(self, request_id: int) -> Json:
        reply: Reply = decode_reply(self._line())
        if isinstance(reply.error, Failure):
            raise ControlError(reply.error.error_id, reply.error.message)
        if reply.id != request_id:
            raise ControlError("bad_reply", f"the engine answered request {reply.id}")
        return reply.result

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > REPLY_BYTES_MAX:
                raise ControlError("bad_reply", "the engine's answer has no end")
            try:
                received = self._socket.recv(1 << 18)
            except TimeoutError as error:
                raise ControlError(
                    "timeout", "The engine does not answer; its watchdog should restart it."
                ) from error
            except OSError as error:
                raise ControlError("gone", f"The engine went away: {error}.") from error
            if not received:
                raise ControlError("gone", "The engine went away before it answered.")
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line
