"""The time in which nobody told us what happens in Asterisk."""

from __future__ import annotations

from dataclasses import dataclass

from gkc_engine.ids import SECOND, Instant

NEW_US = SECOND // 20
"""How far Asterisk's stamps and our own time may lie apart, and a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """The time in which we were not told."""

    since: Instant
    """Our last sign of life."""
    heard: Instant
    """Until when we know all: earlier, if an engine lived since and died before it had asked."""
    before: Instant
    """From when on a call may have come that is on no record."""
    asked: Instant
    """When Asterisk was asked what it has now."""
