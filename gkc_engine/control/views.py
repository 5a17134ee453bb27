"""What the control socket shows: rows of plain JSON, built from a :class:`Backend`.

Column names are those of docs/statistics.md; times are ISO 8601 UTC with microseconds, durations
end in ``_s``. A missing value is null, never an empty string.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.state import Broadcast
from gkc_engine.control import measures
from gkc_engine.control.live import (
    BUSY,
    IN_LINE,
    TALKING,
    AgentEntry,
    AgentNow,
    ContactNow,
    Live,
    QueueEntry,
    Row,
    Standing,
)
from gkc_engine.control.protocol import ControlError
from gkc_engine.control.recent import within
from gkc_engine.ids import SECOND, AgentId, Instant, QueueId
from gkc_engine.statistics.counting import answered_counts
from gkc_engine.statistics.figures import (
    abandon_rate,
    average_speed_of_answer_s,
    offered,
    service_level,
)
from gkc_engine.statistics.intervals import at


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
