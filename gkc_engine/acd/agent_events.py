"""What may happen to agents; part of ``events``, from where everybody takes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gkc_engine.ids import AgentId, ContactId, Instant, SkillId


@dataclass(slots=True, kw_only=True)
class AgentLoggedIn:
    """The agent came to work, ready. Again while logged in: nothing changes."""

    agent_id: AgentId
    by: str = "phone"


@dataclass(slots=True, kw_only=True)
class AgentLoggedOut:
    """The agent went home. A ring is rescinded; a talk and its wrap-up end first."""

    agent_id: AgentId
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class AgentPaused:
    """Not ready, with a reason; takes effect after the contact in hand."""

    agent_id: AgentId
    reason: str = ""
    until: Instant | None = None


@dataclass(slots=True, kw_only=True)
class AgentReady:
    """The agent asks for work: ends a pause, an automatic pause, or wrap-up early."""

    agent_id: AgentId


class Phone(StrEnum):
    """What is known of an agent's phone, beside whether it can be reached."""

    KNOWN = "known"
    INVALID = "invalid"
    """There is no such phone; not reachable."""
    UNKNOWN = "unknown"
    """Its state is not known; taken for reachable."""


@dataclass(slots=True, kw_only=True)
class AgentDeviceChanged:
    """The phone: whether it can be reached, and whether it is in a call that is not ours."""

    agent_id: AgentId
    reachable: bool
    in_use: bool = False
    phone: Phone = Phone.KNOWN
    """For ``joinempty`` and ``leavewhenempty`` only."""


@dataclass(slots=True, kw_only=True)
class AgentCallStarted:
    """The agent is in a call of his own (outbound, consultation, consulted): his slot is taken."""

    agent_id: AgentId
    call_id: str
    kind: str
    """``outbound``, ``consult`` (he called) or ``consulted`` (he was called)."""
    contact_id: ContactId | None = None
    at: Instant | None = None


@dataclass(slots=True, kw_only=True)
class AgentCallEnded:
    """That call is over."""

    agent_id: AgentId
    call_id: str
    at: Instant | None = None


@dataclass(slots=True, kw_only=True)
class WrapUpCoded:
    """The agent gave the result code of his present or last contact."""

    agent_id: AgentId
    code: str


@dataclass(slots=True, kw_only=True)
class SkillsChanged:
    """A supervisor changed an agent's skills for this shift; acts on those who wait at once."""

    agent_id: AgentId
    skills: dict[SkillId, int]
