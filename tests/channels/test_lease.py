"""All leases are renewed in time, from one timer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, cast

from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.lease import LEASE_EVERY_S, LEASE_S, TOGETHER_S, Leases
from gkc_engine.ids import ContactId
from tests.simulation.loop import SimLoop


class Agi:
    """Notes when it was told to renew."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.renewed: list[float] = []

    def lease(self, seconds: int) -> bool:
        assert seconds == LEASE_S
        self.renewed.append(self._loop.time())
        return True


def run(work: Callable[[SimLoop, Leases], Any]) -> None:
    loop = SimLoop()  # type: ignore[abstract]
    try:
        loop.run_until_complete(work(loop, Leases()))
    finally:
        loop.close()


def call(number: int, *, leased: bool = True) -> Call:
    return Call(contact_id=ContactId(f"c{number}"), leg=str(number), channel="x", leased=leased)


def test_nobody_is_forgotten_however_many_come_and_go() -> None:
    async def work(loop: SimLoop, leases: Leases) -> None:
        agis: dict[int, Agi] = {}
        gone: dict[int, float] = {}
        begun: dict[int, float] = {}
        for number in range(60):
            agis[number] = agi = Agi(loop)
            begun[number] = loop.time()
            leases.keep(call(number), cast(Any, agi))
            if number % 3 == 2:
                leases.drop(cast(Any, agis[number - 1]))
                gone[number - 1] = loop.time()
            await asyncio.sleep(0.07)
        await asyncio.sleep(10)
        end = loop.time()
        for number, agi in agis.items():
            told = [begun[number], *agi.renewed, gone.get(number, end)]
            pauses = [b - a for a, b in itertools.pairwise(told)]
            assert max(pauses) <= LEASE_EVERY_S + TOGETHER_S + 0.001, number
            assert all(at <= gone.get(number, end) for at in agi.renewed), number

    run(work)


def test_who_has_no_lease_gets_none() -> None:
    async def work(loop: SimLoop, leases: Leases) -> None:
        agi = Agi(loop)
        leases.keep(call(1, leased=False), cast(Any, agi))
        await asyncio.sleep(10)
        assert agi.renewed == []

    run(work)


def test_it_begins_anew_after_nobody_waited() -> None:
    async def work(loop: SimLoop, leases: Leases) -> None:
        first, second = Agi(loop), Agi(loop)
        leases.keep(call(1), cast(Any, first))
        leases.drop(cast(Any, first))
        await asyncio.sleep(10)
        leases.keep(call(2), cast(Any, second))
        await asyncio.sleep(2.5 * LEASE_EVERY_S)
        assert first.renewed == []
        assert len(second.renewed) == 2

    run(work)


def test_one_renewal_may_be_late_by_half_a_second() -> None:
    assert 2 * LEASE_EVERY_S + TOGETHER_S + 0.5 < LEASE_S
