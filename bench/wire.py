"""What went over the wire: tcpdump on loopback, read back with the standard library alone.

The measuring point is the SIP message itself, so both arms are measured by the same clock and
nothing of theirs is trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gkc_engine.errors import PeerError

_GLOBAL: Final = 24
_RECORD: Final = struct.Struct("<IIII")
_MAGIC: Final = 0xA1B2C3D4
_ETHERNET: Final = 14
_UDP: Final = 8


@dataclass(frozen=True, slots=True)
class Message:
    """One SIP request or response as it passed."""

    at: float
    """Seconds since the epoch, to the microsecond."""
    source: int
    """UDP port it came from."""
    target: int
    """UDP port it went to."""
    method: str
    """Of the request; empty for a response."""
    status: int
    """Of the response; 0 for a request."""
    call: str
    """Call-ID."""
    caller: str
    """User part of From."""
    callee: str
    """User part of To."""
    cseq: str
    """Method named in CSeq."""


class Capture:
    """``async with Capture(file, port):`` keeps every SIP packet of ``port`` in ``file``."""

    def __init__(self, file: Path, port: int) -> None:
        self.file = file
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Capture:
        command = shutil.which("tcpdump")
        if command is None:
            raise PeerError("no tcpdump: apt-get install tcpdump")
        self._process = await asyncio.create_subprocess_exec(
            command,
            *("-i", "lo", "--immediate-mode", "-n", "-s", "1500", "-B", "16384"),
            *("-w", str(self.file), "udp", "and", "port", str(self._port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        async with asyncio.timeout(10):
            line = await self._process.stderr.readline()
        if b"listening" not in line:
            rest = await self._process.stderr.read()
            raise PeerError(f"tcpdump: {(line + rest).decode(errors='replace').strip()}")
        return self

    async def __aexit__(self, *_error: object) -> None:
        process = self._process
        assert process is not None
        assert process.stderr is not None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        said = (await process.stderr.read()).decode(errors="replace")
        await process.wait()
        if "\n0 packets dropped by kernel" not in said:
            raise PeerError(f"tcpdump lost packets, so nothing can be said: {said.strip()}")


def messages(file: Path) -> list[Message]:
    """Return the SIP messages of a capture in order of time.

    Raises:
        PeerError: the file is no pcap of microseconds on Ethernet, which is what tcpdump writes.
    """
    data = file.read_bytes()
    if len(data) < _GLOBAL or struct.unpack_from("<I", data)[0] != _MAGIC:
        raise PeerError(f"{file}: not a pcap file of this machine")
    return [found for at, packet in _packets(data) if (found := _message(at, packet)) is not None]


def _packets(data: bytes) -> Iterator[tuple[float, bytes]]:
    at = _GLOBAL
    while at + _RECORD.size <= len(data):
        seconds, micros, kept, _length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        yield seconds + micros / 1e6, data[at : at + kept]
        at += kept


def _message(at: float, packet: bytes) -> Message | None:
    ip = packet[_ETHERNET:]
    if len(ip) < 20 or ip[0] >> 4 != 4 or ip[9] != 17:
        return None
    udp = ip[(ip[0] & 15) * 4 :]
    source, target = struct.unpack_from("!HH", udp)
    return parse(at, source, target, udp[_UDP:])


def parse(at: float, source: int, target: int, payload: bytes) -> Message | None:
    """Return the SIP message in ``payload``; ``None`` for keep-alives and what is no SIP."""
    head = payload.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    first, _, rest = head.partition("\r\n")
    if "SIP/2.0" not in first:
        return None
    headers: dict[str, str] = {}
    for line in rest.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    is_response = first.startswith("SIP/2.0")
    return Message(
        at=at,
        source=source,
        target=target,
        method="" if is_response else first.partition(" ")[0],
        status=int(first.split()[1]) if is_response else 0,
        call=headers.get("call-id", ""),
        caller=_user(headers.get("from", "")),
        callee=_user(headers.get("to", "")),
        cseq=headers.get("cseq", "").rpartition(" ")[2],
    )


def _user(address: str) -> str:
    uri = address.partition("<sip:")[2] or address.partition("sip:")[2]
    return uri.partition("@")[0].partition(";")[0]
