"""Asterisk's lists and the queue_log as streams of lines, the rotated ones too. Blocks."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant

_COMPRESSED: Final = ".gz"

_DAY_US: Final = 86_400 * SECOND


class SourceError(GkcError):
    """A file that is to be compared cannot be read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line and where it stands."""

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


def generations(path: Path, since: Instant) -> list[Path]:
    """Return ``path`` and what it was rotated to (``NAME.1``, ``NAME-20261129.gz``), oldest first.

    Files that were written last more than a day before ``since`` are left out. There may be none
    in a folder that is there: Asterisk makes the file with its first line.

    Raises:
        SourceError: there is no such folder.
    """
    try:
        found = [p for p in path.parent.glob(f"{path.name}*") if p.is_file()]
        aged = sorted((p.stat().st_mtime_ns, p == path, p) for p in found)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if not aged and not path.parent.is_dir():
        raise SourceError(f"{path}: there is no such folder, and Asterisk makes none")
    return [p for ns, _, p in aged if ns // 1000 >= since - _DAY_US]


def lines(path: Path, since: Instant) -> Iterator[Line]:
    """Yield the lines of all generations in order, without their ends.

    The last line of the live file is left out while it has no end: it is being written.

    Raises:
        SourceError: a file cannot be read.
    """
    for one in generations(path, since):
        try:
            with _open(one) as file:
                for number, raw in enumerate(file, 1):
                    if raw.endswith(b"\n") or one != path:
                        yield Line(one, number, raw.decode("utf-8", "replace").rstrip("\r\n"))
        except (OSError, EOFError) as error:
            raise SourceError(f"{one}: {getattr(error, 'strerror', None) or error}") from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == _COMPRESSED:
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")
