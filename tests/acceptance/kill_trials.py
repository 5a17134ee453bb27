"""Kill the engine again and again while citizens call a real Asterisk; count what went wrong.

``python -m tests.acceptance.kill_trials --waiting 20 --ringing 10 --talking 10
--transfer 10 --stopped 10 --seed 1`` prints one JSON object; exit code 0 = nothing was found.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gkc_engine.cli._console import progress, state_dir
from gkc_engine.clock import SystemClock
from gkc_engine.pbx.install import Install, find_or_install
from tests.acceptance.harness import Scene, scene, until
from tests.acceptance.oracle import Verdict, compare, contacts_on_record
from tests.acceptance.sipp import FOREVER_MS, Sipp, SippBench
from tests.acceptance.traces import callers_of, dialogues
from tests.acceptance.transfer_trials import Players, transfer

PASSPORT, HOUSING, ANYBODY, CITY = "+74951112233", "+74951112244", "+74951112255", "+74957777777"
RING_MS = 2500
"""How long the phones ring: time for a kill meanwhile."""

FALLBACK_S, STOPPED_S = 2.0, 5.0
"""Within these the native queue has everybody, and rings a free member (issue, section 5)."""

_CLOCK = SystemClock()
_ENTRY = re.compile(r"^\s+(\d+)\. (\S+) \(wait:", re.MULTILINE)


def now() -> float:
    """Return seconds since the epoch."""
    return _CLOCK.now() / 1e6


@dataclass(slots=True)
class Figures:
    """What one kind of trial gave."""

    kind: str
    trials: int = 0
    calls: int = 0
    to_queue_s: list[float] = field(default_factory=list)
    """From the kill until every caller stood in a native queue."""
    invite_s: list[float] = field(default_factory=list)
    """From the kill (or from a new call's own INVITE) to the INVITE of a free member."""
    decide_s: list[float] = field(default_factory=list)
    """From the start of the new process to its first offer."""
    wrong_order: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Rings or talks that the kill touched, operators who were not freed."""


class Trials:
    """One city, one trial after another in it."""

    def __init__(self, city: Scene, rng: random.Random) -> None:
        self.city = city
        self.rng = rng
        self.figures: dict[str, Figures] = {}
        self.n = 0

    # --- acts ------------------------------------------------------------------------------

    def begin(self, kind: str) -> Figures:
        """Count a trial."""
        self.n += 1
        figures = self.figures.setdefault(kind, Figures(kind))
        figures.trials += 1
        return figures

    async def begin_anew(self) -> None:
        """After a trial that went wrong: end all its calls, have the engine running."""
        engine = self.city.city.engine
        assert engine is not None
        with contextlib.suppress(ProcessLookupError):
            engine.send_signal(signal.SIGCONT)
        await self.cli("channel request hangup all")
        for sipp in self.city.bench.running:
            if sipp.name == "citizen":
                await sipp.finished(10.0)
        await self.city.city.stop_engine()
        await self.city.city.start_engine()
        await self.logout_all()

    async def dial(self, number: str, count: int, *, talk_ms: int = FOREVER_MS, tag: str) -> Sipp:
        """Let ``count`` citizens dial; ids and numbers are unique in the run."""
        tag = f"{self.n:04d}{tag}"
        serial = sum(ord(c) << (8 * i) for i, c in enumerate(tag[4:])) % 100
        sipp = await self.city.bench.citizens(
            number,
            [f"{tag}-{i}" for i in range(count)],
            talk_ms=talk_ms,
            caller=f"+79{self.n:04d}{serial:02d}{{:03d}}",
            rate=20.0,
        )

        async def dialled() -> bool | None:
            return True if len(dialogues([sipp])) == count else None

        await until(dialled, f"{count} INVITEs of {tag}", 5.0)
        return sipp

    async def cli(self, command: str) -> str:
        """Ask Asterisk."""
        return await self.city.city.asterisk.cli(command)

    async def native(self, queue: str) -> list[str]:
        """Return the numbers of those who stand in a native queue, in its order."""
        text = await self.cli(f"queue show {queue}" if queue else "queue show")
        names = callers_of(self.city.city.asterisk.legs_csv)
        return [names.get(channel, channel) for _, channel in _ENTRY.findall(text)]

    async def member(self, queue: str, phone: str, *, there: bool = True) -> None:
        """Change a native queue's members behind the engine's back, to make the case."""
        if there:
            await self.cli(f"queue add member PJSIP/{phone} to {queue}")
        else:
            await self.cli(f"queue remove member PJSIP/{phone} from {queue}")

    async def kill(self) -> float:
        """SIGKILL; return when."""
        at = now()
        self.city.city.kill_engine()
        engine = self.city.city.engine
        assert engine is not None
        await engine.wait()
        return at

    async def restart(self, figures: Figures, *, decides: bool) -> None:
        """Start the engine again; note how soon it decided."""
        at = now()
        await self.city.city.start_engine()
        if not decides:
            return

        async def look() -> float | None:
            return self._first_offer_since(at)

        offered = await until(look, "the new engine decides", 15.0)
        figures.decide_s.append(offered - at)

    def _first_offer_since(self, at: float) -> float | None:
        store = self.city.city.state / "gkc.sqlite"
        connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        try:
            row = connection.execute(
                "SELECT min(ts_us) FROM event WHERE kind = 'gkc.offer.created' AND ts_us > ?",
                (int(at * 1e6),),
            ).fetchone()
        finally:
            connection.close()
        return row[0] / 1e6 if row[0] is not None else None

    async def invite(self, figures: Figures, since: float, phones: Sequence[str]) -> None:
        """Note the first INVITE of each of ``phones`` after ``since``."""
        for phone in phones:

            async def look(phone: str = phone) -> float | None:
                legs = dialogues(s for s in self.city.bench.running if s.name == "phone")
                return next(
                    (d.invited for d in legs if d.called == phone and d.invited > since), None
                )

            figures.invite_s.append(await until(look, f"INVITE of {phone}", 10.0) - since)

    async def all_over(self, calls: Sequence[Sipp], figures: Figures, limit_s: float) -> None:
        """Wait for the end of every call and of its record; operators must be free again."""
        for call in calls:
            await call.finished(limit_s)
        store = self.city.city.state / "gkc.sqlite"

        async def look() -> bool | None:
            rows = contacts_on_record(store)
            return True if rows and all(r["ended"] is not None for r in rows) else None

        try:
            await until(look, "every contact has ended", 8.0)
        except AssertionError as error:
            figures.broken.append(f"trial {self.n}: {error}")
        for row in await self.city.ask("agent.show"):
            if row["state"] in ("reserved", "ringing", "talk", "hold"):
                figures.broken.append(f"trial {self.n}: {row['agent_id']} not freed: {row}")

    async def logout_all(self) -> None:
        """Send everybody home."""
        for row in await self.city.ask("agent.show"):
            if row["state"] != "offline":
                await self.city.ask("agent.logout", agent=row["agent_id"])

    async def repeat(
        self,
        kinds: Mapping[str, Callable[[], Awaitable[None]]],
        counts: Mapping[str, int],
        say: Callable[[str], None],
    ) -> None:
        """Run each kind's trial as often as ``counts`` says; what fails is noted."""
        for kind, trial in kinds.items():
            for n in range(counts.get(kind, 0)):
                say(f"{kind} {n + 1}")
                try:
                    await trial()
                except AssertionError as error:
                    self.figures[kind].broken.append(f"trial {self.n}: {error}")
                    await self.begin_anew()

    # --- trials ----------------------------------------------------------------------------

    async def waiting(self, kind: str = "waiting", waiting: int = 3) -> None:
        """Citizens wait, are in the menu, or hear an announcement; one member is free."""
        figures = self.begin(kind)
        rng = self.rng
        await self.city.login("boris")
        calls = [await self.dial(PASSPORT, 1, talk_ms=3500, tag="t")]
        await self.city.agent_is("boris", "talk")
        calls.append(await self.dial(PASSPORT, waiting, tag="w"))
        await self.city.in_state("waiting", waiting)
        calls.append(await self.dial(CITY, 1, tag="m"))
        for queue, phone in (("gkc-passport", "101"), ("gkc-default", "105")):
            await self.member(queue, phone)
        for queue in ("gkc-passport", "gkc-housing", "gkc-operator", "gkc-default"):
            await self.member(queue, "102", there=False)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        before = [str(d.caller) for d in dialogues([calls[1]])]
        at = await self._stop_engine(kind)
        figures.to_queue_s.append(await self.fallen(at, waiting + 1, calls[1:3]) - at)
        order = await self.native("gkc-passport")
        if order != [c for c in before if c in order] or len(order) < waiting - 2:
            figures.wrong_order.append(f"trial {self.n}: {order} instead of {before}")
        await self.invite(figures, at, ["101", "105"])
        new = now()
        await self.member("gkc-default", "106")
        calls.append(await self.dial(HOUSING, 1, tag="n"))
        await self.invite(figures, new, ["106"])
        await asyncio.sleep(rng.uniform(0.0, 1.5))
        await self._come_back(kind, figures)
        await self.all_over(calls, figures, 60.0)
        await self.logout_all()
        figures.calls += waiting + 3

    async def fallen(self, at: float, count: int, calls: Sequence[Sipp]) -> float:
        """Return when each of ``calls`` stood in a native queue: ENTERQUEUE, or a ring of it."""
        names = {d.caller for d in dialogues(calls)}
        assert len(names) == count
        seen: set[str] = set()

        async def look() -> float | None:
            seen.update(await self.native(""))
            legs = dialogues(s for s in self.city.bench.running if s.name == "phone")
            seen.update(d.caller for d in legs if d.invited > at)
            return now() if names <= seen else None

        return await until(look, f"{names} in native queues", 8.0, 0.01)

    async def _stop_engine(self, kind: str) -> float:
        if kind != "stopped":
            return await self.kill()
        engine = self.city.city.engine
        assert engine is not None
        at = now()
        engine.send_signal(signal.SIGSTOP)
        return at

    async def _come_back(self, kind: str, figures: Figures) -> None:
        if kind != "stopped":
            await self.restart(figures, decides=True)
            return
        engine = self.city.city.engine
        assert engine is not None
        at = now()
        engine.send_signal(signal.SIGCONT)

        async def look() -> float | None:
            return self._first_offer_since(at)

        figures.decide_s.append(await until(look, "the woken engine decides", 15.0) - at)

    async def ringing(self) -> None:
        """Five phones ring; one of them is never answered."""
        figures = self.begin("ringing")
        rng = self.rng
        await self.city.login("anna", "vera", "dina", "egor", "gleb")
        calls = [await self.dial(PASSPORT, 1, tag="p")]
        calls.append(await self.dial(ANYBODY, 4, tag="a"))
        await self.city.in_state("offered", 4)  # the fifth phone answers at once
        await asyncio.sleep(rng.uniform(0.0, 0.8 * RING_MS / 1000))
        at = await self.kill()
        await asyncio.sleep(rng.uniform(0.1, 4.0))
        await self.restart(figures, decides=False)
        await self.all_over(calls, figures, 40.0)
        await self.logout_all()
        figures.calls += 5
        self._untouched(figures, at, calls)

    def _untouched(self, figures: Figures, at: float, calls: Sequence[Sipp]) -> None:
        """A ring of before the kill goes on to its answer or its timeout."""
        mine = {d.caller for d in dialogues(calls)}
        for leg in dialogues(s for s in self.city.bench.running if s.name == "phone"):
            if leg.caller in mine and leg.invited < at and leg.cancelled and leg.answered is None:
                rang = (leg.ended or 0.0) - leg.invited
                if rang < 5.0:
                    figures.broken.append(f"trial {self.n}: {leg.called} rang {rang:.2f} s only")

    async def talking(self) -> None:
        """Five talks; some end while the engine is away, some after it is back."""
        figures = self.begin("talking")
        rng = self.rng
        await self.city.login("anna", "boris", "dina", "egor", "gleb")
        begun = now()
        calls = []
        for i, number in enumerate((PASSPORT, PASSPORT, ANYBODY, ANYBODY, ANYBODY)):
            talk = FOREVER_MS if i % 2 else int(rng.uniform(3500, 8000))
            calls.append(await self.dial(number, 1, talk_ms=talk, tag=f"c{i}"))
        for agent in ("anna", "boris", "dina", "egor", "gleb"):
            await self.city.agent_is(agent, "talk")
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        at = await self.kill()
        await asyncio.sleep(rng.uniform(0.2, 5.0))
        await self.restart(figures, decides=False)
        await self.all_over(calls, figures, 40.0)
        await self.logout_all()
        figures.calls += 5
        for leg in dialogues(s for s in self.city.bench.running if s.name == "phone"):
            if leg.invited > begun and leg.ended is not None and at < leg.ended < at + 0.1:
                figures.broken.append(f"trial {self.n}: {leg.called}'s talk ended at the kill")


async def _phones(bench: SippBench) -> Mapping[str, int]:
    ring = {"": (await bench.phones(ring_ms=RING_MS, talk_ms=6000)).port}
    ring["101"] = (await bench.phones(ring_ms=200, talk_ms=4500)).port
    ring["102"] = (await bench.phones(ring_ms=200, talk_ms=4000)).port
    ring["103"] = (await bench.phones(ring_ms=FOREVER_MS, talk_ms=1200)).port
    return ring


async def run(
    folder: Path,
    install: Install,
    counts: Mapping[str, int],
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Figures], Verdict]:
    """Run ``counts`` trials of each kind; return the figures and the comparison.

    Transfers have a city of their own, in which two of the phones are played by hand.
    """
    figures: dict[str, Figures] = {}
    verdict = Verdict()
    if any(counts.get(kind) for kind in ("waiting", "ringing", "talking", "stopped")):
        async with scene(folder / "city", install, phones=_phones) as city:
            trials = Trials(city, random.Random(seed))
            kinds: dict[str, Callable[[], Awaitable[None]]] = {
                "waiting": trials.waiting,
                "ringing": trials.ringing,
                "talking": trials.talking,
                "stopped": lambda: trials.waiting("stopped"),
            }
            await trials.repeat(kinds, counts, say)
            figures |= trials.figures
            verdict.add(compare(city))
    if counts.get("transfer"):
        players = Players()
        async with scene(folder / "transfers", install, phones=players.start) as city:
            trials = Trials(city, random.Random(seed))
            await trials.repeat({"transfer": lambda: transfer(trials, players)}, counts, say)
            figures |= trials.figures
            verdict.add(compare(city, players.citizens(), players.phones()))
            await players.stop()
    return figures, verdict


async def in_order(folder: Path, install: Install, count: int) -> tuple[list[str], list[str]]:
    """Let ``count`` citizens wait, kill the engine; return who dialled and who stands, in order."""
    async with scene(folder, install, phones=_phones) as city:
        trials = Trials(city, random.Random(0))
        trials.begin("order")
        await city.login("dina")  # without the skill: the queue is staffed, nobody is served
        sipp = await trials.dial(PASSPORT, count, tag="o")
        await city.in_state("waiting", count)
        await trials.kill()

        async def look() -> list[str] | None:
            standing = await trials.native("gkc-passport")
            return standing if len(standing) >= count else None

        standing = await until(look, f"{count} stand in the native queue", 8.0)
        return [d.caller for d in dialogues([sipp])], standing


def found_wrong(figures: Mapping[str, Figures], verdict: Verdict) -> bool:
    """Whether anything is not as promised."""
    return not verdict.clean() or any(f.wrong_order or f.broken for f in figures.values())


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "max": None}
    return {"p50": round(ordered[len(ordered) // 2], 3), "max": round(ordered[-1], 3)}


def report(figures: Mapping[str, Figures], verdict: Verdict) -> dict[str, Any]:
    """Return everything as one JSON object."""
    kinds = {
        kind: {
            "trials": f.trials,
            "calls": f.calls,
            "to_queue_s": _spread(f.to_queue_s),
            "fallback_invite_s": _spread(f.invite_s),
            "decide_s": _spread(f.decide_s),
            "wrong_order": f.wrong_order,
            "broken": f.broken,
        }
        for kind, f in figures.items()
    }
    return {"kinds": kinds, "verdict": asdict(verdict)}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in ("waiting", "ringing", "talking", "transfer", "stopped"):
        parser.add_argument(f"--{kind}", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    given = vars(parser.parse_args())
    folder = given["folder"] or Path(tempfile.mkdtemp(prefix="gkc-kill-"))
    install = find_or_install(state_dir(), named=None, progress=progress)
    figures, verdict = asyncio.run(run(folder, install, given, given["seed"], progress))
    result = report(figures, verdict)
    sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return int(found_wrong(figures, verdict))


if __name__ == "__main__":
    sys.exit(main())
