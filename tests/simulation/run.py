"""Runs seeds: ``python -m tests.simulation.run --seeds 1000 --jobs 2 [--scenario kill]``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.simulation.checks import Watch, check_all
from tests.simulation.scenarios import SCENARIOS, Scenario
from tests.simulation.stores import RealStore, digest
from tests.simulation.world import World

QUIET_S = 10.0
"""After the last call: what has not come to rest by then never does."""

LONGEST_S = 1500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one seed gave."""

    scenario: str
    seed: int
    findings: tuple[str, ...]
    digest: str
    steps: int
    calls: int
    troubles: dict[str, int]

    @property
    def command(self) -> str:
        """How to see it again."""
        return f"python -m tests.simulation.run --scenario {self.scenario} --seed {self.seed}"


def run_seed(scenario: Scenario, seed: int, *, real: bool = False) -> Result:
    """Play one history and check it."""
    random.seed(seed)  # the AMI link draws its pauses from here
    # No disk ever loses its power here: waiting for one 1 500 times would show nothing.
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gkc-sim-", dir=where) as folder:
        store = RealStore(Path(folder)) if real else None
        cel = Path(folder) / "legs.csv" if scenario.cel else None
        if cel is not None:
            cel.touch()
        world = World(seed, scenario.load, scenario.manners, store, cel)
        return _play(world, scenario, real=real)


def _play(world: World, scenario: Scenario, *, real: bool) -> Result:
    watch = Watch(world, max(scenario.patience_s, scenario.real_patience_s if real else 0.0))
    findings: list[str] = []

    async def history() -> None:
        await world.build()
        world.start_engine()
        world.people(3.0)
        looking = asyncio.ensure_future(_look(watch))
        trouble = asyncio.ensure_future(scenario.trouble(world))
        if not await world.until_over(LONGEST_S):
            findings.append("the calls never end")
        await trouble
        await asyncio.sleep(QUIET_S)
        looking.cancel()

    def begin() -> asyncio.Task[None]:
        return world.loop.create_task(history())

    world.loop.run_until_complete(world.machine.context.run(begin))
    assert world.store is not None
    steps = world.store.steps()
    findings += [*check_all(world, steps, scenario.bounds), *watch.found]
    findings += scenario.phones_findings(world)
    if isinstance(world.store, RealStore):
        findings += world.store.findings()
    result = Result(
        scenario=scenario.name,
        seed=world.seed,
        findings=tuple(findings),
        digest=digest(steps),
        steps=len(steps),
        calls=len(world.pbx.truths),
        troubles=dict(world.troubles),
    )
    world.close()
    return result


async def _look(watch: Watch) -> None:
    while True:
        watch.look()
        await asyncio.sleep(0.2)


def quiet() -> None:
    """Faults are the point here: their log lines would bury the findings."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.disable(logging.CRITICAL)


def _one(job: tuple[str, int, bool]) -> Result:
    name, seed, real = job
    quiet()
    return run_seed(SCENARIOS[name], seed, real=real)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run many seeds; exit code 1 when one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--real", action="store_true", help="the real recorder, on disk")
    options = parser.parse_args(arguments)
    first, count = options.first, options.seeds
    seeds = [options.seed] if options.seed is not None else list(range(first, first + count))
    names = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    jobs = [(name, seed, options.real) for seed in seeds for name in names]
    failed = 0
    totals: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for result in pool.imap(_one, jobs):
            totals.update(result.troubles)
            totals["calls"] += result.calls
            totals["histories"] += 1
            if result.findings:
                failed += 1
                _print(f"FAILED {result.scenario} seed {result.seed}: {result.command}")
                for text in result.findings[:12]:
                    _print(f"    {text[:400]}")
            elif options.seed is not None:
                _print(f"{result.scenario} seed {result.seed}: {result.digest}")
    _print(f"{len(jobs)} histories, {failed} failed; {dict(totals)}")
    return 1 if failed else 0


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
