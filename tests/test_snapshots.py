"""When the core's state is saved: after the start, with each config, with many steps; and again
after the ledger did not take it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from gkc_engine import snapshots as module
from gkc_engine.acd.core import Acd
from gkc_engine.acd.events import Event, SettingsApplied, Tick
from gkc_engine.config.loader import load_config
from gkc_engine.config.settings import to_settings
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step
from gkc_engine.ids import Instant
from gkc_engine.recorder.writer import DurableWriter
from gkc_engine.snapshots import STEPS_MAX, Snapshots
from tests.channels.world import CITY, T0
from tests.fakes.facts import Facts


class Ledger:
    """A writer that takes a snapshot or, as told, does not."""

    def __init__(self) -> None:
        self.refusals = 0
        self.asked: Facts[bool] = Facts()

    async def snapshot(self, _now: Instant, state: str) -> bool:
        assert state.startswith("{")
        taken = self.refusals == 0
        self.refusals = max(0, self.refusals - 1)
        self.asked.add(taken)
        return taken


class Core:
    """An engine that is always between two groups."""

    async def snapshot(
        self, encode: Callable[[Acd], str], save: Callable[[Instant, str], Awaitable[bool]]
    ) -> bool:
        return await save(T0, encode(Acd()))


@pytest.fixture(autouse=True)
def _times(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait but the hour's, which no test lives to see."""
    monkeypatch.setattr(module, "FIRST_S", 0.0)
    monkeypatch.setattr(module, "RETRY_S", 0.0)


def steps(event: Event, count: int = 1) -> list[Step]:
    return [Step(now=T0, event=event, source="core", source_key=None)] * count


@asynccontextmanager
async def running(ledger: Ledger, replayed: int = 0) -> AsyncIterator[Snapshots]:
    saves = Snapshots(cast(Engine, Core()), cast(DurableWriter, ledger), replayed)
    task = asyncio.get_running_loop().create_task(saves.run())
    try:
        yield saves
    finally:
        await end_tasks([task])


async def settled(ledger: Ledger) -> int:
    """Return how often the ledger was asked once nothing is left to do."""
    for _ in range(50):
        await asyncio.sleep(0)
    return len(ledger.asked.all)


async def test_each_config_is_saved_and_a_few_steps_are_not() -> None:
    ledger = Ledger()
    async with running(ledger) as saves:
        assert await settled(ledger) == 1
        saves.count(steps(Tick(), 10))
        assert await settled(ledger) == 1
        saves.count(steps(SettingsApplied(settings=to_settings(load_config(CITY)))))
        assert await settled(ledger) == 2


async def test_many_steps_are_saved_those_replayed_counted() -> None:
    ledger = Ledger()
    async with running(ledger, replayed=1) as saves:
        assert await settled(ledger) == 1
        saves.count(steps(Tick(), STEPS_MAX - 1))
        assert await settled(ledger) == 1
        saves.count(steps(Tick()))
        assert await settled(ledger) == 2


async def test_a_snapshot_that_was_not_taken_is_tried_again_until_it_is() -> None:
    ledger = Ledger()
    ledger.refusals = 3
    async with running(ledger):
        assert await settled(ledger) == 4
        assert ledger.asked.all == [False, False, False, True]


async def test_between_two_tries_there_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 3600.0)
    ledger = Ledger()
    ledger.refusals = 1
    async with running(ledger) as saves:
        assert await settled(ledger) == 1
        saves.count(steps(Tick(), STEPS_MAX))
        assert await settled(ledger) == 1, "a busy engine asks a ledger that is behind each time"
