"""What one replication is measured by: waits, outcomes, and what the agents' time went on."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gkc_engine.acd.commands import AgentState, AgentStateChanged, ContactEnded, Disposition
from gkc_engine.acd.settings import AgentSettings, Settings
from gkc_engine.ids import SECOND, AgentId, Instant, QueueId
from gkc_engine.statistics.figures import nearest_rank

Outcome = Literal["answered", "abandoned", "refused", "waiting"]
Figures = dict[str, float | None]
"""Name of a figure → its value; ``None`` where nothing was counted."""

TOTAL: Final = ""
"""The name under which all queues together are counted; no queue can have it."""

OUTCOMES: Final[Mapping[Disposition, Outcome]] = {
    Disposition.ANSWERED: "answered",
    Disposition.ABANDONED: "abandoned",
    Disposition.ABANDONED_SHORT: "abandoned",
    Disposition.FULL: "refused",
    Disposition.CLOSED: "refused",
    Disposition.NO_AGENT: "refused",
    Disposition.TIMEOUT: "refused",
}
"""Every way in which a simulated contact can end; ``waiting`` has no end."""

_HANDLING: Final = frozenset({AgentState.TALK, AgentState.HOLD, AgentState.WRAP_UP})
_NEITHER, _BUSY, _READY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one contact; the agent and the instant only of an answered one."""

    outcome: Outcome
    agent: str = ""
    answered: Instant | None = None


WAITING: Final = Fate("waiting")


class QueueTally:
    """Counts and waits of the contacts of one queue, or of all."""

    __slots__ = ("abandoned", "abandoned_us", "in_time", "refused", "short", "waiting", "waits")

    def __init__(self) -> None:
        self.waits = array("q")
        """Microseconds, of the answered."""
        self.abandoned = self.abandoned_us = self.short = 0
        self.refused = self.waiting = self.in_time = 0

    def figures(self) -> Figures:
        """Return the figures, by the definitions of docs/statistics.md.

        Times are seconds; ``wait_mean_s`` is over answered and abandoned, every other time over the
        answered; percentiles are by nearest rank; ``sl`` is SL-5.
        """
        waits = sorted(self.waits)
        answered, total = len(waits), sum(waits)
        counted = answered + self.abandoned - self.short
        left = answered + self.abandoned
        return {
            "offered": left + self.refused + self.waiting,
            "answered": answered,
            "abandoned": self.abandoned,
            "refused": self.refused,
            "waiting": self.waiting,
            "asa_s": total / answered / SECOND if answered else None,
            "wait_mean_s": (total + self.abandoned_us) / left / SECOND if left else None,
            "wait_p50_s": nearest_rank(waits, 50),
            "wait_p90_s": nearest_rank(waits, 90),
            "wait_p95_s": nearest_rank(waits, 95),
            "wait_max_s": waits[-1] / SECOND if waits else None,
            "sl": self.in_time / counted if counted else None,
        }


class Tally:
    """Fed with the core's own facts; counts the contacts that it is told to count."""

    def __init__(self, settings: Settings, groups: Mapping[AgentId, str]) -> None:
        self._limits = {q.queue_id: q.servicelevel_us for q in settings.queues}
        self._queues = {q.queue_id: QueueTally() for q in settings.queues}
        self._total = QueueTally()
        self._hands = {agent.agent_id: _Hands(agent) for agent in settings.agents}
        self._groups = groups
        self._base: dict[AgentId, tuple[int, int]] | None = None
        self._spent: dict[AgentId, tuple[int, int]] | None = None

    # --- contacts --------------------------------------------------------------------------------

    def ended(self, fact: ContactEnded) -> None:
        """Count a contact that is over, by its last queue."""
        assert fact.queue is not None, fact
        outcome = OUTCOMES[fact.disposition]
        in_time = fact.wait_us <= self._limits[fact.queue]
        for tally in (self._queues[fact.queue], self._total):
            match outcome:
                case "answered":
                    tally.waits.append(fact.wait_us)
                    tally.in_time += in_time
                case "abandoned":
                    tally.abandoned += 1
                    tally.abandoned_us += fact.wait_us
                    tally.short += fact.disposition is Disposition.ABANDONED_SHORT
                case _:
                    tally.refused += 1

    def never_served(self, queue: QueueId) -> None:
        """Count a contact that still waits when nothing is left to happen."""
        self._queues[queue].waiting += 1
        self._total.waiting += 1

    def figures(self) -> dict[str, Figures]:
        """Return the figures of each queue in config order, then of all under ``TOTAL``."""
        figures: dict[str, Figures] = {name: q.figures() for name, q in self._queues.items()}
        figures[TOTAL] = self._total.figures()
        return figures

    # --- agents ----------------------------------------------------------------------------------

    def changed(self, fact: AgentStateChanged) -> None:
        """Take an agent's new state."""
        hands, state, now = self._hands[fact.agent_id], fact.state, fact.since
        if hands.busy:
            hands.busy_us += now - hands.since
        elif hands.ready:
            hands.ready_us += now - hands.since
        hands.since = now
        if state in _HANDLING:
            does = _BUSY
        else:
            does = _READY if state is AgentState.READY and fact.until is None else _NEITHER
        slots = hands.slots
        slots[fact.slot] = does
        hands.busy, hands.ready = _BUSY in slots, _READY in slots

    def begin(self, now: Instant) -> None:
        """Measure the agents' time from here on; what had its end before is not measured."""
        self._spent = None
        self._base = {name: hands.spent(now) for name, hands in self._hands.items()}

    def end(self, now: Instant) -> None:
        """Measure the agents' time up to here."""
        self._spent = {name: hands.spent(now) for name, hands in self._hands.items()}

    def occupancy(self) -> Figures:
        """Return (talk + hold + wrap-up) / (the same + ready) of each pool and operator, 0 to 1.

        Ringing, rests and pauses stand on neither side. ``None``: neither busy nor ready at all, or
        nothing measured, because the run was over before its warm-up was.
        """
        handling = dict.fromkeys(self._groups.values(), 0)
        both = dict.fromkeys(self._groups.values(), 0)
        if self._base is not None and self._spent is not None:
            for agent, group in self._groups.items():
                (busy, ready), before = self._spent[agent], self._base[agent]
                handling[group] += busy - before[0]
                both[group] += busy + ready - sum(before)
        return {g: handling[g] / both[g] if both[g] else None for g in handling}


class _Hands:
    """What one agent's time went on so far, as the core's ``least-occupied`` counts it."""

    __slots__ = ("busy", "busy_us", "ready", "ready_us", "since", "slots")

    def __init__(self, agent: AgentSettings) -> None:
        self.slots = [_NEITHER] * sum(agent.capacity.values())
        self.busy = self.ready = False
        """Whether any slot is in talk or wrap-up; whether any may be offered something."""
        self.busy_us = self.ready_us = 0
        self.since = Instant(0)

    def spent(self, now: Instant) -> tuple[int, int]:
        """Return (handling, ready) in microseconds up to ``now``."""
        spent = now - self.since
        return (
            self.busy_us + (spent if self.busy else 0),
            self.ready_us + (spent if self.ready and not self.busy else 0),
        )
