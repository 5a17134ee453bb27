"""The figures of a stretch of time, from the core's own facts: of the record, or of a run.

Definitions: docs/statistics.md. Both sides of a comparison go through the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import AgentState, Disposition, OfferOutcome
from gkc_engine.acd.matchspace import meets
from gkc_engine.acd.settings import QueueSettings, Settings
from gkc_engine.acd.state import AcdState
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId
from gkc_engine.statistics.figures import nearest_rank

Outcome = Literal["answered", "abandoned", "short", "ended", "failed", "refused", "waiting"]

_OUTCOMES: Final[Mapping[Disposition, Outcome]] = {
    Disposition.ANSWERED: "answered",
    Disposition.ABANDONED: "abandoned",
    Disposition.ABANDONED_SHORT: "short",
    Disposition.FAILED_OPEN: "failed",
    Disposition.SYSTEM_FAILED: "failed",
}
"""Every other disposition is an end by config: ``ended``, or ``refused`` before any queue."""

_HANDLING: Final = frozenset((AgentState.TALK, AgentState.HOLD, AgentState.WRAP_UP))
_NEITHER, _READY, _BUSY = 0, 1, 2


@dataclass(slots=True, kw_only=True)
class Fate:
    """What became of one contact."""

    queue: QueueId
    """The last that it stood in."""
    enqueued: Instant
    outcome: Outcome = "waiting"
    wait_us: Micros = Micros(0)
    """First queue entry to the answer, to the end, or to the end of the run."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """One queue's figures; shares run from 0 to 1, ``None`` = nothing was counted."""

    offered: int
    answered: int
    abandoned: int
    """The short ones among them."""
    refused: int
    """At the door; beside ``offered``, not in it."""
    waiting: int
    sl: float | None
    """SL-5: answered in time / (answered + abandoned - short)."""
    asa_s: float | None
    p90_s: float | None
    abandon_rate: float | None
    """Long abandons / offered."""
    occupancy: float | None
    """(talk + hold + wrap-up) / (the same + ready), of those who may serve it at any step."""

    @property
    def waiting_rate(self) -> float | None:
        """Those who still wait / offered."""
        return self.waiting / self.offered if self.offered else None


def figures(fates: Iterable[Fate], servicelevel_us: int, occupancy: float | None) -> Figures:
    """Return the figures of contacts of one queue."""
    of: dict[str, list[int]] = {}
    for fate in fates:
        of.setdefault(fate.outcome, []).append(fate.wait_us)
    waits = sorted(of.get("answered", []))
    answered, long = len(waits), len(of.get("abandoned", []))
    short, refused = len(of.get("short", [])), len(of.get("refused", []))
    offered = sum(len(one) for one in of.values()) - refused
    counted = answered + long
    in_time = sum(wait <= servicelevel_us for wait in waits)
    return Figures(
        offered=offered,
        answered=answered,
        abandoned=long + short,
        refused=refused,
        waiting=len(of.get("waiting", [])),
        sl=in_time / counted if counted else None,
        asa_s=sum(waits) / answered / SECOND if answered else None,
        p90_s=nearest_rank(waits, 90),
        abandon_rate=long / offered if offered else None,
        occupancy=occupancy,
    )


@dataclass(slots=True)
class _Hands:
    """What one agent's time went on within the window."""

    slots: dict[int, int] = field(default_factory=dict)
    does: int = _NEITHER
    since: int = 0
    spent: list[int] = field(default_factory=lambda: [0, 0, 0])


class Measured:
    """Fed with the core's facts; counts contacts that first entered a queue in the window."""

    def __init__(self, state: AcdState, since: Instant, until: Instant) -> None:
        self.fates: dict[ContactId, Fate] = {}
        self._since, self._until = since, until
        self._others = {contact.contact_id for contact in state.contacts if contact.sequence >= 0}
        """Who had come before."""
        self._hands: dict[AgentId, _Hands] = {}
        for agent in state.agents:
            for index, slot in enumerate(agent.slots):
                resting = slot.shown is AgentState.READY and slot.shown_until is not None
                self._set(agent.agent_id, index, _does(slot.shown, resting=resting), since)

    def observe(self, now: Instant, commands: Sequence[cmd.Command]) -> None:
        """Take what the core said at an instant."""
        for command in commands:
            match command:
                case cmd.AgentStateChanged():
                    resting = command.until is not None
                    does = _does(command.state, resting=resting)
                    if command.state in _HANDLING and command.contact_id is None:
                        does = _NEITHER  # a call of his own is no contact
                    self._set(command.agent_id, command.slot, does, now)
                case cmd.ContactQueued():
                    self._queued(command)
                case cmd.OfferEnded(outcome=OfferOutcome.ACCEPTED):
                    self._answered(command)
                case cmd.ContactEnded():
                    self._ended(command, now)
                case _:
                    pass

    def _queued(self, fact: cmd.ContactQueued) -> None:
        fate = self.fates.get(fact.contact_id)
        if fate is not None:
            fate.queue = fact.queue
        elif fact.contact_id not in self._others:
            if self._since <= fact.enqueued < self._until:
                self.fates[fact.contact_id] = Fate(queue=fact.queue, enqueued=fact.enqueued)
            else:
                self._others.add(fact.contact_id)

    def _answered(self, fact: cmd.OfferEnded) -> None:
        fate = self.fates.get(fact.contact_id)
        if fate is not None and fate.outcome == "waiting":
            fate.outcome = "answered"
            fate.wait_us = Micros(max(0, fact.ended - fate.enqueued))

    def _ended(self, fact: cmd.ContactEnded, now: Instant) -> None:
        if fact.owner is not None:
            return  # Another center's: it was never refused here, nor offered.
        refused = fact.first_queued is None
        outcome = _OUTCOMES.get(fact.disposition, "refused" if refused else "ended")
        fate = self.fates.get(fact.contact_id)
        if fate is None:
            at_door = refused and outcome == "refused" and fact.queue is not None
            if not at_door or not self._since <= now < self._until:
                return
            assert fact.queue is not None
            fate = self.fates[fact.contact_id] = Fate(queue=fact.queue, enqueued=now)
        fate.outcome, fate.wait_us = outcome, fact.wait_us
        if fact.queue is not None:
            fate.queue = fact.queue

    def finish(self, end: Instant) -> None:
        """Nothing more comes: who still waits has waited until ``end``."""
        for fate in self.fates.values():
            if fate.outcome == "waiting":
                fate.wait_us = Micros(max(0, end - fate.enqueued))
        for agent_id in self._hands:
            self._spend(self._hands[agent_id], end)

    def undecided(self) -> list[Fate]:
        """Return the contacts that still wait."""
        return [fate for fate in self.fates.values() if fate.outcome == "waiting"]

    def as_of(self, end: Instant) -> Measured:
        """Return a copy as if nothing more came after ``end``."""
        seen = deepcopy(self)
        seen.finish(end)
        return seen

    # --- agents ------------------------------------------------------------------------------

    def _set(self, agent_id: AgentId, slot: int, does: int, now: Instant) -> None:
        hands = self._hands.setdefault(agent_id, _Hands(since=now))
        self._spend(hands, now)
        hands.slots[slot] = does
        hands.does = max(hands.slots.values())

    def _spend(self, hands: _Hands, now: Instant) -> None:
        begin, end = max(hands.since, self._since), min(now, self._until)
        hands.spent[hands.does] += max(0, end - begin)
        hands.since = now

    def occupancy(self, agents: Iterable[AgentId]) -> float | None:
        """Return the occupancy of these agents together within the window."""
        hands = [self._hands[agent] for agent in agents if agent in self._hands]
        busy = sum(h.spent[_BUSY] for h in hands)
        both = busy + sum(h.spent[_READY] for h in hands)
        return busy / both if both else None

    def by_queue(self, settings: Settings) -> dict[QueueId, Figures]:
        """Return each queue's figures, in the order of the config; with its thresholds."""
        return self._by_queue(settings, lambda fate, _: fate)

    def at_best(self, settings: Settings) -> dict[QueueId, Figures]:
        """Return the same as if whoever still waits were answered at the end of the run.

        No figure of waits is worse than that in truth: who waits for ever would else be in none
        of them. Left as they are: those who would be in time even so, for all is open with them.
        """

        def answered(fate: Fate, queue: QueueSettings) -> Fate:
            late = fate.outcome == "waiting" and fate.wait_us > queue.servicelevel_us
            return replace(fate, outcome="answered") if late else fate

        return self._by_queue(settings, answered)

    def _by_queue(
        self, settings: Settings, seen: Callable[[Fate, QueueSettings], Fate]
    ) -> dict[QueueId, Figures]:
        fates: dict[QueueId, list[Fate]] = {}
        for fate in self.fates.values():
            fates.setdefault(fate.queue, []).append(fate)
        return {
            queue.queue_id: figures(
                [seen(fate, queue) for fate in fates.get(queue.queue_id, ())],
                queue.servicelevel_us,
                self.occupancy(may_serve(settings, queue)),
            )
            for queue in settings.queues
        }


def may_serve(settings: Settings, queue: QueueSettings) -> list[AgentId]:
    """Return the agents of a config who meet the queue's requirement at any of its steps."""
    needs = [queue.require, *(step.require for step in queue.relax)]
    return [
        agent.agent_id
        for agent in settings.agents
        if agent.capacity.get(queue.medium, 0) and any(meets(agent.skills, n) for n in needs)
    ]


def _does(state: AgentState, *, resting: bool) -> int:
    if state in _HANDLING:
        return _BUSY
    return _READY if state is AgentState.READY and not resting else _NEITHER
