"""One caller's FastAGI socket: commands, prompts that are cut, the lease."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from gkc_engine.errors import PeerError
from gkc_engine.escape import AGI_LINE_BYTES, clean_text, printable, quote_agi
from gkc_engine.ivr.agi_protocol import (
    AgiHangup,
    AgiParser,
    AgiReply,
    AgiRequest,
    AgiSyntaxError,
)

_log: Final = logging.getLogger(__name__)

QUICK_REPLY_S: Final = 10.0
"""A command that plays nothing and dials nobody is answered within this, else Asterisk hangs."""

NUDGE_S: Final = 0.1
"""When a cut is not answered within this, it is repeated."""

LEASE_MARGIN_S: Final = 4
"""What a prompt's lease adds to its length."""


class AgiClosed(PeerError):  # noqa: N818 - an end, often a normal one, not an error
    """The socket is closed. The citizen may still be there: only AMI ``Hangup`` says he left."""


@dataclass(frozen=True, slots=True)
class StreamResult:
    """How a ``STREAM FILE`` ended."""

    digit: str | None = None
    """The escape digit that was pressed."""

    endpos: int = 0
    """Samples played, 8 000 a second; 0 when it was cut."""

    cut: bool = False
    """We wrote another command while it played."""

    failed: bool = False
    """No such file, or the caller left while it played."""


@dataclass(frozen=True, slots=True)
class DataResult:
    """How a ``GET DATA`` ended."""

    digits: str = ""
    """What was pressed, without the closing ``#``."""

    timed_out: bool = False
    """The time ran out before ``max_digits`` or ``#``."""

    cut: bool = False
    """We wrote another command while it ran."""

    failed: bool = False
    """No such file, or the caller left meanwhile."""


class _Kind(Enum):
    PLAIN = auto()  # answered before anything else is done
    STREAM = auto()  # the next command cuts it
    DATA = auto()  # the next command cuts it


_CUT: Final = AgiReply(code=0, result="cut")


class _Running:
    """The command that Asterisk works on.

    Each who waits has a future of his own, so that one who is cancelled takes nothing from the
    others; cheaper than a shield and a timer for each of six commands a call.
    """

    __slots__ = ("_waiters", "deadline", "done", "fence", "kind", "reply", "value")

    def __init__(self, kind: _Kind, *, fence: str | None = None, value: bool = False) -> None:
        self.kind = kind
        self.fence = fence
        self.value = value
        self.deadline = math.inf
        """Loop time after which Asterisk hangs."""
        self.done = False
        self.reply: AgiReply | None = None
        self._waiters: list[asyncio.Future[AgiReply | None]] = []

    def wait(self) -> asyncio.Future[AgiReply | None]:
        """Return a future of the reply; ``None`` when the socket closed before it."""
        future: asyncio.Future[AgiReply | None] = asyncio.get_running_loop().create_future()
        if self.done:
            future.set_result(self.reply)
        else:
            self._waiters.append(future)
        return future

    def finish(self, reply: AgiReply | None) -> None:
        if self.done:
            return
        self.done, self.reply = True, reply
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(reply)


class SessionHost(Protocol):
    """What a session needs of its server."""

    header_timeout: float
    max_header: int
    bad_total: int

    def admit(self, session: AgiSession) -> bool:
        """Take a new connection, unless there are too many."""
        ...

    def forget(self, session: AgiSession) -> None:
        """A connection is closed."""
        ...

    def run(self, session: AgiSession) -> None:
        """Run the handler of a connection whose header is complete."""
        ...


class AgiSession(asyncio.Protocol):
    """One caller's socket. Methods raise `AgiClosed` when it is closed, before or meanwhile.

    One command runs at a time, others wait in order: Asterisk reads its socket through a buffer,
    so a second line sent early would lie there unseen (tried). Only a prompt does not make the
    next command wait: it is cut, which is how a free operator ends an announcement (1 ms).
    """

    request: AgiRequest

    def __init__(self, server: SessionHost) -> None:
        self.hungup = asyncio.Event()
        """Set by the ``HANGUP`` line: the channel left this AGI (gone, or transferred)."""
        self.closed = asyncio.Event()
        """Set when the socket is closed, by whomever."""
        self._server = server
        self._parser = AgiParser(max_header=server.max_header)
        self._transport: asyncio.Transport | None = None
        self._header_timer: asyncio.TimerHandle | None = None
        self._running: _Running | None = None
        self._lock = asyncio.Lock()
        self._fences = 0
        self._started = False

    # --- the request, for short

    @property
    def uniqueid(self) -> str:
        """The channel's Uniqueid."""
        return self.request.uniqueid

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.request.channel

    # --- commands

    async def answer(self) -> AgiReply:
        """Answer the channel and wait for its first voice packet, 500 ms at most.

        So no citizen loses the first syllable of a prompt.
        """
        return await self._command("ANSWER")

    async def answer_at_once(self) -> AgiReply:
        """Answer the channel; wait for nothing. For music and ring, of which nothing is lost.

        An Asterisk before 18.16 and 20.1 does not know ``i`` and waits as `answer` does.
        """
        return await self.exec("Answer", "", "i")

    async def set_variable(self, name: str, value: object) -> AgiReply:
        """Set a channel variable or a writable function such as ``CALLERID(name)``."""
        return await self._command(f"SET VARIABLE {quote_agi(name)} {quote_agi(value)}")

    async def get_variable(self, name: str) -> str | None:
        """Return a variable or function of the channel; ``None`` when it is not set."""
        reply = await self._command(f"GET VARIABLE {quote_agi(name)}", value=True)
        return (reply.data or "") if reply.result == "1" else None

    async def exec(self, app: str, *args: object) -> AgiReply:
        """Run a dialplan application and return when it ends, however long that takes.

        ``args`` are joined by commas and are our own text; foreign text in them must be made
        harmless before (`gkc_engine.escape.quote_exec` says what is dangerous). ``result`` is
        ``-2`` when Asterisk has no such application.
        """
        argument = quote_agi(",".join(clean_text(arg) for arg in args))
        return await self._command(f"EXEC {quote_agi(app)} {argument}", limit_s=None)

    async def stream_file(self, path: str, escape_digits: str = "") -> StreamResult:
        """Play a file (name without its extension); the next command cuts it."""
        line = f"STREAM FILE {quote_agi(path)} {quote_agi(escape_digits)}"
        reply = await self._command(line, _Kind.STREAM, limit_s=None)
        if reply is _CUT:
            return StreamResult(cut=True)
        if not reply.ok:
            return StreamResult(endpos=reply.endpos or 0, failed=True)
        code = int(reply.result) if reply.result.isdecimal() else 0
        return StreamResult(digit=chr(code) if code else None, endpos=reply.endpos or 0)

    async def get_data(self, path: str, timeout_ms: int, max_digits: int) -> DataResult:
        """Play a file, collect digits; ``timeout_ms`` counts from its end and from each digit."""
        line = f"GET DATA {quote_agi(path)} {int(timeout_ms)} {int(max_digits)}"
        reply = await self._command(line, _Kind.DATA, limit_s=None)
        if reply is _CUT:
            return DataResult(cut=True)
        if not reply.ok:
            return DataResult(failed=True)
        return DataResult(digits=reply.result, timed_out=reply.data == "timeout")

    async def set_music(self, on: bool, music_class: str = "") -> AgiReply:
        """Start or stop music on hold. Commands leave it on, a prompt ends it: start it again."""
        line = f"SET MUSIC ON {quote_agi(music_class)}" if music_class else "SET MUSIC ON"
        return await self._command(line if on else "SET MUSIC OFF")

    async def hangup(self) -> AgiReply:
        """Hang the channel up."""
        return await self._command("HANGUP")

    async def noop(self) -> AgiReply:
        """Do nothing, visibly for both sides; cuts a prompt."""
        return await self._command("NOOP")

    # --- the lease

    def lease(self, seconds: int) -> bool:
        """Renew the lease without waiting for anything; return whether that was possible.

        Nothing is sent while another command runs: in a prompt it would cut the prompt, during
        ``EXEC`` it would lie unread. A prompt brings its own lease (`play`); during a talk AMI
        ``Setvar`` of ``TIMEOUT(absolute)`` works.
        """
        if self._running is not None or self._lock.locked() or self.closed.is_set():
            return False
        if self._transport is None or self._transport.is_closing():
            return False  # Nobody has told us yet; whoever renews for many must not fall over it.
        self._write(f"SET VARIABLE TIMEOUT(absolute) {int(seconds)}", _Running(_Kind.PLAIN))
        return True

    async def play(
        self, path: str, duration_s: float, lease_s: int, escape_digits: str = ""
    ) -> StreamResult:
        """Play a file under a lease that outlasts it, then set the lease to ``lease_s`` again.

        A hung engine so costs a caller at most the rest of the prompt plus `LEASE_MARGIN_S`;
        renew by AMI meanwhile to make it less.
        """
        await self.set_variable("TIMEOUT(absolute)", math.ceil(duration_s) + LEASE_MARGIN_S)
        result = await self.stream_file(path, escape_digits)
        if not result.cut:
            self.lease(lease_s)
        return result

    def close(self) -> None:
        """Give the lease back: Asterisk goes on in the dialplan at once."""
        if self._transport is not None:
            self._transport.close()

    # --- one command at a time

    async def _command(
        self,
        line: str,
        kind: _Kind = _Kind.PLAIN,
        *,
        value: bool = False,
        limit_s: float | None = QUICK_REPLY_S,
    ) -> AgiReply:
        async with self._lock:
            await self._make_room()
            running = _Running(kind, value=value)
            self._write(line, running)
            if kind is _Kind.PLAIN:
                return await self._reply(running, limit_s)
        return await self._reply(running, limit_s)

    async def _make_room(self) -> None:
        """Wait for a running plain command, or cut a running prompt."""
        while (running := self._running) is not None:
            if running.kind is _Kind.PLAIN and running.fence is None:
                await self._reply(running, None)
                continue
            running.finish(_CUT)
            await self._fence()

    async def _fence(self) -> None:
        """Cut what plays and be sure that all its replies are in.

        A prompt that ended by itself just before replies late, and nothing tells ``GET DATA``'s
        reply from others; so the cut is a command whose reply is unmistakable. And when Asterisk
        read it together with the prompt's own line, it lies in a buffer and cuts nothing (seen):
        another one wakes Asterisk up.
        """
        for _ in range(math.ceil(QUICK_REPLY_S / NUDGE_S)):
            self._fences += 1
            fence = _Running(_Kind.PLAIN, fence=f"fence-{self._fences}", value=True)
            self._write(f'GET FULL VARIABLE "{fence.fence}"', fence)
            done, _ = await asyncio.wait({fence.wait()}, timeout=NUDGE_S)
            if done:
                await self._reply(fence, None)
                return
        self._abort("a prompt can not be cut")
        raise AgiClosed("AGI: a prompt can not be cut")

    def _write(self, line: str, running: _Running) -> None:
        data = line.encode() + b"\n"
        if len(data) > AGI_LINE_BYTES:
            raise PeerError(f"AGI: a command of {len(data)} bytes: {printable(line, 60)}")
        if self._transport is None or self._transport.is_closing():
            raise AgiClosed("AGI: the socket is closed")
        self._running = running
        self._parser.expect_value = running.value
        self._transport.write(data)

    async def _reply(self, running: _Running, limit_s: float | None) -> AgiReply:
        if limit_s is not None:
            running.deadline = asyncio.get_running_loop().time() + limit_s
        reply = await running.wait()
        if reply is None:
            raise AgiClosed("AGI: the socket was closed while a command ran")
        return reply

    def look_at_clock(self, now: float) -> None:
        """Close the socket when a quick command has no reply at ``now`` (loop time, s)."""
        if self._running is not None and self._running.deadline < now:
            self._abort(f"no reply within {QUICK_REPLY_S:g} s")

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the header, or close at once when there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.admit(self):
            transport.close()
            return
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(
            self._server.header_timeout, self._abort, "no complete header in time"
        )

    def data_received(self, data: bytes) -> None:
        """Hand every message of ``data`` to whom it is for."""
        try:
            messages = self._parser.feed(data)
        except AgiSyntaxError as error:
            self._server.bad_total += 1
            self._abort(str(error))
            return
        for message in messages:
            match message:
                case AgiRequest():
                    self._start(message)
                case AgiHangup():
                    self.hungup.set()
                case AgiReply():
                    self._replied(message)

    def eof_received(self) -> bool:
        """Close our half too: a half-closed Asterisk can not be spoken with."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that the socket is gone."""
        del exc
        if self._header_timer is not None:
            self._header_timer.cancel()
        running, self._running = self._running, None
        if running is not None:
            running.finish(None)
        self.closed.set()
        self._server.forget(self)

    def _start(self, request: AgiRequest) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
        self.request = request
        self._started = True
        self._server.run(self)

    def _replied(self, reply: AgiReply) -> None:
        running = self._running
        if running is None:
            return
        if running.fence is not None and reply.data != running.fence:
            return  # the late reply of what the fence closes off
        self._running = None
        running.finish(reply)

    def _abort(self, why: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            name = self.request.uniqueid if self._started else "no session yet"
            _log.warning("AGI socket closed: %s (%s)", printable(why), printable(name))
            self._transport.abort()
