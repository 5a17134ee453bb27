"""The runner against the naive world: who answers whom, to the microsecond, ties and all."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gkc_engine.acd.commands import Command
from gkc_engine.acd.core import Acd
from gkc_engine.acd.events import Tick
from gkc_engine.ids import Micros
from gkc_engine.simulation import runner
from gkc_engine.simulation.plan import Arrival, Plan
from gkc_engine.simulation.replications import Task, simulate
from gkc_engine.simulation.runner import Runner
from gkc_engine.simulation.scenario import load_scenario
from gkc_engine.simulation.tally import TOTAL
from tests.simulation.naive import NaiveWorld, Row, random_arrivals, random_plan
from tests.simulation.test_scenario import SCENARIOS


def rows(plan: Plan, arrivals: list[Arrival], seed: int) -> list[Row]:
    one = Runner(plan, iter(arrivals), seed, 0, keep_fates=True)
    one.run()
    assert one.fates is not None
    return [(fate.outcome, fate.agent, fate.answered) for fate in one.fates]


def differences(seed: int, *, missing: bool, count: int = 30) -> list[tuple[int, Row, Row]]:
    pick = random.Random(seed)
    plan = random_plan(pick, missing=missing)
    arrivals = random_arrivals(pick, plan, count)
    ours, naive = rows(plan, arrivals, seed), NaiveWorld(plan, arrivals, seed).run()
    return [(n, a, b) for n, (a, b) in enumerate(zip(ours, naive, strict=True)) if a != b]


@pytest.mark.parametrize("missing", [False, True], ids=["all answer", "some miss"])
def test_every_contact_fares_as_in_the_naive_world(missing: bool) -> None:
    found = {seed: differences(seed, missing=missing) for seed in range(80)}
    assert {seed: wrong for seed, wrong in found.items() if wrong} == {}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_more_fare_as_in_the_naive_world() -> None:
    wrong = [seed for seed in range(1000, 4000) if differences(seed, missing=seed % 2 == 1)]
    assert wrong == []


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: str(file.stem))
def test_the_shipped_scenarios_run(file: Path) -> None:
    plan = replace(load_scenario(file), contacts=300, duration_us=None, warmup_us=Micros(0))
    (result,) = simulate(Task(plan=plan, seed=1), 1, jobs=1)
    total = result.figures[TOTAL]
    assert total["offered"] == 300
    assert (total["answered"] or 0) > 200
    assert total["waiting"] == 0
    shares = [share for share in result.occupancy.values() if share is not None]
    assert shares
    assert all(0.0 <= share <= 1.0 for share in shares)


# --- the check itself ----------------------------------------------------------------------------


def instant_in_one_go(patch: pytest.MonkeyPatch) -> None:
    def planted(self: Acd) -> list[Command]:
        due = self.next_deadline()
        assert due is not None
        return self.step(Tick(), due)

    patch.setattr(Acd, "run_next", planted)


def patience_ends_before_the_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runner, "_LEAVING", -1)


def arrivals_come_before_ends_of_talks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runner, "_ARRIVAL", -1)


def talks_end_after_arrivals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runner, "_ABLE", 5)


def answers_come_last(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runner, "_RESULT", 5)


def agents_in_no_order(patch: pytest.MonkeyPatch) -> None:
    def planted(self: Runner, offer: int) -> None:
        self._ranks = dict.fromkeys(self._ranks, 0)
        result(self, offer)

    result = Runner._result
    patch.setattr(Runner, "_result", planted)


BUGS = [
    instant_in_one_go,
    patience_ends_before_the_answer,
    arrivals_come_before_ends_of_talks,
    talks_end_after_arrivals,
    answers_come_last,
    agents_in_no_order,
]


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_the_naive_world_finds(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(differences(seed, missing=seed % 2 == 1) for seed in range(400)), "nobody noticed"
