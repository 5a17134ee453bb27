"""The spare worker: it runs nothing that is not on disk any more, and ends with its watchdog."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gkc_engine import spare
from gkc_engine.clock import SystemClock
from gkc_engine.ids import SECOND, Instant
from gkc_engine.spare import is_stale
from gkc_engine.watchdog import ENV_PIPE, ENV_SPARE


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text("A = 1\n", encoding="utf-8")
    return path


def later() -> Instant:
    """A start long after everything was written."""
    return Instant(SystemClock().now() + 60 * SECOND)


def replaced(path: Path) -> None:
    """Put another file there with the old one's size and time, as ``rsync -t`` does."""
    other = path.with_suffix(".new")
    other.write_text("A = 2\n", encoding="utf-8")
    was = path.stat()
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (was.st_mtime_ns, was.st_size)


def rewritten(path: Path) -> None:
    path.write_text("A = 23\n", encoding="utf-8")


@pytest.mark.parametrize("change", [rewritten, replaced, Path.unlink])
def test_a_file_that_changed_since_it_was_loaded_is_noticed(
    module: Path, change: Callable[[Path], None]
) -> None:
    code = {str(module): spare._stamp(str(module))}
    assert not is_stale(code, later())
    change(module)
    assert is_stale(code, later())


def test_a_file_that_changed_while_we_were_loading_is_not_trusted(module: Path) -> None:
    begun = SystemClock().now()
    rewritten(module)
    assert is_stale({str(module): spare._stamp(str(module))}, begun)


def test_every_module_of_ours_and_of_others_is_watched() -> None:
    loaded = spare._loaded()
    assert spare.__file__ in loaded
    assert pytest.__file__ in loaded


@pytest.mark.accept
def test_it_ends_when_there_is_no_watchdog_any_more(tmp_path: Path) -> None:
    order, theirs = os.pipe()
    heard, signs = os.pipe()
    argv = [sys.executable, "-m", "gkc_engine", "run", "--no-watchdog", "--state", str(tmp_path)]
    process = subprocess.Popen(
        argv,
        env={**os.environ, ENV_PIPE: str(signs), ENV_SPARE: str(order)},
        pass_fds=[order, signs],
        stderr=subprocess.PIPE,
        text=True,
    )
    for fd in (order, heard, signs):
        os.close(fd)
    assert process.poll() is None
    os.close(theirs)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert '"spare_ready"' in said
    assert not list(tmp_path.iterdir())
