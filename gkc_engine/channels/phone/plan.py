"""What the phone channel is given: the config's part of it, calls of before, identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gkc_engine.channels.phone.entry import Entry
from gkc_engine.channels.phone.host import QueueVoice, Sound
from gkc_engine.channels.phone.outbound_rules import OutboundRules
from gkc_engine.channels.phone.recording import Recordings
from gkc_engine.channels.phone.roster import Phone
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId, SkillId


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """How calls go to the other centers of the city, and come from them."""

    center: str
    """Ours."""
    token_key: str = field(repr=False)
    """The city's: signs the contact tokens."""
    dials: Mapping[str, str]
    """Center -> what Dial calls it by: ``PJSIP/gkc-center-sever``."""
    comes: Mapping[str, str]
    """By what a call comes from it -> center: ``PJSIP/gkc-guests-sever``."""


@dataclass(slots=True, kw_only=True)
class PhonePlan:
    """What the config says about phones; replaced as a whole by a reload."""

    phones: tuple[Phone, ...]
    entries: dict[str, Entry]
    """What each of our numbers (E.164) leads to."""
    voices: dict[QueueId, QueueVoice]
    fallbacks: dict[QueueId, str] = field(default_factory=dict)
    """The native queue that serves each queue's callers when we are gone."""
    members: dict[AgentId, tuple[str, ...]] = field(default_factory=dict)
    """The native queues that each operator may serve, by his skills in the config; the first is
    everybody's."""
    needs: dict[QueueId, tuple[dict[SkillId, int], ...]] = field(default_factory=dict)
    """What each queue asks of who serves it, at any of its steps."""
    language: str = "ru"
    sounds: Callable[[str, str], Sound | None] = lambda _name, _language: None
    """Finds a prompt by name and language."""
    outbound: OutboundRules | None = None
    """What operators may dial outside; ``None``: nothing."""
    recordings: Recordings | None = None
    """Where talks are recorded; without it none is."""
    second_lines: frozenset[QueueId] = frozenset()
    """Queues of specialists to whom citizens are handed on."""
    second_line_of: Mapping[QueueId, QueueId] = field(default_factory=dict)
    """Queue -> the second line of its service, if that has one."""
    between: Between | None = None
    """The way to other centers; ``None``: this one is alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """A call of before the restart that had not ended on record."""

    contact_id: ContactId
    leg: str
    entry: str
    language: str


class Desk(Protocol):
    """Identity and numbering, from the recorder."""

    def new_contact(self, now: Instant) -> tuple[ContactId, str]:
        """Return a fresh contact id and its registration number."""
        ...

    def citizen(self, number: str, name: str, now: Instant) -> str | None:
        """Remember a caller's number and return his key; ``None`` when it is withheld or none."""
        ...

    def blocked(self, citizen: str | None, now: Instant) -> bool:
        """Whether this citizen's calls are refused; never blocks."""
        ...
