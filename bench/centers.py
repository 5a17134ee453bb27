"""Three centers that help each other, on virtual time: real cores and the real protocol.

    python -m bench.centers [--contacts N] [--runs N] [--seed N] [--jobs N] [--json]

City 60 operators and 54 erlangs, okrug 20 and 17.5, district 8 and 7.4. Calls of 240 s,
exponential; Poisson arrivals; a message, or a call over a trunk, takes 5 ms. Beside it, with the
same citizens (common random numbers): each center alone, and one line of 88 operators. Figures are
batch means with 95 % intervals; a ratio's by the jackknife over the same batches. Exit code 1 when
a target is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from gkc_engine.federation.settings import OverflowRule
from gkc_engine.ids import SECOND, Micros, QueueId, seconds
from gkc_engine.simulation.centers import IN_TIME_US, QUEUE, City, Fate, Site
from gkc_engine.simulation.draws import arrivals
from gkc_engine.simulation.plan import Dist, Flow
from gkc_engine.simulation.student import quantile

CENTERS = (("city", 60, 54.0), ("okrug", 20, 17.5), ("district", 8, 7.4))
NAMES = tuple(name for name, _, _ in CENTERS)
ALL = "all"
MEAN_S = 240.0
PATIENCE_S = 180.0
DELAY_US = Micros(5_000)
WARM_UP = 10_000
"""Contacts of a run before the first that counts."""
BATCH = 10_000
"""Contacts of a batch: 30 000 s, fifteen times what a line of 88 takes to forget."""
TAIL = 1_000
"""Contacts after the last that counts, so that its call is over: 3 000 s."""

FLOOR = 0.8
RATIO_MAX = 1.15
FALL_MIN = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to run the three centers."""

    name: str
    joined: bool = True
    pooled: bool = False
    after_s: float = 0.0
    floor: float = 0.0
    patience_s: float | None = None

    def sites(self) -> tuple[Site, ...]:
        """Return the centers."""
        if self.pooled:
            return (Site(name=ALL, operators=sum(n for _, n, _ in CENTERS)),)
        return tuple(
            Site(name=name, operators=operators, rules=(self._rule(name),))
            for name, operators, _ in CENTERS
        )

    def _rule(self, home: str) -> OverflowRule:
        return OverflowRule(
            queues=frozenset((QUEUE,)),
            to=tuple(name for name in NAMES if name != home),
            after_us=seconds(self.after_s),
            gain_min_us=Micros(0),
            donor_sl_min_milli=round(self.floor * 1000),
        )

    def flows(self) -> tuple[Flow, ...]:
        """Return who calls where: the same people in every case of a seed."""
        given = self.patience_s
        patience = None if given is None else Dist(name="exp", mean_us=seconds(given))
        handle = Dist(name="exp", mean_us=seconds(MEAN_S))
        return tuple(
            Flow(queue=QueueId(name), per_s=load / MEAN_S, handle=handle, patience=patience)
            for name, _, load in CENTERS
        )


ALONE = Case(name="each alone", joined=False)
POOLED = Case(name="one line of 88", pooled=True)
JOINED = Case(name="after 0s")
FLOORED = Case(name="after 20s, floor 0.8", after_s=20.0, floor=FLOOR)
PATIENT = (ALONE, POOLED, JOINED, FLOORED)
IMPATIENT = tuple(replace(case, patience_s=PATIENCE_S) for case in PATIENT)


@dataclass(slots=True)
class Sums:
    """Of the citizens of one batch, or of a center's among them."""

    n: int = 0
    wait_us: int = 0
    in_time: int = 0
    left: int = 0
    elsewhere: int = 0

    def add(self, fate: Fate) -> None:
        """Count one more."""
        self.n += 1
        self.wait_us += fate.wait_us
        self.in_time += bool(fate.by) and fate.wait_us <= IN_TIME_US
        self.left += not fate.by
        self.elsewhere += fate.by not in ("", fate.home, ALL)


Batch = dict[str, Sums]
"""By center, and of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A mean and half of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.half:.2f}"


def erlang_c_s(operators: int, erlangs: float) -> float:
    """Return the mean wait of M/M/c, in seconds."""
    blocked = 1.0
    for k in range(1, operators + 1):
        blocked = erlangs * blocked / (k + erlangs * blocked)
    waits = blocked / (1 - erlangs / operators * (1 - blocked))
    return waits * MEAN_S / (operators - erlangs)


def batches(case: Case, seed: int, run: int, contacts: int) -> list[Batch]:
    """Return the batches of one run."""
    city = City(case.sites(), DELAY_US, joined=case.joined)
    people = arrivals(case.flows(), seed, run)
    fates = city.run(people, WARM_UP + contacts + TAIL)
    found = []
    for first in range(WARM_UP, WARM_UP + contacts, BATCH):
        batch: Batch = {name: Sums() for name in (ALL, *NAMES)}
        for n in range(first, min(first + BATCH, WARM_UP + contacts)):
            fate = fates.get(n)
            if fate is not None:  # Else it still waits: a line without room to breathe.
                batch[ALL].add(fate)
                batch[fate.home].add(fate)
        found.append(batch)
    return found


def mean_of(values: Sequence[float]) -> Figure:
    """Return the mean of batch means, or of the jackknife's pseudo-values."""
    n = len(values)
    mean = sum(values) / n
    spread = sum((value - mean) ** 2 for value in values) / max(1, n - 1)
    half = quantile(0.975, n - 1) * math.sqrt(spread / n) if n > 1 else math.nan
    return Figure(mean=mean, half=half)


def ratio(above: Sequence[float], below: Sequence[float]) -> Figure:
    """Return the ratio of two sums over the same batches, by the jackknife."""
    n, a, b = len(above), sum(above), sum(below)
    if n == 1:
        return Figure(mean=a / b, half=math.nan)
    left_out = [(a - x) / (b - y) for x, y in zip(above, below, strict=True)]
    return mean_of([n * a / b - (n - 1) * one for one in left_out])


@dataclass(slots=True, kw_only=True)
class Measured:
    """A case's batches."""

    case: Case
    batches: list[Batch] = field(default_factory=list)

    def each(self, of: Callable[[Sums], float], center: str = ALL) -> list[float]:
        """Return a sum of each batch."""
        return [of(batch[center]) for batch in self.batches]

    def wait_s(self, center: str = ALL) -> Figure:
        """Return the mean wait of a center's own citizens, whoever answered."""
        return ratio(self.each(_waited_s, center), self.each(_count, center))

    def share(self, of: Callable[[Sums], float], center: str = ALL) -> Figure:
        """Return a share of a center's own citizens."""
        return ratio(self.each(of, center), self.each(_count, center))


def _count(sums: Sums) -> float:
    return sums.n


def _waited_s(sums: Sums) -> float:
    return sums.wait_us / SECOND


def _in_time(sums: Sums) -> float:
    return sums.in_time


def _left(sums: Sums) -> float:
    return sums.left


def _elsewhere(sums: Sums) -> float:
    return sums.elsewhere


def verdicts(found: Mapping[Case, Measured]) -> list[tuple[bool, str]]:
    """Return what was asked for, and whether it came true."""
    joined, pooled = found[JOINED], found[POOLED]
    most = ratio(joined.each(_waited_s), pooled.each(_waited_s))
    old, new = found[ALONE].wait_s("district"), joined.wait_s("district")
    fall = 1 - new.mean / old.mean
    told = [
        (most.mean + most.half <= RATIO_MAX, f"mean wait / one line {most} <= {RATIO_MAX}"),
        (fall >= FALL_MIN, f"the district's wait falls by {fall:.1%} (>= {FALL_MIN:.0%})"),
    ]
    for alone, floored in ((ALONE, FLOORED), (IMPATIENT[0], IMPATIENT[3])):
        for name in NAMES:
            before = found[alone].share(_in_time, name).mean
            after = found[floored].share(_in_time, name)
            holds = after.mean + after.half >= min(FLOOR, before)
            patience = ", patience 3 min" if alone.patience_s else ""
            words = f"floor{patience}: {name}'s own in 20 s {before:.3f} alone, {after} joined"
            told.append((holds, words))
    return told


def table(found: Mapping[Case, Measured]) -> str:
    """Return the figures as Markdown."""
    heads = ("mean wait, s", *(f"{name}'s" for name in NAMES), "in 20 s", "left", "elsewhere")
    lines = [f"| case | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for case, one in found.items():
        cells = [
            str(one.wait_s()),
            *(f"{one.wait_s(n)}; {one.share(_in_time, n).mean:.1%}" for n in NAMES),
            f"{one.share(_in_time).mean:.1%}",
            f"{one.share(_left).mean:.1%}",
            f"{one.share(_elsewhere).mean:.1%}",
        ]
        name = case.name + ("; patience 3 min" if case.patience_s else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(
    cases: Sequence[Case], *, seed: int, runs: int, contacts: int, jobs: int
) -> dict[Case, Measured]:
    """Run all, on so many cores."""
    found = {case: Measured(case=case) for case in cases}
    tasks = [(case, run) for run in range(runs) for case in cases]
    with ProcessPoolExecutor(jobs) as pool:
        asked = [pool.submit(batches, case, seed, run, contacts) for case, run in tasks]
        for (case, run), one in zip(tasks, asked, strict=True):
            found[case].batches += one.result()
            print(f"{case.name}, run {run + 1} of {runs}", file=sys.stderr)
    return found


def _as_json(found: Mapping[Case, Measured]) -> list[dict[str, object]]:
    return [
        {
            "case": case.name,
            "patience_s": case.patience_s,
            "batches": len(one.batches),
            "wait_s": {n: vars_of(one.wait_s(n)) for n in (ALL, *NAMES)},
            "in_20_s": {n: vars_of(one.share(_in_time, n)) for n in (ALL, *NAMES)},
            "left": vars_of(one.share(_left)),
            "elsewhere": {n: vars_of(one.share(_elsewhere, n)) for n in (ALL, *NAMES)},
        }
        for case, one in found.items()
    ]


def vars_of(figure: Figure) -> dict[str, float]:
    """Return a figure as JSON has it."""
    return {"mean": round(figure.mean, 4), "half": round(figure.half, 4)}


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=50_000, help="that count, of each run")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(
        (*PATIENT, *IMPATIENT),
        seed=args.seed,
        runs=args.runs,
        contacts=args.contacts,
        jobs=args.jobs,
    )
    told = verdicts(found)
    if args.json:
        print(json.dumps({"cases": _as_json(found), "verdicts": told}))
    else:
        print(table(found))
        theory = erlang_c_s(88, sum(load for _, _, load in CENTERS))
        alone = sum(load * erlang_c_s(n, load) for _, n, load in CENTERS)
        each = ", ".join(f"{name} {erlang_c_s(n, load):.1f}" for name, n, load in CENTERS)
        whole = alone / sum(load for _, _, load in CENTERS)
        print(f"\nErlang C: one line {theory:.2f} s; alone {whole:.1f} s ({each})\n")
        for met, words in told:
            print(f"- {'met' if met else '**MISSED**'}: {words}")
    return 0 if all(met for met, _ in told) else 1


if __name__ == "__main__":
    sys.exit(main())
