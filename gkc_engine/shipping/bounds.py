"""Numbers and names that no honest center can have: what the city's tables could not take.

The tables are one for all centers, written together: what stops one center's rows there stops all.
So what a row says is looked at before it is taken, and refused as a damaged one is. What only
several rows together say, such as how long somebody talked, is seen as they are folded
(``recorder/city.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

import msgspec

from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId
from gkc_engine.recorder.city import OFFERS_MAX
from gkc_engine.recorder.codec import KINDS, Message
from gkc_engine.recorder.projections import FOLDED

INSTANTS: Final = range(-(2**53) + 1, 2**53)
"""Up to the year 2255, in microseconds; and what every reader of JSON keeps."""

NAME_MAX: Final = 200
"""Characters of a name: several of them are the key of one row, of 2 704 bytes in PostgreSQL."""

_COUNTS: Final = range(-(2**31), 2**31)
"""What ``INTEGER`` holds in PostgreSQL."""

_RANGES: Final[dict[object, range]] = {
    Instant: INSTANTS,
    Micros: INSTANTS,
    OfferId: range(OFFERS_MAX),
    int: _COUNTS,
}
_NAMES: Final = (ContactId, AgentId, QueueId)
_NAMES_TOO: Final = ("number", "entry", "citizen", "outside", "call_id")
"""Plain texts by which rows are found."""

_UNTOLD: Final = ("until",)
"""In no table; may be ``FOREVER``."""

_NUL_SEEMS: Final = r"\u0000"
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON, where a backslash before it may itself be escaped. No text of PostgreSQL holds it."""

_Check = Callable[[Any], bool]


class OutOfBoundsError(ValueError):
    """No honest center says that; says what."""


def check(message: Message, data: str) -> None:
    """Look at what a row says, as message and as JSON.

    Raises:
        OutOfBoundsError: The tables could not take it.
    """
    if _NUL_SEEMS in data and _NUL.search(data):  # The first is fast, and nearly always no.
        raise OutOfBoundsError("a text with a NUL")
    for name, fits in _CHECKS.get(type(message), ()):
        value = getattr(message, name)
        several = value if isinstance(value, tuple) else (value,)
        for one in several:
            if one is not None and not fits(one):
                raise OutOfBoundsError(f"{name}: {str(one)[:NAME_MAX]}")
    for text in _within(message):
        if not _is_name(text):
            raise OutOfBoundsError(f"a name: {text[:NAME_MAX]}")


def _within(message: Message) -> Iterator[str]:
    """Give the names that stand deeper in a message."""
    if isinstance(message, ev.SettingsApplied):
        yield message.settings.version
        for queue in message.settings.queues:
            yield from (queue.queue_id, queue.service or "")


def _is_name(value: str) -> bool:
    return len(value) <= NAME_MAX


def _checks(cls: type[Any]) -> Iterator[tuple[str, _Check]]:
    for field in msgspec.structs.fields(cls):
        if field.name in _UNTOLD:
            continue
        # Of ``X``, ``X | None`` and ``tuple[X, ...]`` it is X that is looked at.
        kinds = get_args(field.type) or (field.type,)
        if any(kind in _NAMES for kind in kinds) or field.name in _NAMES_TOO:
            yield field.name, _is_name
        for kind, within in _RANGES.items():
            if kind in kinds:
                yield field.name, within.__contains__


_CHECKS: Final[dict[type[Any], tuple[tuple[str, _Check], ...]]] = {
    cls: tuple(_checks(cls)) for cls, kind in KINDS.items() if kind in FOLDED
}
