"""Ledger: events/s with projections, commit times, and how long the event loop stands still.

    python -m bench.ledger [--store sqlite|postgresql|both] [--seconds 10] [--rate 5000]

Three measurements of each database, on a real disk with fsync: rows offered at ``--rate``, as in a
center at its busiest; as fast as it goes; and rows of the ledger alone, without what they mean.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId, Instant
from gkc_engine.recorder import migrate, schema
from gkc_engine.recorder.bulk import Insert
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.rows import Step, rows_of
from gkc_engine.recorder.writer import DurableWriter
from tests.postgres import Server
from tests.recorder.support import START, History

MUST_ROWS_S = 5_000
MUST_P99_MS = 25.0
MUST_LOOP_MS = 50.0
AIM_ALONE_S = 20_000

AGENTS = 200
GROUP = 512
"""Steps in one commit, as the driver takes them at most."""


def calls(first: int, count: int, now: Instant) -> list[Step]:
    """Return ``count`` answered contacts: 5 steps and 14 rows each."""
    history = History(now=now, sequence=first, offers=first)
    for n in range(first, first + count):
        history.talk(f"0192f0c0-0000-7000-8000-{n:012d}", f"agent{n % AGENTS}")
    return history.steps


def rows_in(steps: list[Step]) -> int:
    return sum(1 + len(step.commands) for step in steps)


class Pulse:
    """How long the loop stood still: a task that wants to run every 2 ms."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - 0.002)
            last = now

    async def stop(self) -> float:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        return self.longest


async def offered(url: str, folder: Path, seconds: float, rate: int) -> dict[str, float]:
    """Write ``rate`` rows a second (0: as fast as it goes) for ``seconds``; return the figures."""
    commits: list[float] = []
    writer = DurableWriter(
        Ledger(url, "centr"), Journal(folder / "journal"), on_commit=commits.append
    )
    await writer.open()
    history = History()
    history.configured()
    for n in range(AGENTS):
        history.step(ev.AgentLoggedIn(agent_id=AgentId(f"agent{n}")), key=f"login{n}")
    await writer.write(history.steps)
    # What the core does is not measured here: its steps are made before, and out of gc's way.
    steps = calls(0, int(seconds * (rate or 30_000) / 14), history.now)
    gc.collect()
    gc.freeze()
    commits.clear()
    pulse = Pulse()
    cpu, begun = time.process_time(), time.perf_counter()
    at = rows = 0
    while (elapsed := time.perf_counter() - begun) < seconds and at < len(steps):
        # What has come meanwhile shares a commit, as in the engine.
        due = int(rate * elapsed) - rows if rate else GROUP
        if due < 1:
            await asyncio.sleep(0.001)
            continue
        batch = steps[at : at + min(GROUP, -(-due * 5 // 14))]
        await writer.write(batch)
        at, rows = at + len(batch), rows + rows_in(batch)
    await writer.ledger.settle()
    wall = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    blocked = await pulse.stop()
    gc.unfreeze()
    assert writer.mode == "ledger", "the journal was used: the ledger did not keep up"
    assert writer.ledger.store.behind == 0
    await writer.close()
    commits.sort()
    return {
        "rows_per_s": round(rows / wall),
        "commits": len(commits),
        "commit_p50_ms": round(commits[len(commits) // 2] * 1000, 2),
        "commit_p99_ms": round(commits[int(len(commits) * 0.99)] * 1000, 2),
        "commit_max_ms": round(commits[-1] * 1000, 2),
        "loop_blocked_max_ms": round(blocked * 1000, 2),
        "process_cpu_us_per_row": round(cpu / rows * 1e6, 1),
    }


def alone(url: str, seconds: float) -> dict[str, float]:
    """Write rows of the ledger and nothing else, 512 a commit."""
    rows = [(n, *row) for n, row in enumerate(rows_of(calls(0, 40_000, START), "centr"), 1)]
    engine = schema.make_engine(url)
    insert = Insert(schema.event, engine)
    with engine.connect() as connection:
        with connection.begin():
            migrate.bring_up(connection)
        begun, at = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds and at < len(rows):
            with connection.begin():
                insert.execute(connection, rows[at : at + GROUP])
            at += GROUP
        wall = time.perf_counter() - begun
        with connection.begin():
            held = connection.scalar(sa.select(sa.func.count()).select_from(schema.event))
    engine.dispose()
    assert held == min(at, len(rows))
    return {"rows_per_s": round(held / wall)}


@contextlib.contextmanager
def places(kind: str, folder: Path) -> Iterator[Iterator[str]]:
    """Give URLs of empty stores, as many as are taken."""
    if kind == "sqlite":
        yield (schema.sqlite_url(str(folder / f"ledger{n}.db")) for n in range(9))
        return
    server = Server(fsync=True)
    try:
        yield (server.schema() for _ in range(9))
    finally:
        server.close()


def measured(kind: str, seconds: float, rate: int) -> dict[str, dict[str, float]]:
    """Return all figures of one database."""
    with tempfile.TemporaryDirectory() as folder, places(kind, Path(folder)) as urls:
        return {
            f"offered {rate}/s": asyncio.run(offered(next(urls), Path(folder), seconds, rate)),
            "as fast as it goes": asyncio.run(offered(next(urls), Path(folder), seconds, 0)),
            "ledger rows alone": alone(next(urls), seconds),
        }


def verdicts(found: dict[str, dict[str, float]]) -> list[str]:
    """Return what is met and what is missed."""
    at_rate, fastest, rows = found.values()
    checks = {
        f"{MUST_ROWS_S} rows/s with projections": fastest["rows_per_s"] >= MUST_ROWS_S,
        f"p99 of a commit <= {MUST_P99_MS} ms": at_rate["commit_p99_ms"] <= MUST_P99_MS,
        f"loop blocked <= {MUST_LOOP_MS} ms": at_rate["loop_blocked_max_ms"] <= MUST_LOOP_MS,
        f"aim: {AIM_ALONE_S} ledger rows/s": rows["rows_per_s"] >= AIM_ALONE_S,
    }
    return [f"{'met' if met else 'MISSED'}: {what}" for what, met in checks.items()]


def main() -> None:
    """Print one JSON object for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=MUST_ROWS_S)
    args = parser.parse_args()
    for kind in ("sqlite", "postgresql") if args.store == "both" else (args.store,):
        found = measured(kind, args.seconds, args.rate)
        print(json.dumps({"store": kind, **found, "verdicts": verdicts(found)}, indent=1))


if __name__ == "__main__":
    main()
