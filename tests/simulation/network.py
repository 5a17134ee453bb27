"""TCP in memory: ordered, late, cut, half-open; nothing is listened on for real."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import PROCESS, Process, SimLoop


class End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: Network, process: Process | None) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.peer: End | None = None
        self.protocol: Any = None
        self.open = True
        self.frozen = False
        """Bytes of this end go nowhere: the cable is out, and nobody has noticed."""
        self._due_us = 0
        if process is not None:
            process.at_kill.append(self.vanish)

    def get_extra_info(self, name: str, default: object = None) -> Any:  # noqa: ANN401
        del name
        return default

    def is_closing(self) -> bool:
        return not self.open

    def _later(self, callback: Callable[..., None], *args: object) -> None:
        """Run at the peer, in its process, after everything sent before."""
        assert self.peer is not None
        loop = self.network.loop
        self._due_us = max(self._due_us, loop.now_us + self.network.latency_us())
        context = self.peer.process.context if self.peer.process is not None else None
        loop.call_at_us(self._due_us, callback, *args, context=context)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.open and not self.frozen:
            assert self.peer is not None
            self._later(self.peer.receive, bytes(data))

    def receive(self, data: bytes) -> None:
        if self.open and not self.frozen:
            self.protocol.data_received(data)

    def close(self) -> None:
        self.vanish()
        if self.protocol is not None:
            context = self.process.context if self.process is not None else None
            self.network.loop.call_soon(self._lost, context=context)

    abort = close

    def vanish(self) -> None:
        """Close without telling our own side: what a killed process's sockets do."""
        if not self.open:
            return
        self.open = False
        if self.peer is not None and not self.frozen:
            self._later(self.peer.peer_closed)
        if self.process is not None and self.vanish in self.process.at_kill:
            self.process.at_kill.remove(self.vanish)

    def peer_closed(self) -> None:
        if self.open and not self.frozen:
            self.close()

    def _lost(self) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connection_lost(None)


class Server:
    """What ``create_server`` returns."""

    def __init__(self, network: Network, port: int) -> None:
        self.network = network
        self.sockets = [self]
        self._port = port

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def fileno(self) -> int:
        return -1  # Connections are handed over, and there is nothing to accept.

    def close(self) -> None:
        self.network.listeners.pop(self._port, None)


class Network:
    """All listeners and connections of one simulation."""

    def __init__(self, loop: SimLoop, rng: random.Random) -> None:
        self.loop = loop
        self.listeners: dict[int, tuple[Callable[[], Any], Process | None]] = {}
        self._rng = rng
        loop.network = self

    def latency_us(self) -> int:
        """Loopback: 20 to 400 microseconds."""
        return self._rng.randint(20, 400)

    def listen(self, factory: Callable[[], Any], port: int) -> Server:
        process = PROCESS.get()
        self.listeners[port] = factory, process
        server = Server(self, port)
        if process is not None:
            process.at_kill.append(server.close)
        return server

    async def connect(self, factory: Callable[[], Any], port: int) -> tuple[End, Any]:
        """Connect; a stopped process's listener still takes connections, as the kernel does.

        Raises:
            ConnectionRefusedError: nobody listens.
        """
        await asyncio.sleep(self.latency_us() / 1_000_000)
        if port not in self.listeners:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        far_factory, far_process = self.listeners[port]
        near, far = End(self, PROCESS.get()), End(self, far_process)
        near.peer, far.peer = far, near
        near.protocol = factory()
        near.protocol.connection_made(near)

        def accept() -> None:
            if not far.open:
                return
            far.protocol = far_factory()
            far.protocol.connection_made(far)

        context = far_process.context if far_process is not None else None
        self.loop.call_soon(accept, context=context)
        return near, near.protocol
