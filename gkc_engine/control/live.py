"""The engine at this instant, as the control socket and the alerts see it: protocols and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gkc_engine.acd.commands import AgentState, Command
from gkc_engine.acd.events import Event
from gkc_engine.acd.state import Broadcast, Override
from gkc_engine.acd.views import Closing
from gkc_engine.control.measures import NO_THRESHOLDS, Thresholds
from gkc_engine.control.protocol import Json
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId, SkillId
from gkc_engine.statistics.figures import (
    Counts,
    Handling,
)

Row = dict[str, Json]
"""One object of a list that ``--json`` prints."""

BUSY = frozenset(
    {
        AgentState.RESERVED,
        AgentState.RINGING,
        AgentState.TALK,
        AgentState.HOLD,
        AgentState.WRAP_UP,
    }
)
"""States in which an agent works on a contact: not ready, and nobody's fault."""


TALKING = frozenset({"talk", "external"})
"""States of a contact that is connected with a person."""

IN_LINE = frozenset({"waiting", "offered", "detached"})
"""States of a contact that waits for a person, in our line or in Asterisk's own queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """What people call a queue, its service level, and from where on it is in trouble."""

    queue: QueueId
    title: str
    servicelevel_us: int
    thresholds: Thresholds = NO_THRESHOLDS


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEntry:
    """What people call an agent, the phone, and the queues that the agent may serve at any step."""

    agent_id: AgentId
    title: str
    interface: str
    queues: tuple[QueueId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The names behind the ids: what of the configuration people see. Replaced on reload."""

    center: str
    title: str
    timezone: str
    config: str
    """The configuration's directory, its real path."""
    config_version: str
    queues: Mapping[QueueId, QueueEntry]
    agents: Mapping[AgentId, AgentEntry]
    skills: Mapping[str, str] = field(default_factory=dict)
    """Names of the skills that there are, and their titles."""


@dataclass(slots=True, kw_only=True)
class AgentNow:
    """An agent at this instant. With several slots: the busiest."""

    agent_id: AgentId
    state: AgentState
    since: Instant
    reason: str = ""
    until: Instant | None = None
    contact_id: ContactId | None = None
    registered: bool = True
    """Whether the phone can be reached."""
    skills: Mapping[SkillId, int] = field(default_factory=dict)
    overrides: Mapping[SkillId, Override] = field(default_factory=dict)
    """Those of his skills that a supervisor set."""
    queues: tuple[QueueId, ...] | None = None
    """What he may serve by those; ``None``: what the config says."""


@dataclass(slots=True, kw_only=True)
class ContactNow:
    """A contact in progress at this instant."""

    contact_id: ContactId
    number: str
    medium: str
    state: str
    """``acd.state.ContactState``: the core's word."""
    started: Instant
    queue: QueueId | None = None
    first_queued: Instant | None = None
    answered: Instant | None = None
    agent_id: AgentId | None = None
    position: int | None = None
    """Place among those that wait in the same queue, from 1."""
    state_since: Instant | None = None
    """When the present state began, if known."""
    owner: str | None = None
    """Of a guest: the center whose contact it is; its wait is that in the city."""
    consult: bool = False
    """No contact but an agent who asks a queue for a colleague."""

    def wait_us(self, now: Instant) -> int | None:
        """First queue entry to the answer, or to ``now``; ``None`` before any queue."""
        if self.first_queued is None:
            return None
        return (self.answered if self.answered is not None else now) - self.first_queued


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload did."""

    version: str
    previous: str
    diff: tuple[str, ...]
    """One line a change, in the administrator's terms; empty when nothing changed."""


class Standing(Protocol):
    """As much of a contact as the figures of its queue need."""

    @property
    def queue(self) -> QueueId | None:
        """Where it stands, stood last, or is asked for."""
        ...

    @property
    def state(self) -> str:
        """``acd.state.ContactState``."""
        ...

    @property
    def first_queued(self) -> Instant | None:
        """When it entered its first queue."""
        ...

    @property
    def answered(self) -> Instant | None:
        """When it was answered first."""
        ...

    @property
    def state_since(self) -> Instant | None:
        """When the present state began, if known."""
        ...

    @property
    def consult(self) -> bool:
        """Whether it is no contact but an agent's call for advice: it waits, and is in no count."""
        ...


class Live(Protocol):
    """The engine at this instant."""

    @property
    def directory(self) -> Directory:
        """The names, of the configuration in force."""
        ...

    def now(self) -> Instant:
        """The engine's time."""
        ...

    def agents(self) -> Sequence[AgentNow]:
        """Every agent, in config order."""
        ...

    def contacts(self) -> Sequence[ContactNow]:
        """Every contact in progress."""
        ...

    def standings(self) -> Sequence[Standing]:
        """The same, as far as figures need it: much cheaper."""
        ...

    def today(self, queue: QueueId) -> Counts:
        """Contacts of today that have ended (``DayCounters.of``)."""
        ...

    def day_began(self) -> Instant:
        """When the present local day began: who entered a queue before is none of today's."""
        ...

    def recent(self, queue: QueueId) -> Counts:
        """Contacts that ended, and whose wait did in the last half hour."""
        ...

    def handling(self, queue: QueueId) -> Handling:
        """What was done with the contacts of today whose calls are over."""
        ...

    def expected_wait(self, queue: QueueId) -> int | None:
        """How long one would wait who came now, in µs; ``None`` when that cannot be said."""
        ...

    def closing(self, queue: QueueId) -> Closing | None:
        """Why a queue takes nobody; ``None`` while it is open."""
        ...

    def broadcasts(self, queue: QueueId) -> Sequence[Broadcast]:
        """What is being said to those who wait there."""
        ...

    def health(self) -> Row:
        """Return ``accepting``, ``ami_up``, ``inbox_depth``, ``record_mode`` and the like."""
        ...


class Backend(Live, Protocol):
    """Everything that the control socket's methods need; the composition root implements it."""

    async def submit(self, event: Event) -> Sequence[Command]:
        """Let the core take ``event``; return what it said, once that is on record."""
        ...

    async def reload(self, *, force: bool, author: str) -> Reloaded:
        """Read the configuration again and apply it, or raise with every problem found."""
        ...

    async def list_contacts(
        self,
        *,
        since: Instant | None,
        queue: QueueId | None,
        direction: str | None = None,
        limit: int,
        of: str | None = None,
    ) -> Sequence[Row]:
        """Rows of the contact table, newest first (``recorder.queries.list_contacts``)."""
        ...

    async def told_waits(
        self, *, since: Instant, until: Instant | None, queue: QueueId | None
    ) -> Sequence[Row]:
        """Sums over the waits that were told (``recorder.queries.told_waits``)."""
        ...

    async def show_contact(self, key: str, *, reveal: bool) -> Row | None:
        """One contact with ``segments`` and ``offers``; by contact_id or registration number."""
        ...
