"""What the core says. *Actions* ask an adapter to do something; *facts* go on record only.

Both are written to the ledger before any action is carried out. An adapter answers every
action with an event; a failure is an event too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from gkc_engine.acd import overflow_commands as of_overflow
from gkc_engine.acd.events import Party
from gkc_engine.acd.settings import ContactClass, Medium, Treatment
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId, SkillId


class Disposition(StrEnum):
    """How a contact ended: exactly one, the first that applies (docs/statistics.md)."""

    ANSWERED = "answered"
    SELF_SERVED = "self_served"
    ANSWERED_BY_ANNOUNCEMENT = "answered_by_announcement"
    ABANDONED_MENU = "abandoned_menu"
    ABANDONED_SHORT = "abandoned_short"
    ABANDONED = "abandoned"
    TIMEOUT = "timeout"
    NO_AGENT = "no_agent"
    CLOSED = "closed"
    FULL = "full"
    BLOCKED = "blocked"
    MISDIRECTED = "misdirected"
    FAILED_OPEN = "failed_open"
    SYSTEM_FAILED = "system_failed"
    NO_ANSWER = "no_answer"
    """Outbound, like all that follow: it rang to the end."""
    BUSY = "busy"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    """The agent hung up before anybody answered."""
    BARRED = "barred"
    """Not allowed: by the allow list, at night, over a cap. Nothing was dialled."""
    RETURNED = "returned"
    """Of a guest: not answered here. The center that owns the contact says how it ended."""


class SegmentKind(StrEnum):
    """The part of a contact that a segment covers. Segments tile arrival..end."""

    MENU = "menu"
    QUEUE = "queue"
    RING = "ring"
    """An agent's phone rings; of an outbound contact, the called party's."""
    TALK = "talk"
    HOLD = "hold"
    WRAP_UP = "wrap_up"
    """The agent writes up what he heard; the citizen has gone on. Made by the recorder."""
    PARKED = "parked"
    """With an agent who is in a call that interrupts it (P8); no handling time."""
    FALLBACK = "fallback"
    """In Asterisk's native queue while the engine was away."""
    CONSULT = "consult"
    """An agent asks a colleague about it; beside the others. Made by the recorder."""
    EXTERNAL = "external"
    """With an outside party after a transfer."""
    ANNOUNCEMENT = "announcement"
    """A treatment or a survey: no agent, no queue."""
    TRANSIT = "transit"
    """Of a guest: on the way from the center that owns it; an operator is kept free."""


class SegmentOutcome(StrEnum):
    """How a segment ended."""

    QUEUED = "queued"
    OFFERED = "offered"
    ANSWERED = "answered"
    RETURNED = "returned"
    HELD = "held"
    PARKED = "parked"
    RESUMED = "resumed"
    TRANSFERRED = "transferred"
    DETACHED = "detached"
    ATTACHED = "attached"
    MOVED = "moved"
    TREATED = "treated"
    LEFT = "left"
    RELEASED = "released"
    MEDIA_LOST = "media_lost"


class TransferKind(StrEnum):
    """How an agent handed the citizen over."""

    BLIND = "blind"
    """Nobody had answered yet when the agent left."""
    ATTENDED = "attended"


class OfferOutcome(StrEnum):
    """How an offer ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    WITHDRAWN = "withdrawn"
    """The citizen left; the agent is blameless."""
    RESCINDED = "rescinded"
    """We took it back; the agent is blameless."""


class AgentState(StrEnum):
    """What an agent's slot is doing; exactly one at a time."""

    OFFLINE = "offline"
    READY = "ready"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALK = "talk"
    HOLD = "hold"
    WRAP_UP = "wrap_up"
    NOT_READY = "not_ready"
    FAULTY = "faulty"
    """Logged in, but the phone cannot be reached."""


# --- actions ---------------------------------------------------------------------------------


class HoldContact(Struct, kw_only=True, gc=False):
    """Keep the contact waiting: music, announcements of ``queue``. Repeated after each offer."""

    contact_id: ContactId
    queue: QueueId
    enqueued: Instant


class OfferContact(Struct, kw_only=True, gc=False):
    """Ring the agents (several only with ``ring: all``); answer with Ringing/Accepted/Failed."""

    offer_id: OfferId
    contact_id: ContactId
    agent_ids: tuple[AgentId, ...]
    queue: QueueId
    timeout_us: Micros
    step: int
    """Index of the requirement step that the agents met; 0 = the queue's own requirement."""
    created: Instant
    slots: tuple[int, ...] = ()
    """The slot that is reserved of each of ``agent_ids``."""


class RescindOffer(Struct, kw_only=True, gc=False):
    """Stop ringing. Answer with ``OfferFailed(RESCINDED)`` — or ``OfferAccepted`` if it crossed."""

    offer_id: OfferId
    contact_id: ContactId
    reason: str


class TreatContact(Struct, kw_only=True, gc=False):
    """Play the treatment and end the contact; ``disposition`` is already decided."""

    contact_id: ContactId
    disposition: Disposition
    treatment: Treatment


class ReleaseContact(Struct, kw_only=True, gc=False):
    """The talk is over and nothing more is due: survey if configured, then hang up."""

    contact_id: ContactId


class DialOut(Struct, kw_only=True, gc=False):
    """Dial the number that the agent has dialled; answer with Answered/Failed or ContactLeft.

    Also for a citizen whom he has put through to it (``PutThrough``).
    """

    contact_id: ContactId
    agent_id: AgentId


OverflowContact: TypeAlias = of_overflow.OverflowContact
ReleaseReservation: TypeAlias = of_overflow.ReleaseReservation
GrantReservation: TypeAlias = of_overflow.GrantReservation
DenyReservation: TypeAlias = of_overflow.DenyReservation
RefuseGuest: TypeAlias = of_overflow.RefuseGuest
ReturnGuest: TypeAlias = of_overflow.ReturnGuest
ConsultQueued: TypeAlias = of_overflow.ConsultQueued
ConsultOver: TypeAlias = of_overflow.ConsultOver
GuestHandedOver: TypeAlias = of_overflow.GuestHandedOver

# --- facts -----------------------------------------------------------------------------------


class ContactQueued(Struct, kw_only=True, gc=False):
    """The contact stands in ``queue``; ``enqueued`` is its first enqueue time in the city."""

    contact_id: ContactId
    queue: QueueId
    enqueued: Instant
    sequence: int
    contact_class: ContactClass
    head_start_us: Micros
    medium: Medium
    resumes: ContactId | None = None
    """The contact of the same citizen whose place it has (``resume_within``)."""


class PriorityChanged(Struct, kw_only=True, gc=False):
    """A contact in a queue goes on with this class, head start and slope."""

    contact_id: ContactId
    queue: QueueId
    contact_class: ContactClass
    head_start_us: Micros
    slope_milli: int


class StepReached(Struct, kw_only=True, gc=False):
    """The waiting contact's requirement is now that of ``step``."""

    contact_id: ContactId
    queue: QueueId
    step: int


class OfferEnded(Struct, kw_only=True, gc=False):
    """One row of the offer table, for one agent of it."""

    offer_id: OfferId
    contact_id: ContactId
    agent_id: AgentId
    queue: QueueId
    created: Instant
    ringing: Instant | None
    ended: Instant
    outcome: OfferOutcome
    reason: str = ""
    slot: int | None = None


class SegmentClosed(Struct, kw_only=True, gc=False):
    """One row of the segment table. Contiguous: ``started`` is the ``ended`` of ``n - 1``."""

    contact_id: ContactId
    n: int
    kind: SegmentKind
    started: Instant
    ended: Instant
    outcome: SegmentOutcome
    reason: str = ""
    queue: QueueId | None = None
    agent_id: AgentId | None = None
    offer_id: OfferId | None = None
    step: int | None = None
    channel_uniqueid: str | None = None
    """The agent's leg of a talk, if the adapter knew it; of ``external``, the other party's."""
    transfer_kind: TransferKind | None = None
    """Of a segment that a transfer ended."""
    outside: str | None = None
    """Keyed hash of an outside party's number: of ``external``, and of the ring before it."""

    @property
    def segment_id(self) -> str:
        """The segment's name in every table; the same whenever it is made again."""
        return f"{self.contact_id}.{self.n}"


class AgentStateChanged(Struct, kw_only=True, gc=False):
    """From ``since`` on the slot is in ``state``; ``until`` = when it ends by itself, if it does.

    ``state`` READY with ``until`` set: a rest (``reason`` says which); not offered until then.
    ``state`` HOLD with the reason ``parked``: interrupted by a call (P8).
    """

    agent_id: AgentId
    slot: int
    state: AgentState
    since: Instant
    reason: str = ""
    until: Instant | None = None
    contact_id: ContactId | None = None
    queue: QueueId | None = None


class ConsultEnded(Struct, kw_only=True, gc=False):
    """One row of the segment table: a call for advice about a contact, for one agent in it.

    It lies beside the contact's own segments (the citizen is on hold), so it does not tile.
    """

    contact_id: ContactId
    n: int
    """The contact's segment in which it began."""
    agent_id: AgentId
    call_id: str
    """Uniqueid of the channel of whoever asked."""
    kind: str
    """As in ``AgentCallStarted``: ``consult`` (he asked) or ``consulted``."""
    started: Instant
    ended: Instant


class ContactEnded(Struct, kw_only=True, gc=False):
    """The contact's row: its one disposition and its sums."""

    contact_id: ContactId
    disposition: Disposition
    medium: Medium
    started: Instant
    ended: Instant
    party: Party
    reason: str
    via: str
    """``engine`` or ``fallback``: who connected it, if anybody."""
    queue: QueueId | None
    """The last queue."""
    first_queued: Instant | None
    answered: Instant | None
    agent_id: AgentId | None
    """The first agent who answered."""
    menu_us: Micros
    wait_us: Micros
    """First queue entry to the answer (or to the end), ring included."""
    ring_us: Micros
    talk_us: Micros
    hold_us: Micros
    offers: int
    article: str | None = None
    owner: str | None = None
    """Of a guest: the center whose contact it is; it is counted there."""
    origin: ContactId | None = None
    """Of a guest: the contact's name there."""
    advice: bool = False
    """Of a guest: no citizen came, but an operator who asked for advice."""


class WrapUpResult(Struct, kw_only=True, gc=False):
    """The result code that an agent gave to a contact."""

    agent_id: AgentId
    contact_id: ContactId
    code: str


class SkillsInForce(Struct, kw_only=True, gc=False):
    """An override of an agent's skills began or ended: these are his skills from here on."""

    agent_id: AgentId
    skills: dict[SkillId, int]


class BroadcastStarted(Struct, kw_only=True, gc=False):
    """A broadcast stands; ``waiting``: so many stood in the queue when it began."""

    broadcast_id: int
    queue: QueueId
    waiting: int


class EventRejected(Struct, kw_only=True, gc=False):
    """The event names something unknown, or cannot apply; said once, nothing changed."""

    kind: str
    reason: str


Action: TypeAlias = (
    HoldContact
    | OfferContact
    | RescindOffer
    | TreatContact
    | ReleaseContact
    | DialOut
    | OverflowContact
    | ReleaseReservation
    | GrantReservation
    | DenyReservation
    | RefuseGuest
    | ReturnGuest
)
Fact: TypeAlias = (
    ContactQueued
    | PriorityChanged
    | StepReached
    | OfferEnded
    | SegmentClosed
    | AgentStateChanged
    | ConsultEnded
    | ConsultQueued
    | ConsultOver
    | GuestHandedOver
    | ContactEnded
    | WrapUpResult
    | SkillsInForce
    | BroadcastStarted
    | EventRejected
)
Command: TypeAlias = Action | Fact
