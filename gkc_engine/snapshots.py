"""Saves the core's state now and then: a restart replays only what came after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from gkc_engine.acd.events import SettingsApplied
from gkc_engine.engine import Engine, Step
from gkc_engine.recorder.writer import DurableWriter

STEPS_MAX: Final = 5_000
"""A restart replays at most about so many steps: a fraction of a second."""

EVERY_S: Final = 3600.0

FIRST_S: Final = 5.0
"""After a start: who waits for a decision comes before what only the next restart needs."""


RETRY_S: Final = 5.0
"""While the ledger is behind, it takes none."""


class Snapshots:
    """One after the start, each hour, with each config, and when many steps have come since."""

    def __init__(self, engine: Engine, writer: DurableWriter, replayed: int) -> None:
        """``replayed``: steps that this start had to take again after the last snapshot."""
        self._engine = engine
        self._writer = writer
        self._unsaved = replayed
        self._due = asyncio.Event()

    def count(self, steps: Sequence[Step]) -> None:
        """Note committed steps; an observer of the engine."""
        self._unsaved += len(steps)
        applied = any(isinstance(step.event, SettingsApplied) for step in steps)
        if applied or self._unsaved >= STEPS_MAX:
            self._due.set()

    async def run(self) -> None:
        """Save until cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            self._due.clear()
            if not await self._save():
                await asyncio.sleep(RETRY_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._due.wait()

    async def _save(self) -> bool:
        self._unsaved = 0
        return await self._engine.snapshot(
            lambda acd: msgspec.json.encode(acd.snapshot()).decode(), self._writer.snapshot
        )
