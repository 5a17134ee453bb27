"""Decisions as they are explained, against the naive distributor: who chose, among whom, why so."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import why
from gkc_engine.acd.settings import Order, Settings, Strategy
from gkc_engine.acd.watch import Eyes, step_watched
from gkc_engine.acd.why import Bar
from gkc_engine.simulation.decisions import Decision, Decisions
from tests.properties.city import city
from tests.properties.driver import Driver
from tests.properties.oracle import Oracle
from tests.properties.people import OAgent, OContact

ACTIONS = 50


@dataclass(slots=True)
class Told:
    """An offer as the oracle decides it."""

    rule: str
    contact: str
    agent: str
    able: list[str]
    line: list[str]
    refused: dict[str, set[Bar]]


class TellingOracle(Oracle):
    """Says of each offer who chose, among whom, and what it has against the others."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.rule = "transfer"
        self.told: list[Told] = []

    def p1(self, c: OContact) -> bool:
        self.rule = "P1"
        return super().p1(c)

    def p2(self, a: OAgent) -> None:
        self.rule = "P2"
        super().p2(a)

    def transfer(self, event: ev.TransferRequested) -> None:
        self.rule = "transfer"
        super().transfer(event)

    def offer(self, c: OContact, a: OAgent) -> None:
        able = [o for o in self.agents.values() if self.may_take(o, c)]
        line = [o for o in self.contacts.values() if self.may_take(a, o)]
        self.told.append(
            Told(
                rule=self.rule,
                contact=c.name,
                agent=a.name,
                able=[o.name for o in sorted(able, key=lambda o: self.strategy_key(o, c))],
                line=[o.name for o in sorted(line, key=lambda o: self.law_key(a, o))],
                refused={o.name: self.against(o, c) for o in self.agents.values() if o not in able},
            )
        )
        super().offer(c, a)

    def against(self, a: OAgent, c: OContact) -> set[Bar]:
        lacking = {
            Bar.LEVEL if skill in a.skills else Bar.SKILL
            for skill, level in self.need(c).items()
            if a.skills.get(skill, 0) < level
        }
        states = {
            Bar.OFFLINE: not a.at_work,
            Bar.UNREACHABLE: a.at_work and not a.reachable,
            Bar.PAUSED: a.at_work and a.pause is not None,
            Bar.RESTING: a.at_work and a.rest is not None,
            Bar.TAKEN: a.doing != "nothing",
            Bar.EXCLUDED: a.at_work and not lacking and self.is_barred(a, c),
            Bar.PREFERENCE: c.prefer is not None and c.prefer[0] != a.name,
        }
        return lacking | {bar for bar, holds in states.items() if holds}


class ExplainedDriver(Driver):
    """A history in which every offer is explained, by both."""

    def __init__(self, order: Order, strategy: Strategy, seed: int) -> None:
        self.decisions: Decisions | None = None
        self.explained: list[Decision] = []
        chance = random.Random(f"{order} {strategy} {seed}")

        class Pick:
            def number(self, low: int, high: int) -> int:
                return chance.randint(low, high)

        self.teller = TellingOracle(city(order, strategy))
        self.seen = 0
        super().__init__(city(order, strategy), Pick(), with_oracle=True)

    def apply(self, event: ev.Event) -> list[cmd.Command]:
        self.oracle = self.teller
        if self.decisions is None:
            self.decisions = Decisions(self.acd)
        decisions = self.decisions
        decisions.begin(event)

        def heard(command: cmd.Command, eyes: Eyes) -> None:
            if isinstance(command, cmd.OfferContact):
                self.explained.append(decisions.decision(command, eyes))
            decisions.heard(command, eyes)

        before = self.checker.before(self.acd)
        commands = step_watched(self.acd, event, self.now, heard)
        self.ledger.append((event, self.now, commands))
        self.offers.update({c.offer_id: c for c in commands if isinstance(c, cmd.OfferContact)})
        self.checker.after(self.acd, before, event, commands)
        return commands

    def compare(self) -> None:
        super().compare()
        assert len(self.explained) == len(self.teller.told)
        for mine, theirs in zip(self.explained, self.teller.told, strict=True):
            check(mine, theirs)
        self.seen += len(self.explained)
        self.explained.clear()
        self.teller.told.clear()


def check(mine: Decision, theirs: Told) -> None:
    assert (mine.contact_id, mine.agents) == (theirs.contact, (theirs.agent,))
    assert mine.rule == theirs.rule, (mine, theirs)
    if mine.rule == "transfer":
        return  # Nobody was chosen; the oracle lets the colleague go a moment earlier.
    refused = {c.agent_id: {o.bar for o in c.obstacles} for c in mine.candidates if not c.may}
    assert refused == theirs.refused, mine
    assert [c.agent_id for c in mine.able] == theirs.able, mine
    assert [p.contact_id for p in mine.line] == theirs.line, mine


def explain(order: Order, strategy: Strategy, seed: int) -> int:
    driver = ExplainedDriver(order, strategy, seed)
    for _ in range(ACTIONS):
        driver.act()
    driver.finish()
    return driver.seen


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("strategy", Strategy)
def test_decisions_are_explained_as_the_oracle_decides_them(
    order: Order, strategy: Strategy
) -> None:
    assert explain(order, strategy, seed=1) > 0


@pytest.mark.long
def test_many_decisions_are_explained_as_the_oracle_decides_them() -> None:
    laws = [(order, strategy) for order in Order for strategy in Strategy]
    seen = sum(explain(*law, seed) for law in laws for seed in range(1000, 1100))
    assert seen > 5_000


@pytest.mark.parametrize("forgotten", ["barred", "meets", "levels"])
def test_a_wrong_reason_is_found(monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    """Planted: the explanation forgets exclusions, requirements, or how well an agent matches."""
    nothing = {"barred": lambda *_: {}, "meets": lambda *_: True, "levels": lambda *_: 0}
    monkeypatch.setattr(why, forgotten, nothing[forgotten])

    def everything() -> None:
        for strategy in Strategy:
            for seed in range(3):
                explain(Order.MATCH_FIRST, strategy, seed)

    with pytest.raises((AssertionError, IndexError)):
        everything()
