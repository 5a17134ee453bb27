"""Peers that are no Asterisk, slow ones and too many, at the FastAGI port."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import suppress

import pytest

from gkc_engine.ivr.fastagi import (
    AgiServer,
)
from tests.fakes.agi import FakeCall
from tests.ivr.test_fastagi import server

# --- hostile peers


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff" * 100,
        b"agi_" + b"x" * 20_000,
        b"agi_x: 1\n\n" + b"what\n" * 200,
        b"agi_x: 1\n\n200 result=1 (" + b"x" * 70_000,
    ],
)
async def test_garbage_closes_only_its_own_socket(data: bytes) -> None:
    async with server() as made:
        good = await FakeCall.dial(made.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        writer.write(data)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert not good.closed.is_set()


async def test_connect_and_close_costs_nothing() -> None:
    async with server() as made:
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", made.port)
            writer.close()
            await writer.wait_closed()
        before = time.process_time()
        fake = await FakeCall.dial(made.port)
        await asyncio.sleep(0.2)
        # A busy loop, panoramisk's answer to this, would take all of the 0.2 s.
        assert time.process_time() - before < 0.1
        assert not fake.closed.is_set()


async def test_half_a_header_and_end_of_file_closes() -> None:
    async with server() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        writer.write(b"agi_network: yes\n")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_slow_header_is_not_waited_for() -> None:
    async with server(header_timeout=0.4) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        for char in b"agi_network":
            writer.write(bytes([char]))
            await asyncio.sleep(0.001)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        fake = await FakeCall.dial(made.port)
        await asyncio.sleep(0.5)
        assert not fake.closed.is_set()  # the limit is for the header only


async def test_too_many_sessions_are_refused_and_the_others_live() -> None:
    async with server(max_sessions=2) as made:
        calls = [await FakeCall.dial(made.port) for _ in range(3)]
        await asyncio.wait_for(calls[2].closed.wait(), 5)
        assert made.refused_total == 1
        assert made.sessions == 2
        await calls[0].hang_up()
        again = await FakeCall.dial(made.port)
        await asyncio.sleep(0.05)
        assert not again.closed.is_set()


def test_a_burst_of_calls_does_not_find_the_door_shut() -> None:
    """Connections beyond the backlog wait a second for the kernel's next try (telephony)."""
    backlog = inspect.signature(AgiServer).parameters["backlog"].default
    assert backlog >= 1024
