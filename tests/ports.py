"""Free ports for test runs that go on beside each other, and beside demos."""

from __future__ import annotations

import os
import random

from gkc_engine.demo.city import Ports
from gkc_engine.pbx.ports import FreePorts

_RANGE = range(14_000, 20_000)
"""Above the demos' own, below most of their RTP and the kernel's ephemeral ports."""


def _start() -> int:
    """Begin at a random place, the workers of one run as far from each other as can be."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or os.urandom(8)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return random.Random(run).randrange(len(_RANGE)) + worker * len(_RANGE) // workers


_PORTS = FreePorts(_RANGE, _start())


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody on ``host`` holds, neither for UDP nor for TCP."""
    return _PORTS.take(host)


def free_media_port(host: str = "127.0.0.1") -> int:
    """Return a port for SIPp's sound; its picture takes the one two above."""
    return _PORTS.take(host, beside=(2,))


def free_ports() -> Ports:
    """Return ports for one city."""
    return Ports(sip=free_port(), ami=free_port(), agi=free_port(), metrics=free_port())
