"""What goes wrong in a history, when, and how exact the records must then still be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gkc_engine.acd.commands import OfferContact
from gkc_engine.engine import Step
from tests.fakes.asterisk_ami import EventFaults
from tests.fakes.asterisk_people import Manners
from tests.simulation.checks import Bounds
from tests.simulation.stores import MemoryStore
from tests.simulation.world import Load, World

Trouble = Callable[[World], Awaitable[None]]


async def nothing(world: World) -> None:
    """No trouble at all."""
    del world


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of history."""

    name: str
    trouble: Trouble = nothing
    load: Load = field(default_factory=Load)
    manners: Manners = field(default_factory=Manners)
    bounds: Bounds = field(default_factory=Bounds)
    patience_s: float = 1.0
    """How long something may be wrong before it is a finding."""
    real_patience_s: float = 0.0
    """The same on the real recorder: there a slow disk holds up the journal too."""
    cel: bool = True
    """Asterisk lists past legs."""
    second_invites: bool = False
    """An operator's phone may be rung while it is in use: nobody can know."""

    def phones_findings(self, world: World) -> list[str]:
        """No operator is rung for two calls at once."""
        if self.second_invites:
            return []
        return [
            f"{phone.interface} is rung although it is in use, at {at / 1e6:.2f} s"
            for phone in world.phones
            for at, _ in phone.second_invites
        ]


# --- troubles ------------------------------------------------------------------------------------


def often(
    name: str, every_s: tuple[float, float], happen: Callable[[World], Awaitable[None]]
) -> Trouble:
    """Let something happen again and again until the last citizen is gone."""

    async def trouble(world: World) -> None:
        rng = world.rng(f"trouble/{name}")
        await asyncio.sleep(5.0)
        while world.calls_left():
            await asyncio.sleep(rng.uniform(*every_s))
            if world.calls_left():
                world.troubles[name] += 1
                await happen(world)

    return trouble


def events(**rates: float) -> Trouble:
    """Events are lost, doubled, late."""

    async def trouble(world: World) -> None:
        world.manager.faults = EventFaults(**rates)
        await world.until_over(3600.0)
        world.manager.faults = EventFaults()
        world.troubles["events lost"] += len(world.manager.lost)

    return trouble


async def cut_ami(world: World) -> None:
    """RST on the manager's link."""
    world.manager.cut()


async def freeze_ami(world: World) -> None:
    """The manager's link is half-open."""
    world.manager.freeze()


async def cut_agi(world: World) -> None:
    """One citizen's AGI socket breaks."""
    sockets = world.agi.open
    if sockets:
        leg = world.rng(f"agi{world.loop.now_us}").choice(sorted(sockets))
        sockets[leg].transport.abort()


async def kill(world: World) -> None:
    """kill -9, at a random microsecond or on either side of a commit; the watchdog restarts."""
    rng = world.rng(f"kill{world.loop.now_us}")
    phase = rng.choice(["now", "now", "before", "after"])
    if phase == "now" or not isinstance(world.store, MemoryStore):
        world.kill_engine()
    else:
        await _kill_at_commit(world, phase)
    await asyncio.sleep(rng.uniform(0.8, 2.5))
    world.start_engine()


async def _kill_at_commit(world: World, phase: str) -> None:
    store = world.store
    assert isinstance(store, MemoryStore)
    killed = asyncio.Event()

    def strike(at: str, steps: Sequence[Step]) -> None:
        offers = any(isinstance(c, OfferContact) for s in steps for c in s.commands)
        if at == phase and offers and not killed.is_set():
            killed.set()
            world.kill_engine()

    store.at_write = strike
    try:
        async with asyncio.timeout(10.0):
            await killed.wait()
    except TimeoutError:
        world.kill_engine()
    store.at_write = lambda _phase, _steps: None


async def pause(world: World) -> None:
    """SIGSTOP, and SIGCONT a while later."""
    world.center.process.pause()
    await asyncio.sleep(world.rng(f"pause{world.loop.now_us}").uniform(0.2, 9.0))
    world.center.process.resume()


async def slow_disk(world: World) -> None:
    """Commits take up to two seconds for a while."""
    rng = world.rng(f"disk{world.loop.now_us}")
    fast = world.loop.disk_us
    world.loop.disk_us = lambda: rng.randint(1_000, 2_000_000)
    store = world.store
    if isinstance(store, MemoryStore):
        usual, store.slow_s = store.slow_s, lambda: rng.uniform(0.0, 0.3)
        await asyncio.sleep(rng.uniform(2.0, 6.0))
        store.slow_s = usual
    else:
        await asyncio.sleep(rng.uniform(2.0, 6.0))
    world.loop.disk_us = fast


async def step_clock(world: World) -> None:
    """The wall clock jumps by an hour, either way."""
    step = world.rng(f"clock{world.loop.now_us}").choice([3_600, -3_600])
    world.pbx.wall_offset_us += step * 1_000_000


def together(*troubles: Trouble) -> Trouble:
    """Let several troubles have their way at once."""

    async def trouble(world: World) -> None:
        await asyncio.gather(*(t(world) for t in troubles))

    return trouble


# --- the scenarios -------------------------------------------------------------------------------

CLEAN = Scenario(name="clean")

_ALL = (
    CLEAN,
    Scenario(name="busy", load=Load(per_s=1.5)),
    Scenario(
        name="doubled",
        trouble=events(doubled=0.3),
    ),
    Scenario(
        name="late",
        trouble=events(late=0.2, doubled=0.05),
        patience_s=5.0,
        second_invites=True,
    ),
    Scenario(
        name="lost",
        trouble=events(lost=0.01),
        patience_s=5.0,
        bounds=Bounds(time_s=6.0),
        second_invites=True,
    ),
    Scenario(name="ami-cut", trouble=often("ami cut", (4.0, 15.0), cut_ami), patience_s=5.0),
    Scenario(
        name="ami-half-open",
        trouble=often("ami half-open", (10.0, 25.0), freeze_ami),
        patience_s=10.0,
        second_invites=True,
    ),
    Scenario(
        name="agi-cut",
        trouble=often("agi cut", (2.0, 8.0), cut_agi),
        patience_s=5.0,
    ),
    Scenario(
        name="kill",
        trouble=often("kill", (6.0, 25.0), kill),
        patience_s=5.0,
        bounds=Bounds(place_may_differ=True),
    ),
    Scenario(
        name="pause",
        trouble=often("pause", (6.0, 20.0), pause),
        patience_s=5.0,
        bounds=Bounds(place_may_differ=True),
        second_invites=True,
    ),
    Scenario(
        name="slow-disk",
        trouble=often("slow disk", (6.0, 20.0), slow_disk),
        # A group waits for the one before it and for a reset of the journal, each 2 s of fsync,
        # and twice 0.2 s for the ledger: "within 0.2 s + the journal's fsync" (DurableWriter).
        real_patience_s=7.0,
    ),
    Scenario(name="clock", trouble=often("clock step", (10.0, 30.0), step_clock)),
    Scenario(
        name="clock-kill",
        trouble=together(
            often("clock step", (10.0, 30.0), step_clock), often("kill", (10.0, 30.0), kill)
        ),
        patience_s=5.0,
        bounds=Bounds(place_may_differ=True, clock_steps=True),
        second_invites=True,
    ),
    Scenario(
        name="storm",
        trouble=together(
            events(lost=0.01, doubled=0.05, late=0.05),
            often("ami cut", (10.0, 40.0), cut_ami),
            often("agi cut", (10.0, 30.0), cut_agi),
            often("kill", (20.0, 60.0), kill),
            often("slow disk", (10.0, 40.0), slow_disk),
        ),
        patience_s=10.0,
        bounds=Bounds(place_may_differ=True, time_s=8.0),
        second_invites=True,
    ),
)
SCENARIOS: dict[str, Scenario] = {s.name: s for s in _ALL}
