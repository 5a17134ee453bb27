"""What the administrator decided, in the core's own terms. Built from the config, never from YAML.

Rules and defaults: ``docs/reference/routing-policy.md``. Durations are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gkc_engine.ids import SECOND, AgentId, Micros, QueueId, SkillId


class Medium(StrEnum):
    """How the citizen reached us. Not a *channel*: in Asterisk that is one call leg."""

    VOICE = "voice"
    EMAIL = "email"
    FAX = "fax"
    CHAT = "chat"
    SMS = "sms"
    WEB = "web"
    API = "api"


class Strategy(StrEnum):
    """P1: who takes a contact that has just become able to be served."""

    LONGEST_IDLE = "longest-idle"
    BEST_MATCH = "best-match"
    SPARE_SPECIALISTS = "spare-specialists"
    LEAST_OCCUPIED = "least-occupied"


class Order(StrEnum):
    """P2: the law by which one of the waiting contacts is chosen. One for the whole center."""

    FCFS = "fcfs"
    MATCH_FIRST = "match-first"
    ACCUMULATING = "accumulating"


class ContactClass(StrEnum):
    """Absolute precedence, the highest first (P2.1)."""

    EMERGENCY = "emergency"
    NORMAL = "normal"
    BACKGROUND = "background"


CLASS_RANK: Mapping[ContactClass, int] = {c: rank for rank, c in enumerate(ContactClass)}
"""0 is served first."""


class EmptyFactor(StrEnum):
    """P4: what makes an agent at work no help to a queue; Asterisk's words (queues.conf)."""

    PAUSED = "paused"
    INUSE = "inuse"
    """Every slot of the medium talks, or a call of his own or another medium shuts it out."""
    RINGING = "ringing"
    UNAVAILABLE = "unavailable"
    """His phone cannot be reached."""
    INVALID = "invalid"
    """There is no such phone."""
    UNKNOWN = "unknown"
    """Asterisk does not know the state of his phone."""
    WRAPUP = "wrapup"


class Ring(StrEnum):
    """``one``: one agent an offer; ``all``: every free qualified agent, first answer wins."""

    ONE = "one"
    ALL = "all"


class Then(StrEnum):
    """What follows the announcement of a treatment."""

    HANGUP = "hangup"
    QUEUE = "queue"
    CALLBACK = "callback"
    VOICEMAIL = "voicemail"


Requirement = Mapping[SkillId, int]
"""Every named skill at least at the named level; empty = everybody qualifies."""


@dataclass(slots=True, kw_only=True)
class RelaxStep:
    """From ``enqueue time + after_us`` on, ``require`` replaces the former requirement (P3)."""

    after_us: Micros
    require: dict[SkillId, int]


@dataclass(slots=True, kw_only=True)
class Treatment:
    """What a citizen gets who is not to wait (any longer): an announcement, then a way on."""

    say: str | None = None
    then: Then = Then.HANGUP
    queue: QueueId | None = None


@dataclass(slots=True, kw_only=True)
class Prefer:
    """P7: only the agent who last served this citizen in this service, for ``for_us``."""

    for_us: Micros
    window_us: Micros


@dataclass(slots=True, kw_only=True)
class QueueSettings:
    """One entry under ``queues:``."""

    queue_id: QueueId
    title: str = ""
    service: str | None = None
    medium: Medium = Medium.VOICE
    require: dict[SkillId, int] = field(default_factory=dict)
    relax: tuple[RelaxStep, ...] = ()
    strategy: Strategy = Strategy.LONGEST_IDLE
    ring: Ring = Ring.ONE
    contact_class: ContactClass = ContactClass.NORMAL
    head_start_us: Micros = Micros(0)
    slope_milli: int = 1000
    timeout_us: Micros = Micros(20 * SECOND)
    wrapup_us: Micros = Micros(0)
    same_agent_after_us: Micros = Micros(30 * SECOND)
    reject_delay_us: Micros = Micros(10 * SECOND)
    busy_delay_us: Micros = Micros(10 * SECOND)
    no_answer_delay_us: Micros = Micros(10 * SECOND)
    unreachable_delay_us: Micros = Micros(30 * SECOND)
    servicelevel_us: Micros = Micros(20 * SECOND)
    short_abandon_us: Micros = Micros(5 * SECOND)
    maxlen: int | None = None
    maxwait_us: Micros | None = None
    maxwait_unstaffed_us: Micros | None = None
    joinempty: tuple[EmptyFactor, ...] = ()
    """P4: arrivals are refused when each one who could serve them is away by one of these."""
    leavewhenempty: tuple[EmptyFactor, ...] = ()
    """P4: the same for those who wait."""
    resume_within_us: Micros = Micros(0)
    prefer: Prefer | None = None
    fallback: QueueId | None = None
    """The queue that a removed or closed queue's contacts move to, if any."""
    full: Treatment = field(default_factory=Treatment)
    closed: Treatment = field(default_factory=Treatment)
    timed_out: Treatment = field(default_factory=Treatment)
    """Treatment at ``maxwait``."""
    unstaffed: Treatment = field(default_factory=Treatment)
    """Treatment at ``maxwait_unstaffed``, ``joinempty`` and ``leavewhenempty``."""
    emergency_closed: Treatment = field(default_factory=Treatment)
    """Treatment of an emergency closing that names none of its own."""
    return_after_us: Micros | None = None
    """Of a second line: who was handed on into it and is not answered in this time goes back."""
    leave_at_closing: bool = False
    """Whether closing by hours ends the waiting too (``closed``), or the door only."""


@dataclass(slots=True, kw_only=True)
class AgentSettings:
    """One entry under ``operators:``; its place in the list is the last tie-break of P1."""

    agent_id: AgentId
    skills: dict[SkillId, int] = field(default_factory=dict)
    capacity: dict[Medium, int] = field(default_factory=lambda: {Medium.VOICE: 1})


@dataclass(slots=True, kw_only=True)
class Blending:
    """P8, for one medium: which media it shuts out, and whose contacts are parked for it."""

    excludes: tuple[Medium, ...] = ()
    interrupts: tuple[Medium, ...] = ()


@dataclass(slots=True, kw_only=True)
class OutboundSettings:
    """How many calls agents may make, and what follows them."""

    per_operator_hour: int = 0
    """Calls of one agent within any hour."""
    concurrent: int = 0
    """Calls of all agents at a time."""
    wrapup_us: Micros = Micros(0)
    """After a call that was answered."""


@dataclass(slots=True, kw_only=True)
class Settings:
    """Everything that the core needs to know of a config version."""

    version: str
    """Hash of the config tree; on every record that was decided under it."""
    center: str = "center"
    order: Order = Order.FCFS
    maxlen: int = 100_000
    max_no_answer: int = 2
    autopause_us: Micros = Micros(300 * SECOND)
    blending: dict[Medium, Blending] = field(default_factory=dict)
    outbound: OutboundSettings = field(default_factory=OutboundSettings)
    """Without it no agent may call outside."""
    queues: tuple[QueueSettings, ...] = ()
    agents: tuple[AgentSettings, ...] = ()
