"""A fake Asterisk on a FastAGI socket: behaves as res_agi.c does, commands answered as scripted.

It reads its socket through a buffer, as Asterisk does: a line that comes together with another
one is not looked at until more bytes arrive. A prompt plays until it is ended by the test or cut
by the next command; a cut prompt sends no reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.fakes.facts import Facts

HEADER = {
    "agi_network": "yes",
    "agi_network_script": "enter",
    "agi_channel": "PJSIP/trunk-00000001",
    "agi_uniqueid": "centr-1795477621.46",
    "agi_callerid": "+79000000001",
    "agi_calleridname": "unknown",
    "agi_dnid": "+74957777777",
    "agi_context": "gkc",
    "agi_extension": "74957777777",
}


class FakeCall(asyncio.Protocol):
    """One call that runs our AGI."""

    def __init__(self) -> None:
        self.commands: Facts[str] = Facts()
        self.closed = asyncio.Event()
        self.answers: dict[str, str | Callable[[str], str | None]] = {
            "STREAM FILE": lambda _: None,
            "GET DATA": lambda _: None,
            "EXEC": lambda _: None,
            "GET VARIABLE": "200 result=0",
            "GET FULL VARIABLE": lambda line: "200 result=1 ({})".format(line.split('"')[1]),
            "SET": "200 result=1",
        }
        self._socket = b""
        self._buffer = b""
        self._busy = False

    @classmethod
    async def dial(cls, port: int, **header: str) -> FakeCall:
        """Connect and send the header block."""
        loop = asyncio.get_running_loop()
        _, call = await loop.create_connection(cls, "127.0.0.1", port)
        lines = {**HEADER, **{f"agi_{key}": value for key, value in header.items()}}
        text = "".join(f"{key}: {value}\n" for key, value in lines.items()) + "\n"
        call.transport.write(text.encode("utf-8", "surrogateescape"))
        return call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self._socket += data
        self._poll()

    def _poll(self) -> None:
        # res_agi.c polls the socket, then calls fgets, which prefers what its buffer holds.
        while self._socket and not self._busy:
            if b"\n" not in self._buffer:
                self._buffer, self._socket = self._buffer + self._socket, b""
            line, feed, rest = self._buffer.partition(b"\n")
            if not feed:
                return
            self._buffer = rest
            self._command(line)

    def _command(self, line: bytes) -> None:
        text = line.decode()
        self._busy = not text.startswith(("STREAM FILE", "GET DATA"))
        self.commands.add(text)
        keys = sorted((key for key in self.answers if text.startswith(key)), key=len)
        answer = self.answers[keys[-1]] if keys else "200 result=0"
        reply = answer if isinstance(answer, str) else answer(text)
        if reply is not None:
            self.reply(reply)

    def reply(self, text: str) -> None:
        """Answer the running command."""
        self._busy = False
        self.say(text)
        asyncio.get_running_loop().call_soon(self._poll)

    def say(self, text: str) -> None:
        """Send a line that answers nothing, such as HANGUP."""
        if not self.transport.is_closing():
            self.transport.write(text.encode() + b"\n")

    async def got(self, start: str, limit_s: float = 5.0) -> str:
        """Return the first command that begins so, when it is there."""
        found = await self.commands.until(
            lambda lines: any(line.startswith(start) for line in lines), limit_s
        )
        return next(line for line in found if line.startswith(start))

    async def hang_up(self) -> None:
        """Close the socket and wait until it is closed."""
        self.transport.close()
        await self.closed.wait()
