"""A slow world around the naive distributor of ``tests/properties``: what a trace must say.

Written from the routing policy and the words of `gkc simulate`; of the runner it shares only the
random numbers of missed offers. One list of what is to happen, searched from end to end each time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import (
    AgentSettings,
    ContactClass,
    EmptyFactor,
    Medium,
    Order,
    QueueSettings,
    RelaxStep,
    Settings,
    Strategy,
)
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, SkillId
from gkc_engine.simulation.draws import stream
from gkc_engine.simulation.plan import Arrival, Plan
from tests.properties.oracle import Oracle

Row = tuple[str, str, int | None]
"""Outcome, agent, instant of the answer."""

OUTCOMES = {"abandoned": "abandoned", "abandoned_short": "abandoned"}


@dataclass
class _Thing:
    """Something that the world does."""

    key: tuple[int, int, int]
    what: str
    contact: int
    offer: int = 0


class NaiveWorld:
    def __init__(self, plan: Plan, arrivals: Sequence[Arrival], seed: int) -> None:
        self.plan, self.arrivals = plan, arrivals
        self.oracle = Oracle(plan.settings)
        self.things: list[_Thing] = []
        self.rows: list[Row] = [("waiting", "", None)] * len(arrivals)
        self.offers = 0
        self.open: dict[int, tuple[int, str | None]] = {}
        self.talks: set[int] = set()
        self.missed = {
            q.queue_id: stream(seed, 0, q.queue_id, "miss") for q in plan.settings.queues
        }

    def run(self) -> list[Row]:
        for agent in self.plan.settings.agents:
            self.oracle.step(ev.AgentLoggedIn(agent_id=agent.agent_id), Instant(0))
        self.things = [_Thing((a.at, 4, n), "arrives", n) for n, a in enumerate(self.arrivals)]
        while True:
            due = min(self.oracle.all_due(), key=lambda d: d.key, default=None)
            first = min(self.things, key=lambda t: t.key, default=None)
            if due is not None and (first is None or due.key[:3] < first.key):
                self.oracle.now, self.oracle.kind = due.key[0], due.key[1]
                due.act()
            elif first is not None:
                self.things.remove(first)
                self.oracle.now, self.oracle.kind = first.key[0], first.key[1]
                self.happens(first)
            else:
                return self.rows
            self.oracle.note()
            said, self.oracle.said = self.oracle.said, []
            for decision in said:
                self.hear(decision)

    def happens(self, thing: _Thing) -> None:
        n = thing.contact
        name, arrival = ContactId(f"c{n}"), self.arrivals[n]
        contact = self.oracle.contacts.get(name)
        match thing.what:
            case "arrives":
                started = ev.ContactStarted(
                    contact_id=name, medium=Medium.VOICE, number="", entry=""
                )
                self.oracle.handle(started)
                self.oracle.handle(ev.QueueRequested(contact_id=name, queue=arrival.queue))
                if arrival.patience_us is not None:
                    key = (arrival.at + arrival.patience_us, 3, self.oracle.contacts[name].seq)
                    self.things.append(_Thing(key, "patience", n))
            case "result":
                if contact is None or self.open.get(n, (0, None))[0] != thing.offer:
                    return
                _, agent = self.open.pop(n)
                if agent is None:
                    self.oracle.offer_over(contact, "no_answer")
                    return
                self.oracle.accept(contact, self.oracle.agents[agent])
                self.talks.add(n)
                rank = self.oracle.agents[agent].rank
                ends = self.oracle.now + arrival.handle_us
                self.things.append(_Thing((ends, 1, rank), "talked", n))
                self.rows[n] = ("answered", agent, self.oracle.now)
            case "patience" if n in self.talks:
                pass
            case _:
                if contact is not None:
                    party = ev.Party.SYSTEM if thing.what == "told" else ev.Party.CITIZEN
                    self.oracle.handle(ev.ContactLeft(contact_id=name, party=party))

    def hear(self, decision: tuple[object, ...]) -> None:
        word, n = decision[0], int(str(decision[1])[1:])
        now = self.oracle.now
        match word:
            case "offer":
                queue = QueueId(self.oracle.contacts[f"c{n}"].queue)
                self.offers += 1
                asked = decision[2]
                assert isinstance(asked, tuple), decision
                agent: str | None = asked[0]
                takes = int(self.plan.ring_us)
                if self.plan.miss and self.missed[queue].random() < self.plan.miss:
                    agent, takes = None, self.oracle.queues[queue].rules.timeout_us
                self.open[n] = (self.offers, agent)
                key = (now + takes, 0, self.oracle.contacts[f"c{n}"].seq)
                self.things.append(_Thing(key, "result", n, self.offers))
            case "treat":
                self.rows[n] = ("refused", "", None)
                self.things.append(_Thing((now, 3, self.oracle.contacts[f"c{n}"].seq), "told", n))
            case "end":
                if n not in self.talks and self.rows[n][0] != "refused":
                    self.rows[n] = (OUTCOMES[str(decision[2])], "", None)
            case _:
                raise AssertionError(decision)


EMPTY: list[tuple[EmptyFactor, ...]] = [
    *[()] * 4,
    (EmptyFactor.INVALID,),
    (EmptyFactor.INUSE, EmptyFactor.RINGING, EmptyFactor.WRAPUP),
]
"""Operators are at work all the time: nobody who could serve, or all of them busy."""

# --- random centers and contacts -----------------------------------------------------------------


def micros(seconds: float) -> Micros:
    return Micros(round(seconds * SECOND))


def random_plan(pick: random.Random, *, missing: bool) -> Plan:
    """A center in which much falls on one instant: few agents, whole seconds, zeros."""
    names = ("a", "b", "c")
    queues = tuple(_random_queue(pick, name) for name in names[: pick.randint(1, 3)])
    agents = tuple(
        AgentSettings(
            agent_id=AgentId(f"op{n}"),
            skills={SkillId(s): pick.randint(1, 3) for s in names if pick.random() < 0.6},
        )
        for n in range(pick.randint(1, 5))
    )
    settings = Settings(
        version="1",
        order=pick.choice(list(Order)),
        maxlen=pick.choice([0, 4, 100, 100]),
        autopause_us=micros(9),
        queues=queues,
        agents=agents,
    )
    return Plan(
        settings=settings,
        groups={agent.agent_id: agent.agent_id for agent in agents},
        ring_us=micros(pick.choice([0, 0, 1, 2])),
        miss=0.3 if missing else 0.0,
    )


def _random_queue(pick: random.Random, name: str) -> QueueSettings:
    def need() -> dict[SkillId, int]:
        return {SkillId(name): pick.randint(1, 3)} if pick.random() < 0.8 else {}

    afters = sorted(pick.sample(range(1, 9), pick.randint(0, 2)))
    return QueueSettings(
        queue_id=QueueId(name),
        require=need(),
        relax=tuple(RelaxStep(after_us=micros(after), require=need()) for after in afters),
        strategy=pick.choice(list(Strategy)),
        contact_class=pick.choice([*ContactClass, ContactClass.NORMAL]),
        head_start_us=micros(pick.choice([0, 0, 3])),
        slope_milli=pick.choice([1000, 1500, 0]),
        timeout_us=micros(pick.choice([2, 4])),
        wrapup_us=micros(pick.choice([0, 0, 2])),
        same_agent_after_us=micros(pick.choice([0, 5])),
        no_answer_delay_us=micros(pick.choice([0, 3])),
        maxlen=pick.choice([None, None, 0, 1, 3]),
        maxwait_us=pick.choice([None, None, micros(7)]),
        maxwait_unstaffed_us=pick.choice([None, None, micros(5)]),
        joinempty=pick.choice(EMPTY),
        leavewhenempty=pick.choice(EMPTY),
    )


def random_arrivals(pick: random.Random, plan: Plan, count: int) -> list[Arrival]:
    now, arrivals = 0, []
    queues = [queue.queue_id for queue in plan.settings.queues]
    for _ in range(count):
        now += pick.choice([0, 0, 1, 1, 2])
        patience = pick.choice([None, 0, 1, 3, 5, 8])
        arrivals.append(
            Arrival(
                Instant(micros(now)),
                pick.choice(queues),
                micros(pick.choice([0, 0, 1, 2, 3, 6])),
                None if patience is None else micros(patience),
            )
        )
    return arrivals
