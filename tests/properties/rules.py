"""A slow, naive distributor written from docs/reference/routing-policy.md, for comparison.

It shares the vocabulary of events with the product and nothing else: no heaps, no profiles, no
lines, no timers. Every question is answered by looking at everybody. What it says is a list of
decisions; ``driver.py`` demands the same from the core, in the same order. Here: who may serve
whom, P1, P2 and P8; ``waits.py``: P3, P4, P7 and P9; ``offers.py``: P6; ``oracle.py``: the events.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from gkc_engine.acd.settings import (
    ContactClass,
    EmptyFactor,
    Medium,
    Order,
    QueueSettings,
    Ring,
    Settings,
    Strategy,
)
from tests.properties.people import OAgent, OContact, OPlace, OQueue, OSlot

RANKS = {ContactClass.EMERGENCY: 0, ContactClass.NORMAL: 1, ContactClass.BACKGROUND: 2}
Decision = tuple[object, ...]
LEASE = 5_000_000


class Rules:
    """Who may serve whom, and who comes first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.queues = {str(q.queue_id): OQueue(rules=q) for q in settings.queues}
        self.agents = {
            str(a.agent_id): OAgent(
                name=a.agent_id,
                rank=i,
                base={str(s): level for s, level in a.skills.items()},
                slots=[
                    OSlot(medium.value)
                    for medium in Medium
                    for _ in range(a.capacity.get(medium, 0))
                ],
            )
            for i, a in enumerate(settings.agents)
        }
        self.contacts: dict[str, OContact] = {}
        self.places: list[OPlace] = []
        self.last_served: dict[tuple[str, str], tuple[str, int]] = {}
        self.now = 0
        self.kind = 1
        self.seq = 0
        self.talks = 0
        self.said: list[Decision] = []

    def rules_of(self, c: OContact) -> QueueSettings:
        return self.queues[c.queue].rules

    def offer(self, c: OContact, agents: list[OAgent]) -> None:
        raise NotImplementedError

    # --- P8: what a hand is free for -------------------------------------------------------------

    def blends(self, one: str, how: str, other: str) -> bool:
        """Whether ``one`` excludes or interrupts ``other``, as the config says it."""
        rule = self.settings.blending.get(Medium(one))
        return rule is not None and Medium(other) in getattr(rule, how)

    def shut_out_by(self, a: OAgent, medium: str) -> set[str]:
        """What he does in other media that keeps him from this one: talk, offer, wrap."""
        found = set()
        if (a.in_use or a.calls) and (medium == "voice" or self.excluded("voice", medium)):
            found.add("talk")
        for slot in a.slots:
            if slot.doing == "nothing" or slot.medium == medium:
                continue
            if slot.doing == "talk" and self.blends(medium, "interrupts", slot.medium):
                continue
            if self.excluded(slot.medium, medium):
                found.add(slot.doing)
        return found

    def excluded(self, one: str, other: str) -> bool:
        return self.blends(one, "excludes", other) or self.blends(other, "excludes", one)

    def able(self, a: OAgent, medium: str) -> bool:
        return (
            a.at_work
            and a.reachable
            and a.pause is None
            and a.rest is None
            and not a.aside
            and any(s.doing == "nothing" and s.medium == medium for s in a.slots)
            and not self.shut_out_by(a, medium)
        )

    def parked(self, a: OAgent, slot: OSlot) -> bool:
        return slot.doing == "talk" and any(
            other.doing in ("talk", "wrap") and self.blends(other.medium, "interrupts", slot.medium)
            for other in a.slots
        )

    # --- who fits whom ---------------------------------------------------------------------------

    def need(self, c: OContact) -> dict[str, int]:
        return self.queues[c.queue].need(c.step)

    def fits(self, a: OAgent, need: dict[str, int]) -> bool:
        return all(s in a.skills and a.skills[s] >= level for s, level in need.items())

    def is_barred(self, a: OAgent, c: OContact) -> bool:
        others = [
            o
            for o in self.agents.values()
            if o is not a and o.at_work and c.medium in o.media and self.fits(o, self.need(c))
        ]
        return a.name in c.barred and bool(others)

    def may_take(self, a: OAgent, c: OContact) -> bool:
        return (
            c.state == "waiting"
            and self.able(a, c.medium)
            and self.fits(a, self.need(c))
            and not self.is_barred(a, c)
            and (c.prefer is None or c.prefer[0] == a.name)
        )

    def helped(self, c: OContact, factors: tuple[EmptyFactor, ...]) -> bool:
        """P4: is anybody at work for this or a later step to whom no factor applies?"""
        if self.queues[c.queue].elsewhere:
            return True
        words = {factor.value for factor in factors}
        steps = range(c.step, len(self.rules_of(c).relax) + 1)
        return any(
            a.at_work
            and c.medium in a.media
            and not self.is_away(a, c.medium, words)
            and any(self.fits(a, self.queues[c.queue].need(step)) for step in steps)
            for a in self.agents.values()
        )

    def is_away(self, a: OAgent, medium: str, words: set[str]) -> bool:
        named = {"talk": "inuse", "offer": "ringing", "wrap": "wrapup"}
        state = set()
        if a.pause is not None:
            state.add("paused")
        if a.reachable and a.phone == "unknown":
            state.add("unknown")
        if not a.reachable:
            state.add("invalid" if a.phone == "invalid" else "unavailable")
        state |= {named[doing] for doing in self.shut_out_by(a, medium)}
        slots = [named.get(s.doing) for s in a.slots if s.medium == medium]
        return bool(state & words) or all(slot in words for slot in slots)

    def precedence(self, c: OContact) -> tuple[int, int, int]:
        q = self.rules_of(c)
        cls, head, slope = c.own
        return (
            RANKS[q.contact_class if cls is None else cls],
            q.head_start_us if head is None else head,
            q.slope_milli if slope is None else slope,
        )

    # --- P1 and P2 -------------------------------------------------------------------------------

    def strategy_key(self, a: OAgent, c: OContact) -> tuple[object, ...]:
        q = self.rules_of(c)
        last = (a.idle_since, a.rank)
        match q.strategy:
            case Strategy.LONGEST_IDLE:
                return (a.in_hand, *last)
            case Strategy.BEST_MATCH:
                return (a.in_hand, -sum(a.skills.get(s, 0) for s in self.need(c)), *last)
            case Strategy.SPARE_SPECIALISTS:
                others = [
                    o
                    for name, o in self.queues.items()
                    if name != c.queue and o.medium == q.medium.value
                ]
                return (a.in_hand, sum(self.fits(a, o.need(0)) for o in others), *last)
            case Strategy.LEAST_OCCUPIED:
                return (a.in_hand, self.occupancy(a), *last)

    def occupancy(self, a: OAgent) -> Fraction:
        spans = [*a.log, (self.now, "")]
        total = {"handling": 0, "ready": 0, "neither": 0}
        for (start, what), (end, _) in pairwise(spans):
            total[what] += end - start
        both = total["handling"] + total["ready"]
        return Fraction(total["handling"], both) if both else Fraction(0)

    def note(self) -> None:
        """Keep the diary of each agent for least-occupied."""
        for a in self.agents.values():
            what = "ready" if any(self.able(a, medium) for medium in a.media) else "neither"
            if any(slot.doing in ("talk", "wrap") for slot in a.slots):
                what = "handling"
            if not a.log or a.log[-1][1] != what:
                a.log.append((self.now, what))

    def p1(self, c: OContact) -> bool:
        able = [a for a in self.agents.values() if self.may_take(a, c)]
        if not able:
            return False
        if c.prefer is None and self.rules_of(c).ring is Ring.ALL:
            self.offer(c, sorted(able, key=lambda a: (a.in_hand, a.idle_since, a.rank)))
        else:
            self.offer(c, [min(able, key=lambda a: self.strategy_key(a, c))])
        return True

    def p2(self, a: OAgent) -> None:
        """One after another, until none fits."""
        while fitting := [c for c in self.contacts.values() if self.may_take(a, c)]:
            self.offer(min(fitting, key=lambda c: self.law_key(a, c)), [a])

    def law_key(self, a: OAgent, c: OContact) -> tuple[int, ...]:
        assert c.enqueued is not None
        rank, head, slope = self.precedence(c)
        place = c.enqueued - head
        match self.settings.order:
            case Order.FCFS:
                return (rank, place, c.seq)
            case Order.MATCH_FIRST:
                return (rank, -sum(a.skills.get(s, 0) for s in self.need(c)), place, c.seq)
            case Order.ACCUMULATING:
                return (rank, -slope * (self.now - c.enqueued), c.seq)

    def ready(self, a: OAgent) -> None:
        a.idle_since = self.now
        self.p2(a)
