"""Ledger: steps/s, rows/s, commit p50/p99, and what it costs the event-loop thread.

    python -m bench.ledger [--seconds 10] [--rate 0] [--group 32]

``--rate`` offers so many rows a second (0: as fast as it goes).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.rows import Step
from gkc_engine.recorder.writer import DurableWriter
from tests.recorder.support import History


def calls(first: int, count: int, now: Instant) -> list[Step]:
    """Return ``count`` answered contacts: 5 steps and 14 rows each."""
    history = History(now=now, sequence=first, offers=first)
    for n in range(first, first + count):
        history.talk(f"0192f0c0-0000-7000-8000-{n:012d}", f"agent{n % 200}")
    return history.steps


async def run(folder: Path, seconds: float, rate: int, group: int) -> dict[str, float]:
    """Write for ``seconds`` and return the figures."""
    url = schema.sqlite_url(str(folder / "ledger.db"))
    commits: list[float] = []
    writer = DurableWriter(
        Ledger(url, "centr"), Journal(folder / "journal"), on_commit=commits.append
    )
    await writer.open()
    history = History()
    history.configured()
    for n in range(200):
        history.step(ev.AgentLoggedIn(agent_id=AgentId(f"agent{n}")), key=f"login{n}")
    await writer.write(history.steps)
    commits.clear()
    steps = rows = contacts = 0
    loop_cpu = 0.0
    begun = time.monotonic()
    cpu_begun = time.process_time()
    ready: list[Step] = []
    while (elapsed := time.monotonic() - begun) < seconds:
        if rate and rows > rate * elapsed:
            await asyncio.sleep(0.001)
            continue
        if len(ready) < group:
            ready += calls(contacts, 50, Instant(history.now + contacts * 1000))
            contacts += 50
        batch, ready = ready[:group], ready[group:]
        # The thread's own clock runs on while it waits for the lock: others' work is in it.
        thread_begun = time.thread_time()
        await writer.write(batch)
        loop_cpu += time.thread_time() - thread_begun
        steps += len(batch)
        rows += sum(1 + len(step.commands) for step in batch)
    wall = time.monotonic() - begun
    cpu = time.process_time() - cpu_begun
    assert writer.mode == "ledger"
    await writer.close()
    commits.sort()
    return {
        "group_steps": group,
        "steps_per_s": round(steps / wall),
        "rows_per_s": round(rows / wall),
        "commit_p50_ms": round(commits[len(commits) // 2] * 1000, 2),
        "commit_p99_ms": round(commits[int(len(commits) * 0.99)] * 1000, 2),
        "loop_thread_cpu": round(loop_cpu / wall, 4),
        "loop_us_per_row": round(loop_cpu / rows * 1e6, 1),
        "process_us_per_row": round(cpu / rows * 1e6, 1),
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--group", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(Path(folder), args.seconds, args.rate, args.group))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
