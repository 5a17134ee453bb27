"""One Asterisk, 200 agents, two ways to distribute calls: the engine and the native ``Queue()``.

Each arm pays only for itself. While ``Queue()`` serves, the engine does not run and its mirrored
members are out of Asterisk; while the engine serves, the native queue has no members.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from gkc_engine.control.protocol import ControlError
from gkc_engine.demo.city import City, CityOptions, Ports
from gkc_engine.errors import PeerError
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import PbxPlan, Trunk
from gkc_engine.pbx.music import write_music
from gkc_engine.pbx.ports import free_tcp_port, free_udp_port
from gkc_engine.pbx.render import HEADER

Arm = Literal["queue", "engine", "dial", "agi"]
ARMS: Final[tuple[Arm, Arm]] = ("queue", "engine")
FLOOR: Final[dict[Arm, str]] = {
    "dial": "a bare `Dial()` and nobody who decides",
    "agi": "`Dial()` over FastAGI from Python, no AMI, nothing decided or written",
}
"""No distributors: each call is dialled to the next phone, in the dialplan or by
``bench.bare_agi``. What Asterisk itself costs, and what it costs to speak with it at all."""

NUMBERS: Final[dict[Arm, str]] = {
    "queue": "74950000900",
    "engine": "74950000901",
    "dial": "74950000902",
    "agi": "74950000903",
}
"""What the citizens dial."""

CALLERS_HOST: Final = "127.0.0.11"
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

_CONFIG: Final = """\
---
center: {name: bench, prefix: BENCH, title: Bench, timezone: Europe/Moscow}
pbx:
  ami: {host: 127.0.0.1, port: 5038, user: gkc, secret: env:GKC_AMI_SECRET}
numbers: {"+%(number)s": {queue: bench}}
skills: {bench: Bench}
queues:
  bench: {title: Bench, require: {bench: 1}, timeout: 15s, wrapuptime: 0s}
operators:
%(operators)s
...
"""

_OPERATOR: Final = (
    "  agent{n}: {{name: Agent {n}, interface: PJSIP/{n}, skills: {{bench: 5}}, login: always}}"
)

_PHONE: Final = """\
[{n}](gkc-operator)
aors = {n}
[{n}]
type = aor
contact = sip:{n}@127.0.0.1:{port}
qualify_frequency = 0
"""
"""As the lab's: a phone that need not register, and is not asked whether it is there."""

_EXTENSION: Final = """
[gkc]
exten => {queue},1,Answer()
 same => n,Queue(bench,,,,600)
 same => n,Hangup()
exten => {dial},1,Answer()
 same => n,Set(GLOBAL(NEXT)=$[(0${{GLOBAL(NEXT)}} + 1) % {agents}])
 same => n,Dial(PJSIP/$[{first} + ${{GLOBAL(NEXT)}}],15,gim(default))
 same => n,Hangup()
exten => {agi},1,Answer()
 same => n,AGI(agi://127.0.0.1:{agi_port}/)
 same => n,Hangup()
"""

_QUEUE: Final = """
[bench]
strategy = leastrecent
timeout = 15
retry = 1
wrapuptime = 0
autofill = yes
ringinuse = no
joinempty = yes
leavewhenempty = no
announce-frequency = 0
musicclass = default
"""


@dataclasses.dataclass(slots=True, kw_only=True)
class Place:
    """Where the bench runs, and how large it is."""

    folder: Path
    install: Install
    agents: int
    phones_port: int = dataclasses.field(default_factory=free_udp_port)
    callers_port: int = dataclasses.field(default_factory=lambda: free_udp_port(CALLERS_HOST))

    @property
    def numbers(self) -> Iterator[int]:
        """The agents' endpoints: 1001, 1002, …"""
        return iter(range(1001, 1001 + self.agents))

    @property
    def voice(self) -> Path:
        """Half a minute of A-law that every citizen sends."""
        return write_music(self.folder / "voice") / "gkc-hold.alaw"

    @property
    def word(self) -> Path:
        """The first half second of it."""
        path = self.voice.with_name("word.alaw")
        if not path.exists():
            path.write_bytes(self.voice.read_bytes()[:4000])
        return path


class Bench:
    """The city with its two arms."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.arm: Arm | None = None
        self._agi_port = free_tcp_port()
        self._bare_agi: asyncio.subprocess.Process | None = None
        config = place.folder / "source"
        config.mkdir(parents=True)
        operators = "\n".join(_OPERATOR.format(n=n) for n in place.numbers)
        text = _CONFIG % {"number": NUMBERS["engine"], "operators": operators}
        (config / "city.yaml").write_text(text, encoding="utf-8")
        phones = "".join(_PHONE.format(n=n, port=place.phones_port) for n in place.numbers)
        options = CityOptions(
            phone=lambda operator: operator,  # neither password nor contact: `phones` has them
            trunks=(Trunk(match=(CALLERS_HOST,)),),
            external_id_header=None,
            watchdog=False,
            log_level="warning",
            adjust=_without_media_watch,
            extra_pjsip=phones,
        )
        ports = dataclasses.replace(Ports.free(preferred=False), rtp_start=26000)
        self.city = City(config, place.folder / "city", place.install, ports, options)

    async def start(self) -> None:
        """Start Asterisk with the native queue's extension; no arm serves yet."""
        await self.city.start_asterisk()
        extensions = self._etc / "extensions.conf"
        with extensions.open("a", encoding="utf-8") as file:
            first, agents = min(self.place.numbers), self.place.agents
            text = _EXTENSION.format(**NUMBERS, first=first, agents=agents, agi_port=self._agi_port)
            file.write(text)
        with (self._etc / "queues.conf").open("a", encoding="utf-8") as file:
            file.write("\n#include gkc.d/bench.conf\n")
        await self.cli("dialplan reload")

    async def stop(self) -> None:
        """Stop everything."""
        await self._stop_bare_agi()
        await self.city.stop()

    async def cli(self, command: str) -> str:
        """Return what Asterisk says to ``command``."""
        return await self.city.asterisk.cli(command, timeout_s=30)

    async def serve(self, arm: Arm) -> None:
        """Let ``arm`` and nobody else distribute calls from now on."""
        if arm == self.arm:
            return
        await self.city.stop_engine()
        await self._stop_bare_agi()
        if self.arm == "engine":
            await asyncio.to_thread(self._remove_mirrored)
        members = "".join(f"member => PJSIP/{n}\n" for n in self.place.numbers)
        text = f"{HEADER}\n{_QUEUE}{'' if arm == 'engine' else members}"
        (self._etc / "bench.conf").write_text(text, encoding="utf-8")
        await self.cli("queue reload all")
        if arm == "engine":
            await self.city.start_engine()
        if arm == "agi":
            await self._start_bare_agi()
        await self._complete(arm)
        self.arm = arm

    async def _start_bare_agi(self) -> None:
        port, first = str(self._agi_port), str(min(self.place.numbers))
        self._bare_agi = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.bare_agi", port, first, str(self.place.agents)
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._agi_port)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    async def _stop_bare_agi(self) -> None:
        if self._bare_agi is not None:
            self._bare_agi.kill()
            await self._bare_agi.wait()
            self._bare_agi = None

    async def _complete(self, arm: Arm) -> None:
        """Wait until every agent is in the arm that serves, and in no queue of the other."""
        agents = self.place.agents
        wanted = (0, agents) if arm == "engine" else (agents, 0)
        deadline = time.monotonic() + 30
        while True:
            found = (
                (await self.cli("queue show bench")).count("PJSIP/"),
                (await self.cli("queue show gkc-bench")).count("PJSIP/"),
            )
            if found == wanted and (arm != "engine" or await self._ready() == agents):
                return
            if time.monotonic() > deadline:
                raise PeerError(f"arm {arm}: members are {found}, expected {wanted}")
            await asyncio.sleep(0.1)

    async def _ready(self) -> int:
        rows = await asyncio.to_thread(self.city.ask, "queue.show", queue="bench")
        assert isinstance(rows, list)
        return int(rows[0]["ready"])

    async def hang_up_all(self) -> None:
        """End every call and wait until nobody knows of any."""
        deadline = time.monotonic() + 40
        while True:
            await self.cli("channel request hangup all")
            left = (await self.cli("core show channels count")).split()[0]
            if left == "0" and (self.arm != "engine" or not await self._in_hand()):
                return
            if time.monotonic() > deadline:
                raise PeerError(f"{left} channels would not end")
            await asyncio.sleep(0.3)

    async def _in_hand(self) -> bool:
        try:
            return bool(await asyncio.to_thread(self.city.ask, "queue.waiting"))
        except ControlError as error:
            raise PeerError(f"the engine: {error}\n{self.city.tail()}") from error

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that Asterisk and, in its arm, the engine have used so far."""
        pids = {"asterisk": self.city.asterisk.pid}
        if self.arm == "engine":
            assert self.city.engine is not None
            pids["engine"] = self.city.engine.pid
        if self._bare_agi is not None:
            pids["engine"] = self._bare_agi.pid
        return {name: cpu_s_of(pid) for name, pid in pids.items() if pid is not None}

    @property
    def _etc(self) -> Path:
        return self.city.run_dir / "asterisk" / "etc" / "gkc.d"

    def _remove_mirrored(self) -> None:
        """Take the engine's fallback members out, as its own manager user may."""
        import socket

        ports, secret = self.city.ports, self.city.secret
        with closing(socket.create_connection(("127.0.0.1", ports.ami), timeout=10)) as link:
            reader = link.makefile("rb")
            reader.readline()
            actions = [f"Action: Login\r\nUsername: gkc\r\nSecret: {secret}\r\nEvents: off"]
            actions += [
                f"Action: QueueRemove\r\nQueue: {queue}\r\nInterface: PJSIP/{n}"
                for queue in ("gkc-default", "gkc-bench")
                for n in self.place.numbers
            ]
            for action in (*actions, "Action: Logoff"):
                link.sendall(action.encode() + b"\r\n\r\n")
                while reader.readline().strip():
                    pass


def _without_media_watch(plan: PbxPlan) -> PbxPlan:
    # The agents' SIPp sends no RTP, which would end each talk after rtp_timeout.
    return dataclasses.replace(plan, rtp_timeout_s=0)


def cpu_s_of(pid: int) -> float:
    """Return user and system time of a process with all its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
