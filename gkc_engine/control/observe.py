"""Turns committed steps into metrics and the day's counts: an observer of the engine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, get_args

from gkc_engine.acd.commands import (
    AgentState,
    Command,
    ContactEnded,
    Disposition,
    EventRejected,
    OfferEnded,
    OfferOutcome,
)
from gkc_engine.acd.events import Event
from gkc_engine.acd.settings import Medium
from gkc_engine.control.day import DayCounters
from gkc_engine.control.live import Live, Row
from gkc_engine.control.views import queue_rows
from gkc_engine.ids import SECOND, Instant, is_abroad
from gkc_engine.metrics import Metrics
from gkc_engine.statistics.counting import GUESTS_ONLY, OUTBOUND_ONLY
from gkc_engine.statistics.figures import handling_us

_STATES: Final = ("ready", "wrap_up", "not_ready", "offline")
"""Of a queue's agents, as its row counts them; `busy` is the rest."""


class StepLike(Protocol):
    """What of ``engine.Step`` is looked at."""

    @property
    def now(self) -> Instant:
        """The instant of the step."""
        ...

    @property
    def source(self) -> str:
        """Who saw the event."""
        ...

    @property
    def commands(self) -> Sequence[Command]:
        """What the core said."""
        ...


class Observer:
    """Counts each fact once; give :meth:`steps` to ``Engine.observe``."""

    def __init__(self, metrics: Metrics, day: DayCounters) -> None:
        self.metrics = metrics
        self.day = day
        self._sampled: set[str] = set()

    def expect(self, queues: Mapping[str, Medium]) -> None:
        """Begin each series at 0: a rate over it has a start, and no alarm meets a missing name."""
        for queue, medium in queues.items():
            self.metrics.wait.labels(queue)
            self.metrics.in_target.labels(queue)
            self.metrics.handled.labels(queue)
            self.metrics.handle_seconds.labels(queue)
            for disposition in Disposition:
                if disposition in (*OUTBOUND_ONLY, *GUESTS_ONLY):
                    continue  # They have no queue of ours.
                self.metrics.contacts.labels(queue, medium.value, disposition.value)
            for disposition in (Disposition.ANSWERED, *GUESTS_ONLY):
                self.metrics.guests.labels(queue, disposition.value)
            for outcome in OfferOutcome:
                self.metrics.offers.labels(queue, outcome.value)
        for disposition in (Disposition.ANSWERED, *OUTBOUND_ONLY):
            self.metrics.contacts.labels("", Medium.VOICE.value, disposition.value)
        for kind in get_args(Event):
            self.metrics.rejected.labels(kind.__name__)

    def steps(self, steps: Iterable[StepLike]) -> None:
        """Count committed steps."""
        for step in steps:
            self.metrics.events.labels(step.source).inc()
            self.observe(step.commands, step.now)

    def observe(self, facts: Sequence[Command], now: Instant) -> None:
        """Count the facts among the commands of one step at ``now``."""
        for fact in facts:
            match fact:
                case ContactEnded():
                    self._ended(fact)
                case OfferEnded() if not is_abroad(fact.agent_id):
                    self.metrics.offers.labels(fact.queue, fact.outcome.value).inc()
                case EventRejected():
                    self.metrics.rejected.labels(fact.kind).inc()
                case _:
                    pass  # The other facts have no instrument.
        for queue, done in self.day.fold(facts, now):
            self.metrics.handled.labels(queue).inc(done.handled)
            self.metrics.handle_seconds.labels(queue).inc(handling_us(done) / SECOND)

    def _ended(self, fact: ContactEnded) -> None:
        queue = fact.queue or ""
        if fact.advice:
            return  # No contact of anybody's.
        if fact.owner is not None:  # Its owner counts it, and its wait.
            self.metrics.guests.labels(queue, fact.disposition.value).inc()
            return
        self.metrics.contacts.labels(queue, fact.medium.value, fact.disposition.value).inc()
        if fact.disposition is Disposition.ANSWERED and fact.queue is not None:
            self.metrics.wait.labels(queue).observe(fact.wait_us / SECOND)
            if fact.wait_us <= self.day.target_us(fact.queue):
                self.metrics.in_target.labels(queue).inc()

    def sample(self, live: Live) -> None:
        """Set the gauges to the present state; called for each scrape.

        Queues that are gone lose their series; every agent state has one, at zero too.
        """
        m = self.metrics
        rows = queue_rows(live)
        # Not all anew: somebody else's scrape may go on meanwhile, and would miss them.
        here = {row["queue"] for row in rows}
        for queue in self._sampled - here:
            self._forget(queue)
        self._sampled = here
        for row in rows:
            self._sample_queue(row)
        by_state = dict.fromkeys(AgentState, 0)
        for agent in live.agents():
            by_state[agent.state] += 1
        for state, count in by_state.items():
            m.agents.labels(state.value).set(count)

    def _forget(self, queue: str) -> None:
        m = self.metrics
        of_queues = (m.waiting, m.longest_wait, m.talking, m.queue_open)
        for gauge in (*of_queues, m.service_level, m.abandon_rate, m.target):
            gauge.remove(queue)
        for state in (*_STATES, "busy"):
            m.queue_agents.remove(queue, state)

    def _sample_queue(self, row: Row) -> None:
        m, queue = self.metrics, row["queue"]
        m.waiting.labels(queue).set(row["waiting"])
        m.longest_wait.labels(queue).set(row["longest_wait_s"] or 0)
        m.talking.labels(queue).set(row["talking"])
        m.queue_open.labels(queue).set(row["closed"] is None)
        m.target.labels(queue).set(row["servicelevel_s"])
        for gauge, column in (
            (m.service_level, "service_level_30m"),
            (m.abandon_rate, "abandon_rate_30m"),
        ):
            gauge.labels(queue).set(math.nan if row[column] is None else row[column])
        for state in _STATES:
            m.queue_agents.labels(queue, state).set(row[state])
        m.queue_agents.labels(queue, "busy").set(row["busy"] - row["wrap_up"])
