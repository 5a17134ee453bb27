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
from gkc_engine.acd import contact_events as of_contacts
from gkc_engine.acd import outbound_events as of_outbound
from gkc_engine.acd import overflow_events as of_overflow
from gkc_engine.acd.settings import Settings
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId


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
    HANDED_BACK = "handed_back"
    """Another center's specialist gives the citizen back to who sent him."""


# --- the contact (``contact_events``) ------------------------------------------------------------

Party: TypeAlias = of_contacts.Party
ContactStarted: TypeAlias = of_contacts.ContactStarted
ContactBlocked: TypeAlias = of_contacts.ContactBlocked
LanguageChosen: TypeAlias = of_contacts.LanguageChosen
ArticleHeard: TypeAlias = of_contacts.ArticleHeard
MenuAnswered: TypeAlias = of_contacts.MenuAnswered
WaitTold: TypeAlias = of_contacts.WaitTold
BroadcastHeard: TypeAlias = of_contacts.BroadcastHeard
RecordingStarted: TypeAlias = of_contacts.RecordingStarted
RecordingPaused: TypeAlias = of_contacts.RecordingPaused
QueueRequested: TypeAlias = of_contacts.QueueRequested
ContactPriorityChanged: TypeAlias = of_contacts.ContactPriorityChanged
ConsultStarted: TypeAlias = of_contacts.ConsultStarted
ContactDetached: TypeAlias = of_contacts.ContactDetached
ContactAttached: TypeAlias = of_contacts.ContactAttached
FallbackAnswered: TypeAlias = of_contacts.FallbackAnswered
ContactLeft: TypeAlias = of_contacts.ContactLeft
MENU_ENDED = of_contacts.MENU_ENDED
BY_SUPERVISOR = of_contacts.BY_SUPERVISOR

# --- calls that agents make (``outbound_events``) ---------------------------------------------

OutboundFailure: TypeAlias = of_outbound.OutboundFailure
OutboundStarted: TypeAlias = of_outbound.OutboundStarted
OutboundAnswered: TypeAlias = of_outbound.OutboundAnswered
OutboundFailed: TypeAlias = of_outbound.OutboundFailed
PutThrough: TypeAlias = of_outbound.PutThrough
OutsideEnded: TypeAlias = of_outbound.OutsideEnded


# --- between centers (``overflow_events``) ------------------------------------------------------

ReservationGranted: TypeAlias = of_overflow.ReservationGranted
ReservationAsked: TypeAlias = of_overflow.ReservationAsked
ReservationReleased: TypeAlias = of_overflow.ReservationReleased
StaffedElsewhere: TypeAlias = of_overflow.StaffedElsewhere
GuestArrived: TypeAlias = of_overflow.GuestArrived
ContactBrief: TypeAlias = of_overflow.ContactBrief


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

    At most one of ``to_agent`` and ``to_queue``. A named agent who is not ready or does not
    answer sends the contact back to its queue, at its old place. Neither: we were away, and
    Asterisk had the contact from then on.
    """

    contact_id: ContactId
    from_agent: AgentId
    to_agent: AgentId | None = None
    to_queue: QueueId | None = None
    barred: str = ""
    """Why he cannot go to that queue, which is a second line; then he goes back to the agent."""
    at: Instant | None = None


class HandedBack(Struct, kw_only=True, gc=False):
    """The agent left; the citizen goes back to whoever sent him to the second line.

    A guest goes back to the center that owns it; one whom nobody sent, to the same agent.
    """

    contact_id: ContactId
    from_agent: AgentId
    at: Instant | None = None


class TransferCompleted(Struct, kw_only=True, gc=False):
    """Attended or semi-attended transfer: the citizen talks with another now.

    ``to_agent`` None = an outside party (``to_external``, the keyed hash of its number, if that is
    known), the talk goes on without agents.
    ``to_queue``: the queue by whose rules ``to_agent`` was found, if it was one.
    """

    contact_id: ContactId
    from_agent: AgentId
    to_agent: AgentId | None = None
    to_external: str | None = None
    to_queue: QueueId | None = None
    leg: str | None = None
    """Uniqueid of the new party's channel, if it is known."""
    consult: ContactId | None = None
    """The call for advice that becomes this talk, if it stood in a queue."""
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
SkillOverridden: TypeAlias = of_agents.SkillOverridden


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


class QueueAnnounced(Struct, kw_only=True, gc=False):
    """A supervisor has something said to all who wait in a queue: a broadcast begins."""

    queue: QueueId
    say: str = ""
    """A prompt; empty with ``text``."""
    text: str = ""
    """The words themselves, spoken by the TTS command."""
    until: Instant
    """Who has not heard it by then does not hear it any more."""
    every_us: Micros | None = None
    """Again after so long; ``None``: each citizen hears it once."""
    newcomers: bool = False
    """Whether who comes later hears it, too."""


class BroadcastStopped(Struct, kw_only=True, gc=False):
    """A supervisor ended the broadcasts of a queue."""

    queue: QueueId


class EngineRestarted(Struct, kw_only=True, gc=False):
    """The engine came back and knows nothing yet of what happened meanwhile.

    Every waiting contact is detached, every open offer is in doubt until the adapter says.
    """


class CaughtUp(Struct, kw_only=True, gc=False):
    """All that happened while the engine was away has been told: the resync is done.

    An engine that dies between its restart and this leaves that to the next one, which has to ask
    from where the last one stopped that knew everything.
    """


class Tick(Struct, kw_only=True, gc=False):
    """The instant named by ``Acd.next_deadline`` has come."""


Event: TypeAlias = (
    ContactStarted
    | ContactBlocked
    | LanguageChosen
    | ArticleHeard
    | MenuAnswered
    | WaitTold
    | BroadcastHeard
    | RecordingStarted
    | RecordingPaused
    | QueueRequested
    | ContactPriorityChanged
    | ConsultStarted
    | ContactDetached
    | ContactAttached
    | FallbackAnswered
    | ContactLeft
    | OutboundStarted
    | OutboundAnswered
    | OutboundFailed
    | PutThrough
    | OutsideEnded
    | ReservationGranted
    | ReservationAsked
    | ReservationReleased
    | StaffedElsewhere
    | GuestArrived
    | OfferRinging
    | OfferAccepted
    | OfferFailed
    | HoldStarted
    | HoldEnded
    | TalkEnded
    | TransferRequested
    | HandedBack
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
    | SkillOverridden
    | SettingsApplied
    | HoursChanged
    | EmergencyClosed
    | EmergencyOpened
    | QueueAnnounced
    | BroadcastStopped
    | EngineRestarted
    | CaughtUp
    | Tick
)
