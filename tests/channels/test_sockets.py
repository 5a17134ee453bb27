"""What is logged of a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

import structlog
from structlog.contextvars import merge_contextvars

from gkc_engine.channels.phone.calls import Call
from gkc_engine.errors import PeerError
from gkc_engine.ivr.fastagi import AgiSession
from tests.channels.world import leg, world


class Broken:
    """A socket on which every command fails."""

    def __init__(self, uniqueid: str) -> None:
        self.uniqueid, self.closed = uniqueid, SimpleNamespace(is_set=lambda: True)
        self.request = SimpleNamespace(path="/queue/passport", arguments=())

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def fails(*_arguments: object, **_more: object) -> None:
            raise PeerError(f"{name}: no answer")

        return fails


async def test_every_line_about_a_citizens_socket_names_his_contact() -> None:
    async with world(agents=[]) as here:
        contact_id = await here.waiting(1, 1)
        here.channel.calls.add(
            Call(contact_id=contact_id, leg=leg(1), channel="", entry="", language="ru")
        )
        with structlog.testing.capture_logs(processors=[merge_contextvars]) as logs:
            await here.channel.sockets.serve(cast(AgiSession, Broken(leg(1))))
        (line,) = [entry for entry in logs if entry["event"] == "agi_failed"]
        assert line["contact_id"] == contact_id
