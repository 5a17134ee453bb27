"""Ports of this machine: which are free, and who holds one."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from gkc_engine.errors import PeerError


class FreePorts:
    """Gives free ports of a range in their order, none a second time before it is through.

    A port that the kernel picks lies where it also takes the near ends of connections from:
    between the asking and the listening somebody else's connection can get it. Ranges of ours
    lie below 32768, where Linux begins to.
    """

    def __init__(self, ports: range, start: int) -> None:
        """``start``: the place in ``ports`` where to begin, counted on from its end again."""
        self._ports, self._at = ports, start

    def take(self, host: str = "127.0.0.1", beside: Sequence[int] = ()) -> int:
        """Return a port that nobody on ``host`` holds, nor those so much above it, UDP and TCP.

        Raises:
            PeerError: there is none.
        """
        for _ in self._ports:
            port = self._ports[self._at % len(self._ports)]
            self._at += 1
            if all(_is_free(host, port + above) for above in (0, *beside)):
                return port
        raise PeerError(f"no port of {self._ports[0]} to {self._ports[-1]} is free on {host}")


_OURS = FreePorts(range(10_000, 14_000), secrets.randbelow(4_000))
"""Below a city's RTP. Two processes that begin at random places seldom meet."""


def free_udp_port(host: str = "127.0.0.1", preferred: int = 0) -> int:
    """Return ``preferred`` if nothing holds it on ``host``, else a free port for UDP.

    Raises:
        PeerError: none is free.
    """
    held = preferred == 0 or not _can_bind(socket.SOCK_DGRAM, host, preferred)
    return _OURS.take(host) if held else preferred


def free_tcp_port(host: str = "127.0.0.1", preferred: int = 0) -> int:
    """Return ``preferred`` if nothing holds it on ``host``, else a free port for TCP.

    Raises:
        PeerError: none is free.
    """
    # As a server does it: what only lingers in TIME_WAIT does not count as held.
    held = preferred == 0 or not _can_bind(socket.SOCK_STREAM, host, preferred, reuse=True)
    return _OURS.take(host) if held else preferred


def _is_free(host: str, port: int) -> bool:
    return all(_can_bind(kind, host, port) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))


def _can_bind(kind: socket.SocketKind, host: str, port: int, *, reuse: bool = False) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if reuse:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_udp_range(starts: Sequence[int], count: int) -> int:
    """Return the first of ``starts`` from which ``count`` UDP ports on nobody holds.

    Asterisk tries the next port when one is held, so where none is quite free, the freest will do.
    """
    held = udp_ports_held()
    taken = {start: sum(start <= port < start + count for port in held) for start in starts}
    return min(starts, key=taken.__getitem__)


def udp_ports_held() -> set[int]:
    """Return every UDP port that somebody on this machine holds, on whatever address."""
    ports = set()
    for table in (Path("/proc/net/udp"), Path("/proc/net/udp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        ports |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return ports


def port_holder(port: int, protocol: str = "tcp") -> str | None:
    """Return who listens on ``port`` of this machine, as ``NAME (pid N)``; ``None`` = nobody.

    A process of another user that we may not look into is "another user's process".
    """
    inodes = _listening_inodes(port, protocol)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and inodes & _socket_inodes(process):
            name = (process / "comm").read_text().strip()
            return f"{name} (pid {process.name})"
    return "another user's process"


def _listening_inodes(port: int, protocol: str) -> set[str]:
    listening = {"tcp": "0A", "udp": "07"}[protocol]
    inodes = set()
    for table in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == listening:
                inodes.add(fields[9])
    return inodes


def _socket_inodes(process: Path) -> set[str]:
    inodes = set()
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(link)  # noqa: PTH115  (a socket's target is no path)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes
