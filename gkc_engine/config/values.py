"""The kinds of value that config keys hold, each with the words that say what is expected.

Every validator raises ``expected`` with the text that follows "expected" in a problem's line.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gkc_engine.ids import Micros

_UNIT_US: Final = {"ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_DURATION_MAX_US: Final = 3660 * 86400 * 10**6
_NAME: Final = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
_INTERVAL: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DATES: Final = re.compile(r"\d{4}-\d\d-\d\d(\.\.\d{4}-\d\d-\d\d)?", re.ASCII)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY: Final = 1440


class Model(BaseModel):
    """Base of every config model: strict, closed to unknown keys, never changed once built."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


def expected(text: str) -> PydanticCustomError:
    """Return the error that a validator raises; ``text`` says what was expected."""
    return PydanticCustomError("expected", "{text}", {"text": text})


def duration_us(value: object) -> int:
    """Return ``20s``, ``1.5m``, ``250ms``, ``0s``… as microseconds; a bare number is refused."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise expected("a duration such as 20s or 2m")
    us = Decimal(found[1]) * _UNIT_US[found[2]]
    if us != int(us) or us > _DURATION_MAX_US:
        raise expected("a duration of whole microseconds, at most 3660d")
    return int(us)


def _positive(us: int) -> int:
    if us <= 0:
        raise expected("a duration longer than 0s")
    return us


_DURATION_SCHEMA: Final = WithJsonSchema(
    {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "examples": ["20s", "2m"]}
)
Duration = Annotated[Micros, BeforeValidator(duration_us), _DURATION_SCHEMA]
"""Microseconds; in the file ``20s``, ``1.5m``, ``250ms``, ``7d``; ``0s`` is allowed."""
PositiveDuration = Annotated[
    Micros, AfterValidator(_positive), BeforeValidator(duration_us), _DURATION_SCHEMA
]
"""A duration that must not be ``0s``."""


def _milli(value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1000:
        milli = round(value * 1000)
        if abs(milli - value * 1000) < 1e-6:
            return milli
    raise expected("a number from 0 to 1000 with at most 3 decimal places")


Slope = Annotated[
    int, BeforeValidator(_milli), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1000})
]
"""A decimal number with at most 3 places, held in thousandths."""


def _share(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise expected("a share from 0 to 1 such as 0.8")


Share = Annotated[
    float, BeforeValidator(_share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
"""A part of a whole: 0 to 1."""


def _matches(pattern: str, words: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise expected(words)
        return value

    return AfterValidator(check)


NAME_WORDS: Final = "a name: a Latin letter, then letters, digits, _ or -, at most 40 in all"
Name = Annotated[
    str, _matches(_NAME, NAME_WORDS), Field(json_schema_extra={"pattern": f"^{_NAME}$"})
]
"""The name of something in the config; safe in a dialplan, a file name and a URL."""


_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


def _text(value: str) -> str:
    if not value.strip() or len(value) > 2000 or _CONTROLS.search(value):
        raise expected("a text of 1 to 2000 characters on one line")
    return value


Text = Annotated[str, AfterValidator(_text)]
"""Words for people: one line, 1 to 2000 characters, no control characters."""


def _secret(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"env:[A-Za-z_]\w*|file:[^\x00-\x1f]+", value):
        return value
    raise expected("a reference: env:VARIABLE or file:PATH, never the secret itself")


SecretRef = Annotated[
    str, BeforeValidator(_secret), WithJsonSchema({"type": "string", "pattern": "^(env|file):.+"})
]
"""Where a secret lies: ``env:VARIABLE`` or ``file:PATH``. Never the secret itself."""

Host = Annotated[
    str, _matches(r"[A-Za-z0-9.:_-]{1,253}", "a host name or address such as 127.0.0.1")
]
Port = Annotated[int, Field(ge=1, le=65535)]
Level = Annotated[int, Field(ge=1, le=10)]
"""How well an operator commands a skill, or how well a queue demands it: 1 to 10."""

Interface = Annotated[
    str, _matches(r"PJSIP/[A-Za-z0-9][A-Za-z0-9_-]{0,39}", "a PJSIP endpoint such as PJSIP/201")
]
"""An operator's phone. Only ``PJSIP/NAME``: it stands in a Dial, where more would be a way out."""


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # OSError: the name of a folder of zones.
        raise expected("a time zone's IANA name such as Europe/Moscow") from None
    return value


Zone = Annotated[str, AfterValidator(_zone)]
"""An IANA time zone name; ``ZoneInfo(value)`` cannot fail on it."""


def zone(name: str) -> ZoneInfo:
    """Return the zone of a checked name."""
    return ZoneInfo(name)


def interval(value: object) -> tuple[int, int]:
    """Return ``"09:00-18:00"`` as minutes from midnight; ``"22:00-06:00"`` ends the next day."""
    found = _INTERVAL.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        h1, m1, h2, m2 = (int(part) for part in found.groups())
        start, end = h1 * 60 + m1, h2 * 60 + m2
        if m1 < 60 and m2 < 60 and start < MINUTES_A_DAY and end <= MINUTES_A_DAY and start != end:
            return (start, end if end > start else end + MINUTES_A_DAY)
    raise expected('hours such as "09:00-18:00" (24:00 = midnight; 22:00-06:00 = past midnight)')


Hours = Annotated[
    tuple[int, int],
    BeforeValidator(interval),
    WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d-\d\d:\d\d$"}),
]
"""One interval of a day in minutes from midnight; the second may lie in the next day."""


_CLOCK_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def clock_time(value: object) -> int:
    """Return ``"07:30"`` as minutes from midnight."""
    found = _CLOCK_TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise expected('a time of day such as "07:30"')
    return int(found[1]) * 60 + int(found[2])


ClockTime = Annotated[
    int,
    BeforeValidator(clock_time),
    WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$"}),
]
"""A time of day by the center's clock, in minutes from midnight."""


def weekdays(key: str) -> tuple[int, ...]:
    """Return the days that a key of ``week`` names, Monday = 0: ``mon``, ``mon-fri``, ``sat-mon``.

    Raises:
        PydanticCustomError: the key names no days.
    """
    first, dash, last = key.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise expected("a weekday or a span of them: mon, tue, … sun, mon-fri")
    start = WEEKDAYS.index(first)
    end = WEEKDAYS.index(last) if dash else start
    return tuple((start + i) % 7 for i in range((end - start) % 7 + 1))


def _weekday_key(key: str) -> str:
    weekdays(key)
    return key


Weekdays = Annotated[str, AfterValidator(_weekday_key)]
"""``mon`` … ``sun``, or a span such as ``mon-fri``."""


def dates(key: str) -> tuple[date, date]:
    """Return the first and last day of ``2026-12-31`` or ``2026-12-28..2026-12-31``.

    Raises:
        PydanticCustomError: not a date or a span of at most 366 days.
    """
    first, dots, last = key.partition("..")
    refusal = expected("a date such as 2026-12-31, or 2026-12-28..2026-12-31")
    if not _DATES.fullmatch(key):
        raise refusal
    try:
        start = date.fromisoformat(first)
        end = date.fromisoformat(last) if dots else start
    except ValueError:
        raise refusal from None
    if not start <= end <= start + timedelta(days=366):
        raise expected("a span of dates, the earlier first, at most 366 days")
    return start, end


def _dates_key(key: str) -> str:
    dates(key)
    return key


Dates = Annotated[str, AfterValidator(_dates_key)]
"""A local date, or a span of them."""
