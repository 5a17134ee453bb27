"""A hall in which everybody is busy and some wait, and a naive simulation of what becomes of it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import (
    AgentState,
    AgentStateChanged,
    Command,
    ContactEnded,
    Disposition,
    OfferContact,
)
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import (
    AgentSettings,
    Medium,
    Order,
    QueueSettings,
    RelaxStep,
    Settings,
)
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    QueueId,
    SkillId,
    seconds,
)

NOW = Instant(1_790_000_000 * SECOND)
NONE = Micros(0)


def handled(
    queue: str, held_s: float, wrap_up_s: float = 0.0, agent: str = "teacher"
) -> list[Command]:
    """Return the facts of one contact that held a slot, as the core says them."""

    def state(what: AgentState, after_s: float, contact: str | None) -> AgentStateChanged:
        return AgentStateChanged(
            agent_id=AgentId(agent),
            slot=0,
            state=what,
            since=Instant(seconds(after_s)),
            contact_id=ContactId(contact) if contact else None,
            queue=QueueId(queue) if contact else None,
        )

    facts: list[Command] = [state(AgentState.RESERVED, 0, "t"), state(AgentState.TALK, 0, "t")]
    if wrap_up_s:
        facts.append(state(AgentState.WRAP_UP, held_s, "t"))
    return [*facts, state(AgentState.READY, held_s + wrap_up_s, None)]


def over(
    queue: str,
    wait_s: float,
    disposition: Disposition = Disposition.ANSWERED,
    contact: str = "t",
    via: str = "engine",
) -> ContactEnded:
    """Return the end of a contact that waited so long."""
    answered = disposition is Disposition.ANSWERED
    return ContactEnded(
        contact_id=ContactId(contact),
        disposition=disposition,
        medium=Medium.VOICE,
        started=Instant(0),
        ended=Instant(seconds(wait_s) + 1),
        party=ev.Party.CITIZEN,
        reason="",
        via=via,
        queue=QueueId(queue),
        first_queued=Instant(0),
        answered=Instant(seconds(wait_s)) if answered else None,
        agent_id=AgentId("teacher") if answered else None,
        menu_us=NONE,
        wait_us=seconds(wait_s),
        ring_us=NONE,
        talk_us=NONE,
        hold_us=NONE,
        offers=int(answered),
    )


def exponential_s(mean_s: float, count: int = 400) -> list[float]:
    """Return a sample of the exponential distribution without chance, with exactly that mean."""
    found = [-math.log(1 - (i + 0.5) / count) for i in range(count)]
    return [x * mean_s * count / sum(found) for x in found]


@dataclass
class Hall:
    """The real core with named pools; contacts are called by their queue and number."""

    queues: dict[str, str]
    """Queue -> its skills, one letter each."""
    pools: Sequence[tuple[int, str]]
    """How many agents have which skills."""
    relax: dict[str, tuple[float, str]] = field(default_factory=dict)
    wrap_up_s: float = 0.0
    order: Order = Order.FCFS
    acd: Acd = field(default_factory=Acd)
    expected: ExpectedWait = field(default_factory=ExpectedWait)
    now: Instant = NOW
    line: list[str] = field(default_factory=list)
    """Who waits, in order of arrival."""
    came: int = 0

    def __post_init__(self) -> None:
        self.say(ev.SettingsApplied(settings=self.settings()))
        for agent in self.acd.agents():
            self.say(ev.AgentLoggedIn(agent_id=agent))

    def settings(self) -> Settings:
        """Return the config of this hall."""

        def need(letters: str) -> dict[SkillId, int]:
            return {SkillId(one): 1 for one in letters}

        return Settings(
            version="1",
            order=self.order,
            queues=tuple(
                QueueSettings(
                    queue_id=QueueId(name),
                    require=need(skills),
                    wrapup_us=seconds(self.wrap_up_s),
                    relax=tuple(
                        RelaxStep(after_us=seconds(after), require=need(then))
                        for after, then in [self.relax[name]]
                    )
                    if name in self.relax
                    else (),
                )
                for name, skills in self.queues.items()
            ),
            agents=tuple(
                AgentSettings(agent_id=AgentId(f"{skills or '-'}{pool}{n}"), skills=need(skills))
                for pool, (count, skills) in enumerate(self.pools)
                for n in range(count)
            ),
        )

    def say(self, event: ev.Event) -> list[Command]:
        """Step the core; whoever is offered is answered at once."""
        commands = self.acd.step(event, self.now)
        self.expected.learn(commands)
        for command in commands:
            if isinstance(command, OfferContact):
                accepted = ev.OfferAccepted(
                    offer_id=command.offer_id, agent_id=command.agent_ids[0]
                )
                self.say(accepted)
                if command.contact_id in self.line:
                    self.line.remove(command.contact_id)
        return commands

    def after(self, seconds_: float) -> None:
        """Let time pass."""
        until = Instant(self.now + seconds(seconds_))
        while (due := self.acd.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.say(ev.Tick())
        self.now = until

    def come(self, *queues: str) -> list[str]:
        """Let citizens come one after another; return their names."""
        names = []
        for queue in queues:
            name = f"{queue}{self.came}"
            self.came += 1
            contact = ContactId(name)
            self.line.append(name)
            self.say(
                ev.ContactStarted(contact_id=contact, medium=Medium.VOICE, number="", entry="")
            )
            self.say(ev.QueueRequested(contact_id=contact, queue=QueueId(queue)))
            names.append(name)
        return names

    def leave(self, name: str) -> None:
        """Let a citizen hang up."""
        self.say(ev.ContactLeft(contact_id=ContactId(name), party=ev.Party.CITIZEN))
        if name in self.line:
            self.line.remove(name)

    def learn(self, queue: str, held_s: Iterable[float], wrap_up_s: float = 0.0) -> None:
        """Teach handling times."""
        for one in held_s:
            self.expected.learn(handled(queue, one, wrap_up_s))

    def learn_patience(self, queue: str, mean_s: float, count: int = 100) -> None:
        """Teach patience: so many left after ``mean_s`` on average."""
        self.expected.learn([over(queue, mean_s, Disposition.ABANDONED)] * count)

    def expect_s(self, name: str) -> float | None:
        """Return what the named one is told, in seconds."""
        found = self.expected.expect(self.acd, ContactId(name), self.now)
        return None if found is None else found / SECOND

    def simulated_s(
        self,
        name: str,
        mean_s: float,
        theta: float,
        runs: int,
        rng: random.Random,
    ) -> float:
        """Return the mean wait of the named one, who stays, with exponential times."""
        agents = [set(skills) for count, skills in self.pools for _ in range(count)]
        needs = [(set(self.queues[one.rstrip("0123456789")]), one == name) for one in self.line]
        waits = [_drain(agents, needs, [mean_s] * len(agents), theta, rng) for _ in range(runs)]
        return sum(waits) / runs


def _drain(
    agents: list[set[str]],
    needs: list[tuple[set[str], bool]],
    means: list[float],
    theta: float,
    rng: random.Random,
) -> float:
    """Play it once: memoryless, so only who is released next matters."""
    line = list(needs)
    now = 0.0
    while True:
        staying = sum(not mine for _, mine in line)
        releases = sum(1 / mean for mean in means)
        rate = releases + staying * theta
        now += rng.expovariate(rate)
        if rng.random() * rate < staying * theta:
            leavers = [at for at, (_, mine) in enumerate(line) if not mine]
            del line[rng.choice(leavers)]
            continue
        skills = rng.choices(agents, [1 / mean for mean in means])[0]
        for at, (need, mine) in enumerate(line):
            if need <= skills:
                if mine:
                    return now
                del line[at]
                break
