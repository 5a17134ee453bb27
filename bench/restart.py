"""How soon a killed engine decides again: from the watchdog's start of a worker to its first offer.

    python -m bench.restart [--trials 5] [--city sample large] [--load calm busy] [--cold]
                            [--store FILE]

Each trial kills the worker of a real Asterisk's engine with SIGKILL while one citizen talks with
the only operator who may serve three others that wait. The talk ends while the engine is dead.
The new worker must find out that it has ended, take the waiting back from the native queue and
offer the one who waits longest; his queue lets him go within 1 s, which is in the figure.

``sample`` is the sample city; ``large`` has 1000 operators at work and a ledger of 100 000 rows.
``busy`` takes one core away (a loop that does nothing else); ``--cold`` kills the spare, too.
``--store`` lets ``large`` go on with the records of ``bench.records --keep``: it writes to them.
Needs SIPp. One JSON line for each arm, with medians in seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from bench.ledger import calls
from gkc_engine.acd.core import Acd
from gkc_engine.cli._console import progress, state_dir
from gkc_engine.clock import SystemClock
from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.setup import quicker
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, Instant
from gkc_engine.pbx.install import Install, find_or_install
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import Ledger
from tests.acceptance.harness import Scene, scene, until
from tests.acceptance.sipp import SippBench

WAITING: Final = 3
OPERATORS: Final = 1000
ROWS: Final = 100_000
ROWS_PER_CALL: Final = 14
"""As ``bench.ledger.calls`` makes them."""

_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One city."""

    name: str
    config: Path
    number: str
    """Leads straight to the queue that ``agent`` alone serves."""
    agent: str
    endpoint: str
    rows: int = 0
    """In the ledger before the first start."""
    store: Path | None = None
    """Records to go on with, in place of those."""


@dataclass(slots=True)
class Figures:
    """Seconds from the start of a worker, one entry a trial."""

    listening: list[float] = field(default_factory=list)
    """FastAGI takes new calls."""
    synced: list[float] = field(default_factory=list)
    """Asterisk's state was read and compared."""
    decided: list[float] = field(default_factory=list)
    """The first offer is on record."""
    warm: int = 0
    """Starts that took the spare worker."""


def large(folder: Path) -> Arm:
    """Write the configuration of 1000 operators at work, of whom one serves the queue."""
    folder.mkdir(parents=True)
    lines = [
        "---",
        "center: {name: large, prefix: BIG, title: Large, timezone: Europe/Moscow}",
        "pbx:",
        "  ami: {host: 127.0.0.1, port: 5038, user: gkc, secret: env:GKC_AMI_SECRET}",
        'numbers: {"+74950000901": {queue: only}}',
        "skills: {only: Only, " + ", ".join(f"s{n}: S{n}" for n in range(20)) + "}",
        "queues:",
        "  only: {title: Only, require: {only: 1}, timeout: 15s, wrapuptime: 0s}",
        *(f"  q{n}: {{title: Q{n}, require: {{s{n}: 1}}, timeout: 15s}}" for n in range(20)),
        "operators:",
        "  agent0: {name: Agent 0, interface: PJSIP/1001, skills: {only: 5}, login: always}",
    ]
    for n in range(1, OPERATORS):
        skills = f"{{s{n % 20}: 5, s{(n + 7) % 20}: 3}}"
        line = f"  agent{n}: {{name: Agent {n}, interface: PJSIP/{1001 + n}, skills: {skills}, "
        lines.append(line + "login: always}")
    (folder / "city.yaml").write_text("\n".join([*lines, "...\n"]), encoding="utf-8")
    (folder / "prompts").symlink_to(SAMPLE.config / "prompts")
    return Arm(
        name="large",
        config=folder,
        number="+74950000901",
        agent="agent0",
        endpoint="1001",
        rows=ROWS,
    )


SAMPLE: Final = Arm(
    name="sample",
    config=Path(__file__).parents[1] / "config",
    number="+74951112233",
    agent="ivanova",
    endpoint="201",
)


def at_once(document: Any) -> None:  # noqa: ANN401 - a YAML document
    """Let calls come at any hour, and an operator be free when a talk ends."""
    quicker(document)
    for queue in (document.get("queues") or {}).values():
        queue["wrapuptime"] = "0s"


async def fill(path: Path, rows: int, center: str) -> None:
    """Make a ledger with the finished contacts of the last hours, and a snapshot after them."""
    ledger = Ledger(schema.sqlite_url(str(path)), center)
    await ledger.open()
    count = rows // ROWS_PER_CALL
    steps = calls(0, count, Instant(0))
    shift = _CLOCK.now() - steps[-1].now - SECOND
    steps = calls(0, count, Instant(shift))
    for first in range(0, len(steps), 1000):
        await ledger.append(steps[first : first + 1000])
    acd = Acd()
    await ledger.snapshot(steps[-1].now, msgspec.json.encode(acd.snapshot()).decode())
    await ledger.close()


class Trials:
    """One city, one kill after another."""

    def __init__(self, city: Scene, arm: Arm, *, cold: bool = False) -> None:
        """``cold``: without a spare worker."""
        self.city = city
        self.arm = arm
        self.cold = cold
        self.figures = Figures()
        self.n = 0
        self.killed = Instant(0)

    async def cli(self, command: str) -> str:
        return await self.city.city.asterisk.cli(command, timeout_s=30)

    async def dial(self, count: int) -> None:
        self.n += 1
        ids = [f"r{self.n}-{i}" for i in range(count)]
        caller = f"+79{self.n:06d}{{:03d}}"
        await self.city.bench.citizens(self.arm.number, ids, caller=caller)

    async def trial(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the worker once, or stop it for good, and take the times."""
        await self._spare()
        await self.city.agent_is(self.arm.agent, "ready", 30.0)
        await self.dial(1)
        await self.city.agent_is(self.arm.agent, "talk")
        await self.dial(WAITING)
        await self.city.in_state("waiting", WAITING)
        talk = await self._channel_of_the_talk()
        for queue in await self._native_queues():
            # Behind the engine's back: nobody is to be served before it is here again.
            await self.cli(f"queue remove member PJSIP/{self.arm.endpoint} from {queue}")
        pid = self.city.city.engine_pid
        if self.cold:
            os.kill(int(self._told_since(self.killed)["spare"]), signal.SIGKILL)
        self.killed = _CLOCK.now()
        os.kill(pid, how)
        await self.cli(f"channel request hangup {talk}")
        await self._take_times()
        await self._empty()

    async def _channel_of_the_talk(self) -> str:
        """Return the citizen's channel: it is the one in ``Dial``."""
        for line in (await self.cli("core show channels concise")).splitlines():
            fields = line.split("!")
            if len(fields) > 5 and fields[5] == "Dial":
                return fields[0]
        raise AssertionError("nobody talks")

    async def _native_queues(self) -> list[str]:
        text = await self.cli("queue show")
        phone = re.compile(rf"PJSIP/{self.arm.endpoint}\b")
        return [block.split()[0] for block in text.split("\n\n") if phone.search(block)]

    async def _take_times(self) -> None:
        killed = self.killed

        async def look() -> Mapping[str, float] | None:
            told = self._told_since(killed)
            decided = self._first_offer_since(killed)
            if decided is None or not {"engine_started", "engine_up", "resync_done"} <= set(told):
                return None
            return told | {"decided": decided}

        try:
            told = await until(look, "the new engine decides", 30.0)
        except AssertionError as error:
            raise PeerError(f"{error}; its log:\n{self.city.city.tail()}") from None
        begun, figures = told["engine_started"], self.figures
        figures.listening.append(told["engine_up"] - begun)
        figures.synced.append(told["resync_done"] - begun)
        figures.decided.append(told["decided"] - begun)
        figures.warm += bool(told.get("warm"))

    def _told_since(self, killed: Instant) -> dict[str, float]:
        """Return when the log says each thing first, in seconds since the epoch."""
        found: dict[str, float] = {}
        for line in self.city.city.log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                at = datetime.fromisoformat(row["timestamp"]).timestamp()
                if at * SECOND > killed:
                    found.setdefault(row["event"], at)
                    if row["event"] == "engine_started":
                        found["warm"] = float(row["warm"])
                    elif row["event"] == "spare_started":
                        found["spare"] = row["pid"]
        return found

    def _first_offer_since(self, killed: Instant) -> float | None:
        store = self.city.city.state / "gkc.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            (at,) = connection.execute(
                "SELECT min(ts_us) FROM event WHERE kind = 'gkc.offer.created' AND ts_us > ?",
                (killed,),
            ).fetchone()
        return None if at is None else at / SECOND

    async def _empty(self) -> None:
        """End every call, and wait until the engine has no contact in hand."""
        await self.cli("channel request hangup all")

        async def over() -> bool | None:
            return not await self.city.ask("queue.waiting") or None

        await until(over, "every contact has ended", 30.0)
        for sipp in self.city.bench.running:
            if sipp.name == "citizen":
                await sipp.stop()

    async def _spare(self) -> None:
        """Wait until a spare stands by for the worker that runs."""

        async def look() -> bool | None:
            return "spare_ready" in self._told_since(self.killed) or None

        await until(look, "a spare worker is ready", 30.0)


@contextmanager
def busy(core: bool) -> Iterator[None]:
    """Take one core away."""
    pid = 0
    if core:
        pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


async def _phones(bench: SippBench) -> Mapping[str, int]:
    return {"": (await bench.phones()).port}


@asynccontextmanager
async def running(
    folder: Path, install: Install, arm: Arm, *, cold: bool = False
) -> AsyncIterator[Trials]:
    """Run the city under its watchdog, with a ledger of the size the arm wants."""
    state = folder / "state"
    state.mkdir(parents=True)
    if arm.store is not None:
        (state / "gkc.sqlite").symlink_to(arm.store.resolve())
    elif arm.rows:
        await fill(state / "gkc.sqlite", arm.rows, arm.name)

    def options(given: CityOptions) -> CityOptions:
        return replace(given, watchdog=True, state=state, tune=at_once, qualify_s=0)

    known = not arm.rows and arm.store is None  # else it has calls that no Asterisk ever had
    started = scene(
        folder, install, phones=_phones, config=arm.config, options=options, verify=known
    )
    async with started as city:
        if not arm.rows:
            await city.login(arm.agent)
        yield Trials(city, arm, cold=cold)


async def measure(
    place: AbstractAsyncContextManager[Trials], load: str, trials: int, say: Callable[[str], None]
) -> Figures:
    """Return the times of ``trials`` kills."""
    async with place as city:
        with busy(load == "busy"):
            for n in range(trials):
                say(f"{city.arm.name}, {load}: kill {n + 1} of {trials}")
                await city.trial()
        return city.figures


def report(arm: str, load: str, figures: Figures) -> dict[str, object]:
    """Return medians and the worst decision, in seconds."""
    return {
        "city": arm,
        "load": load,
        "trials": len(figures.decided),
        "warm": figures.warm,
        "listening_s": round(median(figures.listening), 3),
        "synced_s": round(median(figures.synced), 3),
        "decided_s": round(median(figures.decided), 3),
        "decided_max_s": round(max(figures.decided), 3),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--city", nargs="+", default=["sample", "large"])
    parser.add_argument("--load", nargs="+", default=["calm", "busy"])
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    install = find_or_install(state_dir(), named=None, progress=progress)
    with tempfile.TemporaryDirectory(prefix="gkc-restart-") as name:
        folder = Path(name)
        for city in given.city:
            arm = SAMPLE
            if city != "sample":
                arm = replace(large(folder / "source"), store=given.store)
            for load in given.load:
                place = running(folder / f"{city}-{load}", install, arm, cold=given.cold)
                found = asyncio.run(measure(place, load, given.trials, progress))
                print(json.dumps(report(city, load, found)), flush=True)


if __name__ == "__main__":
    main()
