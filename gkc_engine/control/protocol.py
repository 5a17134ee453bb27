"""What goes over the control socket: the lines, the limits, and where the socket is.

A client sends ``{"id": 1, "method": "queue.show", "params": {…}, "actor": "ivanov"}`` and gets
``{"id": 1, "result": …}`` or ``{"id": 1, "error": {"error_id": "…", "message": "…"}}``, one line
each. ``watch`` answers with the same ``id`` again and again until the client goes away.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from gkc_engine.errors import GkcError

Json: TypeAlias = Any
"""Plain JSON: None, bool, int, float, str, lists and string-keyed dicts of these."""

Params: TypeAlias = dict[str, Json]
"""The named arguments of a method."""

REQUEST_BYTES_MAX = 65_536
"""Longest request line. Nothing that a person types comes near it."""

REPLY_BYTES_MAX = 16 * 1024 * 1024
"""Longest reply line: 1 000 agents take 0.4 MB, 10 000 contacts 6 MB."""

SUN_PATH_MAX = 100
"""Bytes of a path that fit into ``sockaddr_un`` (108 on Linux) with room for a suffix."""

SOCKET_NAME = "engine.sock"
"""The name of the socket in the run directory, unless one config of several is asked for."""

RUN_DIRECTORY_VARIABLE = "GKC_RUN_DIR"
"""Environment variable that names the run directory; systemd units set it to ``/run/gkc``."""


class ControlError(GkcError):
    """A request was refused, or no engine answered. ``error_id`` is for programs."""

    def __init__(self, error_id: str, message: str) -> None:
        super().__init__(message)
        self.error_id = error_id


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One request line."""

    id: int
    method: str
    params: dict[str, Any] = {}
    actor: str = ""
    """Who asks, in their own words; the kernel's uid and pid stand beside it in the audit."""


class Failure(msgspec.Struct, kw_only=True):
    """Why a request was refused."""

    error_id: str
    message: str


class Reply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One reply line: ``error``, or else ``result`` (which may be null)."""

    id: int
    result: Any = msgspec.UNSET
    error: Failure | msgspec.UnsetType = msgspec.UNSET


_requests = msgspec.json.Decoder(Request)
_replies = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def decode_request(line: bytes) -> Request:
    """Return the request in ``line``.

    Raises:
        ControlError: ``bad_request``, with the place in the line that is wrong.
    """
    try:
        return _requests.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError("bad_request", f"not a request: {error}") from error


def decode_reply(line: bytes) -> Reply:
    """Return the reply in ``line``.

    Raises:
        ControlError: ``bad_reply``: what answered is not an engine of this version.
    """
    try:
        return _replies.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError("bad_reply", f"the engine's answer cannot be read: {error}") from error


def encode(message: Request | Reply) -> bytes:
    """Return ``message`` as one line, with its line feed."""
    return _encoder.encode(message) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The process at the other end of a Unix socket, as the kernel knows it (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Return the credentials of the process at the other end (unix(7), SO_PEERCRED)."""
    layout = struct.Struct("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
    pid, uid, gid = layout.unpack(raw)
    return Peer(pid=pid, uid=uid, gid=gid)


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of ``path`` that fits into ``sockaddr_un``, however deep the directory is.

    A clone may lie in any directory; the kernel takes 108 bytes. Through an open descriptor of
    the directory the name is short (proc(5), ``/proc/self/fd``).
    """
    if len(os.fsencode(path)) <= SUN_PATH_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def socket_path(run: Path, config: Path | None = None) -> Path:
    """Return the control socket's path in the run directory: ``engine.sock``, or ``config``'s.

    Engines of several configs in one run directory (a demo city has four) are told apart by
    ``engine-`` + the first 12 hex digits of SHA-256 of the config directory's real path.
    """
    if config is None:
        return run / SOCKET_NAME
    digest = hashlib.sha256(os.fsencode(config.resolve())).hexdigest()
    return run / f"engine-{digest[:12]}.sock"


def is_socket(path: Path) -> bool:
    """Whether ``path`` exists and is a socket (not followed through a symbolic link)."""
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
