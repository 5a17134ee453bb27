"""FastAGI from Asterisk's side: connects, sends the header, does what it is told (res_agi.c)."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections import deque
from typing import Any

from tests.fakes.asterisk import Asterisk
from tests.fakes.asterisk_channel import Channel, GoneError, LeaseOutError

CONNECT_S = 2.0
"""``MAX_AGI_CONNECT``."""


class _Socket(asyncio.Protocol):
    """Asterisk's end of one AGI connection."""

    def __init__(self, loop: Any) -> None:  # noqa: ANN401
        self.lines: deque[str] = deque()
        self.closed = False
        self.arrived: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self.lines.extend(line.decode() for line in lines)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if not self.arrived.done():
            self.arrived.set_result(None)

    def something(self) -> asyncio.Future[None]:
        """Done when there is a line to read, or the socket is closed."""
        if self.arrived.done() and not self.lines and not self.closed:
            self.arrived = self._loop.create_future()
        return self.arrived

    def say(self, text: str) -> None:
        if not self.closed:
            self.transport.write(text.encode() + b"\n")


_WORD = re.compile(r'"([^"\\]*)"(?![^ ])|([^\s"\\\']+)(?![^ ])')
_PLAIN = re.compile(rf"(?:{_WORD.pattern})(?: +(?:{_WORD.pattern}))* *")


def _words(line: str) -> list[str]:
    """Return the words of a command; ``shlex`` takes 50 µs, which is kept for the odd ones."""
    if _PLAIN.fullmatch(line) is None:
        return shlex.split(line)
    return [quoted or plain for quoted, plain in _WORD.findall(line)]


class AgiClient:
    """The application ``AGI()``."""

    def __init__(self, pbx: Asterisk, port: int) -> None:
        self._pbx = pbx
        self._port = port
        self.open: dict[str, _Socket] = {}
        """By Uniqueid: what faults may cut."""

    async def run(self, channel: Channel, script: str) -> None:
        """Run to the end of the socket.

        Raises:
            GoneError, LeaseOutError: the channel was ended from elsewhere.
        """
        loop = self._pbx.loop
        try:
            _, socket = await loop.create_connection(lambda: _Socket(loop), "127.0.0.1", self._port)
        except ConnectionRefusedError:
            channel.check()
            return
        self.open[channel.uniqueid] = socket
        if channel.truth is not None:
            channel.truth.reached_engine = True
            channel.truth.place = "menu" if script == "enter" else "released"
        header = {
            "agi_network": "yes",
            "agi_network_script": script,
            "agi_channel": channel.name,
            "agi_uniqueid": channel.uniqueid,
            "agi_callerid": channel.number or "unknown",
            "agi_calleridname": "unknown",
            "agi_arg_1": "lease",  # as our dialplan says of itself
            "agi_extension": channel.variables["EXTEN"],
        }
        socket.say("".join(f"{key}: {value}\n" for key, value in header.items()))
        try:
            await self._serve(channel, socket)
        except (GoneError, LeaseOutError):
            socket.say("HANGUP")
            raise
        finally:
            self.open.pop(channel.uniqueid, None)
            if socket.closed and channel.truth is not None:
                channel.truth.last_socket_lost = loop.now_us
            socket.transport.close()

    async def _serve(self, channel: Channel, socket: _Socket) -> None:
        while True:
            await channel.until(socket.something())
            if not socket.lines:
                return  # closed
            line = socket.lines.popleft()
            reply = await self._command(channel, socket, line)
            if reply is not None:
                socket.say(reply)

    async def _command(self, channel: Channel, socket: _Socket, line: str) -> str | None:
        words = _words(line)
        match [w.upper() for w in words[:2]]:
            case ["SET", "VARIABLE"]:
                self._set(channel, words[2], words[3])
                return "200 result=1"
            case ["GET", "VARIABLE"]:
                value = channel.variables.get(words[2], "")
                return f"200 result=1 ({value})" if value else "200 result=0"
            case ["GET", "FULL"]:
                return f"200 result=1 ({words[3]})"
            case ["GET", "DATA"]:
                return await self._get_data(channel, socket, words[2], int(words[3]))
            case ["STREAM", "FILE"]:
                return await self._stream(channel, socket, words[2], words[3])
            case _:
                return await self._simple(channel, socket, words)

    async def _simple(self, channel: Channel, socket: _Socket, words: list[str]) -> str:
        match [w.upper() for w in words[:2]]:
            case ["SET", "MUSIC"]:
                if channel.truth is not None:
                    channel.truth.place = "music"
                return "200 result=0"
            case ["EXEC", app]:
                return await self._exec(channel, app, words[2].split(","))
            case ["ANSWER", *_]:
                self._pbx.answered(channel)
                return "200 result=0"
            case ["HANGUP", *_]:
                socket.say("200 result=1")
                if channel.truth is not None:
                    channel.truth.place = "released"
                channel.hang_up(16)
                channel.check()
            case ["NOOP", *_]:
                return "200 result=0"
            case _:
                pass
        return "510 Invalid or unknown command"

    def _set(self, channel: Channel, name: str, value: str) -> None:
        if name == "TIMEOUT(absolute)":
            channel.limit(float(value))
        else:
            channel.variables[name.lstrip("_")] = value

    async def _exec(self, channel: Channel, app: str, arguments: list[str]) -> str:
        if app == "MSET":
            for pair in arguments:
                name, _, value = pair.partition("=")
                self._set(channel, name, value)
        elif app == "ANSWER":
            self._pbx.answered(channel)
        elif app == "DIAL":
            if channel.truth is not None:
                channel.truth.place = "ring"
            began = self._pbx.loop.now_us
            talks = len(channel.truth.talks) if channel.truth else 0
            await self._pbx.dial(channel, arguments[0], float(arguments[1]), "engine")
            if channel.truth is not None and len(channel.truth.talks) > talks:
                began = channel.truth.talks[-1].began
                channel.variables["ANSWEREDTIME"] = str((self._pbx.loop.now_us - began) // 1000000)
        return "200 result=0"

    async def _stream(
        self, channel: Channel, socket: _Socket, path: str, digits: str
    ) -> str | None:
        """None = cut: no reply at all (tried on a real one)."""
        pressed = channel.caller.pressing(digits)
        length = self._pbx.sounds.get(path, 2.0)
        done = await channel.until(socket.something(), pressed, timeout_s=length)
        if pressed.done():
            return f"200 result={ord(pressed.result())} endpos=8000"
        pressed.cancel()
        return None if done else f"200 result=0 endpos={int(length * 8000)}"

    async def _get_data(
        self, channel: Channel, socket: _Socket, path: str, timeout_ms: int
    ) -> str | None:
        pressed = channel.caller.pressing("0123456789")
        length = self._pbx.sounds.get(path, 2.0) + timeout_ms / 1000
        done = await channel.until(socket.something(), pressed, timeout_s=length)
        if pressed.done():
            return f"200 result={pressed.result()}"
        pressed.cancel()
        return None if done else "200 result= (timeout)"
