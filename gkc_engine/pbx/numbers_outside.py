"""Dialplan patterns for the numbers outside that begin with an allowed prefix, however keyed."""

from __future__ import annotations

from typing import Final

_RUSSIAN: Final = "+7"
_NATIONAL: Final = 10
"""Digits of a Russian number after its country code."""

LONGEST: Final = 15
"""Digits of E.164."""

SHORTEST: Final = 7

_FIRST: Final = "[3-9]"
"""Of a national number: what begins otherwise is one of ours, keyed without a wait for more."""


def patterns_of(prefix: str) -> list[str]:
    """Return the patterns of all numbers that begin with ``prefix`` (E.164, with its plus).

    As ``numbers.normalise`` reads them: ``+7…``, ``8…``, ``7…`` and ten digits, else ``+…`` and
    ``810…``. Digits and ``X`` only, a pattern for each length: never ``.`` or ``!``.
    """
    if not prefix.startswith(_RUSSIAN):
        begins = (prefix, f"810{prefix[1:]}")
        least = max(len(prefix[1:]), SHORTEST)
        lengths = [n - len(prefix[1:]) for n in range(least, LONGEST + 1)]
        return [f"_{begin}{'X' * n}" for n in lengths for begin in begins]
    national = prefix[len(_RUSSIAN) :]
    missing = _NATIONAL - len(national)
    if missing < 0:
        return []
    rest = "X" * missing
    alone = f"{national}{rest}" if national else f"{_FIRST}{rest[1:]}"
    return [f"_{begin}{national}{rest}" for begin in (_RUSSIAN, "8", "7")] + [f"_{alone}"]
