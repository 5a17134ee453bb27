"""What a decision of the core costs, whatever the size of the center.

    python -m bench.acd [--quick] [--only ROW] [--decisions N] [--cpu] [--json]

One process, one run. A decision is one arrival (a contact asks for its queue) or one release (a
talk ends) through ``Acd.step``, its commands made. The yardstick is the "heap pair": heapq push +
pop of (int, int, object) with as many entries as there are agents; the counter-example a full scan
of everybody who waits. Exit code 1 when a *must* is missed. ``--quick``: everything small, judged
by nothing; for the tests.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench.acd_load import Center, Decisions, Size, decisions
from bench.yardsticks import HeapPair, naive_us
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Requirement
from gkc_engine.ids import SkillId

DECISIONS = 40_000
SMALL_LINE = 1_000
RELOADS = 4
PARTS = 20
"""Of a measurement. The least counts, as with ``timeit``: what is above it is the neighbours'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    row: str
    what: str
    measured: float
    unit: str
    must: float | None
    aim: float | None
    more_is_better: bool = False

    @property
    def verdict(self) -> str:
        """Whether the must is kept, and the aim reached."""
        aim = "" if self.aim is None else "aim reached" if self._reaches(self.aim) else "aim missed"
        if self.must is None:
            return aim
        if not self._reaches(self.must):
            return "MISSED"
        return f"ok, {aim}" if aim else "ok"

    def _reaches(self, limit: float) -> bool:
        return self.measured >= limit if self.more_is_better else self.measured <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How big everything is."""

    small: Size
    big: Size
    huge: Size
    live: int
    """Contacts of the pause."""
    decisions: int
    naive: int
    """Decisions of the full scan: each takes a second with a million waiting."""
    clock: Callable[[], int] = time.perf_counter_ns


def full_scale(count: int) -> Scale:
    """Return the sizes of the issue."""
    big = Size(agents=10_000, profiles=500, load=1.05, waiting=1_000_000, steps=True)
    return Scale(
        small=Size(agents=10_000, profiles=500, load=0.97),
        big=big,
        huge=replace(big, agents=100_000, profiles=2_000),
        live=100_000,
        decisions=count,
        naive=6,
    )


def quick_scale() -> Scale:
    """Return sizes that take a moment."""
    big = Size(agents=60, profiles=12, load=1.05, waiting=600, steps=True, skills=12, classes=30)
    return Scale(
        small=replace(big, load=0.97, waiting=0, steps=False),
        big=big,
        huge=replace(big, agents=120, profiles=24),
        live=300,
        decisions=300,
        naive=4,
    )


# --- rows -------------------------------------------------------------------------------------


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def filled(size: Size, clock: Callable[[], int]) -> tuple[Center, float]:
    """Return a center under load, and what a waiting contact takes in memory, in bytes.

    The collector rests while it is filled, and has nothing of it to walk afterwards: as in the
    engine (``gc.freeze``).
    """
    gc.collect()
    gc.disable()
    center = Center(size, clock=clock)
    before = _resident_bytes()
    center.fill(lambda n: say(f"  {n} wait"))
    used = _resident_bytes() - before
    gc.freeze()
    gc.enable()
    return center, used / max(1, center.waiting)


@dataclass(frozen=True, slots=True)
class Measured:
    """What decisions cost, in parts of a fraction of a second."""

    least: Decisions
    """The cheapest part: what the core takes where nobody else on the machine takes his share."""
    middle_us: float
    """A decision in the middle one."""
    longest_ms: float
    """The longest single step of all parts."""
    in_pairs: float
    """A decision in heap pairs, both timed one after the other: the middle of all parts."""
    pair_us: float
    """The cheapest part's heap pair."""


def measured(center: Center, count: int) -> Measured:
    """Return what decisions cost after some that do not count, and a heap pair beside each part."""
    center.run(count // 10)
    pair = HeapPair(center.size.agents, center.clock)
    parts: list[tuple[Decisions, float]] = []
    for _ in range(PARTS):
        center.clear()
        part = decisions(center.run(max(1, count // PARTS)))
        parts.append((part, pair.us(max(1, count // PARTS))))
    return Measured(
        least=min((part for part, _ in parts), key=lambda part: part.us),
        middle_us=median(part.us for part, _ in parts),
        longest_ms=max(part.longest_ms for part, _ in parts),
        in_pairs=median(part.us / pair_us for part, pair_us in parts),
        pair_us=min(pair_us for _, pair_us in parts),
    )


def say(text: str) -> None:
    """Tell how far it is, beside the table."""
    print(text, file=sys.stderr, flush=True)


def small_rows(scale: Scale) -> list[Figure]:
    """A center that keeps up with its load."""
    center, _ = filled(scale.small, scale.clock)
    found = measured(center, scale.decisions)
    row = _named(scale.small)
    return [
        *_parts(row, found, must=10.0, aim=3.0),
        Figure(row=row, what="heap pair", measured=found.pair_us, unit="µs", must=None, aim=None),
        Figure(
            row=row,
            what="decision / heap pair",
            measured=found.in_pairs,
            unit="×",
            must=12,
            aim=4,
        ),
    ]


def big_rows(scale: Scale) -> list[Figure]:
    """More load than it can serve, a million in line, steps; against a short line, and a scan."""
    short, _ = filled(
        replace(scale.big, waiting=min(SMALL_LINE, scale.big.waiting // 10)), scale.clock
    )
    few = measured(short, scale.decisions)
    del short
    center, contact_bytes = filled(scale.big, scale.clock)
    found = measured(center, scale.decisions)
    row = _named(scale.big)
    say("  the full scan")
    scan = naive_us(center, scale.naive)
    say("  a reload")
    reload_ms = max(_reload_ms(center, deep=False), _reload_ms(center, deep=True))
    gain = scan / found.least.us
    return [
        *_parts(row, found, must=20.0, aim=5.0),
        Figure(
            row=row,
            what=f"the same with {few.least.waiting} waiting",
            measured=few.least.us,
            unit="µs",
            must=None,
            aim=None,
        ),
        Figure(
            row=row,
            what="growth",
            measured=found.least.us / few.least.us,
            unit="×",
            must=2.0,
            aim=None,
        ),
        Figure(row=row, what="full scan", measured=scan, unit="µs", must=None, aim=None),
        Figure(
            row=row,
            what="full scan / decision",
            measured=gain,
            unit="×",
            must=1_000,
            aim=10_000,
            more_is_better=True,
        ),
        Figure(
            row=row, what="a waiting contact", measured=contact_bytes, unit="B", must=1_500, aim=500
        ),
        Figure(
            row=row,
            what="reload, all contacts live",
            measured=reload_ms,
            unit="ms",
            must=None,
            aim=100,
        ),
    ]


def huge_rows(scale: Scale) -> list[Figure]:
    """A whole city in one center."""
    center, _ = filled(scale.huge, scale.clock)
    return _parts(_named(scale.huge), measured(center, scale.decisions), must=40.0, aim=10.0)


def pause_rows(scale: Scale) -> list[Figure]:
    """The longest time for which nothing else can happen."""
    waiting = scale.live - round(min(1.0, scale.big.load) * scale.big.agents)
    center, _ = filled(replace(scale.big, waiting=max(0, waiting)), scale.clock)
    collected: list[float] = []
    begun = [0]

    def watch(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            begun[0] = time.perf_counter_ns()
        else:
            collected.append((time.perf_counter_ns() - begun[0]) / 1e6)

    gc.callbacks.append(watch)
    try:
        found = measured(center, scale.decisions)
        shallow = _reload_ms(center, deep=False)
        # Of several, one at least finds much of the versions before that is to be forgotten.
        deep = max(_reload_ms(center, deep=True) for _ in range(RELOADS))
        after = measured(center, scale.decisions // 4)
        gc.collect()
    finally:
        gc.callbacks.remove(watch)
    parts = {
        "a step": max(found.longest_ms, after.longest_ms),
        "reload that changes no requirement": shallow,
        "reload that changes every requirement": deep,
        "garbage collection": max(collected),
    }
    row = f"{center.live} contacts live"
    rows = [
        Figure(row=row, what=what, measured=ms, unit="ms", must=None, aim=None)
        for what, ms in parts.items()
    ]
    longest = max(parts.values())
    return [
        Figure(row=row, what="longest pause", measured=longest, unit="ms", must=100, aim=None),
        *rows,
    ]


def _reload_ms(center: Center, *, deep: bool) -> float:
    """Return how long the core takes to apply a config that differs in something."""
    old = center.settings
    if deep:
        queues = tuple(replace(q, require=_other_levels(q.require)) for q in old.queues)
    else:
        queues = tuple(replace(q, title=f"{q.title}.") for q in old.queues)
    new = replace(old, version=f"{old.version}+", queues=queues)
    event = ev.SettingsApplied(settings=new)
    begun = center.clock()
    said = center.acd.step(event, center.now)
    took = (center.clock() - begun) / 1e6
    center.settings = new
    center.follow(said)
    return took


def _other_levels(need: Requirement) -> dict[SkillId, int]:
    return {skill: level % 9 + 1 for skill, level in need.items()}


def _parts(row: str, found: Measured, *, must: float, aim: float) -> list[Figure]:
    least = found.least
    beside = {
        "of it an arrival": least.arrive_us,
        "of it a release": least.release_us,
        "of it steps that became due": least.tick_us,
        "99 % of arrivals and releases within": least.p99_us,
        "beside it a new contact": least.register_us,
        "beside it the answer to an offer": least.accept_us,
        "a decision in the middle part": found.middle_us,
    }
    return [
        Figure(row=row, what="a decision", measured=least.us, unit="µs", must=must, aim=aim),
        *(
            Figure(row=row, what=what, measured=us, unit="µs", must=None, aim=None)
            for what, us in beside.items()
        ),
    ]


def _named(size: Size) -> str:
    text = f"{size.agents} / {size.profiles}, {size.load:.0%}"
    return text + (f", {size.waiting} waiting" if size.waiting else "")


ROWS: dict[str, Callable[[Scale], list[Figure]]] = {
    "small": small_rows,
    "big": big_rows,
    "huge": huge_rows,
    "pause": pause_rows,
}


def table(found: list[Figure], row: str = "agents / profiles, load") -> str:
    """Return the markdown table; ``row``: what its first column is."""
    head = (
        f"| {row} | what | measured | must | aim | verdict |\n"
        "| --- | --- | ---: | ---: | ---: | --- |"
    )
    lines = [head]
    lines += [
        f"| {f.row} | {f.what} | {_shown(f.measured)} {f.unit} | {_limit(f, f.must)} "
        f"| {_limit(f, f.aim)} | {f.verdict} |"
        for f in found
    ]
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.2f}"


def _limit(figure: Figure, limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{'≥' if figure.more_is_better else '≤'} {_shown(limit)} {figure.unit}"


def main(arguments: list[str] | None = None) -> int:
    """Run the rows and print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.acd")
    parser.add_argument("--quick", action="store_true", help="everything small, nothing judged")
    parser.add_argument("--only", choices=ROWS, action="append", help="only this row")
    parser.add_argument("--decisions", type=int, default=DECISIONS)
    parser.add_argument(
        "--cpu", action="store_true", help="processor time: for a machine that is not calm"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    scale = quick_scale() if options.quick else full_scale(options.decisions)
    if options.cpu:
        scale = replace(scale, clock=time.thread_time_ns)
    found: list[Figure] = []
    for name in options.only or ROWS:
        say(f"{name} …")
        found += ROWS[name](scale)
        gc.unfreeze()
        gc.collect()
    if options.json:
        print(json.dumps([{**asdict(f), "verdict": f.verdict} for f in found], indent=2))
    else:
        print(table(found))
    missed = any(f.verdict == "MISSED" for f in found)
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
