"""Kill the engine again and again while citizens call a real Asterisk; count what went wrong.

``python -m tests.acceptance.kill_trials --waiting 20 --ringing 10 --talking 10
--transfer 10 --stopped 10 --watched 10 --hung 10 --seed 1`` prints one JSON object; exit code 0 =
nothing was found.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gkc_engine.cli._console import progress, state_dir
from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install, find_or_install
from gkc_engine.watchdog import BEAT_S, RESTART_S, SILENCE_S
from tests.acceptance.harness import scene, until
from tests.acceptance.oracle import Verdict, compare
from tests.acceptance.sipp import FOREVER_MS, Sipp, SippBench
from tests.acceptance.traces import dialogues
from tests.acceptance.transfer_trials import Players, transfer
from tests.acceptance.trials import Figures, Trials, invited, now

PASSPORT, HOUSING, ANYBODY, CITY = "+74951112233", "+74951112244", "+74951112255", "+74957777777"
RING_MS = 2500
"""How long the phones ring: time for a kill meanwhile."""

FALLBACK_S, STOPPED_S = 2.0, 5.0
"""Within these the native queue has everybody, and rings a free member (issue, section 5)."""

DECIDES_S = 2.0
"""Within this the engine decides again, from its own start (or from its going on)."""

DECIDES_AGAIN_S = {
    "waiting": DECIDES_S,
    "stopped": DECIDES_S,
    "watched": RESTART_S + DECIDES_S,
    "hung": SILENCE_S + BEAT_S + RESTART_S + DECIDES_S,
}
"""From the kill or stop, where the watchdog has to see it first and then waits for its time."""

IN_COMPANY = 2.0
"""Beside other tests on the same cores the engine's start, a second of processor time, has a part
of them only: so many times as long is let pass there. Run by itself it has its seconds."""

FRESH_S = 3.0
"""So long after the end of the engine its last heartbeat passes for a live one at least."""

WATCHED = ("watched", "hung")
"""The real watchdog is over the engine, which is killed or stopped: nobody else brings it back."""

KINDS = ("waiting", "ringing", "talking", "stopped", "transfer", *WATCHED)


class KillTrials(Trials):
    """The kinds of trial that one city serves, one after another."""

    async def waiting(self, kind: str = "waiting", waiting: int = 3) -> None:
        """Citizens wait, are in the menu, or hear an announcement; others dial right after.

        The next one dials while the heartbeat is still fresh. Under its watchdog the engine comes
        back by itself, and an operator is free then for whom another has dialled meanwhile.
        """
        figures = self.begin(kind)
        by_itself = kind in WATCHED
        await self.city.login("boris", *(["gleb"] if by_itself else []))
        calls = [await self.dial(PASSPORT, 1, talk_ms=3500, tag="t")]
        await self.city.agent_is("boris", "talk")
        calls.append(await self.dial(PASSPORT, waiting, tag="w"))
        await self.city.in_state("waiting", waiting)
        calls.append(await self.dial(CITY, 1, tag="m"))
        for queue, phone in (("passport", "101"), ("default", "105"), ("default", "106")):
            await self.member(f"gkc-{queue}", phone)
        for queue in ("passport", "housing", "operator", "default"):
            for phone in ("102", "104"):
                await self.member(f"gkc-{queue}", phone, there=False)
        await asyncio.sleep(self.rng.uniform(0.0, 1.0))
        before = [str(d.caller) for d in dialogues([calls[1]])]
        at = await self._stop_engine(kind)
        calls.append(await self.dial(HOUSING, 1, tag="n"))
        figures.to_queue_s.append(await self.fallen(at, waiting + 1, calls[1:3]) - at)
        order = await self.native("gkc-passport")
        if order != [c for c in before if c in order] or len(order) < waiting - 2:
            figures.wrong_order.append(f"trial {self.n}: {order} instead of {before}")
        await self.invite(figures, at, ["101"])
        figures.invite_s.append(await self.rung_for(calls[2]) - at)
        await self._new_call(figures, at, calls[3])
        if by_itself:
            # Not before: the native queue has a free member for one who is new, not for two.
            calls.append(await self.dial(ANYBODY, 1, tag="d"))
        else:
            await self.member("gkc-default", "104")
            calls.append(await self.dial(HOUSING, 1, tag="l"))
            figures.new_s.append(await self.rung_for(calls[-1]) - invited(calls[-1]))
            await asyncio.sleep(self.rng.uniform(0.0, 1.5))
        due = max(at, invited(calls[-1]))
        back = await self._come_back(kind, figures, due if by_itself else at)
        await self.all_over(calls, figures, 60.0)
        self._in_their_order(figures, before, back)
        await self.logout_all()
        figures.calls += waiting + 4

    async def _new_call(self, figures: Figures, stopped: float, call: Sipp) -> None:
        """Note how soon a phone rang for who dialled right after the end of the engine."""
        after = invited(call) - stopped
        if after > FRESH_S:
            figures.broken.append(
                f"trial {self.n}: dialled {after:.1f} s after, no fresh heartbeat"
            )
        figures.new_s.append(await self.rung_for(call) - invited(call))

    def _in_their_order(self, figures: Figures, before: Sequence[str], back: float) -> None:
        """Whom the engine took back it served as they came.

        Not so the native queue's first: a free member is rung for whoever falls into it first.
        """
        phones = dialogues(s for s in self.city.bench.running if s.name == "phone")
        served = [p.caller for p in phones if p.invited >= back and p.caller in before]
        if served != [c for c in before if c in served]:
            figures.wrong_order.append(f"trial {self.n}: served {served}, came {before}")

    async def _stop_engine(self, kind: str) -> float:
        if kind not in ("stopped", *WATCHED):
            return await self.kill()
        self._pid = await asyncio.to_thread(lambda: self.city.city.engine_pid)
        at = now()
        os.kill(self._pid, signal.SIGKILL if kind == "watched" else signal.SIGSTOP)
        return at

    async def _come_back(self, kind: str, figures: Figures, stopped: float) -> float:
        """Have the engine back; return when it decided first."""
        if kind not in ("stopped", *WATCHED):
            at = now()
            await self.restart(figures, decides=True)
            return at + figures.decide_s[-1]
        at = stopped
        if kind == "stopped":
            at = now()
            os.kill(self._pid, signal.SIGCONT)

        async def look() -> float | None:
            return self._first_offer_since(at)

        decided = await until(look, f"the engine decides again ({kind})", 30.0)
        figures.decide_s.append(decided - at)
        if kind in WATCHED:
            pid = await asyncio.to_thread(lambda: self.city.city.engine_pid)
            assert pid != self._pid, "the watchdog did not start another"
        if kind == "hung":
            told = self.city.city.log.read_text(encoding="utf-8").count('"engine_hangs"')
            assert told == figures.trials, "not the watchdog has ended it"
        return decided

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
        of_caller = {d.caller: d for d in dialogues(calls)}
        for leg in dialogues(s for s in self.city.bench.running if s.name == "phone"):
            if leg.invited > begun and leg.ended is not None and at < leg.ended < at + 0.1:
                # Phones hang up after 4 to 6 s and some citizens, too: only who was hung up on by
                # Asterisk on both sides has lost his talk.
                if leg.by_called or not of_caller[leg.caller].by_called:
                    continue
                figures.broken.append(f"trial {self.n}: {leg.called}'s talk ended at the kill")


async def _phones(bench: SippBench) -> Mapping[str, int]:
    ring = {"": (await bench.phones(ring_ms=RING_MS, talk_ms=6000)).port}
    ring["101"] = (await bench.phones(ring_ms=200, talk_ms=4500)).port
    ring["102"] = (await bench.phones(ring_ms=200, talk_ms=4000)).port
    ring["103"] = (await bench.phones(ring_ms=FOREVER_MS, talk_ms=1200)).port
    return ring


def _watched(options: CityOptions) -> CityOptions:
    return dataclasses.replace(options, watchdog=True)


def _untold(options: CityOptions) -> CityOptions:
    """Let nobody be told of the recording: 4 s before each call that the trial is not about."""

    def tune(document: Document) -> None:
        if "queues" in document:
            del document["queues"]["housing"]["record_notice"]
            document["queues"]["passport"]["transfer_codes"] = True

    return dataclasses.replace(options, tune=tune)


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
            trials = KillTrials(city, random.Random(seed))
            kinds: dict[str, Callable[[], Awaitable[None]]] = {
                "waiting": trials.waiting,
                "ringing": trials.ringing,
                "talking": trials.talking,
                "stopped": lambda: trials.waiting("stopped"),
            }
            await trials.repeat(kinds, counts, say)
            figures |= trials.figures
            verdict.add(compare(city))
    if any(counts.get(kind) for kind in WATCHED):
        async with scene(folder / "watched", install, phones=_phones, options=_watched) as city:
            left = KillTrials(city, random.Random(seed))
            kinds = {kind: partial(left.waiting, kind, 4) for kind in WATCHED}
            await left.repeat(kinds, counts, say)
            figures |= left.figures
            verdict.add(compare(city))
    if counts.get("transfer"):
        players = Players()
        made = scene(folder / "transfers", install, phones=players.start, options=_untold)
        async with made as city:
            moving = Trials(city, random.Random(seed))
            await moving.repeat({"transfer": lambda: transfer(moving, players)}, counts, say)
            figures |= moving.figures
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


def found_wrong(figures: Mapping[str, Figures], verdict: Verdict, company: float = 1.0) -> bool:
    """Whether anything is not as promised; ``company``: see ``IN_COMPANY``."""
    return not verdict.clean() or any(
        f.wrong_order or f.broken or too_late(f, company) for f in figures.values()
    )


async def trials_as_promised(
    folder: Path, install: Install, counts: Mapping[str, int], seed: int
) -> None:
    """Run ``counts`` trials of each kind; fail unless everything is as the issue wants it."""
    figures, verdict = await run(folder, install, counts, seed)
    told = json.dumps(report(figures, verdict), indent=1, ensure_ascii=False)
    assert not found_wrong(figures, verdict, IN_COMPANY), told
    for kind, made in figures.items():
        assert made.trials == counts[kind]
        assert made.calls >= 5 * made.trials, "each trial is to hold five calls"


def too_late(made: Figures, company: float = 1.0) -> list[float]:
    """Return the seconds after a kill or a stop in which queue or engine was too slow.

    What Asterisk promises by itself has no allowance for company: it is waiting, not work.
    """
    limit = STOPPED_S if made.kind in ("stopped", "hung") else FALLBACK_S
    late = [s for s in made.to_queue_s + made.invite_s + made.new_s if s > limit]
    again = DECIDES_AGAIN_S.get(made.kind)
    return late + [s for s in made.decide_s if again is not None and s > again * company]


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
            "new_call_invite_s": _spread(f.new_s),
            "decide_s": _spread(f.decide_s),
            "silent_s": _spread(f.silent_s),
            "wrong_order": f.wrong_order,
            "broken": f.broken,
        }
        for kind, f in figures.items()
    }
    return {"kinds": kinds, "verdict": asdict(verdict)}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in KINDS:
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
