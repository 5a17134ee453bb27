"""What the lease costs: CPU of Asterisk and engine with citizens waiting, renewed and not.

``python -m bench.lease [--waiting 200 500] [--seconds 10]`` prints one JSON line per measurement.
Without renewals a stopped engine would strand them: that arm exists for the price alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gkc_engine.cli._console import progress, state_dir
from gkc_engine.pbx.install import Install, find_or_install
from tests.acceptance.harness import scene
from tests.acceptance.sipp import SippBench

PASSPORT = "+74951112233"
NEVER = """
import gkc_engine.channels.phone.lease as lease
lease.LEASE_S, lease.LEASE_EVERY_S = 7200, 7200.0
"""
"""A ``sitecustomize`` for the engine: one lease for the whole call."""


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _phones(bench: SippBench) -> Mapping[str, int]:
    return {"": (await bench.phones()).port}


async def measure(install: Install, folder: Path, waiting: int, seconds: float) -> dict[str, float]:
    """Return the shares of one core that both used while ``waiting`` citizens waited."""
    async with scene(folder, install, phones=_phones) as city:
        await city.login("dina")  # without the skill: staffed, and nobody is served
        await city.bench.citizens(PASSPORT, [f"w{n}" for n in range(waiting)], rate=40.0)
        await city.in_state("waiting", waiting, 60.0)
        asterisk, engine = city.city.asterisk.pid, city.city.engine_pid
        assert asterisk is not None
        await asyncio.sleep(2.0)
        before = cpu_s(asterisk), cpu_s(engine)
        await asyncio.sleep(seconds)
        after = cpu_s(asterisk), cpu_s(engine)
        assert len(await city.in_state("waiting", waiting)) == waiting
    return {
        "asterisk_core": round((after[0] - before[0]) / seconds, 3),
        "engine_core": round((after[1] - before[1]) / seconds, 3),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, nargs="+", default=[200, 500])
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    install = find_or_install(state_dir(), named=None, progress=progress)
    with tempfile.TemporaryDirectory(prefix="gkc-lease-") as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(NEVER, encoding="utf-8")
        path = os.environ.get("PYTHONPATH", "")
        for waiting in given.waiting:
            for renewed in (True, False):
                os.environ["PYTHONPATH"] = path if renewed else f"{folder}:{path}"
                run = folder / f"{waiting}-{renewed}"
                used = asyncio.run(measure(install, run, waiting, given.seconds))
                print(json.dumps({"waiting": waiting, "renewed": renewed, **used}), flush=True)
        os.environ["PYTHONPATH"] = path


if __name__ == "__main__":
    main()
