"""One demo at a time, and ``demo.json``: what runs where, for scripts and for the next start."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gkc_engine.errors import GkcError

PIDS = "pids"
LOCK = "lock"

GONE_S = 3.0
"""How long the kernel may take to bury a killed process."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against a second demo; the kernel lets go when we are killed.

    Raises:
        GkcError: another demo runs there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GkcError(
                f"a demo is already running here ({folder}): end it where it was started, by Ctrl-C"
            ) from None
        yield
    finally:
        os.close(lock)


def empty(folder: Path) -> None:
    """Remove what the last demo has left."""
    for entry in folder.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write(path: Path, note: dict[str, Any]) -> None:
    """Put the note in place in one step; only this user may read it: passwords stand in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(note, file, ensure_ascii=False, indent=2)
        file.write("\n")
    draft.replace(path)


def remove(path: Path) -> None:
    """Remove the note."""
    path.unlink(missing_ok=True)


def end_left_over(path: Path, folder: Path) -> list[int]:
    """End what a demo that was killed has left running; return the pids.

    Only processes that have ``folder`` in their command line are touched: a pid may have been
    given to another program since.
    """
    try:
        pids = json.loads(path.read_text(encoding="utf-8"))[PIDS].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    ended = [pid for pid in _ours(pids, folder) if pid != os.getpid()]
    for pid in ended:
        _kill(pid)
    remove(path)
    return ended


def _kill(pid: int) -> None:
    """End a process, with its group when it leads one, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        watch = os.pidfd_open(pid)
        try:
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
            select.select([watch], [], [], GONE_S)
        finally:
            os.close(watch)


def _ours(pids: Iterable[object], folder: Path) -> list[int]:
    mark = os.fsencode(folder.resolve())
    found = []
    for pid in pids:
        if not isinstance(pid, int):
            continue
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if mark in command:
            found.append(pid)
    return found
