"""How long the machine's disk stood still, seen from beside the engine."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY_S = 0.1


class Disk:
    """Writes and syncs a small file again and again while the body runs."""

    def __init__(self, folder: Path) -> None:
        self.longest_s = 0.0
        self._file = folder / "stands-still"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self._file.unlink()

    def _watch(self) -> None:
        with self._file.open("wb", buffering=0) as file:
            while True:
                begun = time.monotonic()
                file.write(b"x" * 4096)
                os.fsync(file.fileno())
                self.longest_s = max(self.longest_s, time.monotonic() - begun)
                if self._end.wait(EVERY_S):
                    return
