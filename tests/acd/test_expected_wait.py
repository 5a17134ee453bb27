"""The estimate of a wait: closed forms, shared agents against a simulation, when there is none."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.forecast import WAITING_MAX
from gkc_engine.acd.settings import ContactClass, Medium, Order
from gkc_engine.ids import SECOND, AgentId, ContactId, seconds
from tests.acd.hall import NOW, Hall, exponential_s, over

MEAN_S, PATIENCE_S = 240.0, 120.0


def qlr_s(place: int, agents: int, theta: float = 0.0, mean_s: float = MEAN_S) -> float:
    return sum(1 / (agents / mean_s + i * theta) for i in range(place))


def busy(pools: list[tuple[int, str]], *, queues: dict[str, str] | None = None) -> Hall:
    """Return a hall where everybody talks, with one call for each agent, and all is known."""
    hall = Hall(queues or {"q": ""}, pools)
    for count, skills in pools:
        hall.come(*[skills[0] if skills else "q"] * count)
    assert not hall.line
    for queue in hall.queues:
        hall.learn(queue, exponential_s(MEAN_S))
    return hall


# --- one pool ----------------------------------------------------------------------------------


@pytest.mark.parametrize("patience_s", [None, PATIENCE_S])
@pytest.mark.parametrize("agents", [1, 4, 30])
def test_a_homogeneous_pool_gives_qlr_to_the_microsecond(
    agents: int, patience_s: float | None
) -> None:
    hall = busy([(agents, "")])
    theta = 0.0
    if patience_s is not None:
        hall.learn_patience("q", patience_s)
        theta = 1 / patience_s
    for place, name in enumerate(hall.come(*"q" * 25), start=1):
        found = hall.expect_s(name)
        assert found == pytest.approx(qlr_s(place, agents, theta), abs=2e-6), place


def test_agents_with_other_skills_beside_are_one_pool_too() -> None:
    queues = {"a": "a", "x": "x", "y": "y"}
    hall = busy([(2, "a"), (3, "ax"), (1, "axy")], queues=queues)
    for place, name in enumerate(hall.come(*"a" * 10), start=1):
        assert hall.expect_s(name) == pytest.approx(qlr_s(place, 6), abs=2e-6)


def test_who_leaves_ahead_moves_everybody_up() -> None:
    hall = busy([(4, "")])
    names = hall.come(*"qqqq")
    hall.leave(names[1])
    assert hall.expect_s(names[3]) == pytest.approx(qlr_s(3, 4), abs=2e-6)


def test_who_waits_now_counts_for_patience() -> None:
    """One left after 60 s on average; if twenty have stayed for 60 s, it is one in 1 260 s."""
    hall = busy([(4, "")])
    names = hall.come(*"q" * 20)
    hall.after(60)
    hall.expected.learn([over("q", 60, Disposition.ABANDONED)])
    mean_s = MEAN_S + 4 * 60 / 400  # the four who talk have not finished either
    expected = qlr_s(20, 4, 1 / (60 + 20 * 60), mean_s)
    assert hall.expect_s(names[-1]) == pytest.approx(expected, rel=1e-6)


def test_talks_in_progress_count_for_the_mean_handling_time() -> None:
    """In the first minutes only short talks are over: without the others the mean is too low."""
    hall = Hall({"q": ""}, [(30, "")])
    rng = random.Random(6)
    ends = {name: rng.expovariate(1 / MEAN_S) for name in hall.come(*"q" * 30)}
    for name, end_s in sorted(ends.items(), key=lambda item: item[1]):
        if end_s < 150:
            hall.after(end_s - (hall.now - NOW) / SECOND)
            hall.leave(name)
    hall.after(150 - (hall.now - NOW) / SECOND)
    done = [end_s for end_s in ends.values() if end_s < 150]
    censored_s = (sum(done) + 150 * (30 - len(done))) / len(done)
    assert sum(done) / len(done) < 80, "what is over"
    names = hall.come(*"q" * (len(done) + 1))
    assert hall.expect_s(names[-1]) == pytest.approx(censored_s / 30, rel=0.05)


def test_paused_and_unreachable_agents_are_not_counted() -> None:
    hall = busy([(4, "")])
    (name,) = hall.come("q")
    hall.say(ev.AgentPaused(agent_id=AgentId("-00"), reason="lunch"))
    hall.say(ev.AgentDeviceChanged(agent_id=AgentId("-01"), reachable=False, in_use=False))
    assert hall.expect_s(name) == pytest.approx(qlr_s(1, 2), abs=2e-6)
    for agent in ("-02", "-03"):
        hall.say(ev.AgentLoggedOut(agent_id=AgentId(agent)))
    assert hall.expect_s(name) is None, "nobody is at work"


def test_a_higher_class_stands_ahead_and_a_lower_one_does_not() -> None:
    hall = busy([(4, "")])
    (mine,) = hall.come("q")
    before = hall.expect_s(mine)
    (other,) = hall.come("q")
    promoted = ev.ContactStarted(
        contact_id=ContactId("urgent"), medium=Medium.VOICE, number="", entry=""
    )
    hall.say(promoted)
    hall.say(
        ev.QueueRequested(
            contact_id=ContactId("urgent"),
            queue=next(iter(hall.acd.queues())),
            contact_class=ContactClass.EMERGENCY,
        )
    )
    assert before == pytest.approx(qlr_s(1, 4), abs=2e-6)
    assert hall.expect_s("urgent") == pytest.approx(qlr_s(1, 4), abs=2e-6)
    assert hall.expect_s(mine) == pytest.approx(qlr_s(2, 4), abs=2e-6)
    assert hall.expect_s(other) == pytest.approx(qlr_s(3, 4), abs=2e-6)


def test_a_ring_is_part_of_the_wait() -> None:
    hall = busy([(4, "")])
    (name,) = hall.come("q")
    before = hall.expect_s(name)
    assert before is not None
    handling = hall.expected._handling[next(iter(hall.acd.queues()))]
    handling.rings, handling.ring_us = 2.0, 2.0 * seconds(6)
    assert hall.expect_s(name) == pytest.approx(before + 6)


def test_one_who_comes_now_would_stand_last() -> None:
    hall = busy([(4, "")])
    queue = next(iter(hall.acd.queues()))
    assert hall.expected.expect_new(hall.acd, queue, hall.now) == seconds(qlr_s(1, 4))
    hall.come(*"qqq")
    assert hall.expected.expect_new(hall.acd, queue, hall.now) == pytest.approx(
        seconds(qlr_s(4, 4)), abs=2
    )
    hall.leave("q0")
    hall.leave("q1")
    hall.leave("q2")
    hall.leave("q3")
    assert not hall.line
    assert hall.expected.expect_new(hall.acd, queue, hall.now) == 0, "somebody is ready"


def test_who_does_not_wait_is_told_nothing() -> None:
    hall = busy([(1, "")])
    assert hall.expect_s("q0") is None, "talks"
    assert hall.expect_s("nobody") is None


# --- elapsed handling time -----------------------------------------------------------------------


def test_the_elapsed_time_of_a_talk_is_used_when_it_matters() -> None:
    """Talks of four minutes to the second: after three, one minute is left, then four more."""
    hall = Hall({"q": ""}, [(1, "")])
    hall.learn("q", [MEAN_S] * 50)
    hall.come("q")
    first, second = hall.come("q", "q")
    assert hall.expect_s(first) == pytest.approx(240, rel=0.1)
    hall.after(180)
    assert hall.expect_s(first) == pytest.approx(60, rel=0.25)
    assert hall.expect_s(second) == pytest.approx(300, rel=0.05)


def test_calls_that_came_one_after_another_end_one_after_another() -> None:
    """Ten talks of four minutes, begun 20 s apart: 40 s to the first end, then every 20 s."""
    hall = Hall({"q": ""}, [(10, "")])
    hall.learn("q", [MEAN_S] * 50)
    for _ in range(10):
        hall.come("q")
        hall.after(20)
    for place, name in enumerate(hall.come(*"q" * 10)):
        assert hall.expect_s(name) == pytest.approx(40 + 20 * place, abs=12), place


def test_with_exponential_talks_it_does_not_matter() -> None:
    hall = busy([(1, "")])
    (name,) = hall.come("q")
    hall.after(600)
    assert hall.expect_s(name) == pytest.approx(MEAN_S + 600 / 400, abs=2e-6)


def test_a_wrap_up_ends_when_it_ends() -> None:
    hall = Hall({"q": ""}, [(1, "")], wrap_up_s=30.0)
    hall.learn("q", exponential_s(90.0), wrap_up_s=30.0)
    hall.come("q")
    first, second = hall.come("q", "q")
    assert hall.expect_s(first) == pytest.approx(120, rel=0.08)
    hall.leave("q0")
    assert hall.expect_s(first) == pytest.approx(30, rel=0.2)
    assert hall.expect_s(second) == pytest.approx(150, rel=0.05)
    hall.after(20)
    assert hall.expect_s(first) == pytest.approx(10, rel=0.3)


# --- shared agents, steps ----------------------------------------------------------------------


@dataclass(frozen=True)
class Shared:
    """A design with who waits; the last of them asks."""

    name: str
    pools: tuple[tuple[int, str], ...]
    line: str


DESIGNS = (
    Shared("V", ((6, "ab"),), "abababababab"),
    Shared("N, own agents first", ((4, "a"), (3, "ab")), "bbbbba"),
    Shared("N, the shared ones are taken", ((4, "a"), (3, "ab")), "aaabab"),
    Shared("M", ((3, "a"), (3, "ab"), (3, "b")), "ababababab"),
    Shared("M, the other side is long", ((3, "a"), (3, "ab"), (3, "b")), "aaaaaaaaaab"),
    Shared("W", ((4, "ab"), (4, "bc")), "abcabcabcabcb"),
    Shared("X", ((3, "ab"), (3, "ab")), "ababab"),
)


def compare(design: Shared, patience_s: float | None, runs: int) -> float:
    """Return what is expected over what a simulation of the same hall gives, less 1."""
    letters = sorted({letter for _, skills in design.pools for letter in skills})
    hall = busy(list(design.pools), queues={letter: letter for letter in letters})
    names = hall.come(*design.line)
    assert hall.line == names
    if patience_s is not None:
        for letter in letters:
            hall.learn_patience(letter, patience_s)
    theta = 0.0 if patience_s is None else 1 / patience_s
    found = hall.expect_s(names[-1])
    assert found is not None
    return found / hall.simulated_s(names[-1], MEAN_S, theta, runs, random.Random(1)) - 1


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.name)
def test_shared_agents_count_their_share(design: Shared) -> None:
    assert abs(compare(design, PATIENCE_S * 2, runs=400)) <= 0.16


@pytest.mark.long
@pytest.mark.parametrize("patience_s", [None, PATIENCE_S * 2])
@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.name)
def test_shared_agents_count_their_share_in_many_runs(
    design: Shared, patience_s: float | None
) -> None:
    error = compare(design, patience_s, runs=20_000)
    assert abs(error) <= 0.10, f"{design.name}: {error:+.1%}"


def test_a_step_widens_who_may_serve() -> None:
    """Before the step it is known to come; after it, both pools serve; both against simulation."""
    hall = Hall({"a": "a", "b": "b"}, [(2, "a"), (6, "b")], relax={"a": (60.0, "")})
    hall.come(*"aa", *"bbbbbb")
    assert not hall.line
    for queue in "ab":
        hall.learn(queue, exponential_s(MEAN_S))
    hall.come(*"b" * 2)
    names = hall.come(*"aaaa")
    far = hall.expect_s(names[-1])
    assert far is not None
    assert far < qlr_s(4, 2), "without the step"
    assert far > 60 + qlr_s(1, 8), "as if it were over"
    hall.after(60)
    assert [v.step for v in (hall.acd.contact_view(ContactId(n)) for n in names) if v] == [1] * 4
    found = hall.expect_s(names[-1])
    hall.queues["a"] = ""  # What the simulation is told: they may be served by anybody now.
    simulated = hall.simulated_s(names[-1], MEAN_S, 0.0, 600, random.Random(2))
    assert found == pytest.approx(simulated, rel=0.1)


def test_a_line_nobody_can_serve_is_in_nobody_s_way() -> None:
    hall = busy([(4, "a")], queues={"a": "a", "z": "z"})
    lost = hall.come(*"zzz")
    (mine,) = hall.come("a")
    assert hall.expect_s(mine) == pytest.approx(qlr_s(1, 4), abs=2e-6)
    assert hall.expect_s(lost[0]) is None


@pytest.mark.parametrize("order", Order)
def test_every_law_of_order_has_an_answer_that_grows_along_the_line(order: Order) -> None:
    hall = Hall({"a": "a", "b": "b"}, [(2, "ab")], order=order)
    hall.come("a", "b")
    for queue in "ab":
        hall.learn(queue, exponential_s(MEAN_S))
    names = hall.come(*"aabbab")
    hall.after(10)
    for queue in "ab":
        waits = [hall.expect_s(name) for name in names if name.startswith(queue)]
        assert None not in waits
        assert waits == sorted(waits, key=lambda w: w or 0.0)


# --- many who wait, and who ask ----------------------------------------------------------------


def test_beyond_two_thousand_a_sample_is_enough() -> None:
    hall = busy([(10, "")])
    names = hall.come(*["q"] * (WAITING_MAX + 500))
    for place in (1, 50, 1000, len(names)):
        found = hall.expect_s(names[place - 1])
        assert found == pytest.approx(qlr_s(place, 10), rel=0.01, abs=2 * qlr_s(1, 10))


def test_a_costly_look_ahead_is_kept_for_a_moment_and_its_time_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gkc_engine.acd.expected_wait.FRESH_COST", 1)
    monkeypatch.setattr("gkc_engine.acd.expected_wait.KEPT_PER_COST", 1_000_000)
    hall = busy([(4, "")])
    first, second = hall.come("q", "q")
    assert hall.expect_s(second) == pytest.approx(qlr_s(2, 4), abs=2e-6)
    kept = hall.expected._forecast
    (third,) = hall.come("q")
    hall.after(5)
    assert hall.expect_s(second) == pytest.approx(qlr_s(2, 4) - 5, abs=2e-6)
    assert hall.expect_s(third) == pytest.approx(qlr_s(3, 4) - 5, abs=2e-6), "behind all he knew"
    assert hall.expected._forecast is kept
    hall.after(60)
    assert hall.expect_s(first) == pytest.approx(qlr_s(1, 4), rel=0.01)
    assert hall.expected._forecast is not kept
