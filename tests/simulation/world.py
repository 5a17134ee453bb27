"""One simulated history from a seed: the city, its citizens, its troubles, its engine."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from gkc_engine.channels.phone.facts import FALLBACK_PREFIX
from tests.fakes.asterisk import Asterisk
from tests.fakes.asterisk_agi import AgiClient
from tests.fakes.asterisk_ami import Manager
from tests.fakes.asterisk_people import Citizen, Manners, OperatorPhone, Plan
from tests.fakes.asterisk_queue import NativeQueues
from tests.simulation import city
from tests.simulation.center import AGI_PORT, AMI_PORT, EPOCH_US, Center
from tests.simulation.loop import Process, SimLoop
from tests.simulation.network import Network
from tests.simulation.stores import MemoryStore, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many citizens, how soon after one another, how patient."""

    calls: int = 50
    per_s: float = 0.6
    patience_s: tuple[float, float] = (8.0, 70.0)
    talk_s: tuple[float, float] = (1.0, 18.0)


@dataclass(slots=True)
class World:
    """Everything of one history."""

    seed: int
    load: Load = field(default_factory=Load)
    manners: Manners = field(default_factory=Manners)
    store: Store | None = None
    cel: Path | None = None
    """Where Asterisk lists its legs; ``None`` = it does not."""
    loop: SimLoop = field(init=False)
    pbx: Asterisk = field(init=False)
    queues: NativeQueues = field(init=False)
    manager: Manager = field(init=False)
    agi: AgiClient = field(init=False)
    phones: list[OperatorPhone] = field(init=False)
    citizens: list[Citizen] = field(init=False)
    centers: list[Center] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    """What went wrong, how often."""
    machine: Process = field(init=False)
    """Asterisk and the people: nobody kills them."""

    _legs: TextIO | None = None

    def __post_init__(self) -> None:
        self.loop = SimLoop()  # type: ignore[abstract]
        Network(self.loop, self.rng("network"))
        self.machine = Process(self.loop, "asterisk")
        if self.store is None:
            self.store = MemoryStore(self.rng("disk"))
        disk = self.rng("threads")
        self.loop.disk_us = lambda: disk.randint(300, 1500)

    def rng(self, name: str) -> random.Random:
        """Return randomness of one part: what one part draws changes nothing for another."""
        return random.Random(f"{self.seed}/{name}")

    @property
    def center(self) -> Center:
        """The engine that runs now, or ran last."""
        return self.centers[-1]

    async def build(self) -> None:
        """Switch Asterisk on; runs inside the machine's process."""
        self.pbx = Asterisk(self.loop, self.rng("asterisk"), self.machine.spawn, EPOCH_US)
        self.queues = self.pbx.queues = NativeQueues(self.pbx)
        self.queues.members |= {FALLBACK_PREFIX + name: {} for name in ("default", *city.QUEUES)}
        if self.cel is not None:
            self._legs = self.cel.open("a", buffering=1)
            self.pbx.cel = self._legs.write
        self.agi = AgiClient(self.pbx, AGI_PORT)
        self.pbx.agi = self.agi
        self.manager = Manager(self.pbx, self.queues, self.rng("events"))
        await self.loop.create_server(self.manager.new_connection, "127.0.0.1", AMI_PORT)
        self.phones = [
            OperatorPhone(self.pbx, interface, f"{self.seed}/{interface}", self.manners)
            for interface in city.SKILLS_OF
        ]
        self.pbx.sounds = {}

    def start_engine(self) -> Center:
        """Start an engine from what the last one left."""
        assert self.store is not None
        center = Center(
            self.loop,
            city.config(),
            self.store,
            self.rng(f"engine{len(self.centers)}"),
            lambda: self.pbx.wall_offset_us,
            self.cel,
        )
        self.centers.append(center)
        center.start()
        return center

    def kill_engine(self) -> None:
        """kill -9."""
        assert self.store is not None
        self.center.process.kill()
        self.store.kill()

    def people(self, first_at: float) -> None:
        """Let the citizens call, the first at ``first_at``."""
        rng, load = self.rng("citizens"), self.load
        at = first_at
        self.citizens = []
        for number in range(load.calls):
            at += rng.expovariate(load.per_s)
            dialled = rng.choice([city.MENU_NUMBER, *city.DIRECT, *city.DIRECT])
            plan = Plan(
                number=number,
                at=at - self.loop.time(),
                dialled=dialled,
                patience_s=rng.uniform(*load.patience_s),
                talk_s=rng.uniform(*load.talk_s),
                hangs_up_first=rng.random() < 0.6,
                digit=rng.choice(["1", "2", "3", "9", None]),
                digit_after_s=rng.uniform(0.2, 4.0),
            )
            self.citizens.append(Citizen(self.pbx, plan))

    def calls_left(self) -> bool:
        """Whether somebody is still to call, or on the line."""
        return not all(citizen.done for citizen in self.citizens)

    async def until_over(self, limit_s: float) -> bool:
        """Wait until every citizen has called and is gone; False when the time was up."""
        end = self.loop.time() + limit_s
        while self.calls_left():
            if self.loop.time() > end:
                return False
            await asyncio.sleep(0.25)
        return True

    def close(self) -> None:
        """End whatever a kill or the end of the simulation left hanging."""
        errors = list(self.loop.errors)

        async def bury() -> None:
            for center in self.centers:
                await center.process.bury()
            await self.machine.end_others()

        self.loop.run_until_complete(
            self.machine.context.run(lambda: self.loop.create_task(bury()))
        )
        self.loop.errors = errors
        self.loop.close()
        if self._legs is not None:
            self._legs.close()
