from __future__ import annotations

from gkc_engine.acd.commands import AgentState, AgentStateChanged
from gkc_engine.control.present import AgentTimes
from gkc_engine.ids import Instant
from tests.control.fake import IVANOVA, PETROV
from tests.control.test_metrics import Step


def changed(slot: int, since: int) -> AgentStateChanged:
    return AgentStateChanged(
        agent_id=IVANOVA, slot=slot, state=AgentState.READY, since=Instant(since)
    )


def test_the_last_change_of_each_slot_counts() -> None:
    times = AgentTimes()
    times.steps([Step(commands=[changed(0, 10), changed(1, 20)]), Step(commands=[changed(0, 30)])])
    assert times.since(IVANOVA) == 30
    assert times.since(IVANOVA, 1) == 20
    assert times.since(PETROV) is None


def test_an_interval_of_the_last_run_gives_way_to_what_was_said_since() -> None:
    times = AgentTimes()
    times.add(PETROV, 0, Instant(5))
    times.steps([Step(commands=[changed(0, 30)])])
    times.add(IVANOVA, 0, Instant(5))
    assert times.since(PETROV) == 5
    assert times.since(IVANOVA) == 30
