"""Before the first citizen calls: the operators come to work, and one citizen is blocked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Final

from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import socket_path
from gkc_engine.demo.city import City
from gkc_engine.demo.rare import BLOCKED_NUMBER
from gkc_engine.demo.waiting import happens
from gkc_engine.errors import PeerError

STAFF_S: Final = 15.0
"""For the operators to log in and their phones to be seen."""

STAFF_TRIES: Final = 5
"""How often within it Asterisk is told to ask the phones that it has not reached."""


async def staff(city: City, phones: Mapping[str, str], on_break: Collection[str]) -> list[str]:
    """Log operators in and wait until all can be rung; return who cannot be.

    ``phones``: the endpoint of each. ``on_break``: who of them takes a break at once.
    """

    def log_in() -> None:
        with ControlClient(socket_path(city.sockets)) as client:
            for agent in phones:
                client.call("agent.login", {"agent": agent})
            for agent in sorted(phones.keys() & set(on_break)):
                client.call("agent.pause", {"agent": agent, "reason": "advice"})

    await asyncio.to_thread(log_in)
    away = phones.keys() - set(on_break)

    async def all_ready() -> bool:
        rows = await asyncio.to_thread(city.ask, "agent.show")
        assert isinstance(rows, list)
        away.difference_update(row["agent_id"] for row in rows if row["state"] == "ready")
        return not away

    for _ in range(STAFF_TRIES):
        if await happens(all_ready, STAFF_S / STAFF_TRIES):
            return []
        # Asterisk may have asked before the phone was up, and asks again in half a minute.
        for agent in sorted(away):
            with contextlib.suppress(PeerError):
                await city.asterisk.cli(f"pjsip qualify {phones[agent]}")
    await happens(all_ready, STAFF_S / STAFF_TRIES)
    return sorted(away)


async def shut_the_door(city: City) -> None:
    """Put the citizen who is planned for it on the block list, before he calls."""
    blocked = {"citizen": {"number": BLOCKED_NUMBER}, "why": {"reason": "demo"}}
    await asyncio.to_thread(city.ask, "citizen.block", **blocked)
