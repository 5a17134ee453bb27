"""The benches of the core do not rot: their arithmetic, and a small form of each for real."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import acd, ewt, yardsticks
from bench.acd import Figure, quick_scale
from bench.acd_load import ACCEPT, ARRIVE, REGISTER, RELEASE, TICK, Center, Size, decisions
from bench.virtual import Asked
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import ContactState
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros

HOME = Path(__file__).parents[1]
SMALL = Size(agents=30, profiles=6, load=1.05, waiting=90, steps=True, skills=10, classes=12)


def figure(measured: float, must: float | None, aim: float | None, *, more: bool = False) -> Figure:
    return Figure(
        row="r", what="w", measured=measured, unit="µs", must=must, aim=aim, more_is_better=more
    )


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (figure(10, 10, 3), "ok, aim missed"),
        (figure(10.01, 10, 3), "MISSED"),
        (figure(3, 10, 3), "ok, aim reached"),
        (figure(2, 2, None), "ok"),
        (figure(2, None, None), ""),
        (figure(101, None, 100), "aim missed"),
        (figure(999, 1000, 10_000, more=True), "MISSED"),
        (figure(1000, 1000, 10_000, more=True), "ok, aim missed"),
    ],
)
def test_a_limit_is_kept_up_to_the_limit_itself(found: Figure, verdict: str) -> None:
    assert found.verdict == verdict


def test_the_table_shows_limits_and_verdicts() -> None:
    rows = acd.table([figure(3.456, 10, 3), figure(12_345, 1_000, None, more=True)]).splitlines()
    assert rows[2] == "| r | w | 3.46 µs | ≤ 10.00 µs | ≤ 3.00 µs | ok, aim missed |"
    assert rows[3] == "| r | w | 12 345 µs | ≥ 1 000 µs |  | ok |"


def test_a_decision_is_an_arrival_or_a_release_with_its_part_of_the_steps() -> None:
    center = Center(SMALL)
    center.clear()
    center.timings[ARRIVE].each.extend([4_000, 6_000])
    center.timings[RELEASE].each.extend([20_000])
    center.timings[TICK].each.extend([2_000, 3_000])
    center.timings[TICK].between = 1_000
    center.timings[REGISTER].each.extend([1_000, 2_000])
    center.timings[ACCEPT].each.extend([9_000_000])
    found = decisions(center)
    assert found.count == 3
    assert found.us == pytest.approx((4 + 6 + 20 + 2 + 3 + 1) / 3)
    assert (found.arrive_us, found.release_us, found.tick_us) == (5.0, 20.0, 2.0)
    assert (found.register_us, found.accept_us) == (1.5, 9_000.0)
    assert found.p99_us == 20.0
    assert found.longest_ms == 9.0


def test_the_load_is_a_full_center_with_a_line_that_grows_and_reaches_its_steps() -> None:
    center = Center(SMALL).fill()
    state = center.acd.snapshot()
    waiting = [c for c in state.contacts if c.state is ContactState.WAITING]
    assert len(waiting) == center.waiting >= 90
    assert sum(c.state is ContactState.TALK for c in state.contacts) == 30
    assert {c.step for c in waiting} == {0, 1, 2}
    center.clear()
    center.run(400)
    assert len(center.timings[ARRIVE].each) + len(center.timings[RELEASE].each) == 400
    assert len(center.timings[REGISTER].each) == len(center.timings[ARRIVE].each)
    assert len(center.timings[TICK].each) > 50
    contacts = center.acd.snapshot().contacts
    assert center.waiting == sum(c.state is ContactState.WAITING for c in contacts)


def test_the_full_scan_makes_the_choices_of_the_core() -> None:
    """So the factor between them is that of the structure, not of another task."""
    center = Center(replace(SMALL, steps=False)).fill()
    world = center.acd._world
    needs = {q: [req.need for _, req in queue.steps] for q, queue in world.queues.items()}
    compared = 0
    for agent in list(world.agents.values()):
        waiting = [c for c in world.contacts.values() if c.state is ContactState.WAITING]
        expected = yardsticks._scan_waiting(waiting, agent.skills, needs)
        talk = agent.slots[0].contact
        assert talk is not None
        said = center.acd.step(ev.ContactLeft(contact_id=talk, party=ev.Party.CITIZEN), center.now)
        offers = [c.contact_id for c in said if isinstance(c, OfferContact)]
        assert offers == ([] if expected is None else [expected.contact_id])
        compared += len(offers)
    assert compared > 10
    ready = [a for a in world.agents.values() if world.can_take(a, Medium.VOICE)]
    for agent in ready[:1]:
        found = yardsticks._scan_agents(world.can_take, list(world.agents.values()), agent.skills)
        assert found is not None
        assert found.agent_id in {a.agent_id for a in ready}


@pytest.mark.accept
def test_the_small_form_runs_and_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert acd.main(["--quick"]) == 0
    table = capsys.readouterr().out
    for what in ("a decision", "heap pair", "full scan / decision", "longest pause", "growth"):
        assert f"| {what} |" in table


def test_a_missed_must_is_told_by_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acd, "full_scale", lambda _n: quick_scale())
    monkeypatch.setattr(acd, "ROWS", {"small": lambda _scale: [figure(11, 10, 3)]})
    assert acd.main(["--json", "--only", "small"]) == 1
    monkeypatch.setattr(acd, "ROWS", {"small": lambda _scale: [figure(9, 10, 3)]})
    assert acd.main(["--only", "small"]) == 0


def test_another_clock_may_count() -> None:
    center = Center(SMALL, clock=time.thread_time_ns)
    assert center.clock is time.thread_time_ns


# --- expected waits -----------------------------------------------------------------------------


def asked(place: int, expected_s: float, waited_s: float) -> Asked:
    return Asked(
        contact=ContactId("c"),
        queue="q",
        at=Instant(0),
        place=place,
        expected_us=Micros(round(expected_s * SECOND)),
        waited_us=round(waited_s * SECOND),
    )


def test_bias_and_rmse_are_over_the_mean_wait_and_against_the_closed_form() -> None:
    case = ewt.CASES[2]  # no patience: QL, 2.4 s a place
    found = ewt.accuracy(case, [asked(5, 13, 10), asked(10, 25, 30)], unknown=0)
    assert found.mean_wait_s == 20.0
    assert found.bias == pytest.approx((3 - 5) / 2 / 20)
    assert found.rmse == pytest.approx(((9 + 25) / 2) ** 0.5 / 20)
    assert found.yardstick == "QL"
    assert found.yardstick_rmse == pytest.approx(((2**2 + 6**2) / 2) ** 0.5 / 20)
    assert found.ratio == pytest.approx(found.rmse / found.yardstick_rmse)
    assert found.met
    assert not replace(found, ratio=1.051).met
    assert not replace(found, bias_max=0.03).met
    assert "| QL: " in ewt.table([found])


def test_a_little_of_it_comes_near_the_closed_form() -> None:
    found = ewt.measure(ewt.CASES[0], contacts=700, warm_up=500, seed=1)
    assert found.n > 200
    assert found.unknown == 0
    assert found.ratio < 1.25
    assert abs(found.bias - found.yardstick_bias) < 0.15


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("module", ["bench.ewt", "bench.acd"])
def test_in_full(module: str) -> None:
    sys.stdout.write(f"\n$ python -m {module}\n")
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=HOME, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"python -m {module}: exit {done.returncode}"


def test_agents_are_spread_over_the_profiles() -> None:
    center = Center(SMALL)
    agents = center.acd.snapshot().agents
    assert len({tuple(sorted(a.skills.items())) for a in agents}) == SMALL.profiles
    assert agents[0].agent_id == AgentId("a0")
