"""The queue_log file: appended after each commit, reopened for logrotate."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.rows import StepLike

log = structlog.get_logger(__name__)

PENDING_MAX: Final = 100_000
"""Lines kept while the disk does not take them; the oldest give way, the ledger has all."""


class QueueLogFile:
    """An observer of the engine: writes lines, never raises for the disk's sake."""

    def __init__(self, path: Path, log_lines: QueueLog) -> None:
        self._path = path
        self._lines = log_lines
        self._pending: deque[str] = deque(maxlen=PENDING_MAX)
        self._file: BinaryIO | None = None
        self.failures = 0

    def __call__(self, steps: Sequence[StepLike]) -> None:
        """Append the lines of committed ``steps``."""
        self.append(self._lines.lines(steps))

    def append(self, lines: Iterable[str]) -> None:
        """Append ``lines``, after those that the disk did not take before."""
        self._pending.extend(lines)
        if not self._pending:
            return
        try:
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            while self._pending:
                # One write a line: a reader that follows the file sees whole lines.
                _write_whole(self._file, f"{self._pending[0]}\n".encode())
                self._pending.popleft()
        except OSError as error:
            self.failures += 1
            log.warning("queue_log_failed", error=str(error), pending=len(self._pending))
            self.reopen()

    def reopen(self) -> None:
        """Let the file go (SIGHUP after a rotation); the next line opens the new one."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _write_whole(file: BinaryIO, line: bytes) -> None:
    """Write all of a line or, on a disk that takes only its beginning, none of it."""
    written = file.write(line)
    if written != len(line):
        file.truncate(file.tell() - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
