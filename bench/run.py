"""The engine against the native ``Queue()``: same Asterisk, same load, interleaved, medians.

    python -m bench.run --rounds 5        # under 12 minutes; prints the table of bench/README.md
    python -m bench.run --quick           # one short round

Needs root (tcpdump), SIPp and tcpdump. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench import figures, wire
from bench.city import ARMS, FLOOR, Arm, Bench, Place
from bench.load import Load, no_more
from bench.report import Machine, table, verdicts
from gkc_engine.cli._console import progress, state_dir
from gkc_engine.pbx.install import find_or_install

TAIL_S: Final = 4.0
"""An agent who hung up later than this before the end of a pick-up segment is not counted."""

AGENTS: Final = 200
FILL_RATE: Final = 60.0
TALK_PICKUP_MS: Final = 9000
"""200 agents with talks of 9 s: about 22 pick-ups a second; more agents talk longer."""
TALK_ARRIVAL_MS: Final = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How long and how large."""

    agents: int = AGENTS
    waiting: int = 100
    pickup_s: float = 20.0
    arrivals: tuple[tuple[int, float], ...] = ((20, 15.0), (70, 10.0))
    """(calls a second, seconds)."""


QUICK: Final = Sizes(pickup_s=8.0, arrivals=((20, 5.0), (70, 4.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One measurement of one arm. Times in ms, CPU in ms a call."""

    what: str
    arm: Arm
    round: int
    count: int
    p50: float
    p95: float
    p99: float
    highest: float
    failed: int
    repeated: int
    asterisk_ms: float
    engine_ms: float

    @property
    def cpu_ms(self) -> float:
        """Asterisk and engine together."""
        return self.asterisk_ms + self.engine_ms


class Runner:
    """Runs segments on one city."""

    def __init__(self, bench: Bench, sizes: Sizes) -> None:
        self.bench = bench
        self.sizes = sizes
        self.found: list[Segment] = []
        self._serial = 0

    async def segment(self, what: str, arm: Arm, number: int) -> Segment:
        """Measure one thing in one arm, from an empty house to an empty house."""
        self._serial += 1
        await self.bench.serve(arm)
        folder = self.bench.place.folder / f"{self._serial:03}-{what}-{arm}"
        city = self.bench.city
        load = Load(self.bench.place, f"127.0.0.1:{city.ports.sip}", folder)
        folder.mkdir()
        pcap = folder / "sip.pcap"
        try:
            if what == "pickup":
                values, cpu, calls = await self._pickup(load, arm, pcap)
            else:
                values, cpu, calls = await self._arrival(load, arm, pcap, int(what[7:]))
        finally:
            await self.bench.hang_up_all()
            await load.stop()
        pcap.unlink()
        per_call = {name: used / max(1, len(values)) * 1000 for name, used in cpu.items()}
        segment = Segment(
            what=what,
            arm=arm,
            round=number,
            count=len(values),
            p50=figures.percentile(values, 0.50),
            p95=figures.percentile(values, 0.95),
            p99=figures.percentile(values, 0.99),
            highest=figures.percentile(values, 1.0),
            failed=calls.refused if what == "pickup" else figures.failed(calls),
            repeated=calls.repeated,
            asterisk_ms=per_call["asterisk"],
            engine_ms=per_call.get("engine", 0.0),
        )
        self.found.append(segment)
        return segment

    async def _pickup(
        self, load: Load, arm: Arm, pcap: Path
    ) -> tuple[list[float], dict[str, float], figures.Calls]:
        """Agents all busy, ``waiting`` in line; every citizen who leaves is replaced at once."""
        sizes = self.sizes
        at_once = sizes.agents + sizes.waiting
        async with wire.Capture(pcap, self.bench.city.ports.sip):
            await load.agents(TALK_PICKUP_MS * sizes.agents // AGENTS)
            callers = await load.citizens(
                arm,
                rate=FILL_RATE,
                total=10**6,
                at_once=at_once,
                prefix=self._prefix(),
                talkative=False,
            )
            await asyncio.sleep(at_once / FILL_RATE + 4.0)
            before, begin = self.bench.cpu_s(), _epoch_s()
            await asyncio.sleep(sizes.pickup_s)
            after, end = self.bench.cpu_s(), _epoch_s()
            await asyncio.sleep(TAIL_S)
            no_more(callers)
        calls = figures.read(wire.messages(pcap), self.bench.place.phones_port)
        values = figures.pickup_ms(calls, begin, end)
        return values, _spent(before, after), calls

    async def _arrival(
        self, load: Load, arm: Arm, pcap: Path, rate: int
    ) -> tuple[list[float], dict[str, float], figures.Calls]:
        """Agents are free; ``rate`` citizens a second come, are answered and served at once."""
        seconds = dict(self.sizes.arrivals)[rate]
        total = round(rate * seconds)
        async with wire.Capture(pcap, self.bench.city.ports.sip):
            await load.agents(TALK_ARRIVAL_MS)
            before = self.bench.cpu_s()
            callers = await load.citizens(
                arm,
                rate=rate,
                total=total,
                at_once=total,
                prefix=self._prefix(),
                talkative=True,
            )
            await asyncio.wait_for(callers.wait(), seconds + 30)
            after = self.bench.cpu_s()
        calls = figures.read(wire.messages(pcap), self.bench.place.phones_port)
        return figures.arrival_ms(calls), _spent(before, after), calls

    def _prefix(self) -> str:
        # No citizen of one segment called in another: each costs the engine a new row.
        return f"+7900{self._serial:03}"


def _epoch_s() -> float:
    return time.clock_gettime(time.CLOCK_REALTIME)  # the clock of the capture


def _spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}


async def measure(place: Place, sizes: Sizes, plan: Plan) -> list[Segment]:
    """Run the plan; what was measured so far is printed as it comes."""
    bench = Bench(place)
    runner = Runner(bench, sizes)
    try:
        await bench.start()
        for number in range(plan.rounds):
            for what in plan.what:
                for arm in plan.arms_of(what, number):
                    progress(_line(await runner.segment(what, arm, number)))
    finally:
        await bench.stop()
    return runner.found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run, and how often."""

    rounds: int
    what: tuple[str, ...]
    arms: tuple[Arm, ...]
    floor: bool = False
    """Whether ``FLOOR`` is measured, too; only where an agent is free for each call."""

    def arms_of(self, what: str, number: int) -> tuple[Arm, ...]:
        """Return the arms of one round in their order, which changes from round to round."""
        arms = (*self.arms, *FLOOR) if self.floor and what != "pickup" else self.arms
        return arms if number % 2 == 0 else tuple(reversed(arms))


def _line(s: Segment) -> str:
    return (
        f"{s.round + 1} {s.what:9} {s.arm:6} n={s.count:4} p50={s.p50:7.1f} p95={s.p95:7.1f}"
        f" p99={s.p99:7.1f} max={s.highest:7.1f} ms failed={s.failed} repeated={s.repeated}"
        f" cpu={s.asterisk_ms:.1f}+{s.engine_ms:.1f} ms/call"
    )


def medians(found: Sequence[Segment], what: str, arm: Arm) -> dict[str, float]:
    """Return the median over the rounds of each figure; of failures, their sum."""
    mine = [s for s in found if s.what == what and s.arm == arm]
    names = ("p50", "p95", "p99", "highest", "asterisk_ms", "engine_ms", "cpu_ms", "count")
    result = {name: float(median(getattr(s, name) for s in mine)) for name in names}
    return result | {name: sum(getattr(s, name) for s in mine) for name in ("failed", "repeated")}


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="short segments, one round")
    parser.add_argument("--only", action="append", help="pickup, arrival20, arrival70")
    parser.add_argument("--arm", action="append", choices=ARMS)
    parser.add_argument(
        "--floor", action="store_true", help="what it costs with nobody who decides, too"
    )
    parser.add_argument("--seconds", type=float, help="of each segment")
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--waiting", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="keep everything there")
    return parser.parse_args()


def sizes_of(args: argparse.Namespace) -> Sizes:
    """Return how large the run is."""
    base = QUICK if args.quick else Sizes()
    arrivals = tuple((rate, args.seconds or seconds) for rate, seconds in base.arrivals)
    return Sizes(
        agents=args.agents,
        waiting=args.waiting,
        pickup_s=args.seconds or base.pickup_s,
        arrivals=arrivals,
    )


def main() -> int:
    """Run, print the table, judge."""
    args = arguments()
    sizes = sizes_of(args)
    whats = ("pickup", *(f"arrival{rate}" for rate, _ in sizes.arrivals))
    plan = Plan(
        rounds=1 if args.quick else args.rounds,
        what=tuple(args.only or whats),
        arms=tuple(args.arm or ARMS),
        floor=args.floor,
    )
    machine = Machine.read()
    begun = time.monotonic()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="gkc-bench-"))
    install = find_or_install(state_dir(), named=None, progress=progress)
    place = Place(folder=folder.resolve(), install=install, agents=sizes.agents)
    try:
        found = asyncio.run(measure(place, sizes, plan))
    finally:
        if args.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    (state_dir() / "bench.json").write_text(
        json.dumps({"machine": asdict(machine), "segments": [asdict(s) for s in found]}, indent=1)
    )
    if len(plan.arms) < len(ARMS):
        return 0
    figures_of = {(w, a): medians(found, w, a) for w in plan.what for a in plan.arms_of(w, 0)}
    judged = verdicts(figures_of)
    print(table(figures_of, judged, machine, plan.rounds, time.monotonic() - begun))
    return 0 if all(ok for _, ok in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
