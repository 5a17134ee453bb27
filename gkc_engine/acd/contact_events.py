"""What may happen to contacts until they are offered; part of ``events``."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId


class Party(StrEnum):
    """Who ended it."""

    CITIZEN = "citizen"
    AGENT = "agent"
    SYSTEM = "system"
    OUTSIDE = "outside"
    """The other party of a citizen who was put through."""


class ContactStarted(Struct, kw_only=True, gc=False):
    """A citizen reached us; no queue yet (menu, or mail being read). Registered from here on."""

    contact_id: ContactId
    medium: Medium
    number: str
    """Registration number for people, ``YEAR-PREFIX-SEQ``; allocated by the recorder."""
    entry: str
    """The dialled number (E.164) or address: what the citizen asked for."""
    citizen: str | None = None
    """Keyed hash of the citizen's number or address; never the number itself."""
    language: str = "ru"
    uniqueid: str | None = None
    """Asterisk's Uniqueid of the citizen's channel: its identity."""
    at: Instant | None = None


class ContactBlocked(Struct, kw_only=True, gc=False):
    """The citizen is on the block list: he is told so at the door, before any menu or queue.

    The list is no part of the core: who is on it when he calls is said here, so that a replay
    decides the same whatever the list says by then. Again after a restart, if he is still there.
    """

    contact_id: ContactId


class LanguageChosen(Struct, kw_only=True, gc=False):
    """The citizen chose another language in the menu."""

    contact_id: ContactId
    language: str


class ArticleHeard(Struct, kw_only=True, gc=False):
    """A self-service article was heard to its end, or left by the citizen's choice."""

    contact_id: ContactId
    article: str


class MenuAnswered(Struct, kw_only=True, gc=False):
    """The citizen pressed a digit in a menu. For the record only."""

    contact_id: ContactId
    menu: str
    digit: str


class WaitTold(Struct, kw_only=True, gc=False):
    """A waiting citizen was told how much longer it will take. For the record only."""

    contact_id: ContactId
    queue: QueueId
    """The line of which it was said; another queue is another line."""
    expected_us: Micros
    """The estimate behind the words."""
    lo_us: Micros
    """He heard: more than this …"""
    hi_us: Micros | None
    """… and at most this; ``None``: nobody knows how much more."""


class BroadcastHeard(Struct, kw_only=True, gc=False):
    """A waiting citizen heard a broadcast to its end."""

    contact_id: ContactId
    broadcast_id: int


class RecordingStarted(Struct, kw_only=True, gc=False):
    """A talk is being recorded to ``path``, below the folder of recordings. For the record only."""

    contact_id: ContactId
    offer_id: OfferId | None
    """The offer that became this talk; ``None``: the agent has called."""
    path: str
    at: Instant | None = None


class RecordingPaused(Struct, kw_only=True, gc=False):
    """The recording of the present talk was paused, or goes on. For the record only."""

    contact_id: ContactId
    paused: bool


class QueueRequested(Struct, kw_only=True, gc=False):
    """The contact is to wait for an agent of ``queue``; from another queue it is a move.

    ``None`` = the queue's own class, head start, slope. ``enqueued`` is given when the first
    enqueue time is known from elsewhere (taken back from the fallback, another center).
    """

    contact_id: ContactId
    queue: QueueId
    contact_class: ContactClass | None = None
    head_start_us: Micros | None = None
    slope_milli: int | None = None
    enqueued: Instant | None = None
    reason: str = ""
    """Of a move, for the record: ``BY_SUPERVISOR``."""


BY_SUPERVISOR = "supervisor"
"""Reason of ``QueueRequested`` when a supervisor moved the contact."""


class ContactPriorityChanged(Struct, kw_only=True, gc=False):
    """A supervisor gave the contact a priority of its own; acts at once if it waits.

    ``None`` = as it was. Like the caller's own from the menu it holds after moves, too.
    """

    contact_id: ContactId
    contact_class: ContactClass | None = None
    head_start_us: Micros | None = None
    slope_milli: int | None = None


class ConsultStarted(Struct, kw_only=True, gc=False):
    """An agent with a citizen asks a queue for a colleague: his call waits there like a contact.

    It has the place that the citizen would have there: his enqueue time, class, head start and
    slope. It ends with ``ContactLeft`` and is itself no part of the record.
    """

    contact_id: ContactId
    """Of the consultation, not of the citizen."""
    agent_id: AgentId
    queue: QueueId
    about: ContactId | None = None
    """The citizen's contact; ``None`` = a call of the agent's own."""


class ContactDetached(Struct, kw_only=True, gc=False):
    """We lost hold of a waiting contact whose line still stands (it is in the native queue).

    It keeps its place and is not offered until ``ContactAttached``.
    """

    contact_id: ContactId
    at: Instant | None = None


class ContactAttached(Struct, kw_only=True, gc=False):
    """We hold the contact again; P1 applies at once."""

    contact_id: ContactId


class FallbackAnswered(Struct, kw_only=True, gc=False):
    """The native fallback queue connected the contact (imported from Asterisk)."""

    contact_id: ContactId
    agent_id: AgentId | None
    at: Instant
    leg: str | None = None
    """As in ``OfferAccepted``."""


MENU_ENDED = "menu ended the call"
"""Reason of ``ContactLeft`` when a menu's choice said so: he was told what there is to tell."""


class ContactLeft(Struct, kw_only=True, gc=False):
    """The citizen's line is gone, whoever ended it. The last event of a contact."""

    contact_id: ContactId
    party: Party
    reason: str = ""
    at: Instant | None = None
