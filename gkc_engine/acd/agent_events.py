"""What may happen to agents; part of ``events``, from where everybody takes them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gkc_engine.ids import AgentId, ContactId, Instant, SkillId


class AgentLoggedIn(Struct, kw_only=True, gc=False):
    """The agent came to work, ready. Again while logged in: nothing changes."""

    agent_id: AgentId
    by: str = "phone"


class AgentLoggedOut(Struct, kw_only=True, gc=False):
    """The agent went home. A ring is rescinded; a talk and its wrap-up end first."""

    agent_id: AgentId
    reason: str = ""


class AgentPaused(Struct, kw_only=True, gc=False):
    """Not ready, with a reason; takes effect after the contact in hand."""

    agent_id: AgentId
    reason: str = ""
    until: Instant | None = None


class AgentReady(Struct, kw_only=True, gc=False):
    """The agent asks for work: ends a pause, an automatic pause, or wrap-up early."""

    agent_id: AgentId


class Phone(StrEnum):
    """What is known of an agent's phone, beside whether it can be reached."""

    KNOWN = "known"
    INVALID = "invalid"
    """There is no such phone; not reachable."""
    UNKNOWN = "unknown"
    """Its state is not known; taken for reachable."""


class AgentDeviceChanged(Struct, kw_only=True, gc=False):
    """The phone: whether it can be reached, and whether it is in a call that is not ours."""

    agent_id: AgentId
    reachable: bool
    in_use: bool = False
    phone: Phone = Phone.KNOWN
    """For ``joinempty`` and ``leavewhenempty`` only."""


class AgentCallStarted(Struct, kw_only=True, gc=False):
    """The agent is in a call of his own (outbound, consultation, consulted): his slot is taken."""

    agent_id: AgentId
    call_id: str
    kind: str
    """``outbound``, ``consult`` (he called) or ``consulted`` (he was called)."""
    contact_id: ContactId | None = None
    at: Instant | None = None


class AgentCallEnded(Struct, kw_only=True, gc=False):
    """That call is over."""

    agent_id: AgentId
    call_id: str
    at: Instant | None = None


class WrapUpCoded(Struct, kw_only=True, gc=False):
    """The agent gave the result code of his present or last contact."""

    agent_id: AgentId
    code: str


class SkillsChanged(Struct, kw_only=True, gc=False):
    """A supervisor changed an agent's skills for this shift; acts on those who wait at once."""

    agent_id: AgentId
    skills: dict[SkillId, int]


class SkillOverridden(Struct, kw_only=True, gc=False):
    """A supervisor set one skill of an agent, over what the config says; acts at once."""

    agent_id: AgentId
    skill: SkillId
    level: int | None
    """0: he does not have it; ``None``: the override is taken back."""
    until: Instant | None = None
    """When it ends by itself; ``None``: when he logs out."""
