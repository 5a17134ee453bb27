"""Random histories against oracle, invariants, restored twins and replay.

``GKC_EXAMPLES`` sets how many (default 100); hypothesis prints what repeats a failure.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gkc_engine.acd.settings import Order, Strategy
from tests.properties.city import city, rich_city
from tests.properties.driver import Driver

EXAMPLES = int(os.environ.get("GKC_EXAMPLES", "100"))


class _Drawn:
    """Choices from hypothesis, so that failures shrink."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def number(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))


class _History(RuleBasedStateMachine):
    with_oracle = True
    driver: Driver

    @initialize(data=st.data(), order=st.sampled_from(Order), strategy=st.sampled_from(Strategy))
    def begin(self, data: st.DataObject, order: Order, strategy: Strategy) -> None:
        pick = _Drawn(data)
        settings = (city if self.with_oracle else rich_city)(order, strategy)
        self.driver = Driver(settings, pick, with_oracle=self.with_oracle)

    @rule(data=st.data())
    def anything(self, data: st.DataObject) -> None:
        self.driver.pick = _Drawn(data)
        self.driver.act()

    def teardown(self) -> None:
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
