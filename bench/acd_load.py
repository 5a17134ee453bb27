"""A synthetic center of any size, and a load on it: events for ``Acd.step``, nothing else.

Skills 1 … 200; every agent of a profile has the same eight of them at levels 1 … 10. A queue asks
for one skill at a level; with steps on, for two, and after a minute for one of them, after five
for that at level 1. Who comes asks for something that a profile drawn by its size can serve, so
that no queue stands still while others starve. Times are exponential, nobody leaves or rings.
"""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, RelaxStep, Settings
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, QueueId, SkillId, seconds

START = Instant(1_790_000_000 * SECOND)
SKILLS = 200
CLASSES = 1_200
SKILLS_EACH = 8
HANDLE_S = 240.0
STEPS_S = (60.0, 300.0)

REGISTER, ARRIVE, RELEASE = "register", "arrive", "release"
ACCEPT, TICK = "accept", "tick"
KINDS = (REGISTER, ARRIVE, RELEASE, ACCEPT, TICK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A center and how it is loaded."""

    agents: int
    profiles: int
    load: float
    waiting: int = 0
    """Who waits at the start, enqueued over the hours before."""
    steps: bool = False
    skills: int = SKILLS
    classes: int = CLASSES


@dataclass(slots=True)
class Timing:
    """How long steps of one kind took, in nanoseconds."""

    each: array[int] = field(default_factory=lambda: array("q"))
    between: int = 0
    """Spent without a step."""

    @property
    def total(self) -> int:
        return sum(self.each) + self.between


def reading_ns(clock: Callable[[], int]) -> int:
    """Return what it costs to read the clock once: 0.1 µs, or 0.6 where the kernel is asked."""
    readings = [clock() for _ in range(1_001)]
    return sorted(after - before for before, after in pairwise(readings))[500]


@dataclass(slots=True)
class _Kind:
    """A queue as the load sees it: what an agent needs to serve its first step."""

    queue: QueueId
    need: dict[SkillId, int]


class Center:
    """The production core of one size; ``run`` lets decisions happen and times them."""

    def __init__(
        self, size: Size, seed: int = 1, clock: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.size = size
        self.clock = clock
        """Nanoseconds."""
        self._reading = reading_ns(clock)
        self.rng = random.Random(seed)
        self.acd = Acd()
        self.now = START
        self.timings = {kind: Timing() for kind in KINDS}
        self.live = 0
        self._n = 0
        self._ends: list[tuple[int, int, ContactId]] = []
        self._next_arrival = 0
        skills = [SkillId(f"s{n}") for n in range(size.skills)]
        each = min(SKILLS_EACH, size.skills)
        self.profiles = [
            {skill: self.rng.randint(1, 10) for skill in self.rng.sample(skills, each)}
            for _ in range(size.profiles)
        ]
        self.kinds = [self._kind(n) for n in range(size.classes)]
        self._for_profile = [
            [k for k in self.kinds if all(p.get(s, 0) >= level for s, level in k.need.items())]
            for p in self.profiles
        ]
        self.settings = Settings(
            version="1",
            maxlen=10**9,
            queues=tuple(map(self._queue, self.kinds)),
            agents=self._staff(),
        )
        self.say(ev.SettingsApplied(settings=self.settings))
        for agent in self.settings.agents:
            self.say(ev.AgentLoggedIn(agent_id=agent.agent_id))

    def _kind(self, n: int) -> _Kind:
        """Ask for what somebody has: skills of a profile, at most at its levels."""
        profile = self.profiles[n % len(self.profiles)]
        skills = self.rng.sample(sorted(profile), min(1 + self.size.steps, len(profile)))
        need = {skill: self.rng.randint(1, profile[skill]) for skill in skills}
        return _Kind(QueueId(f"q{n}"), need)

    def _queue(self, kind: _Kind) -> QueueSettings:
        relax: tuple[RelaxStep, ...] = ()
        if self.size.steps:
            skill, level = next(iter(kind.need.items()))
            first, second = STEPS_S
            relax = (
                RelaxStep(after_us=seconds(first), require={skill: level}),
                RelaxStep(after_us=seconds(second), require={skill: 1}),
            )
        return QueueSettings(queue_id=kind.queue, require=dict(kind.need), relax=relax)

    def _staff(self) -> tuple[AgentSettings, ...]:
        return tuple(
            AgentSettings(
                agent_id=AgentId(f"a{n}"), skills=dict(self.profiles[n % self.size.profiles])
            )
            for n in range(self.size.agents)
        )

    # --- events ----------------------------------------------------------------------------------

    def say(self, event: ev.Event) -> list[cmd.Command]:
        """Step the core outside of any measurement; offers are answered at once."""
        return self.follow(self.acd.step(event, self.now))

    def follow(self, commands: list[cmd.Command]) -> list[cmd.Command]:
        """Answer the offers among what the core said."""
        for command in commands:
            if isinstance(command, cmd.OfferContact):
                self._accept(command)
        return commands

    def _timed(self, kind: str, event: ev.Event) -> list[cmd.Command]:
        """Step the core; the time is that of the steps alone, with their commands made."""
        begun = self.clock()
        said = self.acd.step(event, self.now)
        self.timings[kind].each.append(self._since(begun))
        return said

    def _since(self, begun: int) -> int:
        """Return the time from that reading of the clock to this one, without reading it."""
        return max(0, self.clock() - begun - self._reading)

    def _accept(self, offer: cmd.OfferContact) -> None:
        self._timed(ACCEPT, ev.OfferAccepted(offer_id=offer.offer_id, agent_id=offer.agent_ids[0]))
        handle = max(1, round(self.rng.expovariate(1 / HANDLE_S) * SECOND))
        heappush(self._ends, (self.now + handle, self._n, offer.contact_id))

    def _arrival(
        self, enqueued: int | None = None, profile: int | None = None
    ) -> tuple[ev.Event, ev.Event]:
        self._n += 1
        if profile is None:
            profile = self.rng.randrange(self.size.agents) % self.size.profiles
        kind = self.rng.choice(self._for_profile[profile] or self.kinds)
        contact = ContactId(f"c{self._n}")
        at = None if enqueued is None else Instant(enqueued)
        started = ev.ContactStarted(contact_id=contact, medium=Medium.VOICE, number="", entry="")
        return started, ev.QueueRequested(contact_id=contact, queue=kind.queue, enqueued=at)

    # --- load ------------------------------------------------------------------------------------

    def fill(self, progress: Callable[[int], None] = lambda _n: None) -> Center:
        """Give every agent (of those that the load keeps) work, then let the line form."""
        busy = round(min(1.0, self.size.load) * self.size.agents)
        for n in range(busy):
            for event in self._arrival(profile=n % self.size.profiles):
                self.say(event)
            self.live += 1
        rate = self.size.load * self.size.agents / HANDLE_S / SECOND
        missing = max(0, self.size.waiting - self.waiting)
        for n in range(missing):
            for event in self._arrival(int(self.now - (missing - n) / rate)):
                self.say(event)
            self.live += 1
            if n % 100_000 == 0:
                progress(n)
        self._next_arrival = self.now
        return self

    @property
    def waiting(self) -> int:
        """Contacts that nobody talks with."""
        return self.live - len(self._ends)

    def clear(self) -> None:
        """Forget what was timed so far."""
        self.timings = {kind: Timing() for kind in self.timings}

    def run(self, decisions: int) -> Center:
        """Let so many arrivals and releases happen."""
        rate = self.size.load * self.size.agents / HANDLE_S / SECOND
        for _ in range(decisions):
            end = self._ends[0][0] if self._ends else None
            arrives = end is None or self._next_arrival <= end
            self._tick_until(self._next_arrival if arrives or end is None else end)
            if arrives:
                self._next_arrival = self.now + max(1, round(self.rng.expovariate(rate)))
                started, asked = self._arrival()
                self._timed(REGISTER, started)
                said = self._timed(ARRIVE, asked)
                self.live += 1
            else:
                _, _, contact = heappop(self._ends)
                left = ev.ContactLeft(contact_id=contact, party=ev.Party.CITIZEN)
                said = self._timed(RELEASE, left)
                self.live -= 1
            self.follow(said)
        return self

    def _tick_until(self, instant: int) -> None:
        """Let what is due before come: steps of those who wait."""
        while True:
            begun = self.clock()
            due = self.acd.next_deadline()
            if due is None or due > instant:
                self.timings[TICK].between += self._since(begun)
                break
            self.now = max(self.now, due)
            said = self.acd.step(ev.Tick(), self.now)
            self.timings[TICK].each.append(self._since(begun))
            self.follow(said)
        self.now = Instant(instant)


@dataclass(slots=True)
class Decisions:
    """What a run of decisions cost."""

    count: int
    us: float
    """A decision on average: a registered contact asks for its queue, or a talk ends; with its
    commands made and its part of the steps that became due meanwhile."""
    arrive_us: float
    release_us: float
    register_us: float
    accept_us: float
    """Beside it: what a new contact and the answer to an offer cost."""
    tick_us: float
    """Of ``us``: steps that became due, and asking for the next deadline."""
    p99_us: float
    """Of arrivals and releases, nearest rank."""
    longest_ms: float
    """A single step of any kind."""
    waiting: int


def decisions(center: Center) -> Decisions:
    """Return what was timed since ``clear``."""
    t = center.timings
    decided = sorted([*t[ARRIVE].each, *t[RELEASE].each])
    assert decided, "no decision was made"
    count = len(decided)

    def mean_us(kind: str) -> float:
        return t[kind].total / max(1, len(t[kind].each)) / 1e3

    return Decisions(
        count=count,
        us=(sum(decided) + t[TICK].total) / count / 1e3,
        arrive_us=mean_us(ARRIVE),
        release_us=mean_us(RELEASE),
        register_us=mean_us(REGISTER),
        accept_us=mean_us(ACCEPT),
        tick_us=t[TICK].total / count / 1e3,
        p99_us=decided[max(0, -(-99 * count // 100) - 1)] / 1e3,
        longest_ms=max(max(one.each, default=0) for one in t.values()) / 1e6,
        waiting=center.waiting,
    )
