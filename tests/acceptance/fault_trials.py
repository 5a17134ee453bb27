"""Cut and slow down AMI, lock the ledger, while citizens call a real Asterisk; count the faults.

``python -m tests.acceptance.fault_trials --cuts 100 --slow 60 --locked 60 --seed 1`` prints one
JSON object; exit code 0 = nothing was found. Rows 6, 8 and 10 of the fault model:

* ``--cuts N``: the link to AMI is cut N times, at random instants.
* ``--slow S``: for so many seconds it carries less than Asterisk says.
* ``--locked S``: the ledger is locked for so many seconds, after as many without a lock, for
  comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random
import re
import sqlite3
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gkc_engine.cli._console import progress, state_dir
from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install, find_or_install
from tests.acceptance.harness import Row, Scene, scene, until
from tests.acceptance.oracle import Verdict, compare
from tests.acceptance.relay import Relay
from tests.acceptance.sipp import Sipp, SippBench
from tests.acceptance.traces import dialogues
from tests.acceptance.trials import now

NUMBERS = ("+74951112233", "+74951112255")
AGENTS = ("anna", "boris", "dina", "egor")
RATE = 1.5
"""Calls a second, which these four can serve."""
BATCH = 20
TALK_MS = 1200
"""Then the operator hangs up; the citizens wait as long as it takes."""

SLOW_SERVED_S = 10.0
"""The same while AMI lags: who has left and who is free is known by it."""
BACK_S = 1.0
"""Within this after the cut the engine has its link again (fault model, row 6)."""
SERVED_S = 3.0
"""Within this each citizen's call rings at an operator's phone, link or no link."""
STALL_S = 0.2
"""The event loop stands still no longer (row 10)."""
SLOW_BYTES_S = 8_000
"""Asterisk says about 20 kB of each call."""


@dataclass(slots=True)
class Figures:
    """What one kind of fault gave."""

    kind: str
    times: int = 0
    back_s: list[float] = field(default_factory=list)
    """From the cut to the new login."""
    rung_s: list[float] = field(default_factory=list)
    """From each citizen's INVITE to that of the operator's phone."""
    stall_s: list[float] = field(default_factory=list)
    """The worst delay of the event loop in each second, from the metrics."""
    stall_without_s: list[float] = field(default_factory=list)
    """The same of as long a time before the fault: what this machine does to everybody."""
    connections: int = 0
    """Logins that the slow link cost."""
    broken: list[str] = field(default_factory=list)


class FaultTrials:
    """One city under steady load."""

    def __init__(self, city: Scene, relay: Relay, rng: random.Random) -> None:
        self.city = city
        self.relay = relay
        self.rng = rng
        self._calls: list[Sipp] = []
        self._load: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Let operators come and citizens call."""
        await self.city.login(*AGENTS)
        self._load = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        for n in range(10_000):
            batch = await self.city.bench.citizens(
                NUMBERS[n % 2],
                [f"f{n:04d}-{i:02d}" for i in range(BATCH)],
                caller=f"+790{n:04d}{{:04d}}",
                rate=RATE,
            )
            self._calls.append(batch)
            await asyncio.sleep(BATCH / RATE)

    async def end(self, figures: Figures) -> None:
        """Let the last call come to its end; everybody must be free, every record closed."""
        assert self._load is not None
        self._load.cancel()
        for call in self._calls:
            await call.finished(60.0)

        async def over() -> bool:
            return all(row["ended"] is not None for row in await self.city.contacts())

        async def free() -> bool:
            rows = await self.city.ask("agent.show")
            return all(r["state"] == "ready" for r in rows if r["agent_id"] in AGENTS)

        for what, look in (("every contact has ended", over), ("operators are free", free)):
            try:
                await until(look, what, 20.0)
            except AssertionError as error:
                figures.broken.append(str(error))
        self._served(figures)

    def _served(self, figures: Figures) -> None:
        phones: dict[str, float] = {}
        for leg in dialogues(s for s in self.city.bench.running if s.name == "phone"):
            phones.setdefault(leg.caller, leg.invited)
        for call in dialogues(self._calls):
            rung = phones.get(call.caller)
            if rung is None:
                figures.broken.append(f"{call.external}: no phone rang")
            else:
                figures.rung_s.append(rung - call.invited)

    # --- the faults --------------------------------------------------------------------------

    async def _health(self) -> Row:
        return (await self.city.ask("engine.show"))[0]

    async def cuts(self, figures: Figures, count: int) -> None:
        """Cut the link again and again; it comes back by itself."""
        for n in range(count):
            await asyncio.sleep(self.rng.uniform(0.1, 1.5))
            before, at = self.relay.connections, now()
            self.relay.cut()
            self.relay.mend()

            async def back(before: int = before) -> bool:
                return self.relay.connections > before and (await self._health())["ami_up"] is True

            try:
                await until(back, f"the link is back after cut {n + 1}", 10.0, 0.02)
            except AssertionError as error:
                figures.broken.append(str(error))
            figures.back_s.append(now() - at)
            figures.times += 1

    async def slow(self, figures: Figures, seconds: float) -> None:
        """Let the link carry less than Asterisk says; afterwards all is known again."""
        figures.times, before = 1, self.relay.connections
        self.relay.bytes_s = SLOW_BYTES_S
        await self._watch(figures.stall_s, seconds)
        self.relay.bytes_s = None
        figures.connections = self.relay.connections - before

        async def up() -> bool:
            return (await self._health())["ami_up"] is True

        await until(up, "the link is up again", 20.0)

    async def locked(self, figures: Figures, seconds: float) -> None:
        """Hold the ledger under an exclusive lock."""
        await self._watch(figures.stall_without_s, seconds)
        figures.times = 1
        store = self.city.city.state / "gkc.sqlite"
        lock = sqlite3.connect(store, isolation_level=None, timeout=5)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            await self._watch(figures.stall_s, seconds)
            if (await self._health())["record_mode"] != "journal":
                figures.broken.append("the ledger is locked, and the engine says it writes there")
        finally:
            lock.execute("ROLLBACK")
            lock.close()

        async def drained() -> bool:
            return bool((await self._health())["record_mode"] == "ledger")

        await until(drained, "the ledger has caught up", 20.0)
        await self._watch(figures.stall_s, 3.0)  # catching up must not hold anybody up either

    async def _watch(self, stalls: list[float], seconds: float) -> None:
        """Note the loop's worst delay of each second."""
        url = f"http://127.0.0.1:{self.city.city.ports.metrics}/metrics"
        end = now() + seconds
        while now() < end:
            text = await asyncio.to_thread(_fetch, url)
            found = re.search(r"^gkc_loop_lag_seconds (\S+)", text, re.MULTILINE)
            assert found is not None, text[:400]
            stalls.append(float(found[1]))
            await asyncio.sleep(0.5)


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as reply:
        data: bytes = reply.read()
    return data.decode()


@asynccontextmanager
async def _city(folder: Path, install: Install, rng: random.Random) -> AsyncIterator[FaultTrials]:
    relay = Relay()
    await relay.start()

    def tune(document: Document) -> None:
        pbx = document.get("pbx")
        if pbx is not None:
            relay.target, pbx["ami"]["port"] = pbx["ami"]["port"], relay.port

    def options(base: CityOptions) -> CityOptions:
        return dataclasses.replace(
            base,
            tune=tune,
            adjust=lambda plan: dataclasses.replace(
                plan, ami=dataclasses.replace(plan.ami, port=relay.target)
            ),
        )

    async def phones(bench: SippBench) -> Mapping[str, int]:
        return {"": (await bench.phones(talk_ms=TALK_MS)).port}

    async with scene(folder, install, phones=phones, options=options) as city:
        yield FaultTrials(city, relay, rng)
    await relay.stop()


async def run(
    folder: Path,
    install: Install,
    counts: Mapping[str, float],
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Figures], Verdict]:
    """Make each fault as ``counts`` says, each in a city of its own."""
    figures, verdict = {}, Verdict()
    for kind in ("cuts", "slow", "locked"):
        if not counts.get(kind):
            continue
        say(f"{kind} {counts[kind]:g}")
        made = figures[kind] = Figures(kind)
        async with _city(folder / kind, install, random.Random(seed)) as trials:
            await trials.begin()
            if kind == "cuts":
                await trials.cuts(made, int(counts[kind]))
            else:
                await getattr(trials, kind)(made, counts[kind])
            await trials.end(made)
            verdict.add(compare(trials.city))
    return figures, verdict


def too_late(made: Figures) -> list[str]:
    """Return every figure that is over its limit."""
    late = [f"back after {s:.2f} s" for s in made.back_s if s > BACK_S]
    served = SLOW_SERVED_S if made.kind == "slow" else SERVED_S
    late += [f"rang after {s:.2f} s" for s in made.rung_s if s > served]
    return late + [f"the loop stood still {s:.2f} s" for s in made.stall_s if s > STALL_S]


def found_wrong(figures: Mapping[str, Figures], verdict: Verdict) -> bool:
    """Whether anything is not as promised."""
    return not verdict.clean() or any(f.broken or too_late(f) for f in figures.values())


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None, "max": None}
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {
        "p50": round(ordered[len(ordered) // 2], 3),
        "p99": round(p99, 3),
        "max": round(ordered[-1], 3),
    }


def report(figures: Mapping[str, Figures], verdict: Verdict) -> dict[str, Any]:
    """Return everything as one JSON object."""
    kinds = {
        kind: {
            "times": f.times,
            "connections": f.connections,
            "back_s": _spread(f.back_s),
            "rung_s": _spread(f.rung_s),
            "stall_s": _spread(f.stall_s),
            "stall_without_s": _spread(f.stall_without_s),
            "too_late": too_late(f)[:20],
            "broken": f.broken[:20],
        }
        for kind, f in figures.items()
    }
    return {"kinds": kinds, "verdict": asdict(verdict)}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--locked", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    given = vars(parser.parse_args())
    folder = given["folder"] or Path(tempfile.mkdtemp(prefix="gkc-fault-"))
    install = find_or_install(state_dir(), named=None, progress=progress)
    figures, verdict = asyncio.run(run(folder, install, given, given["seed"], progress))
    sys.stdout.write(json.dumps(report(figures, verdict), indent=1, ensure_ascii=False) + "\n")
    return int(found_wrong(figures, verdict))


if __name__ == "__main__":
    sys.exit(main())
