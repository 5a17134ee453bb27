"""Small histories made by the real core and kept by the real recorder."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from pathlib import Path

import msgspec
import sqlalchemy as sa

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import (
    AgentSettings,
    ContactClass,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
)
from gkc_engine.engine import Step
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId, SkillId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of, engine_version
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.support import START


def need(**levels: int) -> dict[SkillId, int]:
    return {SkillId(skill): level for skill, level in levels.items()}


CITY = Settings(
    version="v1",
    center="centr",
    queues=(
        QueueSettings(
            queue_id=QueueId("passport"),
            title="Паспорта",
            require=need(passport=2),
            relax=(RelaxStep(after_us=seconds(15), require=need(passport=1)),),
            wrapup_us=seconds(5),
        ),
        QueueSettings(
            queue_id=QueueId("urgent"),
            title="Срочные",
            require=need(passport=1),
            contact_class=ContactClass.EMERGENCY,
        ),
        QueueSettings(queue_id=QueueId("housing"), title="ЖКХ", require=need(housing=1)),
    ),
    agents=(
        AgentSettings(agent_id=AgentId("anna"), skills=need(passport=3)),
        AgentSettings(agent_id=AgentId("boris"), skills=need(passport=1, housing=4)),
        AgentSettings(agent_id=AgentId("vera"), skills=need(housing=2)),
        AgentSettings(agent_id=AgentId("gleb"), skills=need(passport=5)),
    ),
)


class Center:
    """A center that is told what happens, second by second, and remembers each step."""

    def __init__(self, settings: Settings = CITY, start: Instant = START) -> None:
        self.acd = Acd()
        self.start = self.now = start
        self.steps: list[Step] = []
        self.offers: dict[ContactId, cmd.OfferContact] = {}
        self.snapshots: dict[int, str] = {}
        """State as JSON, by how many steps came before."""
        self.version = settings.version
        self.came = 0
        self.say(ev.SettingsApplied(settings=settings))

    def at(self, second: float) -> Center:
        """Let time pass until so long after the start; the core's own timers run."""
        return self.until(Instant(self.start + seconds(second)))

    def until(self, until: Instant) -> Center:
        while (due := self.acd.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.say(ev.Tick())
        assert until >= self.now
        self.now = until
        return self

    def say(self, event: ev.Event) -> list[cmd.Command]:
        commands = self.acd.step(event, self.now)
        step = Step(now=self.now, event=event, source="core", source_key=None, commands=commands)
        step.config_version = self.version
        if commands or not isinstance(event, ev.Tick):
            self.steps.append(step)
        for command in commands:
            if isinstance(command, cmd.OfferContact):
                self.offers[command.contact_id] = command
        return commands

    def login(self, *agents: str) -> None:
        for agent in agents:
            self.say(ev.AgentLoggedIn(agent_id=AgentId(agent)))

    def arrive(
        self,
        contact: str,
        queue: str,
        *,
        medium: Medium = Medium.VOICE,
        citizen: str | None = None,
    ) -> None:
        self.came += 1
        self.say(
            ev.ContactStarted(
                contact_id=ContactId(contact),
                medium=medium,
                number=f"2026-ЦАО-{self.came:06d}",
                entry="+74957777777",
                citizen=citizen or f"key-{contact}",
            )
        )
        self.say(ev.QueueRequested(contact_id=ContactId(contact), queue=QueueId(queue)))

    def answer(self, contact: str) -> None:
        offer = self.offers[ContactId(contact)]
        self.say(ev.OfferAccepted(offer_id=offer.offer_id, agent_id=offer.agent_ids[0]))

    def fail(self, contact: str, failure: ev.OfferFailure) -> None:
        offer = self.offers[ContactId(contact)]
        self.say(ev.OfferFailed(offer_id=OfferId(offer.offer_id), failure=failure))

    def leave(self, contact: str) -> None:
        self.say(ev.ContactLeft(contact_id=ContactId(contact), party=ev.Party.CITIZEN))

    def snapshot(self) -> None:
        """Let the ledger keep the core's state as of now."""
        self.snapshots[len(self.steps)] = msgspec.json.encode(self.acd.snapshot()).decode()

    def write(self, path: Path) -> Path:
        """Put the whole history into a store, as the recorder does."""
        store = LedgerStore(schema.sqlite_url(str(path)))
        store.open()
        done = 0
        for n in (*sorted(self.snapshots), len(self.steps)):
            store.append(batch_of(self.steps[done:n], "centr"))
            if n in self.snapshots:
                store.snapshot(self.steps[n - 1].now, engine_version(), self.snapshots[n])
            done = n
        store.settle()
        store.close()
        return path


def overtaken() -> Center:
    """c2 waits for a passport operator; c3, an emergency that came later, is served before it.

    Then anna lets c2 ring, and boris, who may since the step of 15 s, takes it.
    """
    center = Center()
    center.login("anna", "boris", "vera")
    center.say(ev.AgentPaused(agent_id=AgentId("boris"), reason="lunch"))
    center.at(1).arrive("c1", "passport")
    center.at(3).answer("c1")
    center.at(4).snapshot()
    center.at(5).arrive("c2", "passport")
    center.at(8).arrive("c4", "housing")
    center.at(9).answer("c4")
    center.at(10).arrive("c3", "urgent")
    center.at(18).leave("c1")
    center.at(25).answer("c3")
    center.at(40).leave("c3")
    center.at(60).fail("c2", ev.OfferFailure.NO_ANSWER)
    center.at(65).say(ev.AgentReady(agent_id=AgentId("boris")))
    center.at(67).answer("c2")
    center.at(100).leave("c2")
    center.at(101).leave("c4")
    center.at(120).say(ev.AgentLoggedOut(agent_id=AgentId("anna")))
    return center


Call = tuple[float, str, float, float]
"""When it comes (s), for which queue, how long it talks, how long it is willing to wait."""


def played(calls: Sequence[Call], settings: Settings = CITY, *agents: str) -> Center:
    """A center in which phones are answered after 2 s and citizens leave when they have enough."""
    center = Center(settings)
    center.at(1).login(*agents)
    center.snapshot()
    line = [(center.start + seconds(call[0]), 4, n) for n, call in enumerate(calls)]
    heapify(line)
    ringing: dict[int, OfferId] = {}
    served: set[int] = set()
    while line:
        due = center.acd.next_deadline()
        if due is not None and due <= line[0][0]:
            center.until(due)
        else:
            at, what, n = heappop(line)
            contact, (_, queue, talks, waits) = f"c{n}", calls[n]
            center.until(Instant(at))
            if what == 4:
                center.arrive(contact, queue)
                heappush(line, (at + seconds(waits), 3, n))
            elif what == 1 or (what == 3 and n not in served):
                center.leave(contact)
                served.add(n)
            elif what == 0 and n not in served:
                center.answer(contact)
                served.add(n)
                heappush(line, (at + seconds(talks), 1, n))
        for offered, offer in center.offers.items():
            n = int(offered[1:])
            if n not in served and ringing.get(n) != offer.offer_id:
                ringing[n] = offer.offer_id
                heappush(line, (offer.created + seconds(2), 0, n))
    return center.until(Instant(center.now + seconds(60)))


def busy_hour() -> Center:
    """Calls for passport, too many for one operator, few enough for two; some for housing.

    Citizens have 15 to 80 s of patience, and some of them leave.
    """
    chance = random.Random(7)
    calls: list[Call] = []
    second = 10.0
    for n in range(60):
        second += round(chance.uniform(5, 35), 3)
        queue = "housing" if n % 6 == 5 else "passport"
        calls.append((second, queue, round(chance.uniform(20, 45), 3), 15 + 13 * (n % 6)))
    return played(calls, CITY, "anna", "gleb", "vera")


def change(path: Path, sql: str) -> None:
    """Change a store behind the recorder's back."""
    engine = schema.make_engine(schema.sqlite_url(str(path)))
    with engine.begin() as connection:
        assert connection.execute(sa.text(sql)).rowcount > 0, sql
    engine.dispose()


def without_skill(settings: Settings, agent: str, skill: str) -> Settings:
    """Return the config with one skill taken from one agent."""
    agents = tuple(
        replace(a, skills={s: n for s, n in a.skills.items() if s != skill})
        if a.agent_id == agent
        else a
        for a in settings.agents
    )
    return replace(settings, version=f"{settings.version}-{agent}", agents=agents)
