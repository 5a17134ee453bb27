"""Serves the control socket: reads a line, calls the registered method, answers with a line.

Local and small, yet hostile input is expected: every line, wait and number of connections has a
limit, and nothing that a client does reaches the engine but through a registered method.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import structlog

from gkc_engine.control.audit import Audit, Change, actor_of
from gkc_engine.control.listener import ListeningSocket
from gkc_engine.control.protocol import (
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    ControlError,
    Failure,
    Json,
    Peer,
    Reply,
    Request,
    decode_request,
    encode,
    peer_of,
)
from gkc_engine.endings import end_tasks, stop_listening
from gkc_engine.errors import ConfigError, GkcError

log = structlog.get_logger(__name__)

P = TypeVar("P", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client, and all of them together, may take. Seconds and bytes."""

    connections: int = 32
    request_bytes: int = REQUEST_BYTES_MAX
    reply_bytes: int = REPLY_BYTES_MAX
    idle_s: float = 300.0
    """From one request to the end of the next line; a console may think for a while."""
    handle_s: float = 10.0
    """A method that takes longer is answered with ``timeout``."""
    write_s: float = 5.0
    """A client that does not read its reply for so long is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who calls."""

    actor: str
    """As it stands in the audit."""
    peer: Peer


Handler: TypeAlias = Callable[[P, Call], Awaitable[Json]]
"""Returns the result. A state-changing method returns :class:`Change`, or raises GkcError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[P]):
    """A row of the table of methods."""

    params: type[P]
    handler: Handler[P]
    changes: bool = False
    """Audited whatever comes of it; the handler returns :class:`Change`."""
    every_s: float | None = None
    """A stream: the handler is called again each so many seconds."""
    timeout_s: float | None = None


@dataclass(slots=True)
class Counts:
    """What the server has seen since its start (for ``/metrics``)."""

    requests: int = 0
    refused: int = 0
    dropped: int = 0
    """Connections ended by us: too many, too long a line, too slow a reader."""


@dataclass(slots=True, eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: Peer
    task: asyncio.Task[None] | None = field(default=None)


class ControlServer:
    """The engine's end of the control socket. Register methods, ``start``, later ``close``."""

    def __init__(
        self,
        path: Path,
        audit: Audit,
        limits: Limits | None = None,
        late: Callable[[str, str, str, Json, Json], None] | None = None,
    ) -> None:
        """``late`` takes the row of what was done or refused when ``audit`` could not write it.

        It writes it later, or raises: then the person is told. What is only looked at, and must
        not be without a row, is not shown.
        """
        self.path = path
        self._late = late
        self.counts = Counts()
        self._audit = audit
        self._limits = limits or Limits()
        self._methods: dict[str, Method[Any]] = {}
        self._listening = ListeningSocket(path)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._closing = False

    def method(
        self,
        name: str,
        params: type[P],
        handler: Handler[P],
        *,
        changes: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Serve ``name``; a name is given once."""
        assert name not in self._methods, name
        self._methods[name] = Method(
            params=params, handler=handler, changes=changes, timeout_s=timeout_s
        )

    def stream(self, name: str, params: type[P], handler: Handler[P], every_s: float = 1.0) -> None:
        """Serve ``name`` with a result now and each ``every_s`` until the client says anything."""
        assert name not in self._methods, name
        self._methods[name] = Method(params=params, handler=handler, every_s=every_s)

    async def start(self) -> None:
        """Listen. Raises ``SocketHeldError`` when another engine does."""
        listening = self._listening.open()
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listening, limit=self._limits.request_bytes
        )
        log.info("control_listening", path=str(self.path))

    async def close(self) -> None:
        """Stop listening, end the connections, remove the socket. Safe to repeat."""
        self._closing = True
        if self._server is not None:
            await stop_listening(self._server)
            self._server = None
        tasks = [c.task for c in self._connections if c.task is not None]
        await end_tasks(tasks)
        self._listening.release()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = peer_of(writer.get_extra_info("socket"))
        connection = _Connection(reader, writer, peer, asyncio.current_task())
        self._connections.add(connection)
        try:
            if self._closing:
                return
            if len(self._connections) > self._limits.connections:
                await self._drop(
                    connection, "busy", "too many connections to the engine; try again"
                )
                return
            if peer.uid not in (0, os.geteuid()):
                # Mode 0600 says the same; this holds if somebody widened it.
                await self._drop(
                    connection, "forbidden", f"uid {peer.uid} may not control this engine"
                )
                return
            while await self._one_request(connection):
                pass
        except (TimeoutError, ConnectionError):
            self.counts.dropped += 1
            writer.transport.abort()
        except asyncio.CancelledError:
            # Only close() cancels; the protocol of asyncio 3.11 would log it as an error.
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._connections.discard(connection)

    async def _one_request(self, connection: _Connection) -> bool:
        """Answer one line. Return whether to read another."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                line = await connection.reader.readline()
        except ValueError:
            # StreamReader's word for a line over its limit. Its rest cannot be told from a new
            # request, so the connection ends here.
            await self._drop(
                connection,
                "line_too_long",
                f"a request has at most {self._limits.request_bytes} bytes",
            )
            return False
        if not line.endswith(b"\n"):
            return False  # The client is gone; half a request is none.
        self.counts.requests += 1
        try:
            request = decode_request(line)
        except ControlError as refusal:
            self.counts.refused += 1
            await self._send(connection, _failure(0, refusal.error_id, str(refusal)))
            return True
        method = self._methods.get(request.method)
        if method is not None and method.every_s is not None:
            await self._stream(connection, request, method)
            return False
        reply = await self._answer(connection, request, method)
        if isinstance(reply.error, Failure):
            self.counts.refused += 1
        await self._send(connection, reply)
        return True

    async def _stream(self, connection: _Connection, request: Request, method: Method[Any]) -> None:
        assert method.every_s is not None
        while True:
            reply = await self._answer(connection, request, method)
            await self._send(connection, reply)
            if isinstance(reply.error, Failure):
                return
            try:
                async with asyncio.timeout(method.every_s):
                    await connection.reader.read(1)
            except TimeoutError:
                continue
            return  # The client spoke or left: both end the stream.

    async def _answer(
        self, connection: _Connection, request: Request, method: Method[Any] | None
    ) -> Reply:
        if method is None:
            known = ", ".join(sorted(self._methods))
            return _failure(
                request.id,
                "unknown_method",
                f"no method {request.method[:80]!r}; there are: {known}",
            )
        call = Call(actor=actor_of(request.actor, connection.peer), peer=connection.peer)
        try:
            params = msgspec.convert(request.params, method.params)
        except msgspec.ValidationError as error:
            reply = _failure(request.id, "bad_params", f"{request.method}: {error}")
        else:
            reply = await self._result(request, method, params, call)
        if isinstance(reply.error, Failure) and method.changes:
            await self._audit_refusal(request, call, reply.error)
        return reply

    async def _result(self, request: Request, method: Method[P], params: P, call: Call) -> Reply:
        name = request.method
        try:
            async with asyncio.timeout(method.timeout_s or self._limits.handle_s):
                result = await method.handler(params, call)
        except TimeoutError:
            return _failure(request.id, "timeout", "the engine did not finish in time; look again")
        except ControlError as refusal:
            return _failure(request.id, refusal.error_id, str(refusal))
        except ConfigError as problems:
            return _failure(request.id, "config", str(problems))
        except GkcError as refusal:
            return _failure(request.id, "refused", str(refusal))
        except Exception:
            log.exception("control_method_failed", method=name)
            return _failure(request.id, "internal", "the engine failed to answer; see its log")
        assert isinstance(result, Change) or not method.changes, name
        if not isinstance(result, Change):
            return Reply(id=request.id, result=result)
        try:
            await self._record(
                call.actor, name, result.object, result.before, result.after, late=method.changes
            )
        except Exception:
            log.exception("audit_failed", actor=call.actor, action=name, object=result.object)
            done = "done, but" if method.changes else "not shown:"
            return _failure(
                request.id,
                "audit_failed",
                f"{result.object}: {done} the audit row could not be written; see the log",
            )
        return Reply(id=request.id, result=result.result)

    async def _audit_refusal(self, request: Request, call: Call, failure: Failure) -> None:
        subject = " ".join(str(v)[:64] for v in request.params.values() if isinstance(v, str))
        try:
            await self._record(
                call.actor, request.method, subject, None, {"refused": failure.error_id}, late=True
            )
        except Exception:
            log.exception("audit_failed", actor=call.actor, action=request.method, object=subject)

    async def _record(
        self, actor: str, action: str, subject: str, before: Json, after: Json, *, late: bool
    ) -> None:
        try:
            written = self._audit(actor, action, subject, before, after)
            if written is not None:
                async with asyncio.timeout(self._limits.handle_s):
                    await written
        except Exception:
            if self._late is None or not late:
                raise
            self._late(actor, action, subject, before, after)

    async def _drop(self, connection: _Connection, error_id: str, message: str) -> None:
        self.counts.dropped += 1
        await self._send(connection, _failure(0, error_id, message))

    async def _send(self, connection: _Connection, reply: Reply) -> None:
        try:
            line = encode(reply)
        except (TypeError, ValueError):
            # A lone surrogate of a hostile name, or our own mistake: it costs this answer only.
            log.exception("control_reply_unencodable", request=reply.id)
            line = encode(_failure(reply.id, "internal", "the answer cannot be sent; see the log"))
        if len(line) > self._limits.reply_bytes:
            line = encode(_failure(reply.id, "reply_too_long", "too much to show; ask for less"))
        connection.writer.write(line)
        async with asyncio.timeout(self._limits.write_s):
            await connection.writer.drain()


def _failure(request_id: int, error_id: str, message: str) -> Reply:
    return Reply(id=request_id, error=Failure(error_id=error_id, message=message))
