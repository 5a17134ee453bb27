"""The lines between the centers of a demo, which can be cut: what is sent into one is then gone.

Each center has one cable to the rest of the city, and in it goes all that centers have with each
other: its leaf node's connection to the hub (`TcpLine`), and its calls to and from the others with
their sound (`SipLine`). A cut passes nothing on, in either direction, and closes nothing, as a
cable that was dug up: both ends have to notice it by themselves. A connection (TCP) that lived
through a cut stays dead when it is mended, as behind a router that has forgotten it: whoever goes
on with it waits for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from gkc_engine.endings import stop_listening
from gkc_engine.errors import PeerError
from gkc_engine.ids import FOREVER, Instant

HOST: Final = "127.0.0.1"
"""Of all that is relayed."""

Address: TypeAlias = tuple[str, int]

CHUNK: Final = 65_536
"""Bytes that are read at a time."""

CALLS_MAX: Final = 500
"""Calls on one line whose sound is known; the oldest makes room."""

IDLE_S: Final = 120.0
"""A call whose sound was silent for so long is over, or both ends have given it up."""

PORT_TRIES: Final = 100
READ_MAX: Final = 100
"""Datagrams of one port that are passed on before others have their turn."""

_CALL_ID: Final = re.compile(rb"^Call-ID:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_CONTACT: Final = re.compile(rb"^Contact:.*$", re.MULTILINE | re.IGNORECASE)
_LENGTH: Final = re.compile(rb"^(Content-Length:[ \t]*)\d+", re.MULTILINE | re.IGNORECASE)
_AUDIO: Final = re.compile(rb"^(m=audio )(\d+)( )", re.MULTILINE)


class Cable:
    """From one center to the rest of the city."""

    def __init__(self, now: Callable[[], Instant]) -> None:
        """Be whole. ``now``: the clock of the outside world's lists."""
        self._now = now
        self.whole = True
        """Whether anything gets through."""
        self.cuts = 0
        """How often it was cut."""
        self._cuts: list[tuple[Instant, Instant]] = []
        """From when to when."""

    def cut(self) -> None:
        """Let nothing through from now on."""
        if self.whole:
            self.whole = False
            self.cuts += 1
            self._cuts.append((self._now(), FOREVER))

    def heal(self) -> None:
        """Let everything through again that begins from now on."""
        if not self.whole:
            self.whole = True
            self._cuts[-1] = (self._cuts[-1][0], self._now())

    def was_cut(self, at: Instant) -> bool:
        """Whether nothing got through at an instant."""
        return any(begun <= at < ended for begun, ended in self._cuts)


class TcpLine:
    """Takes connections on a port of its own, and passes them on to ``target`` by a cable."""

    def __init__(self, target: int, cable: Cable) -> None:
        self._target, self._cable = target, cable
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection."""
        if self._server is not None:
            await stop_listening(self._server)
        for task in tuple(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            if not self._cable.whole:
                return  # Refused, not left unanswered: who tries again each second leaves nothing.
            far_reader, far = await asyncio.open_connection(HOST, self._target)
            cuts = self._cable.cuts
            await asyncio.gather(
                self._pass(reader, far, cuts), self._pass(far_reader, writer, cuts)
            )
        except (OSError, asyncio.CancelledError):
            pass  # The other end is away, or the demo ends: so does this connection.
        finally:
            self._tasks.discard(task)
            for one in (writer, far):
                if one is not None:
                    one.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cuts: int
    ) -> None:
        while data := await reader.read(CHUNK):
            if cuts == self._cable.cuts:
                writer.write(data)
                await writer.drain()
        if cuts == self._cable.cuts:
            raise ConnectionResetError  # Both ends know it. Else the other one learns nothing.


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One of the two centers of a line for calls."""

    sip_port: int
    """Of its Asterisk."""
    cable: Cable


class _Port:
    """A UDP port, and who is told what comes in there."""

    def __init__(self, heard: Callable[[bytes, Address], None], port: int = 0) -> None:
        """Take a port, any by default.

        Raises:
            OSError: somebody else has it.
        """
        self._heard = heard
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        for _ in range(READ_MAX):
            try:
                data, sender = self._socket.recvfrom(CHUNK)
            except OSError:  # Nothing more; or nobody was there for what was sent last.
                return
            self._heard(data, sender)

    def send(self, data: bytes, to: int) -> None:
        """Send to a port; what finds nobody is lost."""
        with contextlib.suppress(OSError):
            self._socket.sendto(data, (HOST, to))

    def close(self) -> None:
        """Free the port."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


class _Sound:
    """The sound of one call: RTP and, on the next port, RTCP."""

    def __init__(self, line: SipLine) -> None:
        """Take the ports.

        Raises:
            PeerError: no two ports beside each other are free.
        """
        self._line = line
        self.wanted: list[int | None] = [None, None]
        """Where each Asterisk wants it."""
        self.heard_s = line.now()
        self._ends: list[list[_Port]] = []
        """Where each of them sends it."""
        try:
            for end in (0, 1):
                self._ends.append(self._pair(end))
        except PeerError:
            self.close()
            raise

    def port(self, end: int) -> int:
        """Return where an Asterisk is to send it."""
        return self._ends[end][0].number

    def _pair(self, end: int) -> list[_Port]:
        for _ in range(PORT_TRIES):
            first = _Port(lambda data, _sender: self._pass(end, 0, data))
            if first.number % 2 == 0:
                with contextlib.suppress(OSError, OverflowError):
                    second = _Port(lambda data, _sender: self._pass(end, 1, data), first.number + 1)
                    return [first, second]
            first.close()
        raise PeerError("no two UDP ports beside each other are free for the sound of a call")

    def _pass(self, end: int, place: int, data: bytes) -> None:
        self.heard_s = self._line.now()
        to = self.wanted[1 - end]
        if to is not None and self._line.whole:
            self._ends[1 - end][place].send(data, to + place)

    def close(self) -> None:
        """Free the ports."""
        for end in self._ends:
            for one in end:
                one.close()


class SipLine:
    """Between the Asterisks of two centers: each knows the other by a port of this line.

    SIP over UDP, with the addresses in it changed so that also what follows (ACK, BYE, sound) comes
    through here.
    """

    def __init__(self, one: End, other: End) -> None:
        """Take the ports; in the loop that will serve them."""
        self._ends = (one, other)
        self._loop = asyncio.get_running_loop()
        self._sounds: dict[bytes, _Sound] = {}
        self._ports = (
            _Port(lambda data, sender: self._pass(0, data, sender)),
            _Port(lambda data, sender: self._pass(1, data, sender)),
        )

    def port(self, end: int) -> int:
        """Return the port by which center ``end`` (0 or 1) knows the other one."""
        return self._ports[end].number

    @property
    def whole(self) -> bool:
        """Whether anything gets through."""
        return all(end.cable.whole for end in self._ends)

    @property
    def calls(self) -> int:
        """How many calls' sound goes, or lately went, through here."""
        return len(self._sounds)

    def now(self) -> float:
        """Return the loop's time in seconds."""
        return self._loop.time()

    def stop(self) -> None:
        """Free the ports."""
        for sound in self._sounds.values():
            sound.close()
        for port in self._ports:
            port.close()

    def _pass(self, end: int, data: bytes, sender: Address) -> None:
        if not self.whole or sender != (HOST, self._ends[end].sip_port):
            return
        with contextlib.suppress(PeerError):  # Without ports for its sound a call is not passed on.
            self._ports[1 - end].send(self._changed(end, data), self._ends[1 - end].sip_port)

    def _changed(self, end: int, data: bytes) -> bytes:
        head, gap, body = data.partition(b"\r\n\r\n")
        own = f"{HOST}:{self._ends[end].sip_port}".encode()
        shown = f"{HOST}:{self._ports[1 - end].number}".encode()
        head = _CONTACT.sub(lambda found: found[0].replace(own, shown), head)
        audio = _AUDIO.search(body)
        call = _CALL_ID.search(head)
        if audio is None or call is None or audio[2] == b"0":
            return head + gap + body
        sound = self._sound(call[1])
        sound.wanted[end] = int(audio[2])
        port = str(sound.port(1 - end)).encode()
        body = _AUDIO.sub(rb"\g<1>" + port + rb"\g<3>", body, count=1)
        head = _LENGTH.sub(rb"\g<1>" + str(len(body)).encode(), head)
        return head + gap + body

    def _sound(self, call: bytes) -> _Sound:
        found = self._sounds.get(call)
        if found is None:
            self._forget()
            found = self._sounds[call] = _Sound(self)
        return found

    def _forget(self) -> None:
        silent = [call for call, one in self._sounds.items() if one.heard_s < self.now() - IDLE_S]
        if len(self._sounds) - len(silent) >= CALLS_MAX:
            silent.append(next(call for call in self._sounds if call not in silent))
        for call in silent:
            self._sounds.pop(call).close()
