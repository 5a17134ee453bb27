"""What tests on a real Asterisk share: one of ours with an outside world, AMI, an AGI to answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import Ami, FallbackQueue, OperatorPhone, OutsidePlan, PbxPlan
from gkc_engine.pbx.outside import CALL_HEADER, Headers, register_phone
from gkc_engine.pbx.process import AsteriskProcess
from gkc_engine.pbx.render import render_outside, render_standalone
from tests.ports import free_port

CITY = "+74957777777"
SECRET = "secret-of-tests"


def small_plan(*, title: str = "Иванова А. П.") -> PbxPlan:
    """Two operators (the first registers), two queues; ports as in production."""
    return PbxPlan(
        center="centr",
        ami=Ami(secret=SECRET),
        operators=(
            OperatorPhone(endpoint="101", agent_id="ivanova", title=title, password=SECRET),
            OperatorPhone(endpoint="102", agent_id="petrov", contact="sip:102@127.0.0.1:5070"),
        ),
        queues=(FallbackQueue(name="passport", number="601"), FallbackQueue(name="housing")),
        numbers=(CITY,),
        external_id_header=CALL_HEADER,
    )


class AmiClient:
    """The least AMI client a test needs: actions in turn, events kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._replies: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.events: list[dict[str, str]] = []
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def login(cls, ami: Ami) -> AmiClient:
        reader, writer = await asyncio.open_connection(ami.host, ami.port)
        await reader.readline()
        client = cls(reader, writer)
        reply = await client.send(
            [("Action", "Login"), ("Username", ami.user), ("Secret", ami.secret)]
        )
        assert reply["Response"] == "Success", reply
        return client

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                block = (await self._reader.readuntil(b"\r\n\r\n")).decode()
                message: dict[str, str] = {}
                for line in block.split("\r\n"):
                    name, _, value = line.partition(": ")
                    message[name] = f"{message[name]}|{value}" if name in message else value
                if "Response" in message:
                    self._replies.put_nowait(message)
                else:
                    self.events.append(message)

    async def send(self, headers: Headers) -> dict[str, str]:
        text = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._writer.write(f"{text}\r\n".encode())
        async with asyncio.timeout(20):
            return await self._replies.get()

    async def action(self, name: str, **headers: str) -> dict[str, str]:
        return await self.send([("Action", name), *headers.items()])

    async def beat(self, age_s: int = 0) -> None:
        await self.action(
            "Setvar", Variable="GKC_HEARTBEAT", Value=str(int(time.clock_gettime(0)) - age_s)
        )

    async def close(self) -> None:
        self._task.cancel()
        self._writer.close()


class AgiScript:
    """A FastAGI server that notes who came, and sends each the lines of a script."""

    def __init__(self) -> None:
        self.script: dict[str, tuple[str, ...]] = {}
        """Path of the URL -> commands; a session that has sent them all ends the socket."""
        self.stay: set[str] = set()
        """Paths whose sessions then keep the socket open and say nothing more."""
        self.calls: list[dict[str, str]] = []
        self.replies: list[str] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def die(self) -> None:
        """As a killed engine: nothing listens, every socket is closed."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            env: dict[str, str] = {}
            while line := (await reader.readline()).decode().strip():
                name, _, value = line.partition(": ")
                env[name] = value
            self.calls.append(env)
            path = env.get("agi_network_script", "")
            for command in self.script.get(path, ()):
                writer.write(f"{command}\n".encode())
                self.replies.append((await reader.readline()).decode().strip())
            while path in self.stay and await reader.readline():
                pass
        writer.close()

    def paths(self) -> list[str]:
        return [call["agi_network_script"] for call in self.calls]


@dataclass(slots=True, kw_only=True)
class City:
    """A running center and its outside world."""

    plan: PbxPlan
    center: AsteriskProcess
    outside: AsteriskProcess
    ami: AmiClient
    world: AmiClient
    agi: AgiScript = field(default_factory=AgiScript)
    _read: dict[Path, int] = field(default_factory=dict)
    """How much of each file is of the cases before, in bytes."""

    @property
    def queue_log(self) -> str:
        """What this case has in the native queue_log."""
        return self._new(self.center.queue_log)

    async def legs(self, kind: str, text: str) -> bool:
        """Whether the center's CEL holds a row of ``kind`` with ``text`` in it, of this case."""
        rows = self._new(self.center.legs_csv).splitlines()
        return any(row.startswith(f'"{kind}"') and text in row for row in rows)

    def _new(self, path: Path) -> str:
        whole = path.read_bytes() if path.exists() else b""
        return whole[self._read.get(path, 0) :].decode()

    async def clear(self) -> None:
        """End every call and take back what a case has set: the next one begins as the first."""
        for asterisk in (self.center, self.outside):
            await asterisk.cli("channel request hangup all")
        for asterisk in (self.center, self.outside):
            await until(lambda at=asterisk: _silent(at))  # type: ignore[misc]
        await self.agi.die()
        self.agi = AgiScript()
        await self.agi.listen(self.plan.fastagi_port)
        await self.ami.action("Setvar", Variable="GKC_HEARTBEAT", Value="")
        await self.ami.action("QueueRemove", Queue="gkc-default", Interface="PJSIP/102")
        for name in ("PHONE_DEFAULT", "PHONE_DEFAULT_101"):
            await self.world.action("Setvar", Variable=name, Value="")
        if not await _reachable(self):
            await self.world.send(register_phone("101"))
            await until(lambda: _reachable(self))
        self.ami.events.clear()
        for path in (self.center.queue_log, self.center.legs_csv):
            self._read[path] = path.stat().st_size if path.exists() else 0


async def until(what: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    """Wait for a fact; fail when it does not come."""
    async with asyncio.timeout(seconds):
        while True:
            if await what():
                return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running_center(
    install: Install, folder: Path, plan: PbxPlan | None = None
) -> AsyncIterator[tuple[PbxPlan, AsteriskProcess]]:
    """One Asterisk of ours on free ports."""
    plan = with_free_ports(plan or small_plan())
    render_standalone(plan, install=install, run_dir=folder)
    async with AsteriskProcess(install=install, run_dir=folder) as process:
        yield plan, process


def with_free_ports(plan: PbxPlan) -> PbxPlan:
    return replace(
        plan,
        ami=replace(plan.ami, port=free_port()),
        fastagi_port=free_port(),
        sip_port=free_port(plan.sip_host),
        rtp_start=26000,
        rtp_end=28999,
    )


@contextlib.asynccontextmanager
async def running_city(
    install: Install, folder: Path, plan: PbxPlan | None = None
) -> AsyncIterator[City]:
    """A center and an outside world whose phones answer after a moment."""
    base = plan or small_plan()
    sip_port = free_port("127.0.0.11")
    base = replace(
        base,
        qualify_s=3,  # a phone that missed its first question, for it boots slowly, is asked again
        operators=tuple(_moved(phone, sip_port) for phone in base.operators),
    )
    async with contextlib.AsyncExitStack() as stack:
        moved, center = await stack.enter_async_context(
            running_center(install, folder / "center", base)
        )
        outside_plan = OutsidePlan(
            ami=Ami(user="demo", secret=SECRET, port=free_port()),
            center_port=moved.sip_port,
            sip_port=sip_port,
            rtp_start=29000,
            rtp_end=31999,
            phones=moved.operators,
        )
        render_outside(outside_plan, install=install, run_dir=folder / "outside")
        outside = await stack.enter_async_context(
            AsteriskProcess(install=install, run_dir=folder / "outside")
        )
        ami = await AmiClient.login(moved.ami)
        stack.push_async_callback(ami.close)
        world = await AmiClient.login(outside_plan.ami)
        stack.push_async_callback(world.close)
        city = City(plan=moved, center=center, outside=outside, ami=ami, world=world)
        await city.agi.listen(moved.fastagi_port)
        stack.push_async_callback(lambda: city.agi.die())  # of the last case
        await until(lambda: _reachable(city))
        yield city


def _moved(phone: OperatorPhone, port: int) -> OperatorPhone:
    if phone.contact is None:
        return phone
    return replace(phone, contact=f"sip:{phone.endpoint}@127.0.0.1:{port}")


async def _silent(asterisk: AsteriskProcess) -> bool:
    return "0 active channels" in await asterisk.cli("core show channels count")


async def _reachable(city: City) -> bool:
    contacts = await city.center.cli("pjsip show contacts")
    return contacts.count("Avail") == len(city.plan.operators)


LATE_MODULE = "registered during operation. Enable PJSIP_SAFE_MODULE"
"""PJSIP's own warning that a module of Asterisk's came when it was at work already: seen once, at a
boot on a machine with much else to do. The order is Asterisk's; nothing of ours asks for it."""


def complaints(log: Path) -> list[str]:
    """Return the warnings and errors of an Asterisk's log."""
    return [
        line
        for line in log.read_text().splitlines()
        if ("WARNING" in line or "ERROR" in line) and LATE_MODULE not in line
    ]


def lines(text: str) -> list[str]:
    """The lines of an Asterisk file without comments and blanks at their ends."""
    stripped: Iterable[str] = (line.partition(" ;")[0].rstrip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith(";")]
