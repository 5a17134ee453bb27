"""Colours of charts: the same thing has the same one in every chart and form."""

from __future__ import annotations

from typing import Final

BLUE: Final = "#1b6ca8"
PALE: Final = "#8fbfe0"
RED: Final = "#c8553d"
GREY: Final = "#9a9a9a"
LIGHT: Final = "#c9ced6"
"""Apart for the colour-blind, and in grey by lightness."""

_OF: Final = {"answered_late": PALE, "abandoned": RED, "other": GREY}


def tone_of(key: str) -> str:
    """Return the colour of a column."""
    return _OF.get(key, BLUE)
