"""The only module that reads a clock (ADR 0003)."""

from __future__ import annotations

import os
import time
from typing import Protocol

from gkc_engine.ids import Instant


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> Instant:
        """Return the present instant; never less than the last one returned."""
        ...

    def drift_us(self) -> int:
        """Return wall clock minus ``now``, in microseconds: its steps since we started."""
        ...


class SystemClock:
    """UTC of the machine at start, carried forward by the monotonic clock.

    A step of the wall clock (NTP, an administrator, summer time) changes no duration; after a
    restart the new wall time counts. ``drift_us`` tells how far the two have parted.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now(self) -> Instant:
        """Return microseconds since 1970-01-01 UTC."""
        return Instant((time.monotonic_ns() + self._offset_ns) // 1000)

    def drift_us(self) -> int:
        """Return wall clock minus our time, in microseconds (for the alarm at 2 s)."""
        return time.time_ns() // 1000 - self.now()


def new_uuid(now: Instant) -> str:
    """Return a UUIDv7 (RFC 9562, section 5.7) for ``now``: sorts by time, 74 random bits."""
    value = (now // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
