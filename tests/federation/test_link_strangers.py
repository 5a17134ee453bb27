"""A link and something on its leaf node's port that is no nats-server, or one that refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gkc_engine.endings import end_tasks
from gkc_engine.errors import PeerError
from gkc_engine.federation import link as module
from gkc_engine.federation.protocol import Send
from gkc_engine.federation.settings import FederationSettings, LinkSettings
from gkc_engine.shipping.line import line
from tests.federation.centers import Node, until
from tests.ports import free_port

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

INFO = b'INFO {"server_id":"x","version":"2.12.8","max_payload":%d}\r\n'


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """Run a server that speaks as the test wants; give its port."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(one, "127.0.0.1", port):
        yield port


@asynccontextmanager
async def joined(port: int) -> AsyncIterator[tuple[Node, asyncio.Task[None]]]:
    """Run a center whose leaf node is said to be there; give its link's task, too."""
    part = FederationSettings(center="centr", peers=("sever",))
    node = Node(part, LinkSettings(urls=(f"nats://127.0.0.1:{port}",)), 1)
    tasks = await node.start()
    try:
        yield node, tasks[1]
    finally:
        await end_tasks(tasks)


@pytest.fixture(
    params=[
        b"INFO\r\n",
        b"INFO 5\r\n",
        b'INFO {"connect_urls":[5]}\r\n',
        b"\xff\xfe\r\n",
        b"x" * 200_000,
    ],
    ids=["no words", "a number", "odd words", "no text", "no end"],
)
def said(request: pytest.FixtureRequest) -> bytes:
    """What something says that is no nats-server."""
    found: bytes = request.param
    return found


async def test_what_is_no_nats_ends_no_engine(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    came = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        writer.write(said)
        await writer.drain()
        await reader.read()

    async with serving(talk) as port, joined(port) as (node, running):
        # The engine ends with this task (``app.Application._task_done``).
        await until(lambda: came > 2 or running.done())
        assert not running.done(), running.exception()
        assert f"127.0.0.1:{port}" in node.link.problem
        assert not node.link.up


async def test_records_are_told_the_same_of_it(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        await reader.read()

    async with serving(talk) as port:
        to = LinkSettings(urls=(f"nats://127.0.0.1:{port}",))
        with pytest.raises(PeerError, match=f"127.0.0.1:{port}"):
            async with line(to, "gkc", None):
                pass


async def test_a_leaf_that_takes_no_message_of_ours_is_not_taken_for_a_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO % 10)  # Less than any load takes.
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")

    async with serving(talk) as port, joined(port) as (node, running):
        await until(lambda: node.link.connects > 0)
        node.link._post(Send("sever", b"x" * 100))
        await until(lambda: node.link.connects > 1)
        await until(lambda: "payload" in node.link.problem)
        assert not running.done()
