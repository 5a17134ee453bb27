"""What the core remembers: plain records without references to one another.

Everything in ``AcdState`` is str, int, bool, None, enum, list, tuple, dict or a dataclass of these,
so that a snapshot is a copy and msgspec can write and read it. What can be computed from it (lines,
idle agents, timers) stands in ``world.py`` and is built anew at ``restore``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from gkc_engine.acd.commands import AgentState, Disposition, SegmentKind
from gkc_engine.acd.events import Party, Phone
from gkc_engine.acd.settings import ContactClass, Medium, QueueSettings, Settings, Treatment
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId, SkillId

LEASE_US = Micros(5 * SECOND)
"""How long an adapter may stay silent beyond a ring's timeout, or after ``RescindOffer``."""

DOUBT_US = Micros(15 * SECOND)
"""How long an open offer is in doubt after a restart of the engine."""

HISTORY_MAX = 100_000
"""Citizens whose last agent is remembered for P7; the oldest are forgotten."""

PLACES_MAX = 100_000
"""Places kept for callers who were cut off (``resume_within``); the oldest are forgotten."""

BROADCASTS_MAX = 5
"""Broadcasts that stand in one queue at a time; one more is refused."""

MENU_US = Micros(600 * SECOND)
"""Who called again in time keeps his place for so long on the way through the menu."""


_NOTHING: Final[Mapping[Any, Any]] = {}


def _nothing() -> Mapping[Any, Any]:
    """Return what is empty of most: one object for all, for a mapping here is never changed."""
    return _NOTHING


_shared: dict[tuple[tuple[Medium, int], ...], Mapping[Medium, int]] = {}


def shared(capacity: Mapping[Medium, int]) -> Mapping[Medium, int]:
    """Return the one object for this capacity: thousands of agents have the same."""
    return _shared.setdefault(tuple(capacity.items()), capacity)


class ContactState(StrEnum):
    """Where a contact is; exactly one at a time."""

    MENU = "menu"
    WAITING = "waiting"
    """In a line, held by us."""
    OFFERED = "offered"
    """An offer is open (ringing, being taken back, or in doubt after a restart)."""
    TALK = "talk"
    """Connected with an agent, by us or by the fallback (``via``)."""
    DETACHED = "detached"
    """In the native queue: keeps its place, is not offered."""
    TREATED = "treated"
    """Its disposition is decided; the announcement or the survey plays."""
    EXTERNAL = "external"
    """With an outside party after a transfer."""
    DIALLING = "dialling"
    """Outbound, or put through outside: the called party has not answered yet."""
    GUEST = "guest"
    """Of another center, which keeps its place: on the way to the operator who is kept free for
    it, or ringing him. It stands in no line of ours."""


class Work(IntEnum):
    """What holds an agent's slot."""

    FREE = 0
    OFFER = 1
    TALK = 2
    WRAP_UP = 3


class Activity(IntEnum):
    """For ``least-occupied``: on which side of the fraction the present time counts."""

    NEITHER = 0
    READY = 1
    HANDLING = 2


class Override(Struct, kw_only=True, gc=False):
    """What a supervisor set of one skill of an agent, over what the config says."""

    level: int
    """0 = he does not have it."""
    until: Instant | None
    """``None``: until he logs out."""


class Broadcast(Struct, kw_only=True, gc=False):
    """What is said to all who wait in a queue; never changed once it stands."""

    broadcast_id: int
    say: str
    text: str
    started: Instant
    until: Instant
    every_us: Micros | None
    before: int | None
    """Only who has a smaller sequence number hears it; ``None``: who comes later, too."""


class Standing(Struct, kw_only=True, gc=False):
    """What every decision reads of a contact: a base, so that it lies together in memory."""

    contact_id: ContactId
    medium: Medium
    state: ContactState = ContactState.MENU
    queue: QueueId | None = None
    step: int = 0
    sequence: int = -1
    """Order of first queue entry in this core; -1 before."""
    enqueued: Instant | None = None
    """First queue entry in the city; never changes once set."""
    entry: int = 0
    """Token of its present entry in the lines; 0 = in none. Older entries are dead."""
    line: int = -1
    """Index of the line of its present entry."""
    excluded: Mapping[AgentId, Instant] = msgspec.field(default_factory=_nothing)
    """P6 ``same_agent_after``: who is not asked again before when."""
    prefer_agent: AgentId | None = None
    segment_started: Instant = Instant(0)
    segment_kind: SegmentKind = SegmentKind.MENU
    segment_n: int = 0
    segment_queue: QueueId | None = None
    agent: AgentId | None = None
    offer: OfferId | None = None
    offers: int = 0
    consult: bool = False
    """No citizen but an agent who asks a queue for a colleague: no part of the record."""
    outbound: bool = False
    """An agent called; it stands in no queue."""
    talk_leg: str | None = None
    """Uniqueid of the agent's channel in the present talk, for the record."""


class Contact(Standing, kw_only=True, gc=False):
    """One citizen's matter, from ``ContactStarted`` to ``ContactLeft``.

    Nothing for the collector, however many wait: there are no references from one to another.
    """

    started: Instant
    citizen: str | None = None
    held: bool = True
    """Whether an adapter holds it; False while the native queue does."""
    own_class: ContactClass | None = None
    own_head_start: Micros | None = None
    own_slope: int | None = None
    resumes: ContactId | None = None
    """The contact whose place it took over (``resume_within``)."""
    slot: int | None = None
    """The agent's slot that the talk holds; None when the agent is not one of ours."""
    answered: Instant | None = None
    first_agent: AgentId | None = None
    wait_ended: Instant | None = None
    """When a treatment ended the waiting: the announcement is no wait."""
    via: str = "engine"
    article: str | None = None
    prefer_until: Instant | None = None
    decided: Disposition | None = None
    decided_party: Party | None = None
    decided_reason: str = ""
    treatment: Treatment | None = None
    """What it is told, if it is told anything; else it is released."""
    then_queue: QueueId | None = None
    """Where the announcement of a treatment leads, if to a queue."""
    sent_on: tuple[QueueId, ...] = ()
    """Queues whose treatments sent it on to another: none is entered twice in this way."""
    menu_us: Micros = Micros(0)
    ring_us: Micros = Micros(0)
    talk_us: Micros = Micros(0)
    hold_us: Micros = Micros(0)
    outside: str | None = None
    """Whom the citizen is being put through to, or talks with since: keyed hash of the number."""
    past_offers: tuple[OfferId, ...] = ()
    about: ContactId | None = None
    """Of a ``consult``: the contact that is asked about."""
    about_n: int = 0
    """Its segment in which it was asked."""
    heard: Mapping[int, Instant] = msgspec.field(default_factory=_nothing)
    """Broadcasts of its queue that it heard, and when last."""
    owner: str | None = None
    """Of a guest: the center that owns the contact; this is only our part of it."""
    origin: ContactId | None = None
    """Of a guest: its owner's name of the contact."""
    advice: bool = False
    """Of a guest: no citizen, but an operator there who asks an expert here."""
    reservation: ContactId | None = None
    """Of one who talks with another center's operator: the reservation of him."""
    sender: AgentId | None = None
    """Who handed it on to the second line."""
    sender_queue: QueueId | None = None
    """Out of which queue: there it goes back to."""
    back_at: Instant | None = None
    """When it goes back, if nobody of the second line has answered it by then."""
    back_due: bool = False
    """That instant has come: it goes back instead of waiting there again."""
    language: str = ""
    """Of a guest: what it is spoken to in; empty if its owner did not say."""


@dataclass(slots=True, kw_only=True)
class Slot:
    """One of an agent's places for a contact of ``medium``."""

    medium: Medium
    work: Work = Work.FREE
    contact: ContactId | None = None
    queue: QueueId | None = None
    offer: OfferId | None = None
    until: Instant | None = None
    """End of the wrap-up."""
    ringing: bool = False
    """An offer's phone rings; with a talk: the agent is dialling it."""
    on_hold: bool = False
    parked: bool = False
    """Its talk is interrupted by a call in another slot (P8)."""
    shown: AgentState = AgentState.OFFLINE
    shown_reason: str = ""
    shown_until: Instant | None = None
    shown_contact: ContactId | None = None


@dataclass(slots=True, kw_only=True)
class Worker:
    """What every decision reads of an agent: a base, so that it lies together in memory."""

    agent_id: AgentId
    slots: tuple[Slot, ...]
    stands: tuple[Medium, ...] = ()
    """Media of which he can take a contact now."""
    tail: int = 0
    """What his places have in common: rank and profile."""
    place: int = 0
    """His place among the idle (``idle.place_of``), the same in all media; 0 = he does not stand,
    -1: he looks for a contact before he takes it."""
    activity: Activity = Activity.NEITHER
    activity_since: Instant = Instant(0)
    handling_us: int = 0
    ready_us: int = 0
    idle_since: Instant = Instant(0)
    rank: int
    """Place in the config: the last tie-break of P1."""
    profile: int = -1
    logged_in: bool = False
    reachable: bool = True
    in_use: bool = False
    paused: bool = False
    rest_until: Instant | None = None
    calls: Mapping[str, str] = field(default_factory=_nothing)
    """Own calls, id to kind, in the order in which they began."""
    removed: bool = False
    """Gone from the config: finishes what is in hand, then disappears."""
    beyond: tuple[ContactId, ...] = ()
    """Talks told of while no slot was free: the end of the one before comes late. In order."""
    capacity: Mapping[Medium, int]


class Consulting(Struct, kw_only=True, gc=False):
    """Since when an agent is in a call for advice, and about which part of which contact."""

    contact: ContactId
    n: int
    started: Instant


@dataclass(slots=True, kw_only=True)
class Agent(Worker):
    """A person who answers, from the config, logged in or not."""

    skills: dict[SkillId, int]
    shift_skills: bool = False
    """Skills were changed by a supervisor; the config's return at logout."""
    overrides: Mapping[SkillId, Override] = field(default_factory=_nothing)
    """Single skills that a supervisor set."""
    under: dict[SkillId, int] | None = None
    """His skills without the overrides; None while there are none."""
    logged_in_by: str = ""
    """How he came: ``phone``, ``cli``, ``always``, or the phone (``PJSIP/103``) of hot-desking."""
    phone: Phone = Phone.KNOWN
    pause_reason: str = ""
    pause_until: Instant | None = None
    rest_reason: str = ""
    misses: int = 0
    last_contact: ContactId | None = None
    dialled: tuple[Instant, ...] = ()
    """When he called outside within the last hour, and not more often than he may."""
    consults: Mapping[str, Consulting] = field(default_factory=_nothing)
    """Of his own calls those about a contact, by their id."""
    helps: int = 0
    """The watches (``staffing``) that count him as a help, a bit for each."""


class Leg(Struct, kw_only=True, gc=False):
    """One agent of an offer."""

    agent: AgentId
    slot: int
    ringing: Instant | None = None


class Offer(Struct, kw_only=True, gc=False):
    """A contact presented to reserved agents (several only with ``ring: all``)."""

    offer_id: OfferId
    contact: ContactId
    queue: QueueId
    step: int
    created: Instant
    lease: Instant
    """When the core stops waiting for the adapter's answer."""
    legs: list[Leg]
    rescinding: bool = False
    rescind_reason: str = ""
    doubt: bool = False
    reservation: ContactId | None = None
    """Of an operator of another center: the reservation of him. None of our slots is held."""
    awaited: bool = False
    """The contact is a guest on the way: the operator is kept free, his phone does not ring."""


@dataclass(slots=True, kw_only=True)
class QueueStatus:
    """What changes about a queue without a new config."""

    settings: QueueSettings
    open: bool = True
    emergency: Treatment | None = None
    emergency_reason: str = ""
    staffed_elsewhere: bool = False
    """Whether another center is there to serve its contacts."""
    draining: bool = False
    """Gone from the config; kept under its old rules until its contacts are served."""
    broadcasts: tuple[Broadcast, ...] = ()
    """The last one began last; some may be over."""


@dataclass(slots=True, kw_only=True)
class KeptPlace:
    """The place of a citizen who was cut off while he waited; his if he calls again in time."""

    queue: QueueId
    citizen: str
    contact: ContactId
    enqueued: Instant
    sequence: int
    left: Instant


@dataclass(slots=True, kw_only=True)
class AcdState:
    """A snapshot of the whole core; see ``Acd.snapshot`` and ``Acd.restore``."""

    now: Instant
    settings: Settings
    queues: list[QueueStatus]
    agents: list[Agent]
    contacts: list[Contact]
    offers: list[Offer]
    next_offer: int
    next_sequence: int
    emergency: Treatment | None
    history: list[tuple[str, AgentId, Instant]]
    places: list[KeptPlace] = field(default_factory=list)
    next_broadcast: int = 1
    unheard: Instant | None = None
