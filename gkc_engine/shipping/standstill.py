"""That the city's tables do not follow its rows: since when, and why.

A note in the collector's state folder, for ``gkc city show``: what keeps the store from being
written would keep it from holding this.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gkc_engine.errors import GkcError

NOTE: Final = "city_tables_still.json"

WHY_MAX: Final = 500
"""Characters that are kept of a reason."""


class Standstill(Struct, kw_only=True, frozen=True):
    """The tables stand still; the note is there for so long."""

    since_us: int
    """First look at which they did, by the collector's clock."""
    why: str
    """At the last look, for people."""


_DECODER: Final = msgspec.json.Decoder(Standstill)


def reason(error: Exception) -> str:
    """Return on one line why the tables could not be written."""
    text = str(error) if isinstance(error, GkcError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:WHY_MAX]


def noted(state: Path) -> Standstill | None:
    """Return what the note says; ``None``: the tables follow, as far as is known."""
    try:
        return _DECODER.decode((state / NOTE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None  # None was left, or a kill or a full disk left half of it.


def note(state: Path, standstill: Standstill | None) -> None:
    """Leave the note, or take it away; a disk that takes nothing is not waited for."""
    path = state / NOTE
    with contextlib.suppress(OSError):  # The log and the metric have it all the same.
        if standstill is None:
            path.unlink(missing_ok=True)
        else:
            aside = path.with_suffix(".new")
            aside.write_bytes(msgspec.json.encode(standstill) + b"\n")
            aside.replace(path)
