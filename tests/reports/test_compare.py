"""When a difference is one, and what made the load, by hand."""

from __future__ import annotations

import random
from math import log, prod

import pytest

from gkc_engine.ids import SECOND
from gkc_engine.reports.compare import (
    BY_KEY,
    Load,
    below,
    causes,
    counts_differ,
    denominator,
    late,
    shares_differ,
    verdict,
)
from gkc_engine.reports.findings import leading_hours, leading_service, pieces
from gkc_engine.reports.model import Verdict
from gkc_engine.reports.source import Counted
from gkc_engine.statistics.figures import Counts, service_level
from gkc_engine.statistics.report import Line


def line(in_time: int, late_ones: int = 0, abandoned: int = 0, short: int = 0) -> Line:
    counts = Counts(
        answered=in_time + late_ones,
        answered_in_target=in_time,
        abandoned=abandoned + short,
        abandoned_short=short,
    )
    return Line(counts=counts)


@pytest.mark.parametrize(
    ("new", "old", "differ"),
    [
        ((0.7, 10), (1.0, 10), True),  # 3 of 10: sure enough by the test, but see `verdict`
        ((0.7, 1000), (0.8, 1000), True),  # z = 5.16
        ((0.78, 1000), (0.80, 1000), False),  # z = 1.10
        ((0.84, 5_000_000), (0.845, 5_000_000), False),  # sure, and nothing to anybody
        ((1.0, 100), (1.0, 100), False),
        ((1.0, 100), (0.95, 100), False),  # pooled 0.975: z = 2.26
    ],
)
def test_shares(new: tuple[float, int], old: tuple[float, int], differ: bool) -> None:
    # The first: pooled 0.85, error 0.1597, z = 1.88 < 2.576.
    assert shares_differ(new, old) is (differ and new[1] > 10)


@pytest.mark.parametrize(
    ("new", "old", "differ"),
    [(1100, 1000, False), (1130, 1000, True), (10_300, 10_000, False), (5, 5, False)],
)
def test_counts(new: int, old: int, differ: bool) -> None:
    # 100 / sqrt(2100) = 2.18; 130 / sqrt(2130) = 2.82; 300 / sqrt(20300) = 2.1, and only 3 %.
    assert counts_differ(new, old) is differ


def test_a_change_of_three_of_ten_is_no_finding() -> None:
    level = BY_KEY["service_level"]
    assert verdict(level, line(7, 3), line(10)) is Verdict.TOO_FEW
    assert verdict(level, line(20, 9), line(29)) is Verdict.TOO_FEW
    assert verdict(level, line(20, 9), line(1000)) is Verdict.TOO_FEW
    assert verdict(level, line(15, 15), line(30)) is Verdict.WORSE
    assert verdict(level, line(30), line(15, 15)) is Verdict.BETTER
    assert verdict(level, line(80, 20), line(81, 19)) is Verdict.SAME
    assert verdict(level, line(0), line(81, 19)) is None


def test_a_small_difference_of_waits_is_the_same() -> None:
    mean = BY_KEY["asa_s"]

    def waited(seconds: float) -> Line:
        one = line(100)
        one.counts.wait_answered_us = round(seconds * 100 * SECOND)
        return one

    assert verdict(mean, waited(9.9), waited(8)) is Verdict.SAME  # less than two seconds
    assert verdict(mean, waited(10), waited(8)) is Verdict.WORSE
    assert verdict(mean, waited(108), waited(100)) is Verdict.SAME  # less than a tenth
    assert verdict(mean, waited(88), waited(100)) is Verdict.BETTER


def test_more_contacts_are_neither_good_nor_bad() -> None:
    assert verdict(BY_KEY["offered"], line(1200), line(1000)) is Verdict.MORE
    assert verdict(BY_KEY["abandoned"], line(0, 0, 50), line(0, 0, 100)) is Verdict.LESS


def test_a_goal_that_is_missed_by_chance_is_not_named() -> None:
    assert not below(line(39, 11).counts, 0.8)  # 78 % of 50: z = 0.35
    assert below(line(30, 20).counts, 0.8)  # 60 %: z = 3.54
    assert not below(line(5, 24).counts, 0.8)  # of 29
    assert not below(line(50).counts, 0.8)


def test_what_is_held_against_us() -> None:
    counts = line(70, 10, abandoned=20, short=5).counts
    assert (denominator(counts), late(counts)) == (100, 30)


# --- the load -------------------------------------------------------------------------------------


def test_causes_by_hand() -> None:
    # 120 calls of 150 s for 4 hours of operators; before, 100 of 100 s for 5 hours.
    found = causes(
        Load(offered=120, aht_s=150.0, hours=4.0), Load(offered=100, aht_s=100.0, hours=5.0)
    )
    assert found is not None
    assert found.calls == pytest.approx(1.2)
    assert found.talks == pytest.approx(1.5)
    assert found.operators == pytest.approx(1.25)
    assert found.load == pytest.approx((120 * 150 / 4) / (100 * 100 / 5))  # 2.25


def test_causes_always_add_up() -> None:
    rng = random.Random(1)
    for _ in range(200):
        new, old = (
            Load(offered=rng.randrange(1, 999), aht_s=rng.uniform(9, 900), hours=rng.uniform(1, 99))
            for _ in range(2)
        )
        found = causes(new, old)
        assert found is not None
        parts = (found.calls, found.talks, found.operators)
        assert prod(parts) == pytest.approx(found.load)
        assert sum(map(log, parts)) == pytest.approx(log(new.per_hour) - log(old.per_hour))


def test_causes_without_anything_to_divide_by() -> None:
    some = Load(offered=10, aht_s=60.0, hours=2.0)
    assert causes(some, Load(offered=0, aht_s=60.0, hours=2.0)) is None
    assert causes(Load(offered=10, aht_s=60.0, hours=0.0), some) is None
    unknown = Load(offered=10, aht_s=60.0, hours=None)
    alone = causes(Load(offered=20, aht_s=60.0, hours=None), unknown)
    assert alone is not None
    assert (alone.calls, alone.operators, alone.load) == (2.0, 1.0, 2.0)


# --- where ----------------------------------------------------------------------------------------


def test_pieces_by_hand() -> None:
    # a: 50 of 50 in time, then 30 of 60; b: 40 of 50 both times. All: 90 %, then 70 of 110.
    new, old = {"a": line(30, 30), "b": line(40, 10)}, {"a": line(50), "b": line(40, 10)}
    found = pieces(new, old)
    w_a, w_b = (60 / 110 + 0.5) / 2, (50 / 110 + 0.5) / 2
    middle = (70 / 110 + 0.9) / 2
    assert found["a"].points == pytest.approx(w_a * -0.5 + (0.75 - middle) * (60 / 110 - 0.5))
    assert found["b"].points == pytest.approx(w_b * 0 + (0.8 - middle) * (50 / 110 - 0.5))
    assert sum(p.points for p in found.values()) == pytest.approx(70 / 110 - 0.9)
    assert (found["a"].new, found["a"].old) == (0.5, 1.0)


def test_pieces_always_add_up() -> None:
    rng = random.Random(2)
    for _ in range(200):
        new, old = (
            {
                key: line(rng.randrange(50), rng.randrange(50), rng.randrange(9), rng.randrange(5))
                for key in rng.sample("abcdef", rng.randrange(1, 7))
            }
            for _ in range(2)
        )
        whole_new, whole_old = Counts(), Counts()
        for side, whole in ((new, whole_new), (old, whole_old)):
            for one in side.values():
                whole.add(one.counts)
        s_new, s_old = service_level(whole_new), service_level(whole_old)
        if s_new is None or s_old is None:
            continue
        found = pieces(new, old)
        assert sum(p.points for p in found.values()) == pytest.approx(s_new - s_old)


def test_one_service_stands_out_or_none_does() -> None:
    now, before = Counted(), Counted()
    now.by_service = {"mvd": line(30, 30), "zhkh": line(48, 2), None: line(20)}
    before.by_service = {"mvd": line(60), "zhkh": line(48, 2), None: line(20)}
    found = leading_service(now, before, 98 / 130 - 128 / 130)
    assert found is not None
    assert found[0] == "mvd"
    assert found[1].points == pytest.approx(-30 / 130)
    many = "abcdefgh"
    now.by_service = {key: line(40, 10) for key in many}
    before.by_service = {key: line(50) for key in many}
    assert leading_service(now, before, -0.2) is None  # an eighth each


def test_a_run_of_hours_that_stands_out() -> None:
    now, before = Counted(), Counted()
    before.by_hour = {hour: line(40) for hour in range(8, 18)}
    now.by_hour = {hour: line(20, 20) if 10 <= hour < 12 else line(40) for hour in range(8, 18)}
    found = leading_hours(now, before, -0.1)
    assert found is not None
    assert (found.begin, found.end) == (10, 12)
    assert found.piece.points == pytest.approx(-0.1)
    assert (found.piece.new, found.piece.old) == (0.5, 1.0)
    now.by_hour = {hour: line(36, 4) for hour in range(8, 18)}
    assert leading_hours(now, before, -0.1) is None  # all of the day: no place to point to
