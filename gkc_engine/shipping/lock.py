"""Who writes the city's store: one collector of a state folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOCK: Final = "collector.lock"


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Be the only writer; the lock ends with the process, however it ends.

    Raises:
        BlockingIOError: A collector runs.
        OSError: The folder cannot be written.
    """
    file = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)
