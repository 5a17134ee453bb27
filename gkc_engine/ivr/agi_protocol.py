"""AGI on the wire, without I/O: bytes in, header block, replies and HANGUP lines out.

Rules and their proof (Asterisk 22.10.1, tests/acceptance/test_wire.py):

* The header block is ``agi_name: value`` lines up to an empty line; a value is whatever bytes the
  telephone network sent, line feeds too. Asterisk names each header once (res_agi.c, setup_env):
  a name that stands twice was written by the caller, and which of the two is cannot be told.
* A reply is one line ``CODE result=VALUE[ (DATA)][ endpos=N]``; 520 has several (``520-`` up to
  ``520 ``); ``HANGUP`` may come between any two lines and answers nothing.
* A value read by ``GET VARIABLE`` is not escaped: a line feed in it continues on the next line,
  up to one that ends in ``)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gkc_engine.errors import PeerError
from gkc_engine.escape import printable, wire_text

MAX_HEADER: Final = 16 * 1024
"""Bytes of the header block; Asterisk sends about 700."""

MAX_LINE: Final = 64 * 1024
"""Bytes of one reply, all its lines together."""

MAX_STRAY_LINES: Final = 100
"""Lines that are neither reply nor HANGUP before the peer is taken for no Asterisk."""

_REPLY: Final = re.compile(
    r"(?P<code>\d{3}) result=(?P<result>\S*)(?: \((?P<data>.*?)\))?(?: endpos=(?P<endpos>\d+))?\Z",
    re.DOTALL,
)
# A value may hold parentheses of its own: all up to the last one belongs to it.
_VALUE: Final = re.compile(
    r"(?P<code>\d{3}) result=(?P<result>\S*)(?: \((?P<data>.*)\))?\Z", re.DOTALL
)


class AgiSyntaxError(PeerError):
    """The peer does not speak AGI, or more of it than the limits allow."""


@dataclass(frozen=True, slots=True)
class AgiRequest:
    """The header block of one AGI run."""

    env: dict[str, str]
    """Every ``agi_*`` value under its full name. Bytes that are no UTF-8 stand as ``\\xNN``."""

    @property
    def path(self) -> str:
        """The script with its slash, ``/queue/passport``; ``/`` when there is none."""
        return "/" + self.env.get("agi_network_script", "").lstrip("/").partition("?")[0]

    @property
    def uniqueid(self) -> str:
        """The channel's Uniqueid: the identity of the call."""
        return self.env.get("agi_uniqueid", "")

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.env.get("agi_channel", "")

    @property
    def callerid_num(self) -> str:
        """The caller's number as the network sent it; empty when unknown."""
        return _known(self.env.get("agi_callerid", ""))

    @property
    def callerid_name(self) -> str:
        """The caller's name as the network sent it; empty when unknown."""
        return _known(self.env.get("agi_calleridname", ""))

    @property
    def dnid(self) -> str:
        """The number dialled in the network; empty when unknown."""
        return _known(self.env.get("agi_dnid", ""))

    @property
    def extension(self) -> str:
        """The dialplan extension that runs us."""
        return self.env.get("agi_extension", "")

    @property
    def context(self) -> str:
        """The dialplan context that runs us."""
        return self.env.get("agi_context", "")

    @property
    def arguments(self) -> tuple[str, ...]:
        """``agi_arg_1`` and so on: what the dialplan wrote after the URL."""
        found: list[str] = []
        while (key := f"agi_arg_{len(found) + 1}") in self.env:
            found.append(self.env[key])
        return tuple(found)


def _known(value: str) -> str:
    # res_agi.c, setup_env: what a channel does not know it calls "unknown".
    return "" if value == "unknown" else value


@dataclass(frozen=True, slots=True)
class AgiReply:
    """One reply of Asterisk to one command."""

    code: int
    """200 done, 510 no such command, 511 channel is dead, 520 wrong arguments."""

    result: str
    """What follows ``result=``; empty for codes that have none."""

    data: str | None = None
    """What stands in the parentheses."""

    endpos: int | None = None
    """Samples played; only ``STREAM FILE`` and its like send it."""

    @property
    def ok(self) -> bool:
        """Whether Asterisk ran the command and did not answer ``result=-1`` or ``-2``."""
        return self.code == 200 and not self.result.startswith("-")


@dataclass(frozen=True, slots=True)
class AgiHangup:
    """The ``HANGUP`` line: the channel left this AGI. The citizen may talk on elsewhere."""


AgiMessage = AgiRequest | AgiReply | AgiHangup


class AgiParser:
    """Bytes of one connection to messages; raises when a limit is passed."""

    def __init__(self, max_header: int = MAX_HEADER, max_line: int = MAX_LINE) -> None:
        self._max_header = max_header
        self._max_line = max_line
        self._buffer = bytearray()
        self._in_header = True
        self._open: list[bytes] = []  # lines of a reply that is not complete yet
        self._open_bytes = 0
        self._stray_lines = 0
        self.expect_value = False
        """The running command is ``GET VARIABLE``: its value may hold line feeds."""

    def feed(self, data: bytes) -> list[AgiMessage]:
        """Return the messages that ``data`` completes, in order.

        Raises:
            AgiSyntaxError: header or line too long, or not AGI at all.
        """
        self._buffer += data
        messages: list[AgiMessage] = []
        if self._in_header:
            request = self._header()
            if request is None:
                return messages
            messages.append(request)
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            message = self._line(line)
            if message is not None:
                messages.append(message)
        if len(self._buffer) + self._open_bytes > self._max_line:
            raise AgiSyntaxError(f"AGI: a reply longer than {self._max_line} bytes")
        return messages

    def _header(self) -> AgiRequest | None:
        # A client that sends no agi_ line first is a port scan or a lost browser.
        if not b"agi_".startswith(self._buffer[:4]):
            raise AgiSyntaxError(f"AGI: not a header: {printable(bytes(self._buffer[:40]))}")
        end = self._buffer.find(b"\n\n")
        if end > self._max_header or (end < 0 and len(self._buffer) > self._max_header):
            raise AgiSyntaxError(f"AGI: a header longer than {self._max_header} bytes")
        if end < 0:
            return None
        block = wire_text(bytes(self._buffer[:end]))
        del self._buffer[: end + 2]
        self._in_header = False
        env: dict[str, str] = {}
        for line in block.split("\n"):
            key, colon, value = line.partition(":")
            if not colon or not key.startswith("agi_"):
                continue
            if key in env:
                raise AgiSyntaxError(f"AGI: a header with {printable(key, 40)} twice")
            env[key] = value.removeprefix(" ")
        return AgiRequest(env)

    def _line(self, line: bytes) -> AgiMessage | None:
        if self._open:
            return self._continued(line)
        if line.strip() == b"HANGUP":
            return AgiHangup()
        if line.startswith(b"520-"):
            self._begin(line)
            return None
        if line.startswith(b"100 "):
            return None  # "Trying": the real reply follows.
        text = wire_text(line)
        if self.expect_value and text.startswith("200 result=1 (") and not text.endswith(")"):
            self._begin(line)
            return None
        return self._reply(text)

    def _begin(self, line: bytes) -> None:
        self._open.append(line)
        self._open_bytes = len(line)

    def _continued(self, line: bytes) -> AgiReply | None:
        self._open.append(line)
        self._open_bytes += len(line) + 1
        if self._open_bytes > self._max_line:
            raise AgiSyntaxError(f"AGI: a reply longer than {self._max_line} bytes")
        usage = self._open[0].startswith(b"520-")
        if not (line.startswith(b"520 ") if usage else line.endswith(b")")):
            return None
        text = wire_text(b"\n".join(self._open))
        self._open.clear()
        self._open_bytes = 0
        return AgiReply(code=520, result="", data=text) if usage else self._reply(text)

    def _reply(self, text: str) -> AgiReply | None:
        if text[:3] in {"510", "511"}:
            return AgiReply(code=int(text[:3]), result="", data=text[4:])
        if self.expect_value and (found := _VALUE.fullmatch(text)) is not None:
            return AgiReply(int(found["code"]), found["result"], found["data"])
        if (found := _REPLY.fullmatch(text)) is not None:
            endpos = found["endpos"]
            position = None if endpos is None else int(endpos)
            return AgiReply(int(found["code"]), found["result"], found["data"], position)
        self._stray_lines += 1
        if self._stray_lines > MAX_STRAY_LINES:
            raise AgiSyntaxError(f"AGI: neither reply nor HANGUP: {printable(text, 40)}")
        return None
