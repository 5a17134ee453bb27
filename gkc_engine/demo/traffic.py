"""The citizens of one center: dialled at their instants, and awaited until the last has hung up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from gkc_engine.demo.people import CALL_MAX_S, Arrival, Citizens
from gkc_engine.demo.rare import CALLS_OUT_EVERY_S
from gkc_engine.demo.waiting import happens
from gkc_engine.demo.world import OutsideWorld

DRAIN_S: Final = 58.0
"""After the last call was dialled; then whoever is still on the line is hung up."""

assert CALL_MAX_S < DRAIN_S

HANG_UP_S: Final = 2.0


class Traffic:
    """Who calls one center, and the operator who calls outside meanwhile."""

    def __init__(
        self,
        world: OutsideWorld,
        citizens: Citizens,
        *,
        rate: float,
        seconds: float | None,
        calls_out: bool,
    ) -> None:
        """Draw ``rate`` citizens a second for so many ``seconds``; ``None``: without an end.

        ``calls_out``: whether an operator calls outside meanwhile.
        """
        self._world = world
        self._calls_out = calls_out
        self._seconds = seconds
        self._arrivals = (
            citizens.endless(rate) if seconds is None else citizens.fixed(seconds, rate)
        )
        self.count = None if seconds is None else round(seconds * rate)
        """How many will call; ``None``: without an end."""

    async def run(self) -> None:
        """Let them call; return when the last was dialled and the last call outside is over."""
        seconds = self._seconds
        if seconds is None:
            async with self._out(itertools.count()):
                await self._dial(self._arrivals)
            return
        started = asyncio.get_running_loop().time()
        async with self._out(range(max(1, int(seconds / CALLS_OUT_EVERY_S)))) as out:
            await self._dial(self._arrivals)
            await out
        await asyncio.sleep(max(0.0, started + seconds - asyncio.get_running_loop().time()))

    @contextlib.asynccontextmanager
    async def _out(self, rounds: Iterable[object]) -> AsyncIterator[asyncio.Task[None]]:
        """Let operators call outside meanwhile, if they may; what is left is given up."""
        out = asyncio.create_task(self._world.call_out(rounds if self._calls_out else ()))
        try:
            yield out
        finally:
            out.cancel()

    async def _dial(self, arrivals: Iterable[Arrival]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for arrival in arrivals:
            await asyncio.sleep(max(0.0, started + arrival.at_s - loop.time()))
            await self._world.call(arrival.call)


async def drained(world: OutsideWorld, say: Callable[[str], None]) -> None:
    """Wait until the last citizen has hung up; then make the others."""

    async def nobody_on_the_line() -> bool:
        return await world.in_progress() == 0

    if await happens(nobody_on_the_line, DRAIN_S):
        return
    say("hanging up the citizens that are still on the line")
    await world.hang_up_all()
    await happens(nobody_on_the_line, HANG_UP_S)
