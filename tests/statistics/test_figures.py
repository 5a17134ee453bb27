"""Figures by hand-computed examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.acd.commands import Disposition
from gkc_engine.ids import SECOND
from gkc_engine.statistics import figures
from gkc_engine.statistics.counting import OUTBOUND_ONLY, counts_of
from gkc_engine.statistics.figures import (
    Counts,
    Handling,
    nearest_rank,
    nearest_rank_of,
    offered,
)

HOUR = 3600 * SECOND

# Ten calls, threshold 20 s, short 5 s. Answered after 4, 10, 20, 21 and 45 s; given up after
# 3 (short), 12 and 60 s; one ended at maxwait, one still waits.
TEN = Counts(
    answered=5,
    answered_in_target=3,
    wait_answered_us=100 * SECOND,
    abandoned=3,
    abandoned_short=1,
    abandoned_in_target=2,
    wait_abandoned_us=75 * SECOND,
    ended_waiting=1,
    waiting=1,
)

# A shift of 8 hours with 40 contacts: 3 h 20 min of talk, 20 min on hold, 40 min of wrap-up, ready
# for 2 h 40 min, the rest in pauses. Rung 50 times: 6 not taken, 4 callers left before.
SHIFT = Handling(
    handled=40,
    talk_us=12_000 * SECOND,
    hold_us=1_200 * SECOND,
    wrap_up_us=2_400 * SECOND,
    ready_us=9_600 * SECOND,
    paid_us=8 * HOUR,
    transfers=3,
    offers=50,
    offers_unanswered=6,
    offers_withdrawn=4,
)

EXAMPLES: list[tuple[Callable[[Counts], float | None], float]] = [
    (figures.service_level_1, 3 / 5),
    (figures.service_level_2, 3 / 8),
    (figures.service_level_3, 3 / (5 + 1)),
    (figures.service_level_4, (3 + 2) / 8),
    (figures.service_level, 3 / (8 - 1)),
    (figures.average_speed_of_answer_s, 20.0),
    (figures.average_abandon_time_s, 25.0),
    (figures.abandon_rate, 2 / 10),
]

OF_AGENTS: list[tuple[Callable[[Handling], float | None], float]] = [
    (figures.average_handle_time_s, 390.0),
    (figures.occupancy, 15_600 / 25_200),
    (figures.utilisation, 25_200 / 28_800),
    (figures.transfer_rate, 3 / 40),
    (figures.ring_no_answer_rate, 6 / 50),
    (figures.ring_no_answer_rate_without_citizens, 6 / 46),
]


@pytest.mark.parametrize(("figure", "expected"), EXAMPLES)
def test_a_figure_of_ten_calls(figure: Callable[[Counts], float | None], expected: float) -> None:
    assert offered(TEN) == 10
    assert figure(TEN) == pytest.approx(expected)
    assert figure(Counts()) is None, "of nothing"


@pytest.mark.parametrize(("figure", "expected"), OF_AGENTS)
def test_a_figure_of_a_shift(figure: Callable[[Handling], float | None], expected: float) -> None:
    assert figure(SHIFT) == pytest.approx(expected)
    assert figure(Handling()) is None, "of nothing"


def test_only_short_abandons_leave_no_service_level() -> None:
    at_once = Counts(abandoned=3, abandoned_short=3, abandoned_in_target=3)
    assert figures.service_level(at_once) is None
    assert figures.service_level_2(at_once) == 0
    assert figures.service_level_4(at_once) == 1


@given(
    st.builds(
        Counts,
        **dict.fromkeys(("answered", "abandoned", "ended_waiting"), st.integers(0, 10**6)),
    ),
    st.data(),
)
def test_every_service_level_is_a_share(counts: Counts, data: st.DataObject) -> None:
    counts.answered_in_target = data.draw(st.integers(0, counts.answered))
    counts.abandoned_in_target = data.draw(st.integers(0, counts.abandoned))
    counts.abandoned_short = data.draw(st.integers(0, counts.abandoned))
    for figure, _ in EXAMPLES[:5]:
        level = figure(counts)
        assert level is None or 0 <= level <= 1


def test_nearest_rank() -> None:
    # The example of the method: 30 % of five values are 1.5 of them, so the second.
    waits = [n * SECOND for n in (15, 20, 35, 40, 50)]
    assert [nearest_rank(waits, p) for p in (5, 20, 30, 40, 50, 100)] == [15, 15, 20, 20, 35, 50]
    assert nearest_rank([7 * SECOND], 1) == 7
    assert nearest_rank([], 50) is None


@given(
    st.lists(st.lists(st.integers(0, 30) | st.integers(0, 10**12)), max_size=5),
    st.integers(1, 100),
)
def test_nearest_rank_of_several_lists_is_that_of_one(lists: list[list[int]], percent: int) -> None:
    together = sorted(wait for one in lists for wait in one)
    runs = [sorted(one) for one in lists]
    assert nearest_rank_of(runs, percent) == nearest_rank(together, percent)


@pytest.mark.parametrize("disposition", list(Disposition))
def test_every_disposition_is_at_most_one_offered(disposition: Disposition) -> None:
    counts = counts_of(disposition, 10 * SECOND, 20 * SECOND)
    at_the_door = {
        Disposition.FULL,
        Disposition.BLOCKED,
        Disposition.SELF_SERVED,
        Disposition.ANSWERED_BY_ANNOUNCEMENT,
        Disposition.ABANDONED_MENU,
        Disposition.MISDIRECTED,
        *OUTBOUND_ONLY,
        Disposition.RETURNED,
    }
    assert offered(counts) == (0 if disposition in at_the_door else 1)


@pytest.mark.parametrize(("wait_s", "soon"), [(19, 1), (20, 1), (21, 0)])
def test_the_threshold_itself_is_in_time(wait_s: int, soon: int) -> None:
    wait_us, target_us = wait_s * SECOND, 20 * SECOND
    assert counts_of(Disposition.ANSWERED, wait_us, target_us) == Counts(
        answered=1, answered_in_target=soon, wait_answered_us=wait_us
    )
    assert counts_of(Disposition.ABANDONED, wait_us, target_us) == Counts(
        abandoned=1, abandoned_in_target=soon, wait_abandoned_us=wait_us
    )
