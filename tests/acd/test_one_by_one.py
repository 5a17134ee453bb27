"""``run_next``: what is due, one thing at a time, is the same as ``Tick`` does in one go."""

from __future__ import annotations

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import (
    AgentSettings,
    Order,
    QueueSettings,
    RelaxStep,
    Settings,
    Strategy,
)
from gkc_engine.acd.timers import Kind
from gkc_engine.ids import SECOND, AgentId, Instant, Micros, QueueId, SkillId
from tests.acd.test_core import arrive
from tests.properties.city import rich_city
from tests.properties.driver import Driver
from tests.properties.seeded import Seeded

PASSPORT = SkillId("passport")


def history(seed: int, actions: int = 150) -> list[tuple[ev.Event, Instant, list[cmd.Command]]]:
    order, strategy = list(Order)[seed % 3], list(Strategy)[seed // 3 % 4]
    driver = Driver(rich_city(order, strategy), Seeded(seed), with_oracle=False)
    for _ in range(actions):
        driver.act()
    return driver.ledger


@pytest.mark.parametrize("seed", range(6))
def test_one_by_one_is_the_same_as_in_one_go(seed: int) -> None:
    acd, ran = Acd(), 0
    for event, now, commands in history(seed):
        before: list[cmd.Command] = []
        if isinstance(event, ev.Tick):
            while (due := acd.next_due()) is not None and due[0] <= now:
                assert due[0] == acd.next_deadline()
                before += acd.run_next()
                ran += 1
        assert before + acd.step(event, now) == commands
    assert ran


def waiting_for_a_step() -> Acd:
    """Two citizens whose step at 10 s lets the only two agents take them."""
    acd = Acd()
    queue = QueueSettings(
        queue_id=QueueId("tax"),
        require={PASSPORT: 5},
        relax=(RelaxStep(after_us=Micros(10 * SECOND), require={PASSPORT: 1}),),
        strategy=Strategy.BEST_MATCH,
    )
    agents = tuple(
        AgentSettings(agent_id=AgentId(name), skills={PASSPORT: level})
        for name, level in (("anna", 4), ("boris", 1))
    )
    acd.step(
        ev.SettingsApplied(settings=Settings(version="1", queues=(queue,), agents=agents)), at0
    )
    for agent in agents:
        acd.step(ev.AgentLoggedIn(agent_id=agent.agent_id), at0)
    arrive(acd, "c1", at0)
    arrive(acd, "c2", at0)
    return acd


at0 = Instant(0)
at10 = Instant(10 * SECOND)


def offers(commands: list[cmd.Command]) -> list[tuple[str, tuple[str, ...]]]:
    return [(c.contact_id, c.agent_ids) for c in commands if isinstance(c, cmd.OfferContact)]


def test_what_one_thing_causes_comes_before_the_next_of_that_instant() -> None:
    acd = waiting_for_a_step()
    assert acd.next_due() == (at10, Kind.STEP, 0)
    (first,) = [c for c in acd.run_next() if isinstance(c, cmd.OfferContact)]
    assert (first.contact_id, first.agent_ids) == ("c1", ("anna",))
    acd.step(ev.OfferAccepted(offer_id=first.offer_id, agent_id=AgentId("anna")), at10)
    acd.step(ev.ContactLeft(contact_id=first.contact_id, party=ev.Party.CITIZEN), at10)
    assert acd.next_due() == (at10, Kind.STEP, 1)
    assert offers(acd.run_next()) == [("c2", ("anna",))]  # In one go it would be boris.
    assert offers(waiting_for_a_step().step(ev.Tick(), at10)) == [
        ("c1", ("anna",)),
        ("c2", ("boris",)),
    ]


def test_there_must_be_something_due() -> None:
    assert Acd().next_due() is None
    with pytest.raises(AssertionError, match="nothing is due"):
        Acd().run_next()
