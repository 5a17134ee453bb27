"""Saves the core's state now and then: a restart replays only what came after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from gkc_engine.engine import Engine, Step
from gkc_engine.recorder.writer import DurableWriter

STEPS_MAX: Final = 5_000
"""A restart replays at most about so many steps: a fraction of a second."""

EVERY_S: Final = 3600.0

FIRST_S: Final = 5.0
"""After a start: who waits for a decision comes before what only the next restart needs."""


class Snapshots:
    """One after the start, one an hour, and one whenever many steps have come since the last."""

    def __init__(self, engine: Engine, writer: DurableWriter, replayed: int) -> None:
        """``replayed``: steps that this start had to take again after the last snapshot."""
        self._engine = engine
        self._writer = writer
        self._unsaved = replayed
        self._due = asyncio.Event()

    def count(self, steps: Sequence[Step]) -> None:
        """Note committed steps; an observer of the engine."""
        self._unsaved += len(steps)
        if self._unsaved >= STEPS_MAX:
            self._due.set()

    async def run(self) -> None:
        """Save until cancelled."""
        wait_s = FIRST_S
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), wait_s)
            self._due.clear()
            await self._save()
            wait_s = EVERY_S

    async def _save(self) -> None:
        self._unsaved = 0
        await self._engine.snapshot(
            lambda acd: msgspec.json.encode(acd.snapshot()).decode(), self._writer.snapshot
        )
