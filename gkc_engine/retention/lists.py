"""Asterisk's lists of legs and calls, with what they were rotated to, masked as they grow older."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from gkc_engine.ids import Instant
from gkc_engine.retention.masking import COMPRESSED, changed, fingerprint, mask_older

_MEMO: Final = "masked.json"
"""In the acts' folder: how far each list has been masked, by what it is known by."""

_SIZE_BYTES: Final = 4
"""At the end of a .gz file: how long it is unpacked, modulo 4 GiB (RFC 1952)."""


class Lists:
    """The lists, and how far each has been masked by age."""

    def __init__(self, live: Sequence[Path], acts: Path) -> None:
        """``live``: what Asterisk appends to; ``acts``: where is kept how far we are."""
        self._live, self._acts = live, acts

    def files(self) -> list[Path]:
        """Return the lists that Asterisk writes, there or not, and those that were rotated."""
        found = list(self._live)
        for path in self._live:
            rotated = path.parent.glob(f"{path.name}[.-]*")
            found += sorted(one for one in rotated if one.is_file() and one not in found)
        return found

    def due(self) -> int:
        """Return how many bytes are to be looked at."""
        memo, total = self._memo(), 0
        for path in self.files():
            if path.is_file():
                total += max(0, _size(path) - memo.get(fingerprint(path) or "", 0))
        return total

    def mask_older(
        self,
        before: Instant,
        done: Callable[[Path, int], None],
        failed: Callable[[Path, OSError], None],
    ) -> None:
        """Mask the numbers of lines from before an instant, from where the last run ended.

        Args:
            before: Later lines are left.
            done: Told of each file and how many numbers there were.
            failed: Told of each file that could not be worked on, and why.
        """
        memo, known = self._memo(), {}
        for path in self.files():
            try:
                name = fingerprint(path)
                begin, at = memo.get(name or "", 0), 0

                def mask(file: BinaryIO, begin: int = begin) -> int:
                    nonlocal at
                    found, at = mask_older(file, before, begin)
                    return found

                found = changed(path, mask)
            except OSError as error:
                failed(path, error)
                continue
            if name is not None:
                known[name] = at
            done(path, found)
        self._acts.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._acts / f"{_MEMO}.new"
        draft.write_text(json.dumps(known), encoding="utf-8")
        draft.replace(self._acts / _MEMO)

    def _memo(self) -> dict[str, int]:
        try:
            told = json.loads((self._acts / _MEMO).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # Everything is looked at once more: nothing is lost but time.
        return {str(k): int(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _size(path: Path) -> int:
    """Return how many bytes of lines there are."""
    if path.suffix != COMPRESSED:
        return path.stat().st_size
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _SIZE_BYTES))
        return int.from_bytes(file.read(_SIZE_BYTES), "little")
