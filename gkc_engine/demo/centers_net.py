"""What lies between the centers of a demo: the hub, a leaf node for each, and lines to be cut."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

from gkc_engine.bus.config import Hub, Leaf, Member, hub_text, leaf_text
from gkc_engine.bus.process import BusProcess
from gkc_engine.demo.lines import HOST, Cable, End, SipLine, TcpLine
from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.pbx.ports import free_tcp_port

STOP_S: Final = 0.8
NOWHERE: Final = f"{HOST}:9"
"""Nobody listens there (RFC 863)."""

RESTART_S: Final = 1.0
"""As the watchdog takes for an engine."""


class Net:
    """Made in the loop that will serve its lines; `start` then starts the servers."""

    def __init__(
        self, folder: Path, sip_ports: Mapping[str, int], now: Callable[[], Instant]
    ) -> None:
        """Take the ports of the lines.

        ``sip_ports``: center -> where its own Asterisk listens. ``now``: by which cuts are noted.
        """
        self.names: Sequence[str] = tuple(sip_ports)
        self.secret = secrets.token_hex(16)
        """Of each leaf node's two users."""
        self.hub_secrets = {name: secrets.token_hex(16) for name in self.names}
        self.cables = {name: Cable(now) for name in self.names}
        self.hub_port, leaf_port = free_tcp_port(HOST), free_tcp_port(HOST)
        self.leaf_ports = {name: free_tcp_port(HOST) for name in self.names}
        self._folder = folder
        self._calls = {
            frozenset((one, other)): SipLine(
                End(sip_port=sip_ports[one], cable=self.cables[one]),
                End(sip_port=sip_ports[other], cable=self.cables[other]),
            )
            for one, other in combinations(self.names, 2)
        }
        self._to_hub = {name: TcpLine(leaf_port, self.cables[name]) for name in self.names}
        hub = Hub(
            port=self.hub_port,
            leaf_port=leaf_port,
            store=folder / "hub" / "store",
            # A leaf node also goes where the hub says it is, and that would be round the line.
            advertise=NOWHERE,
            members=tuple(
                Member(name=name, secret=secret) for name, secret in self.hub_secrets.items()
            ),
        )
        self.hub = BusProcess(hub_text(hub), folder / "hub", self.hub_port)
        self.leaves: dict[str, BusProcess] = {}

    def secret_files(self) -> dict[str, str]:
        """Write down by which secret each center's records are read on the hub.

        Return a reference to each, which whoever verifies the records can follow, too.
        """
        folder = self._folder.resolve() / "secrets"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, secret in self.hub_secrets.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_text(secret, encoding="utf-8")
        return {name: f"file:{folder / name}" for name in self.hub_secrets}

    def trunks(self, center: str) -> dict[str, int]:
        """Return the port by which ``center`` calls each of the others."""
        return {other: self._port(center, other) for other in self.names if other != center}

    def _port(self, center: str, other: str) -> int:
        first = self.names.index(center) < self.names.index(other)
        return self._calls[frozenset((center, other))].port(0 if first else 1)

    async def start(self) -> None:
        """Start the hub and the leaf nodes.

        Raises:
            GkcError: there is no nats-server here, or it does not start.
        """
        await self.hub.start()
        for name, line in self._to_hub.items():
            await line.start()
            leaf = Leaf(
                center=name,
                port=self.leaf_ports[name],
                store=self._folder / name / "store",
                secret=self.secret,
                hub=f"127.0.0.1:{line.port}",
                hub_secret=self.hub_secrets[name],
            )
            text, folder = leaf_text(leaf), self._folder / name
            self.leaves[name] = BusProcess(text, folder, self.leaf_ports[name])
            await self.leaves[name].start()

    async def revive(self, say: Callable[[str], None]) -> None:
        """Start again whichever server ends by itself, as a service manager does; never return."""
        servers = {
            "the hub": self.hub,
            **{f"{n}'s leaf node": one for n, one in self.leaves.items()},
        }
        await asyncio.gather(*(self._revive(name, one, say) for name, one in servers.items()))

    async def _revive(self, name: str, server: BusProcess, say: Callable[[str], None]) -> None:
        while True:
            code = await server.wait()
            say(f"{name} ended (status {code}); started again in {RESTART_S:g} s")
            await asyncio.sleep(RESTART_S)
            await server.start()

    def pids(self) -> dict[str, int | None]:
        """Return its processes by what they are."""
        leaves = {f"{name} leaf": leaf.pid for name, leaf in self.leaves.items()}
        return {"hub": self.hub.pid, **leaves}

    @property
    def parted(self) -> list[str]:
        """The centers whose line is cut."""
        return [name for name, cable in self.cables.items() if not cable.whole]

    def cable(self, center: str) -> Cable:
        """Return the line of a center.

        Raises:
            GkcError: there is no such center.
        """
        if center not in self.cables:
            known = ", ".join(self.names)
            raise GkcError(f"center: found {center!r}, expected one of {known}")
        return self.cables[center]

    async def stop(self) -> None:
        """Stop the servers, then the lines."""
        servers = (self.hub, *self.leaves.values())
        await asyncio.gather(*(one.stop(STOP_S) for one in servers), return_exceptions=True)
        for line in self._to_hub.values():
            await line.stop()
        for calls in self._calls.values():
            calls.stop()

    def kill(self) -> None:
        """End the servers at once."""
        for one in (self.hub, *self.leaves.values()):
            one.signal(signal.SIGKILL)
