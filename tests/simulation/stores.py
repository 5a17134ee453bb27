"""Where the simulated engine's history is kept: in memory (fast), or by the real recorder."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

import msgspec

from gkc_engine.acd.commands import Command
from gkc_engine.acd.core import Acd
from gkc_engine.acd.events import ContactStarted, Event, SettingsApplied
from gkc_engine.acd.settings import Settings
from gkc_engine.engine import Step as EngineStep
from gkc_engine.ids import Instant, OfferId
from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import decode, encode, kind_of
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.numbers import parts_of
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recorder.recovery import steps as recorded_steps
from gkc_engine.recorder.rows import Step
from gkc_engine.recorder.writer import DurableWriter
from tests.recorder import rolled

JOURNAL_BYTES = 4 * 1024 * 1024


class Store(Protocol):
    """History that outlives a killed engine."""

    async def open(self) -> tuple[object, Recovery]:
        """Open for a new engine: its writer, and what the last one left."""
        ...

    def steps(self) -> list[Step]:
        """Everything committed, in order."""
        ...

    def encode(self, acd: Acd) -> str:
        """Write the core's state down."""
        ...

    async def snapshot(self, now: Instant, state: str) -> bool:
        """Keep it."""
        ...

    def kill(self) -> None:
        """The engine that had it open was killed."""
        ...


def digest(steps: Sequence[Step]) -> str:
    """Return a hash of everything that was decided and recorded, byte for byte."""
    found = hashlib.sha256()
    for step in steps:
        found.update(f"{step.now} {step.source} {step.source_key}\n".encode())
        for message in (step.event, *step.commands):
            found.update(f"{kind_of(message)} {encode(message)}\n".encode())
    return found.hexdigest()


class MemoryStore:
    """Commits into a list; each takes a little while, so that a kill can fall before and after."""

    accepting = True

    def __init__(self, rng: random.Random) -> None:
        self.rows: list[tuple[int, str, str | None, str, list[tuple[str, str]]]] = []
        self.state: tuple[int, str] | None = None
        self.slow_s: Callable[[], float] = lambda: rng.uniform(0.0005, 0.002)
        self.at_write: Callable[[str, Sequence[EngineStep]], None] = lambda _phase, _steps: None
        """Told ``before`` and ``after`` each commit: where a kill is to fall."""

    async def open(self) -> tuple[object, Recovery]:
        await asyncio.sleep(0.05)
        steps = self.steps()
        settings: Settings | None = None
        numbers: dict[int, int] = {}
        for step in steps:
            if isinstance(step.event, SettingsApplied):
                settings = step.event.settings
            if isinstance(step.event, ContactStarted):
                year, sequence = parts_of(step.event.number)
                assert year is not None
                assert sequence is not None
                numbers[year] = max(sequence, numbers.get(year, 0))
        taken = 0 if self.state is None else self.state[0]
        return self, Recovery(
            snapshot_state=None if self.state is None else self.state[1],
            snapshot_seq=taken,
            snapshot_engine=None,
            tail=steps[taken:],
            recent_source_keys=[(s.source, s.source_key) for s in steps if s.source_key],
            last_numbers=numbers,
            next_offer_id=OfferId(1),
            settings=settings,
            last_now=steps[-1].now if steps else Instant(0),
        )

    async def write(self, steps: Sequence[EngineStep]) -> None:
        await asyncio.sleep(self.slow_s())
        self.at_write("before", steps)
        await asyncio.sleep(0)  # a process that was killed just now does not come back from here
        for step in steps:
            messages = [(kind_of(m), encode(m)) for m in (step.event, *step.commands)]
            self.rows.append(
                (step.now, step.source, step.source_key, step.config_version, messages)
            )
        self.at_write("after", steps)
        await asyncio.sleep(0.0003)

    def steps(self) -> list[Step]:
        found: list[Step] = []
        for now, source, key, version, messages in self.rows:
            event, *commands = (decode(kind, data) for kind, data in messages)
            found.append(
                Step(
                    now=Instant(now),
                    event=cast(Event, event),
                    source=source,
                    source_key=key,
                    commands=[cast(Command, c) for c in commands],
                    config_version=version,
                )
            )
        return found

    def encode(self, acd: Acd) -> str:
        return msgspec.json.encode(acd.snapshot()).decode()

    async def snapshot(self, now: Instant, state: str) -> bool:
        del now
        self.state = len(self.rows), state
        return True

    def kill(self) -> None:
        """Memory holds."""


class RealStore:
    """The real recorder on SQLite files; its threads run in virtual time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.writer: DurableWriter | None = None
        self._ledger: Ledger | None = None
        self._journal: Journal | None = None
        self.broken: Callable[[], bool] = lambda: False

    async def open(self) -> tuple[object, Recovery]:
        url = schema.sqlite_url(str(self._folder / "gkc.sqlite"))
        self._ledger = Ledger(url, "centr")
        self._journal = Journal(self._folder / "emergency.journal", size=JOURNAL_BYTES)
        self.writer = DurableWriter(self._ledger, self._journal)
        await self.writer.open()
        return self.writer, await self._ledger.load()

    def steps(self) -> list[Step]:
        assert self._ledger is not None
        with self._ledger.store.engine.connect() as connection:
            return list(recorded_steps(connection))

    def encode(self, acd: Acd) -> str:
        return msgspec.json.encode(acd.snapshot()).decode()

    async def snapshot(self, now: Instant, state: str) -> bool:
        assert self.writer is not None
        return await self.writer.snapshot(now, state)

    def findings(self) -> list[str]:
        """What the roll-ups tell otherwise than the contacts that they are made of."""
        assert self._ledger is not None
        with self._ledger.store.engine.connect() as connection:
            kept, told = rolled.stands(connection), rolled.counted(connection)
        return [
            f"roll-up {key}: {kept.get(key)}, by the contacts {told.get(key)}"
            for key in kept.keys() | told.keys()
            if kept.get(key) != told.get(key)
        ]

    def kill(self) -> None:
        """What the operating system does: locks and files of the dead process are let go."""
        assert self._ledger is not None
        assert self._journal is not None
        self._ledger.store.close()
        self._journal.close()
