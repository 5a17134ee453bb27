"""``outbound:`` what operators may dial outside, how often, when, and by which way out."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gkc_engine.config.values import ClockTime, Duration, Model, PositiveDuration, expected
from gkc_engine.ids import SECOND, Micros

_PREFIX: Final = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_DIAL: Final = re.compile(r"PJSIP/[0-9+*]{0,8}\{(number|digits)\}@[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def _like(pattern: re.Pattern[str], words: str) -> AfterValidator:
    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise expected(words)
        return value

    return AfterValidator(check)


Prefix = Annotated[str, _like(_PREFIX, "the beginning of a number in E.164, such as +7495")]


class CapsModel(Model):
    """How many calls out there may be."""

    per_operator_hour: Annotated[int, Field(ge=1, le=1000)] = 60
    """Of one operator within any hour, answered or not."""
    concurrent: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Of all operators at a time."""


class NightModel(Model):
    """When citizens are not called, in the center's zone; may go past midnight."""

    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    allow: tuple[Prefix, ...] = ()
    """Numbers that may be called all the same: those of authorities, say."""

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.from_ == self.to:
            raise expected("from and to that differ")
        return self


class OutboundModel(Model):
    """Operators' calls to numbers outside. Without this section there are none."""

    allow: Annotated[tuple[Prefix, ...], Field(min_length=1)]
    """What a number must begin with, in E.164."""
    deny: tuple[Prefix, ...] = ()
    """What it must not begin with; stronger than ``allow``."""
    dial: Annotated[
        str, _like(_DIAL, "PJSIP/{number}@TRUNK, or with {digits} for the number without its +")
    ]
    """The way out: a trunk of yours."""
    caller_id: Annotated[str, _like(_E164, "a number of yours in E.164, such as +74957777777")]
    """What the called party sees."""
    ring: PositiveDuration = Micros(45 * SECOND)
    """How long the called phone rings."""
    max_duration: PositiveDuration = Micros(3600 * SECOND)
    """After which a talk is ended."""
    wrapuptime: Duration = Micros(0)
    """After a talk."""
    record: Literal["always", "never"] = "never"
    """Whether talks are recorded as sound."""
    caps: CapsModel = CapsModel()
    night: NightModel | None = None
