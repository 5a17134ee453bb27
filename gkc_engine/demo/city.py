"""One center on this machine: an Asterisk of our own and the engine beside it.

Used by ``gkc demo`` and by the acceptance tests, so that both run what a user runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import RUN_DIRECTORY_VARIABLE, ControlError, socket_path
from gkc_engine.demo.tree import Document, copy_tree
from gkc_engine.errors import PeerError
from gkc_engine.pbx.from_config import plan_from_config
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import OperatorPhone, PbxPlan, Trunk
from gkc_engine.pbx.ports import free_tcp_port, free_udp_port, free_udp_range
from gkc_engine.pbx.process import AsteriskProcess
from gkc_engine.pbx.render import render_standalone

SECRET_VARIABLE = "GKC_AMI_SECRET"

NOT_HERE = (*("pbx", "metrics", "mail", "reports", "store", "federation", "overflow", "collector"),)
"""Sections of a real center that its copy must not have: they lead to the real city."""


RTP_PORTS = 6000
"""Of one city: 1 500 calls, four ports each."""

RTP_STARTS = (20000, 26000, 14000)
"""Below the ports that the kernel gives to anybody who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where things listen, all on loopback."""

    sip: int
    ami: int
    agi: int
    metrics: int
    rtp_start: int = RTP_STARTS[0]

    @property
    def rtp_end(self) -> int:
        """The last of the RTP ports."""
        return self.rtp_start + RTP_PORTS - 1

    @classmethod
    def usual(cls) -> Ports:
        """Return the default ports."""
        return cls(sip=5060, ami=5038, agi=4573, metrics=9469)

    @classmethod
    def free(cls, *, preferred: bool = True) -> Ports:
        """Return the default ports, or free ones in place of those that are taken."""
        wanted = cls.usual() if preferred else cls(sip=0, ami=0, agi=0, metrics=0)
        return cls(
            sip=free_udp_port(preferred=wanted.sip),
            ami=free_tcp_port(preferred=wanted.ami),
            agi=free_tcp_port(preferred=wanted.agi),
            metrics=free_tcp_port(preferred=wanted.metrics),
            rtp_start=free_udp_range(RTP_STARTS, RTP_PORTS),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CityOptions:
    """How this center differs from what its config says."""

    phone: Callable[[OperatorPhone], OperatorPhone]
    """Gives each operator a password or a static contact."""
    trunks: tuple[Trunk, ...]
    external_id_header: str | None = "X-GKC-Call"
    restart: bool = True
    watchdog: bool = True
    log_level: str = "info"
    qualify_s: int = 30
    """How often a phone with a static contact is asked whether it is there."""
    adjust: Callable[[PbxPlan], PbxPlan] = lambda plan: plan
    tune: Callable[[Document], None] = lambda _document: None
    """Changes the city's own copy of each configuration file."""
    state: Path | None = None
    """Where the records lie; ``None`` = ``state`` under the run directory."""
    sockets: Path | None = None
    """Where the control socket lies; ``None`` = ``run`` under the state."""
    extra_pjsip: str = ""
    """Sections of pjsip.conf beside those of the plan."""
    extra_dialplan: str = ""
    """Contexts of extensions.conf beside those of the plan, as an administrator's own."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables that the configuration refers to, beside those that are made here."""


class City:
    """Prepares the files, starts and stops the processes."""

    def __init__(
        self, config: Path, run_dir: Path, install: Install, ports: Ports, options: CityOptions
    ) -> None:
        self.run_dir = run_dir
        self.ports = ports
        self.options = options
        self.asterisk = AsteriskProcess(install=install, run_dir=run_dir / "asterisk")
        self.folder = copy_tree(config, run_dir / "config", self._own_document)
        self.config: Config = load_config(self.folder)
        self.secret = secrets.token_urlsafe(24)
        self.pins = _pins(self.config)
        self.install = install
        self.state = options.state or run_dir / "state"
        self.sockets = options.sockets or self.state / "run"
        self.engine: asyncio.subprocess.Process | None = None

    def _own_document(self, name: str, document: Document) -> None:
        """Give a copied file the ports that this machine has free.

        Nothing is to be sent, nothing written where a real center has its records, and no other
        center of a real city asked.
        """
        for key in NOT_HERE:
            document.pop(key, None)
        for key in ("level", "parent", "status"):  # Of no use without the others.
            document.get("center", {}).pop(key, None)
        if name == "pbx.yaml":
            ports = self.ports
            document["pbx"] = {
                "ami": {
                    "host": "127.0.0.1",
                    "port": ports.ami,
                    "user": "gkc",
                    "secret": f"env:{SECRET_VARIABLE}",
                },
                "fastagi": {"host": "127.0.0.1", "port": ports.agi},
                "cel": str(self.asterisk.legs_csv),
                "cdr": str(self.asterisk.calls_csv),
            }
            document["metrics"] = {"host": "127.0.0.1", "port": ports.metrics}
        self.options.tune(document)

    @property
    def log(self) -> Path:
        """What the engine and its watchdog log."""
        return self.run_dir / "engine.log"

    def plan(self) -> PbxPlan:
        """Return what Asterisk's files are written from."""
        plan = plan_from_config(
            self.config, lambda _reference: self.secret, self.folder / "prompts"
        )
        return self.options.adjust(
            dataclasses.replace(
                plan,
                operators=tuple(self.options.phone(o) for o in plan.operators),
                trunks=self.options.trunks,
                sip_port=self.ports.sip,
                rtp_start=self.ports.rtp_start,
                rtp_end=self.ports.rtp_end,
                external_id_header=self.options.external_id_header,
                qualify_s=self.options.qualify_s,
            )
        )

    async def start_asterisk(self) -> None:
        """Write its files and boot it."""
        etc = render_standalone(
            self.plan(), install=self.install, run_dir=self.run_dir / "asterisk"
        )
        extras = {"pjsip": self.options.extra_pjsip, "extensions": self.options.extra_dialplan}
        for name, text in extras.items():
            with (etc / "gkc.d" / f"{name}.conf").open("a", encoding="utf-8") as file:
                file.write(text)
        await self.asterisk.start()

    async def start_engine(self) -> None:
        """Start the engine (under its watchdog, if so chosen) and wait until it answers."""
        options = self.options
        argv = [sys.executable, "-m", "gkc_engine", "run"]
        argv += ["--config", str(self.folder), "--state", str(self.state)]
        argv += ["--log-level", options.log_level]
        argv += [] if options.watchdog else ["--no-watchdog"]
        argv += [] if options.restart else ["--no-restart"]
        with self.log.open("ab") as output:
            self.engine = await asyncio.create_subprocess_exec(
                *argv,
                env=self.cli_environment() | self._secrets(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await self.wait_ready()

    def _secrets(self) -> dict[str, str]:
        return {**self.pins, **self.options.secrets, SECRET_VARIABLE: self.secret}

    async def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the engine answers on its socket and its AMI link is up.

        Raises:
            PeerError: it ended or was not ready in time; the end of its log is in the text.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not await asyncio.to_thread(self._ready):
                    if self.engine is not None and self.engine.returncode is not None:
                        raise PeerError(f"the engine ended at once:\n{self.tail()}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise PeerError(
                f"the engine was not ready in {timeout_s:g} s:\n{self.tail()}"
            ) from None

    def _ready(self) -> bool:
        try:
            rows = self.ask("engine.show")
        except (ControlError, OSError):
            return False
        return bool(isinstance(rows, list) and rows and rows[0]["ami_up"])

    def ask(self, method: str, **params: object) -> object:
        """Call a method of the control socket; blocks, so use a thread from a loop."""
        with ControlClient(socket_path(self.sockets)) as client:
            return client.call(method, params)

    def cli_environment(self) -> dict[str, str]:
        """Return the environment in which ``gkc queue show`` and the like find this engine."""
        return {**os.environ, RUN_DIRECTORY_VARIABLE: str(self.sockets)}

    @property
    def engine_pid(self) -> int:
        """The pid of the engine's worker itself, not of its watchdog."""
        rows = self.ask("engine.show")
        assert isinstance(rows, list)
        return int(rows[0]["pid"])

    async def stop_engine(self, grace_s: float = 4.0) -> None:
        """Ask the engine to end, then make it; its watchdog and worker are one group."""
        engine = self.engine
        if engine is None:
            return
        if engine.returncode is None:
            engine.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await engine.wait()
        self.kill_engine()
        await engine.wait()

    def kill_engine(self) -> None:
        """End the watchdog and its worker with SIGKILL, also a worker without its watchdog."""
        if self.engine is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.engine.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Stop both."""
        await self.stop_engine()
        await self.asterisk.stop()

    def tail(self, lines: int = 30) -> str:
        """Return the end of the engine's log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _pins(config: Config) -> dict[str, str]:
    """Return a PIN for each environment variable that an operator's ``pin`` names.

    A city of this machine starts with no secret given; what the environment holds is kept.
    """
    references = (operator.pin or "" for operator in config.operators.values())
    names = [r.removeprefix("env:") for r in references if r.startswith("env:")]
    return {name: os.environ.get(name) or f"{secrets.randbelow(10**6):06d}" for name in names}
