"""Values as a sheet may hold them."""

from __future__ import annotations

from typing import TypeVar

_T = TypeVar("_T")


def disarmed(value: _T) -> _T | str:
    """Return a value that no sheet takes for a formula.

    A sheet takes a text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end for a
    formula; an apostrophe before it makes it text (OWASP, CSV injection). Numbers stay numbers.
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"
    return value
