"""How long the one at place k may expect to wait. Pure; learns from the core's own facts.

The simplest form of the policy's rule (docs/reference/routing-policy.md, "Expected wait"): all
``c`` agents of the queue are busy with mean handling time 1/mu and nobody leaves, so the k-th in
line waits k/(c*mu) (Ibrahim & Whitt 2009, QL). It says nothing while the data are too few.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gkc_engine.acd.commands import Command, ContactEnded, Disposition
from gkc_engine.ids import Micros, QueueId

SAMPLES_MAX = 200
"""Handled contacts of a queue that are remembered: an hour of a busy one."""

SAMPLES_MIN = 10
"""Fewer handled contacts than this, and no estimate is given."""


class ExpectedWait:
    """Mean handling time of each queue, over its last handled contacts."""

    def __init__(self) -> None:
        self._handled: dict[QueueId, deque[int]] = {}

    def learn(self, facts: Iterable[Command]) -> None:
        """Take the handling times out of ``facts``."""
        for fact in facts:
            if (
                isinstance(fact, ContactEnded)
                and fact.disposition is Disposition.ANSWERED
                and fact.via == "engine"
                and fact.queue is not None
            ):
                samples = self._handled.setdefault(fact.queue, deque(maxlen=SAMPLES_MAX))
                samples.append(fact.talk_us + fact.hold_us)

    def expect(self, queue: QueueId, place: int, agents: int, wrap_up_us: Micros) -> Micros | None:
        """Return the wait of the one at ``place`` (from 1) before ``agents`` agents at work.

        ``None`` when nobody is at work or fewer than ten contacts were handled: an estimate from
        too few data would be a lie.
        """
        assert place >= 1, place
        samples = self._handled.get(queue)
        if samples is None or len(samples) < SAMPLES_MIN or agents < 1:
            return None
        mean = sum(samples) / len(samples) + wrap_up_us
        return Micros(round(place * mean / agents))
