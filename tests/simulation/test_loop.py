"""Virtual time: it moves whenever somebody waits for it."""

from __future__ import annotations

import asyncio

from tests.simulation.loop import SimLoop


def test_a_wait_for_what_is_left_of_a_limit_ends() -> None:
    """Less than a microsecond may be left; time that stood still there turned in circles."""
    loop = SimLoop()  # type: ignore[abstract]

    async def wait() -> float:
        until = loop.time() + 0.2000003
        while (left := until - loop.time()) > 0:
            await asyncio.wait([loop.create_future()], timeout=left)
        return loop.time()

    assert 0.2 < loop.run_until_complete(wait()) < 0.21
    loop.close()
