"""What a citizen hears: a phone that records its RTP, and what can be read from the recording.

A-law goes through Asterisk byte by byte, so each frame of 20 ms tells which file it came from and
where in it: the recording becomes a list of files with times, better than any judgement of energy.
Frames are stamped by the kernel (SO_TIMESTAMPNS), so that a busy test machine moves no frame.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from gkc_engine.clock import SystemClock
from gkc_engine.ids import SECOND
from gkc_engine.ivr.audio import decode_alaw
from tests.acceptance.phone import Leg, OnCall, Phone
from tests.acceptance.sip_text import Headers
from tests.acceptance.stream import FRAME, FRAME_S, PCMA

SO_TIMESTAMPNS = 35
"""Linux's asm-generic/socket.h; Python's socket module lacks it."""

MUSIC = "music"
HEARD_DB = -50.0
"""A window that is louder than this (RMS, dB below full scale) is not silence."""

WINDOW = 5
"""Frames of one window of energy: 100 ms."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One RTP packet of PCMA."""

    at: float
    """When the kernel had it: seconds since the epoch."""
    sound: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one file as it was heard."""

    name: str
    begin: float
    end: float
    """Seconds since the epoch."""
    first: int
    last: int
    """Numbers of its first and last frame in the file."""
    of: int
    """How many frames the file has."""

    @property
    def whole(self) -> bool:
        """Whether it was played from its beginning to its end, quiet edges apart."""
        return self.first <= 10 and self.last >= self.of - 15


def wall() -> float:
    """Return the kernel's time, by which frames are stamped: seconds since the epoch."""
    return SystemClock().now() / SECOND


class Library:
    """Sound files by what each of their frames sounds like."""

    def __init__(self, files: dict[str, Path]) -> None:
        """``files``: what a piece of each is to be called; many may share a name."""
        self._at: dict[bytes, list[tuple[str, int, int]]] = {}
        for name, path in files.items():
            data = path.read_bytes()
            count = len(data) // FRAME
            for n in range(count):
                frame = data[n * FRAME : (n + 1) * FRAME]
                self._at.setdefault(frame, []).append((name, n, count))

    @classmethod
    def of(cls, folders: Iterable[Path], music: Path) -> Library:
        """Take every ``.alaw`` below ``folders``, named as ``LANGUAGE/NAME``, and the music."""
        files = {
            str(path.relative_to(folder.parent).with_suffix("")): path
            for folder in folders
            for path in sorted(folder.rglob("*.alaw"))
        }
        return cls(files | {MUSIC: music})

    def find(self, frame: bytes) -> tuple[str, int, int] | None:
        """Return (name, number in the file, length of the file); ``None`` = not told apart."""
        found = self._at.get(frame, [])
        alone = len(found) == 1 or {name for name, _, _ in found} == {MUSIC}
        return found[0] if alone else None


@dataclass(slots=True)
class Recording:
    """All that one call's far side sent."""

    frames: list[Frame] = field(default_factory=list)
    statuses: list[tuple[float, int]] = field(default_factory=list)
    """When each response to our INVITE came: seconds since the epoch."""

    def said(self, status: int) -> float | None:
        """Return when ``status`` came first."""
        return next((at for at, s in self.statuses if s == status), None)

    def pieces(self, library: Library) -> list[Piece]:
        """Return what was heard, in order; what is in no file is left out."""
        found: list[Piece] = []
        for frame in self.frames:
            known = library.find(frame.sound)
            if known is None:
                continue
            name, n, of = known
            end = frame.at + FRAME_S
            last = found[-1] if found else None
            if last and last.name == name == MUSIC and frame.at - last.end < 0.1:
                found[-1] = Piece(name, last.begin, end, 0, 0, of)  # its notes come again and again
            elif last and last.name == name and 0 <= n - last.last <= 25:
                found[-1] = Piece(name, last.begin, end, last.first, n, of)
            else:
                found.append(Piece(name, frame.at, end, n, n, of))
        return found

    def levels(self) -> list[tuple[float, float]]:
        """Return (when, dB below full scale) of each 100 ms."""
        return [
            (window[0].at, level(b"".join(f.sound for f in window)))
            for window in (self.frames[i : i + WINDOW] for i in range(0, len(self.frames), WINDOW))
        ]

    def loudest(self, piece: Piece) -> float:
        """Return the level of the loudest 100 ms of ``piece``, in dB below full scale."""
        return max(db for at, db in self.levels() if piece.begin - 0.1 <= at <= piece.end)

    def silences(self, since: float, until: float, longest_s: float) -> list[tuple[float, float]]:
        """Return each stretch (begin, seconds) without sound that is longer than ``longest_s``.

        A frame that never came is as silent as one that says nothing.
        """
        heard = [at for at, db in self.levels() if db > HEARD_DB and since <= at <= until]
        edges = [since, *heard, until]
        return [
            (a - since, b - a) for a, b in pairwise(edges) if b - a > longest_s + WINDOW * FRAME_S
        ]


def level(alaw: bytes) -> float:
    """Return the RMS of A-law in dB below full scale."""
    samples = decode_alaw(alaw)
    power = sum(s * s for s in samples) / max(1, len(samples))
    return 10 * math.log10(power / 32768**2) if power > 0 else -math.inf


class EarLeg(Leg):
    """A call whose RTP is recorded."""

    def __init__(self, phone: Phone, call_id: str, *, outgoing: bool) -> None:
        super().__init__(phone, call_id, outgoing=outgoing)
        self.recording = Recording()
        self._socket: socket.socket | None = None

    async def _media(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setblocking(False)
        sock.bind((self.phone.host, 0))
        self._socket = sock
        self._rtp_port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._rtp.connection_made(_Sender(sock))
        loop.add_reader(sock, self._read, sock)
        self._task = loop.create_task(self._rtp.run())

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                data, extra, _, _ = sock.recvmsg(2048, 64)
            except BlockingIOError:
                return
            (stamp,) = (d for _, kind, d in extra if kind == SO_TIMESTAMPNS)
            seconds, nanos = struct.unpack("=qq", stamp)
            self._rtp.datagram_received(data, sock.getsockname())
            if len(data) == 12 + FRAME and data[1] & 127 == PCMA:
                self.recording.frames.append(Frame(seconds + nanos / 1e9, data[12:]))

    def on_status(self, status: int, headers: Headers, body: str) -> None:
        """Note when each response came."""
        if headers["cseq"].endswith("INVITE"):
            self.recording.statuses.append((wall(), status))
        super().on_status(status, headers, body)

    def close(self) -> None:
        """Stop its RTP; what has come is heard."""
        if self._socket is not None:
            self._read(self._socket)
            asyncio.get_running_loop().remove_reader(self._socket)
        super().close()
        self._socket = None


class _Sender(asyncio.DatagramTransport):
    """The sending half of the recorder's socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock

    def sendto(self, data: bytes | bytearray | memoryview, addr: object = None) -> None:
        assert isinstance(addr, tuple), addr
        self._sock.sendto(data, addr)

    def close(self) -> None:
        self._sock.close()


class Ear(Phone):
    """A citizen's phone that records what it hears."""

    def __init__(self, server: tuple[str, int], user: str = "+79001112233") -> None:
        super().__init__(user, server, host="127.0.0.11", signature=0xD5, name="Citizen")
        self.legs: list[EarLeg] = []

    async def listen(self, number: str) -> EarLeg:
        """Call ``number`` and record."""
        leg = EarLeg(self, f"{secrets.token_hex(8)}@test", outgoing=True)
        self.calls.append(leg)
        await leg.invite(number, "")
        return leg


def stamped(on_call: OnCall, arrivals: list[float]) -> OnCall:
    """Return ``on_call`` that notes in ``arrivals`` when each INVITE came."""

    async def noted(leg: Leg) -> None:
        arrivals.append(wall())
        await on_call(leg)

    return noted


def names(pieces: Sequence[Piece]) -> list[str]:
    """Return the names of the pieces, in order, each run of equal ones once."""
    found: list[str] = []
    for piece in pieces:
        if not found or found[-1] != piece.name:
            found.append(piece.name)
    return found
