"""A hall on virtual time: the production core, Poisson arrivals, exponential times, no ring."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, RelaxStep, Settings
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, SkillId, seconds

START = Instant(1_790_000_000 * SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Contacts of one queue; rates are per second, times in seconds."""

    queue: str
    rate: float
    handle_s: float
    patience_s: float | None = None
    require: tuple[str, ...] = ()
    relax: tuple[tuple[float, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Who comes, and how many agents have which skills."""

    name: str
    streams: tuple[Stream, ...]
    agents: tuple[tuple[int, tuple[str, ...]], ...]

    def settings(self) -> Settings:
        queues = tuple(
            QueueSettings(
                queue_id=QueueId(s.queue),
                require={SkillId(name): 1 for name in s.require},
                relax=tuple(
                    RelaxStep(after_us=seconds(after), require={SkillId(n): 1 for n in need})
                    for after, need in s.relax
                ),
            )
            for s in self.streams
        )
        agents = tuple(
            AgentSettings(
                agent_id=AgentId(f"p{pool}-{n}"), skills={SkillId(name): 1 for name in skills}
            )
            for pool, (count, skills) in enumerate(self.agents)
            for n in range(count)
        )
        return Settings(version="1", maxlen=10**9, queues=queues, agents=agents)


class _Due(NamedTuple):
    at: Instant
    n: int
    what: str
    contact: ContactId


@dataclass(slots=True)
class Asked:
    """A contact that had to wait: what was expected of it, and what came true."""

    contact: ContactId
    queue: str
    at: Instant
    place: int
    """In its queue's line."""
    expected_us: Micros | None
    waited_us: int | None = None
    """Until it was answered; None: it left."""


@dataclass(slots=True)
class _Draws:
    stream: Stream
    rng: random.Random = field(default_factory=random.Random)

    def gap_us(self) -> int:
        return round(self.rng.expovariate(self.stream.rate) * SECOND)

    def handle_us(self) -> int:
        return max(1, round(self.rng.expovariate(1 / self.stream.handle_s) * SECOND))

    def patience_us(self) -> int | None:
        if self.stream.patience_s is None:
            return None
        return round(self.rng.expovariate(1 / self.stream.patience_s) * SECOND)


class Hall:
    """Runs a design and asks ``ExpectedWait`` of everybody who has to wait, as he comes."""

    def __init__(self, design: Design, seed: int) -> None:
        self.acd = Acd()
        self.expected = ExpectedWait()
        self.now = START
        self.asked: list[Asked] = []
        self.waiting: dict[ContactId, Asked] = {}
        self.on_wait: Callable[[Hall, Asked], None] = lambda _hall, _asked: None
        self._draws = {
            s.queue: _Draws(s, random.Random(f"{seed} {s.queue}")) for s in design.streams
        }
        self._queue_of: dict[ContactId, str] = {}
        self._in_queue = dict.fromkeys(self._draws, 0)
        self._talking: set[ContactId] = set()
        self._due: list[_Due] = []
        self._n = 0
        self.arrived = 0
        self.say(ev.SettingsApplied(settings=design.settings()))
        for agent in self.acd.agents():
            self.say(ev.AgentLoggedIn(agent_id=agent))
        for queue in self._draws:
            self._next_arrival(queue)

    def run(self, contacts: int) -> Hall:
        """Let so many more arrive."""
        until = self.arrived + contacts
        while self.arrived < until:
            self._one()
        return self

    def _one(self) -> None:
        deadline = self.acd.next_deadline()
        if deadline is not None and deadline <= self._due[0].at:
            self.now = max(self.now, deadline)
            self.say(ev.Tick())
            return
        due = heappop(self._due)
        self.now = due.at
        if due.what == "arrive":
            self._arrive(due.contact)
        elif due.what == "left" or due.contact in self.waiting:
            self._gone(due.contact)

    def _next_arrival(self, queue: str) -> None:
        self._n += 1
        contact = ContactId(f"{queue}/{self._n}")
        self._queue_of[contact] = queue
        self._later(self._draws[queue].gap_us(), "arrive", contact)

    def _later(self, after_us: int, what: str, contact: ContactId) -> None:
        self._n += 1
        heappush(self._due, _Due(Instant(self.now + after_us), self._n, what, contact))

    def _arrive(self, contact: ContactId) -> None:
        queue = self._queue_of[contact]
        self._next_arrival(queue)
        self.arrived += 1
        self.say(ev.ContactStarted(contact_id=contact, medium=Medium.VOICE, number="", entry=""))
        self.say(ev.QueueRequested(contact_id=contact, queue=QueueId(queue)))
        if contact in self._talking:
            return
        self._in_queue[queue] += 1
        expected = self.expected.expect(self.acd, contact, self.now)
        asked = Asked(contact, queue, self.now, self._in_queue[queue], expected)
        self.asked.append(asked)
        self.waiting[contact] = asked
        patience = self._draws[queue].patience_us()
        if patience is not None:
            self._later(patience, "leave", contact)
        self.on_wait(self, asked)

    def _gone(self, contact: ContactId) -> None:
        asked = self.waiting.pop(contact, None)
        if asked is not None:
            self._in_queue[asked.queue] -= 1
        del self._queue_of[contact]
        self._talking.discard(contact)
        self.say(ev.ContactLeft(contact_id=contact, party=ev.Party.CITIZEN))

    def say(self, event: ev.Event) -> None:
        """Step the core, learn, and answer every offer at once."""
        events: list[ev.Event] = [event]
        while events:
            commands = self.acd.step(events.pop(0), self.now)
            self.expected.learn(commands)
            for command in commands:
                if isinstance(command, cmd.OfferContact):
                    events.append(
                        ev.OfferAccepted(offer_id=command.offer_id, agent_id=command.agent_ids[0])
                    )
                    self._talks(command.contact_id)

    def _talks(self, contact: ContactId) -> None:
        self._talking.add(contact)
        asked = self.waiting.pop(contact, None)
        if asked is not None:
            asked.waited_us = self.now - asked.at
            self._in_queue[asked.queue] -= 1
        draws = self._draws[self._queue_of[contact]]
        self._later(draws.handle_us(), "left", contact)

    def served(self) -> Iterator[Asked]:
        """Those who waited, were answered, and had been told something."""
        return (a for a in self.asked if a.waited_us is not None and a.expected_us is not None)
