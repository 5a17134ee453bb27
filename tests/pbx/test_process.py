from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from gkc_engine.errors import PeerError
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.process import AsteriskProcess, raise_file_limit

STUBBORN = """
import pathlib, signal, sys
ready = pathlib.Path(sys.argv[sys.argv.index("-C") + 1]).parents[1] / "log" / "ready"
if "-rx" in sys.argv:
    sys.exit(1) if not ready.exists() else print("Asterisk has fully booted.")
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.touch()
    signal.pause()
"""
BROKEN = "import sys; print('no such module directory'); sys.exit(3)"
SLEEPY = "import signal, sys; sys.exit(1) if '-rx' in sys.argv else signal.pause()"


def _acting(program: str) -> Install:
    command = (sys.executable, "-I", "-c", program)
    return Install(how="test", version="22.0", command=command, modules=Path(), data=Path())


async def test_one_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"status 3.*\n?.*no such module directory"):
        await AsteriskProcess(install=_acting(BROKEN), run_dir=tmp_path).start()


async def test_one_that_never_boots_is_given_up_and_gone(tmp_path: Path) -> None:
    process = AsteriskProcess(install=_acting(SLEEPY), run_dir=tmp_path, boot_timeout_s=0.5)
    with pytest.raises(PeerError, match=r"did not boot in 0\.5 s"):
        await process.start()
    assert process.pid is None


async def test_one_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    process = AsteriskProcess(install=_acting(STUBBORN), run_dir=tmp_path)
    await process.start()
    pid = process.pid
    assert pid is not None
    await process.stop(grace_s=0.2)
    assert await process.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_stopping_twice_or_before_the_start_is_nothing(tmp_path: Path) -> None:
    process = AsteriskProcess(install=_acting(STUBBORN), run_dir=tmp_path)
    await process.stop()
    await process.kill()
    assert process.pid is None


def test_the_limit_of_open_files_only_grows() -> None:
    assert raise_file_limit() == raise_file_limit() >= 1024
