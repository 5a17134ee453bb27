"""When an alert is raised and cleared: against a slow reading of the whole history."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.alerts.evaluator import Evaluator, Key, Rule, Transition
from gkc_engine.ids import SECOND, Instant, Micros, seconds

KEY = Key("line", "passport")


def rule(*, above: bool = True, for_s: float = 5, clear: float = 10) -> Rule:
    return Rule(
        key=KEY, threshold=20 if above else 5, above=above, clear=clear, for_us=seconds(for_s)
    )


def played(
    a_rule: Rule, values: Sequence[float | None], restarts: set[int] | None = None
) -> list[Transition]:
    """Look once a second; at ``restarts`` the process dies and another takes up what stands."""
    evaluator = Evaluator()
    evaluator.replace([a_rule], Instant(0))
    said: list[Transition] = []
    for second, value in enumerate(values):
        if second in (restarts or set()):
            standing, evaluator = evaluator.standing, Evaluator()
            evaluator.restore(standing)
            evaluator.replace([a_rule], Instant(second * SECOND))
        said += evaluator.look(Instant(second * SECOND), {KEY: value})
    return said


def times(said: list[Transition]) -> list[tuple[bool, float]]:
    return [(t.raised, t.at / SECOND) for t in said]


def test_raised_after_its_time_and_cleared_once() -> None:
    values = [0.0, 21, 30, 21, 22, 25, 40, 40, 15, 15, 15, 15, 15, 15, 10, 9, 8, 7, 6, 5, 4, 3]
    # Beyond since second 1, for 5 s: 6. At 15 it is neither; calm since 14, for 5 s: 19.
    said = played(rule(), values)
    assert times(said) == [(True, 6.0), (False, 19.0)]
    assert (said[0].since, said[0].value) == (Instant(SECOND), 40)
    assert (said[1].since, said[1].value) == (Instant(14 * SECOND), 5)


def test_a_break_begins_the_time_anew() -> None:
    assert played(rule(), [21, 21, 21, 21, 21, 20, 21, 21, 21, 21, 21]) == []
    assert times(played(rule(), [21] * 5 + [20] + [21] * 6)) == [(True, 11.0)]


def test_a_value_that_swings_between_is_told_once() -> None:
    swinging = [25.0] * 10 + [15.0, 25.0] * 200
    assert times(played(rule(for_s=0.5), swinging)) == [(True, 1.0)]


def test_who_falls_at_once_is_cleared_after_the_time_too() -> None:
    assert times(played(rule(), [21.0] * 6 + [0.0] * 9)) == [(True, 5.0), (False, 11.0)]


def test_below_is_the_other_way_round_and_unknown_is_calm() -> None:
    assert times(played(rule(above=False), [4.0] * 7)) == [(True, 5.0)]
    assert times(played(rule(above=False), [4.0] * 7 + [None] * 7)) == [(True, 5.0), (False, 12.0)]
    assert played(rule(above=False), [None] * 20) == []
    assert played(rule(above=False), [5.0] * 20) == [], "at the threshold is not below it"


def test_what_the_config_does_not_have_any_more_is_cleared_once() -> None:
    evaluator = Evaluator()
    evaluator.replace([rule()], Instant(0))
    for second in range(7):
        evaluator.look(Instant(second * SECOND), {KEY: 99})
    (gone,) = evaluator.replace([], Instant(8 * SECOND))
    assert (gone.raised, gone.gone, gone.at) == (False, True, Instant(8 * SECOND))
    assert evaluator.replace([], Instant(9 * SECOND)) == []
    assert evaluator.standing == set()


def test_a_queue_without_a_value_is_not_looked_at() -> None:
    evaluator = Evaluator()
    evaluator.replace([rule()], Instant(0))
    assert evaluator.look(Instant(0), {}) == []


VALUES = st.lists(st.sampled_from([None, 0.0, 9.0, 10.0, 15.0, 20.0, 21.0, 50.0]), max_size=60)


def slowly(values: list[float | None], for_s: int) -> list[tuple[bool, float]]:
    """The words of the reference, read anew at every second."""
    told: list[tuple[bool, float]] = []
    for now in range(len(values)):
        stands = bool(told) and told[-1][0]
        last = round(told[-1][1]) + 1 if told else 0
        if now - for_s < last:
            continue
        span = values[now - for_s : now + 1]
        beyond = all(v is not None and v > 20 for v in span)
        calm = all(v is None or v <= 10 for v in span)
        if calm if stands else beyond:
            told.append((not stands, float(now)))
    return told


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(1, 6))
def test_as_the_reference_says_it(values: list[float | None], for_s: int) -> None:
    said = times(played(rule(for_s=for_s), values))
    assert said == slowly(values, for_s)
    for before, after in pairwise(said):
        assert before[0] is not after[0], "raised and cleared take turns"


@settings(max_examples=60, deadline=None)
@given(VALUES, st.sets(st.integers(0, 59), max_size=3))
def test_a_restart_raises_nothing_a_second_time(
    values: list[float | None], restarts: set[int]
) -> None:
    said = times(played(rule(for_s=2), values, restarts))
    assert [raised for raised, _ in said] == [n % 2 == 0 for n in range(len(said))]


@pytest.mark.parametrize("for_s", [1, 30])
def test_it_is_raised_within_a_look_of_its_time(for_s: int) -> None:
    ((_, at),) = times(played(rule(for_s=for_s), [21.0] * (for_s + 3)))
    assert at == for_s
    assert Micros(round(at * SECOND)) - seconds(for_s) <= SECOND
