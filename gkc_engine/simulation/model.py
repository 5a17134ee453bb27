"""What may stand in a scenario file; the reference is docs/howto/simulate.md."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from gkc_engine.acd.settings import Medium
from gkc_engine.config.models import Levels
from gkc_engine.config.values import Duration, Model, Name, PositiveDuration, expected
from gkc_engine.ids import Micros
from gkc_engine.simulation.plan import AGENTS_MAX, CONTACTS_MAX, DistName

_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/(s|m|h|d)", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RATE_MAX_S: Final = 10_000.0
CV_MAX: Final = 100.0
MISS_MAX: Final = 0.99


def _rate(value: object) -> float:
    """Return ``120/h``, ``2.5/m``, ``30/s`` as contacts a second."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    per_s = float(found[1]) / _UNIT_S[found[2]] if found is not None else 0.0
    if not 0.0 < per_s <= RATE_MAX_S:
        raise expected("a rate above 0 such as 120/h or 2.5/m, at most 10000/s")
    return per_s


def _number(value: object, low: float, high: float, words: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise expected(words)


def _cv(value: object) -> float:
    return _number(value, 1e-6, CV_MAX, f"a number above 0, at most {CV_MAX:g}")


def _miss(value: object) -> float:
    return _number(value, 0.0, MISS_MAX, f"a probability from 0 to {MISS_MAX:g}")


def _moment(value: object) -> datetime:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d", value, re.ASCII):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise expected("a local date and time such as 2026-11-23T09:00")


Rate = Annotated[float, BeforeValidator(_rate)]
"""Contacts a second; in the file ``120/h``."""


class DistModel(Model):
    """How long something lasts, at random."""

    dist: DistName
    mean: Duration
    cv: Annotated[float, BeforeValidator(_cv)] | None = None
    """Standard deviation / mean, of lognormal and hyper2."""
    k: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Phases, of erlang."""

    KEYS: ClassVar[dict[str, frozenset[str]]] = {
        "exp": frozenset(),
        "const": frozenset(),
        "lognormal": frozenset({"cv"}),
        "erlang": frozenset({"k"}),
        "hyper2": frozenset({"cv"}),
    }

    @model_validator(mode="after")
    def _keys_of_the_dist(self) -> Self:
        wanted = self.KEYS[self.dist]
        given = {key for key in ("cv", "k") if getattr(self, key) is not None}
        if given != wanted:
            raise expected(f"of dist {self.dist} the keys {', '.join(['mean', *wanted])}")
        if self.mean == 0 and self.dist != "const":
            raise expected(f"a mean longer than 0s of dist {self.dist}")
        if self.dist == "hyper2" and (self.cv or 0.0) < 1.0:
            raise expected("of dist hyper2 a cv of 1 or more (below it: erlang or lognormal)")
        return self


class TrafficModel(Model):
    """The contacts that come for one queue."""

    rate: Rate
    handle: DistModel
    """The talk; the queue's wrap-up follows it."""
    patience: DistModel | None = None
    """How long they wait for the answer at most; absent = for ever."""


class PoolModel(Model):
    """Operators who are all alike, named POOL/1, POOL/2 and so on."""

    count: Annotated[int, Field(ge=1, le=AGENTS_MAX)]
    skills: Levels = Field(default_factory=dict)
    capacity: dict[Medium, Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=lambda: {Medium.VOICE: 1}, min_length=1
    )


class OfferModel(Model):
    """What becomes of an offer."""

    ring: Duration = Micros(0)
    """The time that a phone rings until it is answered."""
    miss: Annotated[float, BeforeValidator(_miss)] = 0.0
    """Probability that it is not answered at all: it rings for the queue's timeout."""


class ScenarioModel(Model):
    """The whole file."""

    KEYS_OF: ClassVar[str] = "the scenario"

    config: Any
    """The config itself, or a folder with one, relative to the scenario; checked apart."""
    pools: dict[Name, PoolModel] = Field(default_factory=dict)
    traffic: dict[Name, TrafficModel] = Field(default_factory=dict)
    contacts: Annotated[int, Field(ge=1, le=CONTACTS_MAX)] | None = None
    """Contacts that come in all, those of the warm-up included."""
    duration: PositiveDuration | None = None
    """Instead: how long they come."""
    warmup: Duration = Micros(0)
    """Contacts that arrive in it are simulated and not counted."""
    offer: OfferModel = OfferModel()
    start: Annotated[datetime | None, BeforeValidator(_moment)] = None
    """The local time at which it begins; without it the queues' hours are not applied."""
