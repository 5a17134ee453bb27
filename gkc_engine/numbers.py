"""Telephone numbers as networks send them → E.164. One pure function; the raw form is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import phonenumbers

from gkc_engine.escape import printable

EMERGENCY_NUMBERS: Final = frozenset({"112", "101", "102", "103", "104"})
"""Always allowed, never routed by us (112 and the four services of the Russian plan)."""

SECOND_LINE_CODE: Final = "*49"
"""Dialled by an operator: the second line of the present citizen's service."""

HAND_BACK_CODE: Final = "*40"
"""A citizen is transferred to it who is to go back to whoever sent him."""

CAUSE_HANDED_BACK: Final = 23
"""Q.850 "redirection to new destination": how a guest's talk ends after which his own center goes
on with him. Between two centers it travels in the BYE's Reason (RFC 3326)."""

_ANONYMOUS: Final = frozenset(
    {"anonymous", "unavailable", "private", "restricted", "unknown", "withheld", "<unknown>"}
)
_SEPARATORS: Final = str.maketrans("", "", " \t\u00a0-().")
_DIGITS: Final = re.compile(r"(\+?)([0-9]{2,18})")
_SHORT_MAX: Final = 6
_RAW_MAX: Final = 64
RAW_CHARS: Final = 64
"""Of a number as the network sent it; twice the longest that is one, with separators."""


class NumberKind(StrEnum):
    """What the network gave us."""

    E164 = "e164"
    SHORT = "short"
    """2 to 6 digits: an internal or special number (112, 101); it has no E.164 form."""
    ANONYMOUS = "anonymous"
    """The caller withheld it."""
    EMPTY = "empty"
    JUNK = "junk"
    """Text from which no number can be had; possibly hostile."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it came, and in E.164 when it has that form."""

    raw: str
    e164: str | None
    kind: NumberKind


@lru_cache(maxsize=10_000)
def normalise(raw: str | None, region: str = "RU") -> Number:
    """Return ``raw`` with its E.164 form (ITU-T E.164: ``+`` and at most 15 digits), if any.

    ``+7…``, ``8…``, ``7…``, ``810…`` and 10 digits are understood, with or without spaces, hyphens,
    dots and parentheses. Length is checked, assignment is not: numbering plans change faster than
    engines are upgraded, and a citizen on a new range must not become junk. Never raises. What was
    asked lately is remembered: a call asks four times, and parsing takes 0.1 ms.
    """
    if raw is None or not raw.strip():
        return Number(raw or "", None, NumberKind.EMPTY)
    text = raw.strip()
    if text.casefold() in _ANONYMOUS or text.casefold().startswith("anonymous@"):
        return Number(raw, None, NumberKind.ANONYMOUS)
    found = _DIGITS.fullmatch(text.translate(_SEPARATORS)) if len(text) <= _RAW_MAX else None
    if found is None:
        return Number(raw, None, NumberKind.JUNK)
    plus, digits = found.groups()
    if not plus and len(digits) <= _SHORT_MAX:
        return Number(raw, None, NumberKind.SHORT)
    try:
        parsed = phonenumbers.parse(plus + digits, region)
    except phonenumbers.NumberParseException:
        return Number(raw, None, NumberKind.JUNK)
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:  # Not LOCAL_ONLY: 7 digits name nobody.
        return Number(raw, None, NumberKind.JUNK)
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if e164 != plus + digits and normalise(e164, region).e164 != e164:
        # Zeros behind a country's code, of which each reading takes one for a trunk prefix.
        return Number(raw, None, NumberKind.JUNK)
    return Number(raw, e164, NumberKind.E164)


def identity_of(raw: str) -> str | None:
    """Return what a caller is known by: E.164, else the text as it came, made printable.

    ``None``: he sent no number, or withheld it.
    """
    known = normalise(raw)
    if known.kind in (NumberKind.ANONYMOUS, NumberKind.EMPTY):
        return None
    return known.e164 or printable_raw(raw)


def printable_raw(raw: str) -> str:
    """Return a number as the network sent it, bounded and printable."""
    return printable(raw.strip(), RAW_CHARS)
