"""What the control socket shows: rows of plain JSON, built from a :class:`Backend`.

Column names are those of docs/statistics.md; times are ISO 8601 UTC with microseconds, durations
end in ``_s``. A missing value is null, never an empty string.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gkc_engine.acd.commands import AgentState, Command
from gkc_engine.acd.events import Event
from gkc_engine.acd.state import Broadcast, Override
from gkc_engine.acd.views import Closing
from gkc_engine.control import measures
from gkc_engine.control.measures import NO_THRESHOLDS, Thresholds
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.control.recent import within
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, QueueId, SkillId
from gkc_engine.statistics.counting import answered_counts
from gkc_engine.statistics.figures import (
    Counts,
    Handling,
    abandon_rate,
    average_speed_of_answer_s,
    offered,
    service_level,
)
from gkc_engine.statistics.intervals import at

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


def iso(moment: Instant | int | None) -> str | None:
    """Return ``moment`` as ISO 8601 UTC with six decimals and ``Z``.

    >>> iso(1_790_000_000_000_001)
    '2026-09-21T13:33:20.000001Z'
    """
    if moment is None:
        return None
    return at(moment).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds_of(value: int | None) -> float | None:
    """Return microseconds as seconds, exact to the microsecond."""
    return None if value is None else round(value / SECOND, 6)


def share(value: float | None) -> float | None:
    """Return a share, or seconds of a mean, to four decimals."""
    return None if value is None else round(value, 4)


def queue_rows(live: Live, queue: str | None = None) -> list[Row]:
    """Return a row for each queue, the longest wait first, then config order.

    Raises:
        ControlError: ``unknown_queue``.
    """
    names = live.directory.queues
    if queue is not None and queue not in names:
        raise ControlError("unknown_queue", f"no queue {queue!r}; there are: {', '.join(names)}")
    now = live.now()
    by_queue: dict[QueueId, list[Standing]] = {name: [] for name in names}
    for contact in live.standings():
        if contact.queue in by_queue:
            by_queue[contact.queue].append(contact)
    staff = _staff(live)
    rows = [
        _queue_row(live, names[name], by_queue[name], staff[name], now)
        for name in names
        if queue is None or name == queue
    ]
    rows.sort(key=lambda row: -(row["longest_wait_s"] or 0.0))
    return rows


def served(agent: AgentNow | None, entry: AgentEntry) -> tuple[QueueId, ...]:
    """Return the queues that an agent may serve, a supervisor's overrides counted."""
    return entry.queues if agent is None or agent.queues is None else agent.queues


def _staff(live: Live) -> dict[QueueId, Counter[str]]:
    """Return how many of those who may serve each queue are in which state."""
    present = {agent.agent_id: agent for agent in live.agents()}
    kinds: Counter[tuple[tuple[QueueId, ...], AgentState]] = Counter()
    for entry in live.directory.agents.values():
        agent = present.get(entry.agent_id)
        state = AgentState.OFFLINE if agent is None else agent.state
        # Agents are many, kinds of them few: all of one kind at once.
        kinds[served(agent, entry), state] += 1
    staff: dict[QueueId, Counter[str]] = {name: Counter() for name in live.directory.queues}
    for (queues, state), n in kinds.items():
        for name in queues:
            if name in staff:
                staff[name][group_of(state)] += n
                staff[name]["wrap_up"] += n * (state is AgentState.WRAP_UP)
    return staff


def group_of(state: AgentState) -> str:
    """Return the column that counts an agent in ``state``."""
    if state in BUSY:
        return "busy"
    if state in (AgentState.READY, AgentState.OFFLINE):
        return state.value
    return "not_ready"


def waits_since(contact: Standing) -> Instant | None:
    """While in a line or being offered: the first queue entry; ``None`` otherwise.

    After a talk (blind transfer to a queue) the entry into the present line.
    """
    if contact.state not in IN_LINE:
        return None
    if contact.answered is None:
        return contact.first_queued
    return contact.state_since or contact.answered


def _queue_row(
    live: Live, entry: QueueEntry, contacts: list[Standing], staff: Counter[str], now: Instant
) -> Row:
    counts, recent = live.today(entry.queue), live.recent(entry.queue)
    began = live.day_began()
    waits: list[int] = []
    for contact in contacts:
        if contact.first_queued is None:
            continue
        if (since := waits_since(contact)) is not None:
            waits.append(now - since)
        if contact.consult:
            continue
        if contact.answered is None:
            counts.waiting += contact.first_queued >= began
            continue
        answered = answered_counts(contact.answered - contact.first_queued, entry.servicelevel_us)
        if contact.first_queued >= began:  # As when it ends (``DayCounters``).
            counts.add(answered)
        if within(contact.answered, now):
            recent.add(answered)
    closing = live.closing(entry.queue)
    row: Row = {
        "queue": entry.queue,
        "title": entry.title,
        "closed": None if closing is None else "emergency" if closing.emergency else "hours",
        "closed_reason": (closing.reason or None) if closing is not None else None,
        "waiting": len(waits),
        "longest_wait_s": seconds_of(max(waits)) if waits else None,
        "expected_wait_s": seconds_of(live.expected_wait(entry.queue)),
        "ringing": sum(contact.state == "offered" for contact in contacts),
        "talking": sum(contact.state in TALKING for contact in contacts),
        "ready": staff[AgentState.READY.value],
        "busy": staff["busy"],
        "not_ready": staff["not_ready"],
        "offline": staff[AgentState.OFFLINE.value],
        "offered": offered(counts),
        "answered": counts.answered,
        "answered_in_target": counts.answered_in_target,
        "abandoned": counts.abandoned,
        "abandoned_short": counts.abandoned_short,
        "abandon_rate": share(abandon_rate(counts)),
        "asa_s": share(average_speed_of_answer_s(counts)),
        "servicelevel_s": seconds_of(entry.servicelevel_us),
        "service_level": share(service_level(counts)),
        "broadcasts": [_broadcast(broadcast) for broadcast in live.broadcasts(entry.queue)],
        "wrap_up": staff["wrap_up"],
        **measures.figures(recent, live.handling(entry.queue)),
    }
    return row | {"levels": measures.levels(row, entry.thresholds)}


def _broadcast(broadcast: Broadcast) -> Row:
    return {
        "broadcast_id": broadcast.broadcast_id,
        "prompt": broadcast.say or None,
        "text": broadcast.text or None,
        "started": iso(broadcast.started),
        "until": iso(broadcast.until),
        "every_s": seconds_of(broadcast.every_us),
        "newcomers": broadcast.before is None,
    }


def waiting_rows(live: Live, queue: str | None = None) -> list[Row]:
    """Return a row for each contact in progress, the longest wait first."""
    now = live.now()
    rows = [
        contact_row(contact, now)
        for contact in live.contacts()
        if queue is None or contact.queue == queue
    ]
    rows.sort(key=lambda row: (-(row["wait_s"] or 0.0), row["started"], row["contact_id"]))
    return rows


def contact_row(contact: ContactNow, now: Instant) -> Row:
    """Return the row of a contact in progress."""
    return {
        "contact_id": contact.contact_id,
        "number": contact.number,
        "medium": contact.medium,
        "queue": contact.queue,
        "state": contact.state,
        "position": contact.position,
        "started": iso(contact.started),
        "first_queued": iso(contact.first_queued),
        "answered": iso(contact.answered),
        "wait_s": seconds_of(contact.wait_us(now)),
        "agent_id": contact.agent_id,
        "owner": contact.owner,
    }


def agent_rows(live: Live, agent: str | None = None) -> list[Row]:
    """Return a row for each agent in config order.

    Raises:
        ControlError: ``unknown_agent``.
    """
    known = live.directory.agents
    if agent is not None and agent not in known:
        raise ControlError("unknown_agent", _unknown_agent(agent, known))
    now = live.now()
    return [
        agent_row(row, known[row.agent_id], now)
        for row in live.agents()
        if row.agent_id in known and (agent is None or row.agent_id == agent)
    ]


def _unknown_agent(agent: str, known: Mapping[AgentId, AgentEntry]) -> str:
    shown = ", ".join(list(known)[:10]) + (", …" if len(known) > 10 else "")
    return f"no operator {agent[:64]!r}; there are: {shown}"


def agent_row(row: AgentNow, entry: AgentEntry, now: Instant) -> Row:
    """Return the row of one agent."""
    return {
        "agent_id": row.agent_id,
        "title": entry.title,
        "state": row.state.value,
        "reason": row.reason or None,
        "since": iso(row.since),
        "state_s": seconds_of(max(0, now - row.since)),
        "until": iso(row.until),
        "interface": entry.interface,
        "registered": row.registered,
        "contact_id": row.contact_id,
        "queues": list(served(row, entry)),
        "skills": dict(row.skills),
        "overrides": [
            {"skill": skill, "level": override.level, "until": iso(override.until)}
            for skill, override in row.overrides.items()
        ],
    }
