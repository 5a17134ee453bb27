"""What is left of a connection that was let go of."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from gkc_engine.bus.config import LINK_USER
from gkc_engine.federation.connection import abort, connect
from tests.federation.centers import SECRET, buses


async def test_a_connection_that_is_let_go_of_leaves_no_task(tmp_path: Path) -> None:
    async def heard(_message: Msg) -> None: ...

    async with buses(tmp_path, ("centr",)) as city:
        before = asyncio.all_tasks()
        client = Client()
        url = f"nats://127.0.0.1:{city.leaves['centr'].port}"
        options = {"servers": url, "user": LINK_USER, "password": SECRET, "allow_reconnect": False}
        await connect(client, options)
        await client.subscribe("gkc.load.*", cb=heard)
        abort(client)
        async with asyncio.timeout(5):
            while asyncio.all_tasks() - before:  # noqa: ASYNC110
                await asyncio.sleep(0)
