"""What may happen to calls that agents make; part of ``events``, from where everybody takes them.

Such a call is a contact with ``direction`` out: it stands in no queue. It ends with ``ContactLeft``
like any other, or with ``OutboundFailed`` when nobody answered it.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

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
    at: Instant | None = None


class OutboundFailed(Struct, kw_only=True, gc=False):
    """Nobody answered; the last event of such a contact."""

    contact_id: ContactId
    failure: OutboundFailure
    reason: str = ""
    at: Instant | None = None
