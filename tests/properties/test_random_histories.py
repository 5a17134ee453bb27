"""Random histories against oracle, invariants, restored twins and replay.

``GKC_EXAMPLES`` sets how many (default 60, in `gkc test long` 2 500); hypothesis prints what
repeats a failure. Each has a city of its own, with every rule drawn (``city.drawn_city``).
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.properties.driver import Driver
from tests.properties.seeded import ways_of_many

EXAMPLES = int(os.environ.get("GKC_EXAMPLES", "60"))
LONG = max(EXAMPLES, 2_500)


class _Drawn:
    """Choices from hypothesis, so that failures shrink."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def number(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))


class _History(RuleBasedStateMachine):
    with_oracle = True
    driver: Driver
    begun = 0

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        type(self).begun += 1
        pick = _Drawn(data)
        self.ways, kind = ways_of_many(pick), pick.number(0, 2)
        self.driver = Driver(
            self.ways.__enter__(),
            pick,
            with_oracle=self.with_oracle,
            supervised=kind == 1,
            neighbours=kind == 2,
        )

    @rule(data=st.data())
    def anything(self, data: st.DataObject) -> None:
        self.driver.pick = _Drawn(data)
        self.driver.act()

    def teardown(self) -> None:
        if hasattr(self, "ways"):
            self.ways.__exit__(None, None, None)
        if hasattr(self, "driver"):
            self.driver.finish()


class OracleMachine(_History):
    """The core and the naive distributor decide alike."""


class FullMachine(_History):
    """Everything that may happen, also what the oracle does not know: the invariants hold."""

    with_oracle = False


_PROFILE = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOracle = OracleMachine.TestCase
TestOracle.settings = _PROFILE
TestFull = FullMachine.TestCase
TestFull.settings = _PROFILE


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [OracleMachine, FullMachine])
def test_thousands_of_histories(machine: type[_History]) -> None:
    machine.begun = 0
    run_state_machine_as_test(machine, settings=settings(_PROFILE, max_examples=LONG))
    sys.stdout.write(f"\n{machine.__name__}: {machine.begun} histories, every rule drawn\n")
    assert machine.begun >= LONG
