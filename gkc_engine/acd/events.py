"""What may happen to the ACD: facts, past tense, as adapters saw them.

An adapter says what it saw ("the citizen's line is gone"); the core names it ("abandoned").
A stale, doubled or late event is normal and changes nothing. ``at`` is the instant in the far
side's own clock (Asterisk's), for the record; decisions use the instant of the step.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from gkc_engine.acd import agent_events as of_agents
from gkc_engine.acd.settings import ContactClass, Medium, Settings
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId


class Party(StrEnum):
    """Who ended it."""

    CITIZEN = "citizen"
    AGENT = "agent"
    SYSTEM = "system"


class OfferFailure(StrEnum):
    """Why an offer did not become a talk."""

    REJECTED = "rejected"
    """The agent declined (486/603 after ringing, or in the workspace)."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    """Not registered, no route, or the device did not react."""
    RESCINDED = "rescinded"
    """We took it back ourselves: the answer to ``RescindOffer``. Never a miss."""


class TalkEnd(StrEnum):
    """Why a talk ended while the citizen's line still stands."""

    RELEASED = "released"
    """The agent hung up: the contact is over as far as routing goes."""
    MEDIA_LOST = "media_lost"
    """The agent's leg died: back to the head of the line, with an apology."""


# --- the contact -----------------------------------------------------------------------------


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


class RecordingStarted(Struct, kw_only=True, gc=False):
    """A talk is being recorded to ``path``, below the folder of recordings. For the record only."""

    contact_id: ContactId
    offer_id: OfferId
    """The offer that became this talk."""
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


# --- offers ----------------------------------------------------------------------------------


class OfferRinging(Struct, kw_only=True, gc=False):
    """The agent's device rings (180)."""

    offer_id: OfferId
    at: Instant | None = None


class OfferAccepted(Struct, kw_only=True, gc=False):
    """An agent and the citizen are connected."""

    offer_id: OfferId
    agent_id: AgentId
    leg: str | None = None
    """Uniqueid of the agent's channel, if it is known."""
    at: Instant | None = None


class OfferFailed(Struct, kw_only=True, gc=False):
    """The offer is over without a talk and the citizen's line still stands.

    ``agent_id`` names one of several (``ring: all``) whose device is out; ``None`` = the whole
    offer is over.
    """

    offer_id: OfferId
    failure: OfferFailure
    agent_id: AgentId | None = None
    reason: str = ""
    at: Instant | None = None


# --- the talk --------------------------------------------------------------------------------


class HoldStarted(Struct, kw_only=True, gc=False):
    """The agent put the citizen on hold."""

    contact_id: ContactId
    agent_id: AgentId
    at: Instant | None = None


class HoldEnded(Struct, kw_only=True, gc=False):
    """The agent took the citizen back."""

    contact_id: ContactId
    agent_id: AgentId
    at: Instant | None = None


class TalkEnded(Struct, kw_only=True, gc=False):
    """The agent's side is gone while the citizen's line stands."""

    contact_id: ContactId
    agent_id: AgentId
    end: TalkEnd
    party: Party
    reason: str = ""
    at: Instant | None = None


class TransferRequested(Struct, kw_only=True, gc=False):
    """Blind transfer: the agent left; the citizen goes to one agent, or to a queue.

    Exactly one of ``to_agent`` and ``to_queue``. A named agent who is not ready or does not
    answer sends the contact back to its queue, at its old place.
    """

    contact_id: ContactId
    from_agent: AgentId
    to_agent: AgentId | None = None
    to_queue: QueueId | None = None
    at: Instant | None = None


class TransferCompleted(Struct, kw_only=True, gc=False):
    """Attended or semi-attended transfer: the citizen talks with another now.

    ``to_agent`` None = an outside party (``to_external``), the talk goes on without agents.
    ``to_queue``: the queue by whose rules ``to_agent`` was found, if it was one.
    """

    contact_id: ContactId
    from_agent: AgentId
    to_agent: AgentId | None = None
    to_external: str | None = None
    to_queue: QueueId | None = None
    leg: str | None = None
    """Uniqueid of the new party's channel, if it is known."""
    attended: bool = True
    """False: nobody was asked first (it went through the native queue, the engine was away)."""
    at: Instant | None = None


# --- agents (``agent_events``) ----------------------------------------------------------------

Phone: TypeAlias = of_agents.Phone
AgentLoggedIn: TypeAlias = of_agents.AgentLoggedIn
AgentLoggedOut: TypeAlias = of_agents.AgentLoggedOut
AgentPaused: TypeAlias = of_agents.AgentPaused
AgentReady: TypeAlias = of_agents.AgentReady
AgentDeviceChanged: TypeAlias = of_agents.AgentDeviceChanged
AgentCallStarted: TypeAlias = of_agents.AgentCallStarted
AgentCallEnded: TypeAlias = of_agents.AgentCallEnded
WrapUpCoded: TypeAlias = of_agents.WrapUpCoded
SkillsChanged: TypeAlias = of_agents.SkillsChanged


# --- the center ------------------------------------------------------------------------------


class SettingsApplied(Struct, kw_only=True, gc=False):
    """A config version took effect (the first one starts the core)."""

    settings: Settings
    tree: str = ""
    """The whole config as canonical JSON, for the record only; its hash is the version. Secrets
    are references in it. Ledgers of before have none."""
    author: str = ""
    """Who had it applied, as in the audit. For the record only, like ``diff``."""
    diff: tuple[str, ...] = ()
    """What it changed, a line each, as it was printed."""


class HoursChanged(Struct, kw_only=True, gc=False):
    """A queue's calendar opened or closed it. Queues are open until the first of these."""

    queue: QueueId
    open: bool


class EmergencyClosed(Struct, kw_only=True, gc=False):
    """A supervisor closed a queue (``None``: all) at once, with an announcement.

    With neither ``say`` nor ``then_queue`` each queue's own ``emergency_closed`` applies.
    """

    queue: QueueId | None = None
    say: str | None = None
    then_queue: QueueId | None = None
    """Who is told is led on to this queue; ``None``: his call ends."""
    reason: str = ""
    """For people; nothing is decided by it."""


class EmergencyOpened(Struct, kw_only=True, gc=False):
    """The emergency closing is over."""

    queue: QueueId | None = None


class EngineRestarted(Struct, kw_only=True, gc=False):
    """The engine came back and knows nothing yet of what happened meanwhile.

    Every waiting contact is detached, every open offer is in doubt until the adapter says.
    """


class Tick(Struct, kw_only=True, gc=False):
    """The instant named by ``Acd.next_deadline`` has come."""


Event: TypeAlias = (
    ContactStarted
    | LanguageChosen
    | ArticleHeard
    | MenuAnswered
    | WaitTold
    | RecordingStarted
    | RecordingPaused
    | QueueRequested
    | ContactPriorityChanged
    | ConsultStarted
    | ContactDetached
    | ContactAttached
    | FallbackAnswered
    | ContactLeft
    | OfferRinging
    | OfferAccepted
    | OfferFailed
    | HoldStarted
    | HoldEnded
    | TalkEnded
    | TransferRequested
    | TransferCompleted
    | AgentLoggedIn
    | AgentLoggedOut
    | AgentPaused
    | AgentReady
    | AgentDeviceChanged
    | AgentCallStarted
    | AgentCallEnded
    | WrapUpCoded
    | SkillsChanged
    | SettingsApplied
    | HoursChanged
    | EmergencyClosed
    | EmergencyOpened
    | EngineRestarted
    | Tick
)
