"""Decisions as they are explained, against the naive distributor: who chose, among whom, why so."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import why
from gkc_engine.acd.settings import Order, Settings, Strategy
from gkc_engine.acd.watch import Eyes, step_watched
from gkc_engine.acd.why import Bar
from gkc_engine.simulation.decisions import Decision, Decisions
from tests.properties.city import city, drawn_city
from tests.properties.driver import Driver
from tests.properties.oracle import Oracle
from tests.properties.people import OAgent, OContact, OSlot
from tests.properties.seeded import Seeded
from tests.properties.support import Pick

ACTIONS = 50


@dataclass(slots=True)
class Told:
    """An offer as the oracle decides it."""

    rule: str
    contact: str
    agents: list[str]
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

    def offer(self, c: OContact, agents: list[OAgent]) -> None:
        a = agents[0]
        able = [o for o in self.agents.values() if self.may_take(o, c)]
        line = [o for o in self.contacts.values() if self.may_take(a, o)]
        self.told.append(
            Told(
                rule=self.rule,
                contact=c.name,
                agents=[asked.name for asked in agents],
                able=[o.name for o in sorted(able, key=lambda o: self.strategy_key(o, c))],
                line=[o.name for o in sorted(line, key=lambda o: self.law_key(a, o))],
                refused={o.name: self.against(o, c) for o in self.agents.values() if o not in able},
            )
        )
        super().offer(c, agents)

    def against(self, a: OAgent, c: OContact) -> set[Bar]:
        lacking = {
            Bar.LEVEL if skill in a.skills else Bar.SKILL
            for skill, level in self.need(c).items()
            if a.skills.get(skill, 0) < level
        }
        mine = [slot for slot in a.slots if slot.medium == c.medium]
        shut_by_calls = c.medium == "voice" or self.excluded("voice", c.medium)
        states = {
            Bar.OFFLINE: not a.at_work,
            Bar.UNREACHABLE: a.at_work and not a.reachable,
            Bar.PAUSED: a.at_work and a.pause is not None,
            Bar.RESTING: a.at_work and a.rest is not None,
            Bar.MEDIUM: not mine,
            Bar.TAKEN: bool(mine) and (a.aside or all(slot.doing != "nothing" for slot in mine)),
            Bar.IN_USE: a.in_use and shut_by_calls,
            Bar.OWN_CALL: bool(a.calls) and shut_by_calls,
            Bar.BLENDING: any(self.shuts_out(slot, c.medium) for slot in a.slots),
            Bar.EXCLUDED: a.at_work and not lacking and self.is_barred(a, c),
            Bar.PREFERENCE: c.prefer is not None and c.prefer[0] != a.name,
        }
        return lacking | {bar for bar, holds in states.items() if holds}

    def shuts_out(self, slot: OSlot, medium: str) -> bool:
        """P8: whether what one of his slots holds keeps him from a medium."""
        if slot.doing == "nothing" or slot.medium == medium:
            return False
        parkable = slot.doing == "talk" and self.blends(medium, "interrupts", slot.medium)
        return not parkable and self.excluded(slot.medium, medium)


class ExplainedDriver(Driver):
    """A history in which every offer is explained, by both."""

    def __init__(self, settings: Settings, pick: Pick, *, supervised: bool = False) -> None:
        self.decisions: Decisions | None = None
        self.explained: list[Decision] = []
        self.teller = TellingOracle(settings)
        self.seen = 0
        super().__init__(settings, pick, with_oracle=True, supervised=supervised)

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
    assert (mine.contact_id, mine.agents) == (theirs.contact, tuple(theirs.agents))
    assert mine.rule == theirs.rule, (mine, theirs)
    if mine.rule == "transfer":
        return  # Nobody was chosen; the oracle lets the colleague go a moment earlier.
    refused = {c.agent_id: {o.bar for o in c.obstacles} for c in mine.candidates if not c.may}
    assert refused == theirs.refused, mine
    assert [c.agent_id for c in mine.able] == theirs.able, mine
    assert [p.contact_id for p in mine.line] == theirs.line, mine


def explain(settings: Settings, pick: Pick, *, supervised: bool = False) -> int:
    driver = ExplainedDriver(settings, pick, supervised=supervised)
    for _ in range(ACTIONS):
        driver.act()
    driver.finish()
    return driver.seen


def explain_drawn(seed: int) -> int:
    """Explain a history of a city in which every rule is drawn, of two media."""
    pick = Seeded(seed)
    return explain(drawn_city(pick), pick, supervised=seed % 3 == 2)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("strategy", Strategy)
def test_decisions_are_explained_as_the_oracle_decides_them(
    order: Order, strategy: Strategy
) -> None:
    assert explain(city(order, strategy), Seeded(1)) > 0


def test_decisions_by_all_rules_are_explained_as_the_oracle_decides_them() -> None:
    assert sum(explain_drawn(seed) for seed in range(30)) > 150


@pytest.mark.long
def test_many_decisions_are_explained_as_the_oracle_decides_them() -> None:
    laws = [(order, strategy) for order in Order for strategy in Strategy]
    seen = sum(explain(city(*law), Seeded(seed)) for law in laws for seed in range(100))
    seen += sum(explain_drawn(seed) for seed in range(2000, 2300))
    assert seen > 5_000


@pytest.mark.parametrize("forgotten", ["barred", "meets", "levels"])
def test_a_wrong_reason_is_found(monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    """Planted: the explanation forgets exclusions, requirements, or how well an agent matches."""
    nothing = {"barred": lambda *_: {}, "meets": lambda *_: True, "levels": lambda *_: 0}
    monkeypatch.setattr(why, forgotten, nothing[forgotten])

    def everything() -> None:
        for strategy in Strategy:
            for seed in range(3):
                explain(city(Order.MATCH_FIRST, strategy), Seeded(seed))

    with pytest.raises((AssertionError, IndexError)):
        everything()


def test_a_reason_of_blending_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the explanation does not know that one medium may shut another out."""
    busy = why._busy
    monkeypatch.setattr(
        why, "_busy", lambda *args: (o for o in busy(*args) if o.bar is not Bar.BLENDING)
    )

    def everything() -> None:
        for seed in range(40):
            explain_drawn(seed)

    with pytest.raises(AssertionError):
        everything()
