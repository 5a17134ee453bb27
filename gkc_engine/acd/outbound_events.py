"""What may happen to calls that agents make; part of ``events``, from where everybody takes them.

Such a call is a contact with ``direction`` out: it stands in no queue. It ends with ``ContactLeft``
like any other, or with ``OutboundFailed`` when nobody answered it.

A citizen may be put through outside by a blind transfer (``PutThrough``): he stays the same
contact. Answered and failed are then said of him, too, and ``OutsideEnded`` when the other party
has hung up.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gkc_engine.acd.contact_events import Party
from gkc_engine.ids import AgentId, ContactId, Instant


class OutboundFailure(StrEnum):
    """Why a call of an agent's did not become a talk; the agent had not hung up."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    """The called party refused the call."""
    UNREACHABLE = "unreachable"
    """No such number, no route, switched off."""


class OutboundStarted(Struct, kw_only=True, gc=False):
    """An agent dialled a number outside; registered from here on.

    The core answers with ``DialOut``, or with ``ContactEnded`` (``barred``) when it is not allowed.
    """

    contact_id: ContactId
    agent_id: AgentId
    number: str
    """Registration number for people; allocated by the recorder."""
    citizen: str | None = None
    """Keyed hash of the dialled number; never the number itself."""
    language: str = "ru"
    uniqueid: str | None = None
    """Asterisk's Uniqueid of the agent's channel: the call's identity."""
    related: ContactId | None = None
    """The contact on whose behalf he dialled."""
    barred: str = ""
    """Why the number may not be dialled now (allow list, night), as the adapter's rules say."""
    at: Instant | None = None


class OutboundAnswered(Struct, kw_only=True, gc=False):
    """The called party answered: they talk."""

    contact_id: ContactId
    leg: str | None = None
    """Uniqueid of the called party's channel, when a citizen was put through to it."""
    at: Instant | None = None


class OutboundFailed(Struct, kw_only=True, gc=False):
    """Nobody answered: the last event of such a contact.

    A citizen who was put through goes back to his queue.
    """

    contact_id: ContactId
    failure: OutboundFailure
    reason: str = ""
    at: Instant | None = None


class PutThrough(Struct, kw_only=True, gc=False):
    """Blind transfer outside: the agent left, the citizen is to be connected with a number.

    The core answers with ``DialOut``; if it is not allowed, with an offer to the same agent.
    """

    contact_id: ContactId
    from_agent: AgentId
    outside: str | None = None
    """Keyed hash of the number; never the number itself."""
    barred: str = ""
    """As in ``OutboundStarted``."""
    at: Instant | None = None


class OutsideEnded(Struct, kw_only=True, gc=False):
    """The outside party whom a citizen talked with is gone while the citizen's line stands."""

    contact_id: ContactId
    party: Party
    reason: str = ""
    at: Instant | None = None
