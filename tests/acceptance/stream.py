"""One phone's RTP (RFC 3550): PCMA with one byte value, and telephone events (RFC 4733)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
import time
from collections import Counter
from typing import cast

FRAME_S = 0.02
FRAME = 160
PCMA, EVENTS = 8, 101
DIGITS = "0123456789*#"


class Stream(asyncio.DatagramProtocol):
    """One stream each way."""

    def __init__(self, signature: int, first: int | None = None) -> None:
        """``first``: of the packets' sequence numbers; at random without it, as RFC 3550 wants."""
        self.signature = signature
        self.to: tuple[str, int] | None = None
        self.sending = False
        self.heard: list[tuple[float, int]] = []
        self.sent: list[float] = []
        """When each frame of sound went out."""
        self.sound = bytearray()
        self._sequence = secrets.randbelow(30_000) if first is None else first
        self._time = 0
        self._ssrc = secrets.randbits(32)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        del addr
        if len(data) > 12 and data[1] & 127 == PCMA:
            self.heard.append((time.monotonic(), Counter(data[12:]).most_common(1)[0][0]))
            self.sound += data[12:]

    def send(self, kind: int, payload: bytes, *, at: int | None = None) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        if self._transport is None:
            return  # the call ended under our finger
        if self.to is not None:
            head = struct.pack(
                ">BBHII", 0x80, kind, self._sequence, self._time if at is None else at, self._ssrc
            )
            self._transport.sendto(head + payload, self.to)

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            if self.sending:
                self.send(PCMA, bytes([self.signature]) * FRAME)
                self.sent.append(time.monotonic())
            self._time += FRAME
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def press(self, digit: str) -> None:
        code, at = DIGITS.index(digit), self._time
        for n in range(8):
            end = 0x80 if n >= 5 else 0
            self.send(EVENTS, struct.pack(">BBH", code, end | 10, FRAME * min(n + 1, 6)), at=at)
            await asyncio.sleep(FRAME_S)

    def close(self) -> None:
        """The call is over; a key still held down is let go, and what has come is heard."""
        if self._transport is not None:
            self._hear_the_rest(self._transport)
            self._transport.close()
            self._transport = None

    def _hear_the_rest(self, transport: asyncio.BaseTransport) -> None:
        """Take what lies in the socket: after a stand-still SIP's BYE is read before the sound."""
        listening = transport.get_extra_info("socket")
        if listening is None:
            return
        with listening.dup() as sock, contextlib.suppress(OSError):
            sock.setblocking(False)
            while True:
                self.datagram_received(*sock.recvfrom(2048))
