"""How a center takes part: whom it asks, when, and what it keeps for its own. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as data_field
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from gkc_engine.ids import SECOND, Micros, QueueId

FRESH_US: Final = Micros(3 * SECOND)
"""What a center said longer ago than this is not known: nothing is sent there."""

LOAD_EVERY_US: Final = Micros(SECOND)
"""How often a center says how it stands."""

LOAD_GAP_US: Final = Micros(SECOND // 10)
"""Not sooner again, when somebody becomes free."""

ASK_TIMEOUT_US: Final = Micros(SECOND)
"""After so long without a word the contact asks elsewhere."""

HOLD_US: Final = Micros(3 * SECOND)
"""An operator is kept free for so long from when he was asked for."""

RIVALS_US: Final = Micros(SECOND // 200)
"""So long an asking is kept while others, too, have somebody waiting: who has waited longest gets
the operator, not who is nearest. Well below what a round trip may take."""

BLOCK_US: Final = Micros(30 * SECOND)
"""A center whose trunk gave no sign is not asked for so long."""

ASKS_MAX: Final = 64
"""Reservations that one center asks for at a time."""


class CenterLevel(StrEnum):
    """Where a center stands in the tree; the highest first."""

    CITY = "city"
    OKRUG = "okrug"
    DISTRICT = "district"


class CenterStatus(StrEnum):
    """How far a center is on its way into service."""

    PLANNED = "planned"
    """Takes no citizens from others and sends none."""
    PILOT = "pilot"
    """Takes part as if live; shown as what it is."""
    LIVE = "live"


class OverflowRule(Struct, kw_only=True, frozen=True):
    """Who may be served elsewhere: ``overflow:`` of the config."""

    queues: frozenset[QueueId]
    to: tuple[str, ...]
    """Centers, in the order of the config: the tie-break."""
    after_us: Micros
    """Since the first queue in the city."""
    gain_min_us: Micros
    """By so much sooner it has to be answered there than here."""
    donor_sl_min_milli: int
    """Nothing is sent to a queue whose service level of now is below."""
    prefer: str | None = None
    """This center first, whoever else could take it."""
    penalties_us: Mapping[str, Micros] = field(default_factory=dict)
    """Center -> so much longer it counts as."""


class FederationSettings(Struct, kw_only=True, frozen=True):
    """What a center's config says about the others."""

    center: str
    rules: tuple[OverflowRule, ...] = ()
    peers: tuple[str, ...] = ()
    """The only ones that are listened to."""
    planned: tuple[str, ...] = ()
    """Of these it is noted only that they are heard: their line is tried before they take part."""
    keep_free: int = 0
    """So many operators who could take a contact stay free for the center's own citizens."""
    own_planned: bool = False
    """We take no citizens of others yet, and send none."""
    own_sl_min_milli: int = 0
    """Below this service level of now a queue takes no guests."""
    second_lines: frozenset[QueueId] = frozenset()
    """Queues of specialists who are there for all centers: of them nobody is kept free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How NATS is reached. A secret is in no ``repr``."""

    urls: tuple[str, ...]
    """``nats://HOST:PORT`` or ``tls://HOST:PORT``; the first that answers is taken."""
    user: str | None = None
    password: str | None = data_field(default=None, repr=False)
    ca: str | None = None
    """A file of certificates (PEM) that the server's must come from; ``None``: the system's."""
    cert: str | None = None
    """Our own certificate (PEM), and its key: both or none."""
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipperSettings:
    """Where one center's records are sent."""

    center: str
    bus: LinkSettings
    """Its leaf node, as the user of the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """Where the city's collector finds the records of all centers, and puts them."""

    buses: Mapping[str, LinkSettings]
    """Center -> the hub, as the user of that center's records."""
    store: str
    """Name of the city's store (``config.store``)."""
    timezone: str
    metrics: tuple[str, int] | None = None
    """Where Prometheus fetches: host and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """Where another center's Asterisk takes calls from centers (SIP)."""

    center: str
    host: str
    """A name or an address; one of IPv6 without its brackets."""
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterEntry:
    """A center of the tree, as the config names it."""

    name: str
    level: CenterLevel | None
    parent: str | None
    status: CenterStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a config says of the other centers: all that is needed to take part."""

    settings: FederationSettings
    link: LinkSettings
    centers: tuple[CenterEntry, ...]
    """Of the whole tree, ours among them."""
