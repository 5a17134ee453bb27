"""What the estimate of a wait learns from, and when it says nothing."""

from __future__ import annotations

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.expected_wait import LAST_MIN, SAMPLES_MIN
from gkc_engine.acd.measured import WINDOW
from gkc_engine.ids import AgentId
from tests.acd.hall import Hall, exponential_s, handled, over
from tests.acd.test_expected_wait import MEAN_S, busy, qlr_s

# --- too little data ----------------------------------------------------------------------------


def test_too_few_data_are_not_spoken_of() -> None:
    hall = Hall({"q": ""}, [(1, "")])
    hall.come("q")
    (name,) = hall.come("q")
    hall.learn("q", [MEAN_S] * (SAMPLES_MIN - 1))
    assert hall.expect_s(name) is None
    hall.learn("q", [MEAN_S])
    assert hall.expect_s(name) is not None


def test_another_queue_s_data_do_not_help() -> None:
    hall = Hall({"q": "", "r": ""}, [(1, "")])
    hall.come("q")
    (name,) = hall.come("q")
    hall.learn("r", [MEAN_S] * SAMPLES_MIN)
    assert hall.expect_s(name) is None


def test_with_little_data_it_is_the_wait_of_the_last_served() -> None:
    hall = Hall({"q": ""}, [(1, "")])
    waiting = hall.come(*"qqqqq")
    asks = waiting[-1]
    for answered in range(LAST_MIN - 1):
        assert hall.expect_s(asks) is None, answered
        hall.after(30)
        hall.leave(waiting[answered])
    # Three have been answered, the last of them after 60 s; this one has waited for 60 s too.
    assert hall.expect_s(asks) is None, "longer than the last one: nothing is known"
    (late,) = hall.come("q")
    assert hall.expect_s(late) == 60.0
    hall.after(20)
    assert hall.expect_s(late) == 40.0
    hall.leave(waiting[LAST_MIN - 1])
    assert hall.expect_s(late) == 60.0, "the fourth waited for 80 s"
    hall.say(ev.AgentPaused(agent_id=AgentId("-00"), reason="lunch"))
    assert hall.expect_s(late) is None, "nobody is at work"


def test_a_talk_that_is_over_still_says_how_long_it_had_waited() -> None:
    hall = Hall({"q": ""}, [(1, "")], wrap_up_s=10.0)
    for name in hall.come(*"qqq"):
        hall.after(30)
        hall.leave(name)
        if hall.line:
            hall.after(10)
    (late,) = hall.come("q")
    assert hall.expect_s(late) == 80.0, "the third waited for 80 s; his talk is being written up"


# --- what teaches -------------------------------------------------------------------------------


def test_ring_talk_hold_and_wrap_up_hold_the_slot() -> None:
    hall = Hall({"q": ""}, [(1, "")])
    hall.learn("q", exponential_s(60.0), wrap_up_s=40.0)
    handling = hall.expected._handling[next(iter(hall.acd.queues()))]
    assert handling.held_us / handling.count == pytest.approx(60e6, rel=1e-6)
    assert handling.wrap_us / handling.wraps == pytest.approx(40e6)


def test_an_offer_without_a_talk_teaches_nothing() -> None:
    hall = Hall({"q": ""}, [(1, "")])
    facts = [f for f in handled("q", 20.0) if getattr(f, "state", None) != "talk"]
    for _ in range(SAMPLES_MIN):
        hall.expected.learn(facts)
    assert not hall.expected._handling


@pytest.mark.parametrize(
    "foreign", [over("q", 1.0, Disposition.ABANDONED, via="fallback"), over("r", 1.0)]
)
def test_patience_is_that_of_who_waited_for_us_in_this_queue(foreign: object) -> None:
    hall = busy([(4, "")])
    hall.expected.learn([foreign] * 100)  # type: ignore[list-item]
    names = hall.come(*"qqqqq")
    assert hall.expect_s(names[-1]) == pytest.approx(qlr_s(5, 4), abs=2e-6)


def test_the_old_is_forgotten() -> None:
    hall = Hall({"q": ""}, [(1, "")])
    hall.learn("q", exponential_s(600.0))
    for _ in range(30):
        hall.learn("q", exponential_s(60.0))
    handling = hall.expected._handling[next(iter(hall.acd.queues()))]
    assert handling.held_us / handling.count == pytest.approx(60e6, rel=0.05)
    assert handling.count <= 4 * WINDOW
    assert sum(handling._ends) == pytest.approx(handling.count)
    assert sum(handling._lasted_us) == pytest.approx(handling.held_us)


def test_nothing_grows_with_the_number_of_contacts() -> None:
    hall = Hall({"q": ""}, [(2, "")])
    sizes = set()
    for _ in range(50):
        hall.come("q")
        hall.after(5)
        hall.leave(next(iter(hall.acd.contacts())))
        e = hall.expected
        sizes.add((len(e._held), len(e._served), len(e._last_wait), len(e._shapes)))
    assert max(size[0] for size in sizes) <= 2
    assert max(sum(size) for size in sizes) <= 7


def test_a_big_look_ahead_is_made_in_slices_while_the_last_one_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gkc_engine.acd.expected_wait.FRESH_COST", 1)
    monkeypatch.setattr("gkc_engine.acd.expected_wait.KEPT_PER_COST", 1)
    monkeypatch.setattr("gkc_engine.acd.expected_wait.SLICE", 100)
    hall = busy([(4, "")])
    names = hall.come(*"q" * 150)
    asked = 0
    while (found := hall.expect_s(names[-1])) is None:
        assert hall.expect_s(names[-1]) is None, "many who ask at once make one slice"
        hall.after(1)
        asked += 1
    assert 1 <= asked <= 5
    assert found == pytest.approx(qlr_s(150, 4) - asked, rel=0.02), "from the instant it was begun"
    hall.after(30)
    older = hall.expect_s(names[-1])
    assert older == pytest.approx(found - 30, abs=1e-3), "the last one, while the next is made"
    later = []
    for _ in range(5):
        hall.after(1)
        later.append(hall.expect_s(names[-1]))
    assert later[-1] == pytest.approx(qlr_s(150, 4), rel=0.02)
    hall.say(ev.SettingsApplied(settings=hall.settings()))
    assert hall.expect_s(names[-1]) is None, "of another config"
