"""The issue's own counts, by the commands that anybody may repeat: they print their figures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400), pytest.mark.usefixtures("sipp")]

HOME = Path(__file__).parents[2]
KILLS = ("--waiting", "20", "--ringing", "10", "--talking", "10", "--transfer", "10")
STOPS = ("--stopped", "10", "--watched", "10", "--hung", "10")


def _prints(module: str, *arguments: str) -> None:
    """Run a command whose words go where ours go; fail when it finds fault."""
    command = [sys.executable, "-m", module, *arguments]
    sys.stdout.write(f"\n$ python -m {' '.join(command[2:])}\n")
    sys.stdout.flush()
    done = subprocess.run(command, cwd=HOME, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"python -m {' '.join(command[2:])}: exit {done.returncode}"


def test_every_kill_and_stop(tmp_path: Path) -> None:
    _prints("tests.acceptance.kill_trials", *KILLS, *STOPS, "--folder", str(tmp_path))


def test_every_cut_a_slow_link_and_a_locked_ledger(tmp_path: Path) -> None:
    faults = ("--cuts", "100", "--slow", "60", "--locked", "60")
    _prints("tests.acceptance.fault_trials", *faults, "--folder", str(tmp_path))


def test_the_cost_of_the_lease() -> None:
    _prints("bench.lease", "--waiting", "500")


def test_the_bench() -> None:
    if os.geteuid() != 0 or shutil.which("tcpdump") is None:
        pytest.skip("the bench reads the wire: it needs root and tcpdump")
    _prints("bench.run", "--rounds", "5")
