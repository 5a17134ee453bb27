"""Registration numbers: ``2026-ЦАО-000123``, unique in the city for ever, without a cap."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gkc_engine.ids import SECOND, Instant


def format_number(year: int, prefix: str, sequence: int) -> str:
    """Return the number as people read it; past 999 999 it only grows longer."""
    return f"{year}-{prefix}-{sequence:06d}"


def parts_of(number: str) -> tuple[int | None, int | None]:
    """Return year and sequence of a number; ``(None, None)`` for one that is not ours."""
    year, _, rest = number.partition("-")
    _, _, sequence = rest.rpartition("-")
    if year.isdecimal() and sequence.isdecimal():
        return int(year), int(sequence)
    return None, None


class Numbers:
    """Allocates the center's numbers in memory; ``last`` continues what the ledger holds.

    The sequence runs per center and local year. A number whose contact was never written down
    (a crash) is left out or given again: nobody has heard it.
    """

    def __init__(self, prefix: str, zone: ZoneInfo, last: Mapping[int, int] | None = None) -> None:
        self._prefix = prefix
        self._zone = zone
        self._last = dict(last or {})

    def allocate(self, now: Instant) -> str:
        """Return the next number of the local year of ``now``."""
        year = datetime.fromtimestamp(now // SECOND, UTC).astimezone(self._zone).year
        sequence = self._last.get(year, 0) + 1
        self._last[year] = sequence
        return format_number(year, self._prefix, sequence)
