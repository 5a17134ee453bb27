"""``alerts`` and ``webhooks``: what a supervisor is told of, from when on, and by which way."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic import model_validator as whole

from gkc_engine.config.values import Model, Name, PositiveDuration, SecretRef, duration_us, expected
from gkc_engine.ids import SECOND, Micros


class Measure(StrEnum):
    """``when``: what is looked at."""

    WAITING = "waiting"
    LONGEST_WAIT = "longest_wait"
    SERVICE_LEVEL = "service_level"
    ABANDON_RATE = "abandon_rate"
    NO_STAFF = "no_staff"
    AMI_DOWN = "ami_down"
    LEDGER_BEHIND = "ledger_behind"
    DISK_FREE = "disk_free"


OF_QUEUES: Final = frozenset(
    {
        Measure.WAITING,
        Measure.LONGEST_WAIT,
        Measure.SERVICE_LEVEL,
        Measure.ABANDON_RATE,
        Measure.NO_STAFF,
    }
)
"""Measured of each queue; the others of the engine."""

SHARES: Final = frozenset({Measure.SERVICE_LEVEL, Measure.ABANDON_RATE})
"""Measured over a time, ``over``."""

_SIDES: Final = {
    Measure.WAITING: "above",
    Measure.LONGEST_WAIT: "above",
    Measure.SERVICE_LEVEL: "below",
    Measure.ABANDON_RATE: "above",
    Measure.NO_STAFF: "below",
    Measure.AMI_DOWN: None,
    Measure.LEDGER_BEHIND: "above",
    Measure.DISK_FREE: "below",
}
_OPTIONAL: Final = {Measure.NO_STAFF: 1.0, Measure.AMI_DOWN: 0.0}
"""Thresholds that need not be said: fewer than one at work; down at all."""
_COUNTS: Final = frozenset({Measure.WAITING, Measure.NO_STAFF, Measure.LEDGER_BEHIND})

_MAIL: Final = re.compile(r"[^\s@,;<>\"]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


def _number(measure: Measure, value: object) -> float:
    """Return a threshold in the measure's unit: contacts, microseconds, a share."""
    if measure is Measure.LONGEST_WAIT:
        return float(duration_us(value))
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if measure in _COUNTS:
        if isinstance(value, int) and known and 0 <= value <= 10**9:
            return float(value)
        raise expected("a whole number from 0 to 1000000000")
    if known and 0 <= float(value) <= 1:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise expected("a share from 0 to 1 such as 0.8")


def _threshold(value: object, info: ValidationInfo) -> object:
    measure = info.data.get("when")
    if value is None or measure is None:  # ``when`` is wrong: that is said already.
        return None
    side = _SIDES[measure]
    if side is None:
        raise expected(f"no threshold: {measure} is true or not")
    if info.field_name in ("above", "below") and info.field_name != side:
        raise expected(f"no {info.field_name}: with {measure} it is {side}")
    return _number(measure, value)


Threshold = Annotated[
    float | None,
    BeforeValidator(_threshold),
    WithJsonSchema({"type": ["number", "string"], "examples": [20, "3m", 0.8]}),
]
"""Contacts, a duration or a share, as ``when`` asks; held as contacts, microseconds, a share."""


def _way(value: object) -> object:
    if isinstance(value, str) and (
        re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,39}", value) or _MAIL.fullmatch(value)
    ):
        return value
    raise expected("log, a name from webhooks:, or a mail address")


Way = Annotated[str, BeforeValidator(_way)]


class AlertModel(Model):
    """What is to be told, from when on, to whom."""

    name: Name
    when: Measure
    queue: Name | None = None
    """One queue; absent: each queue by itself."""
    above: Threshold = None
    below: Threshold = None
    clear: Threshold = None
    """The value at which it is over again, so that it does not come and go; absent: as the
    threshold."""
    for_: Annotated[PositiveDuration, Field(alias="for")] = Micros(30 * SECOND)
    """How long it must have been so, before it is raised and before it is cleared."""
    over: PositiveDuration = Micros(900 * SECOND)
    """Of a share: the time over which it is taken."""
    least: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Of a share: contacts without which it says nothing."""
    quiet: tuple[Name, ...] = ()
    """Calendars; while one is open, it is on record and nobody is told."""
    to: tuple[Way, ...] = ("log",)

    @field_validator("to")
    @classmethod
    def _somebody(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        if not to:
            raise expected("at least one of log, webhooks and mail addresses")
        return to

    @field_validator("over")
    @classmethod
    def _within_a_day(cls, over: Micros) -> Micros:
        if over > 24 * 3600 * SECOND:
            raise expected("a duration of at most 24h")
        return over

    @whole(mode="after")
    def _makes_sense(self) -> Self:
        side = _SIDES[self.when]
        if side is not None and self.when not in _OPTIONAL and getattr(self, side) is None:
            raise expected(f"{side}, for {self.when} needs a threshold")
        if self.clear is not None and (
            self.clear > self.threshold if self.is_above else self.clear < self.threshold
        ):
            raise expected(f"clear on the other side of {side}: what is raised must not be over")
        if self.queue is not None and self.when not in OF_QUEUES:
            raise expected(f"no queue: {self.when} is the engine's")
        return self

    @property
    def is_above(self) -> bool:
        """Whether it is raised by a value above the threshold."""
        return _SIDES[self.when] != "below"

    @property
    def threshold(self) -> float:
        """``above`` or ``below``, in the measure's unit."""
        value = self.above if self.is_above else self.below
        return _OPTIONAL[self.when] if value is None else value


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return known and "@" not in parts.netloc and not re.search(r"[\s\x00-\x1f]", value)


def _url(value: object) -> object:
    if isinstance(value, str) and len(value) <= 2000 and _is_url(value):
        return value
    raise expected("a URL such as https://chat.example.org/hook, without a password in it")


class WebhookModel(Model):
    """Where alerts are sent by HTTP."""

    url: Annotated[str, BeforeValidator(_url)]
    secret: SecretRef
    """The key of the signature."""
