"""Free ports for test runs that go on beside each other.

A port that the kernel picks lies where it also takes the near ends of connections from: between
the asking and the listening somebody else's connection can get it. These lie below that range, and
one process never gives the same one twice.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator

from gkc_engine.demo.city import Ports

_FIRST, _LAST = 10_000, 19_999
"""Above the services' own, below Asterisk's RTP and the kernel's ephemeral ports."""


def _candidates() -> Iterator[int]:
    # Two processes that begin at random places meet seldom, and then the bind tells.
    places = random.Random(os.urandom(8)).randrange(_LAST - _FIRST)
    return (_FIRST + n % (_LAST - _FIRST) for n in itertools.count(places))


_CANDIDATES = _candidates()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody on ``host`` holds, neither for UDP nor for TCP."""
    return next(port for port in _CANDIDATES if _is_free(host, port))


def free_media_port(host: str = "127.0.0.1") -> int:
    """Return a port for SIPp's sound; its picture takes the one two above."""
    return next(p for p in _CANDIDATES if _is_free(host, p) and _is_free(host, p + 2))


def _is_free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_ports() -> Ports:
    """Return ports for one city."""
    return Ports(sip=free_port(), ami=free_port(), agi=free_port(), metrics=free_port())
