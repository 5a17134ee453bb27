"""What is to be simulated, in the core's terms: read by ``scenario.py``, run by ``runner.py``.

Plain data that goes to other processes; nothing here knows of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from gkc_engine.acd.settings import Settings
from gkc_engine.ids import AgentId, Instant, Micros, QueueId

if TYPE_CHECKING:  # Other processes start sooner without it.
    from gkc_engine.config.calendar_model import CalendarModel

CONTACTS_MAX: Final = 5_000_000
"""Contacts of one replication: some 150 bytes each while it runs."""
AGENTS_MAX: Final = 100_000
REPLICATIONS_MAX: Final = 10_000
OFFERS_MAX: Final = 1_000
"""Offers of one contact; more means that a scenario can never end."""

DistName = Literal["exp", "const", "lognormal", "erlang", "hyper2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dist:
    """A distribution of durations; ``cv`` = standard deviation / mean, ``k`` = Erlang's phases."""

    name: DistName
    mean_us: Micros
    cv: float = 0.0
    k: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The contacts of one queue: a Poisson stream."""

    queue: QueueId
    per_s: float
    handle: Dist
    """The talk; the queue's wrap-up follows it."""
    patience: Dist | None = None
    """From queue entry to the answer, ring included; ``None`` = they never leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """When a queue takes new contacts: its calendar, in the zone that it is meant in."""

    calendar: CalendarModel
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One scenario, checked."""

    settings: Settings
    groups: Mapping[AgentId, str]
    """Agent → pool, or the operator's own name: what occupancy is told of. In config order."""
    flows: tuple[Flow, ...] = ()
    contacts: int | None = None
    """Arrivals in all; exactly one of it and ``duration_us`` with flows."""
    duration_us: Micros | None = None
    warmup_us: Micros = Micros(0)
    ring_us: Micros = Micros(0)
    miss: float = 0.0
    """Probability that an offer is not answered."""
    start: Instant | None = None
    """The instant UTC that the virtual 0 stands for; ``None`` = hours are not applied."""
    hours: Mapping[QueueId, Opening] = field(default_factory=dict)


@dataclass(slots=True)  # Not frozen: that costs half a microsecond for each contact.
class Arrival:
    """One contact of the world: when it comes, what it needs, how long it would wait."""

    at: Instant
    queue: QueueId
    handle_us: Micros
    patience_us: Micros | None
