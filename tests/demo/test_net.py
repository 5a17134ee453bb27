"""Hub, leaf nodes and lines of a demo: a cut line is given up, and used once it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from gkc_engine.bus.config import LINK_USER
from gkc_engine.clock import SystemClock
from gkc_engine.demo.centers_net import Net
from gkc_engine.endings import end_tasks
from gkc_engine.errors import GkcError
from tests.ports import free_port

RESUMED_S = 10.0


@pytest_asyncio.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    net = Net(
        tmp_path, {name: free_port() for name in ("centr", "sever", "yug")}, SystemClock().now
    )
    await net.start()
    yield net
    await net.stop()


async def engine_of(net: Net, name: str) -> Client:
    """Speak with a leaf node as its center's engine does."""
    url = f"nats://127.0.0.1:{net.leaf_ports[name]}"
    return await nats.connect(url, user=LINK_USER, password=net.secret, allow_reconnect=False)


class Ear:
    """Notes the last words that a center's engine heard."""

    def __init__(self) -> None:
        self.words = b""
        self.came = asyncio.Event()

    async def hear(self, message: Msg) -> None:
        self.words = message.data
        self.came.set()


async def heard_after(speaker: Client, ear: Ear, limit_s: float) -> float:
    """Say something again and again until it is heard; return how long that took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    words = str(begun).encode()  # what was said before may come late, also past a line cut since
    async with asyncio.timeout(limit_s):
        while ear.words != words:
            ear.came.clear()
            await speaker.publish("gkc.load.sever", words)
            await speaker.flush()
            await asyncio.wait([loop.create_task(ear.came.wait())], timeout=0.05)
    return loop.time() - begun


@pytest.mark.parametrize("cut_s", [0.5, 6.0])
async def test_a_line_that_was_cut_without_a_word_is_used_again_within_10_s(
    net: Net, cut_s: float
) -> None:
    """However short the cut, what was connected stays dead, and nobody says so.

    However long, no leaf node finds a way round it, though the hub tells where it is.
    """
    ear = Ear()
    sever, yug = await engine_of(net, "sever"), await engine_of(net, "yug")
    try:
        await yug.subscribe("gkc.load.*", cb=ear.hear)
        await heard_after(sever, ear, 20)
        net.cable("sever").cut()
        assert net.parted == ["sever"]
        with pytest.raises(TimeoutError):
            await heard_after(sever, ear, cut_s)
        net.cable("sever").heal()
        assert await heard_after(sever, ear, 20) < RESUMED_S
    finally:
        await sever.close()
        await yug.close()


async def test_a_killed_hub_is_started_again(net: Net) -> None:
    said: list[str] = []
    told = asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    reviving = asyncio.create_task(net.revive(say))
    await asyncio.sleep(0)
    before = net.hub.pid
    await net.hub.kill()
    async with asyncio.timeout(40):
        await told.wait()
        ear = Ear()
        sever, yug = await engine_of(net, "sever"), await engine_of(net, "yug")
        await yug.subscribe("gkc.load.*", cb=ear.hear)
        await heard_after(sever, ear, 20)
    assert net.hub.pid not in (None, before)
    assert said == ["the hub ended (status -9); started again in 1 s"]
    await end_tasks([reviving])
    await sever.close()
    await yug.close()


async def test_a_center_that_is_not_there_is_named(net: Net) -> None:
    with pytest.raises(GkcError, match="found 'zapad', expected one of centr, sever, yug"):
        net.cable("zapad")


async def test_each_center_is_called_by_a_port_of_its_own(net: Net) -> None:
    ports = [port for name in net.names for port in net.trunks(name).values()]
    assert len(set(ports)) == 6
    assert set(net.trunks("sever")) == {"centr", "yug"}


async def test_the_secrets_of_the_records_are_for_this_user_only(net: Net) -> None:
    files = {name: said.removeprefix("file:") for name, said in net.secret_files().items()}
    modes, secrets = await asyncio.to_thread(_read, files)
    assert secrets == net.hub_secrets
    assert not any(mode & 0o077 for mode in modes)


def _read(files: dict[str, str]) -> tuple[list[int], dict[str, str]]:
    return (
        [Path(path).stat().st_mode for path in files.values()],
        {name: Path(path).read_text(encoding="utf-8") for name, path in files.items()},
    )
