"""Actions that nobody waits for: in order, and the urgent ones not behind the others."""

from __future__ import annotations

import asyncio
from typing import cast

from gkc_engine.channels.phone import jobs
from gkc_engine.channels.phone.ami import AmiLink, AmiTimeout


class Slow:
    """A link on which nothing but `free` actions is answered until it is let go."""

    up = True

    def __init__(self, *free: str) -> None:
        self.said: list[tuple[str, str]] = []
        self._free = free
        self.go = asyncio.Event()

    async def action(self, name: str, /, **fields: object) -> None:
        self.said.append((name, str(fields.get("N", ""))))
        if name not in self._free:
            await self.go.wait()
            raise AmiTimeout(name)


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_lease_and_a_hang_up_do_not_wait_for_a_shift_that_logs_in() -> None:
    ami = Slow("Setvar", "Hangup")
    line = jobs.AmiJobs(cast(AmiLink, ami))
    line.start()
    for n in range(1000):
        line.put("QueueAdd", N=str(n))
    line.put("Setvar", N="1")
    line.put("Hangup", N="2")
    line.put("Setvar", N="3")
    await turns()
    urgent = [said for said in ami.said if said[0] != "QueueAdd"]
    assert urgent == [("Setvar", "1"), ("Hangup", "2"), ("Setvar", "3")]
    assert [said for said in ami.said if said[0] == "QueueAdd"] == [("QueueAdd", "0")]
    await line.stop()


async def test_the_others_keep_their_order_over_one_that_timed_out() -> None:
    ami = Slow()
    line = jobs.AmiJobs(cast(AmiLink, ami))
    line.start()
    for n, action in enumerate(("QueueAdd", "QueuePause", "QueueRemove")):
        line.put(action, N=str(n))
    await turns()
    assert ami.said == [("QueueAdd", "0")]
    ami.go.set()
    await turns()
    assert [name for name, _ in ami.said] == ["QueueAdd", "QueuePause", "QueueRemove"]
    assert line.failed_total == 3
    await line.stop()


async def test_both_lanes_are_bounded() -> None:
    line = jobs.AmiJobs(cast(AmiLink, Slow()))
    for _ in range(jobs.JOBS_MAX + 1):
        line.put("QueueAdd")
    assert line.dropped_total == 1
    for _ in range(jobs.URGENT_MAX + 2):
        line.put("Setvar")
    assert line.dropped_total == 3
