"""A talk ends and somebody waits: who may not take him now is not offered, whatever the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.hands import Hands
from gkc_engine.acd.settings import EmptyFactor, QueueSettings
from gkc_engine.acd.state import Agent
from gkc_engine.ids import ContactId, OfferId
from tests.acd.test_core import ANNA, TAX, arrive, at, core_with, settings, us

C1, C2 = ContactId("c1"), ContactId("c2")
RULES = {
    "no rule": QueueSettings(queue_id=TAX),
    "watched": QueueSettings(queue_id=TAX, leavewhenempty=(EmptyFactor.PAUSED,)),
    "wrap-up": QueueSettings(queue_id=TAX, wrapup_us=us(1)),
}
NO_ANNA = replace(settings(RULES["no rule"]), agents=())
OBSTACLES: dict[str, tuple[ev.Event, AgentState | None]] = {
    "nothing": (ev.Tick(), AgentState.RESERVED),
    "paused": (ev.AgentPaused(agent_id=ANNA, reason="lunch"), AgentState.NOT_READY),
    "logged out": (ev.AgentLoggedOut(agent_id=ANNA), AgentState.OFFLINE),
    "unreachable": (
        ev.AgentDeviceChanged(agent_id=ANNA, reachable=False, in_use=False),
        AgentState.FAULTY,
    ),
    "in use": (
        ev.AgentDeviceChanged(agent_id=ANNA, reachable=True, in_use=True),
        AgentState.NOT_READY,
    ),
    "own call": (
        ev.AgentCallStarted(agent_id=ANNA, call_id="k", kind="outbound"),
        AgentState.TALK,
    ),
    "removed": (ev.SettingsApplied(settings=NO_ANNA), None),
}
"""What comes during the talk, and what the agent is shown to do after it."""


def _played(rule: str, obstacle: str) -> tuple[list[cmd.Command], AgentState | None]:
    acd = core_with(settings(RULES[rule]), ANNA)
    arrive(acd, C1, at(1))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(2))
    arrive(acd, C2, at(3))
    acd.step(OBSTACLES[obstacle][0], at(4))
    said = acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(5))
    said += acd.step(ev.Tick(), at(7))
    view = acd.agent_view(ANNA)
    return said, None if view is None else view.state


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_only_who_can_take_one_is_offered(
    rule: str, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, state = _played(rule, obstacle)
    assert state is OBSTACLES[obstacle][1]
    offered = [c.contact_id for c in said if isinstance(c, cmd.OfferContact)]
    assert offered == ([C2] if obstacle == "nothing" else [])

    def the_long_way(self: Hands, agent: Agent) -> None:
        self.settle(agent, seeks=True)

    monkeypatch.setattr(Hands, "freed", the_long_way)
    assert _played(rule, obstacle) == (said, state)
