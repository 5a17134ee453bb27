"""What a waiting citizen hears and when; each rule of the module's text, and what must never be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gkc_engine.config.models import QueueModel
from gkc_engine.ids import SECOND, Instant, Micros, seconds
from gkc_engine.ivr.announce import (
    PLACE_CHANGED,
    AnnounceSettings,
    HoldtimeMode,
    PositionMode,
    Told,
    WaitRange,
    announcement,
    next_check,
    wait_range,
)

START = Instant(1_000 * SECOND)
EVERY_30S = AnnounceSettings(frequency_us=seconds(30), min_frequency_us=seconds(10))
FRESH = Told(since=START)
ONE_TO_TWO = WaitRange(1, 2)


def at(offset_s: float) -> Instant:
    return Instant(START + seconds(offset_s))


def heard(
    offset_s: float,
    told: Told,
    position: int,
    expected: WaitRange | None = None,
    settings: AnnounceSettings = EVERY_30S,
    cause: str | None = None,
) -> tuple[str, ...]:
    found = announcement(at(offset_s), told, position, expected, settings, cause)
    return found.prompts if found else ()


def after(offset_s: float, position: int, wait: WaitRange | None = None) -> Told:
    return Told(since=START, at=at(offset_s), position=position, wait=wait)


def test_place_and_wait_are_told_at_once() -> None:
    found = announcement(START, FRESH, 5, ONE_TO_TWO, EVERY_30S)
    assert found is not None
    assert found.prompts == ("numbers/position-5", "numbers/wait-from-1", "numbers/wait-to-2")
    assert found.told == after(0, 5, ONE_TO_TWO)


def test_nothing_is_told_when_the_frequency_is_zero() -> None:
    assert heard(0, FRESH, 5, ONE_TO_TWO, AnnounceSettings()) == ()
    assert next_check(FRESH, AnnounceSettings()) is None


@pytest.mark.parametrize(("offset_s", "told"), [(9.999, False), (10, True), (29, True)])
def test_a_better_place_is_told_after_the_shortest_time(offset_s: float, told: bool) -> None:
    assert bool(heard(offset_s, after(0, 5), 4)) is told


@pytest.mark.parametrize(("offset_s", "told"), [(10, False), (29.999, False), (30, True)])
def test_the_same_place_is_told_after_the_longest_time(offset_s: float, told: bool) -> None:
    assert bool(heard(offset_s, after(0, 5), 5)) is told


def test_the_same_place_is_not_told_again_with_only_up() -> None:
    only_up = replace(EVERY_30S, position_only_up=True)
    assert heard(30, after(0, 5), 5, settings=only_up) == ()
    assert heard(30, after(0, 5), 4, settings=only_up) == ("numbers/position-4",)


def test_a_worse_place_is_not_told() -> None:
    assert heard(60, after(0, 5), 6) == ()
    assert heard(60, after(0, 5, ONE_TO_TWO), 6, ONE_TO_TWO) == (
        "numbers/wait-from-1",
        "numbers/wait-to-2",
    )


def test_a_worse_place_is_told_with_its_cause_first() -> None:
    assert heard(60, after(0, 5), 6, cause=PLACE_CHANGED) == (PLACE_CHANGED, "numbers/position-6")


def test_a_cause_is_not_stated_for_nothing() -> None:
    assert heard(60, after(0, 5), 4, cause=PLACE_CHANGED) == ("numbers/position-4",)
    silent = replace(EVERY_30S, position=PositionMode.LIMIT, position_limit=5)
    assert heard(60, after(0, 5), 6, settings=silent, cause=PLACE_CHANGED) == ()


def test_a_place_is_measured_against_the_one_that_was_heard() -> None:
    """Fell back unheard from 3 to 9, then up to 7: still worse than what the citizen knows."""
    worse = announcement(at(30), after(0, 3, ONE_TO_TWO), 9, ONE_TO_TWO, EVERY_30S)
    assert worse is not None
    assert worse.told.position == 3
    assert "numbers/position-7" not in heard(90, worse.told, 7)


def test_a_longer_wait_is_not_told() -> None:
    said = after(0, 5, ONE_TO_TWO)
    assert heard(30, said, 5, WaitRange(3, 4)) == ("numbers/position-5",)
    assert heard(30, said, 5, WaitRange(3, 4), cause=PLACE_CHANGED) == (
        PLACE_CHANGED,
        "numbers/position-5",
        "numbers/wait-from-3",
        "numbers/wait-to-4",
    )
    assert heard(30, said, 5, WaitRange(0, 1)) == ("numbers/position-5", "numbers/wait-under-1")


def test_too_few_data_are_silence() -> None:
    assert heard(0, FRESH, 5, None) == ("numbers/position-5",)
    only_wait = replace(EVERY_30S, position=PositionMode.NO)
    assert heard(0, FRESH, 5, None, only_wait) == ()


def test_the_wait_is_told_once() -> None:
    once = replace(EVERY_30S, holdtime=HoldtimeMode.ONCE)
    first = announcement(START, FRESH, 5, None, once)
    assert first is not None
    later = announcement(at(30), first.told, 5, ONE_TO_TWO, once)
    assert later is not None
    assert "numbers/wait-to-2" in later.prompts
    assert heard(60, later.told, 5, ONE_TO_TWO, once) == ("numbers/position-5",)


def test_no_wait_and_no_place_is_silence() -> None:
    neither = replace(EVERY_30S, position=PositionMode.NO, holdtime=HoldtimeMode.NO)
    assert heard(0, FRESH, 5, ONE_TO_TWO, neither) == ()
    assert next_check(FRESH, neither) is None


@pytest.mark.parametrize(
    ("mode", "position", "prompts"),
    [
        (PositionMode.LIMIT, 20, ("numbers/position-20",)),
        (PositionMode.LIMIT, 21, ()),
        (PositionMode.MORE, 20, ("numbers/position-20",)),
        (PositionMode.MORE, 21, ("numbers/more", "numbers/of-people-20")),
        (PositionMode.YES, 21, ("numbers/position-20-and", "numbers/in-line-1")),
        (
            PositionMode.YES,
            1000,
            ("numbers/more", "numbers/of-hundred-900", "numbers/of-ten-90", "numbers/of-people-9"),
        ),
        (PositionMode.NO, 1, ()),
    ],
)
def test_how_a_far_place_is_told(
    mode: PositionMode, position: int, prompts: tuple[str, ...]
) -> None:
    settings = replace(EVERY_30S, position=mode)
    assert heard(0, FRESH, position, None, settings) == prompts


def test_places_behind_the_limit_are_one_and_the_same() -> None:
    more = replace(EVERY_30S, position=PositionMode.MORE)
    first = announcement(START, FRESH, 40, None, more)
    assert first is not None
    assert heard(10, first.told, 30, None, more) == ()
    assert heard(30, first.told, 45, None, more) == ("numbers/more", "numbers/of-people-20")
    assert heard(10, first.told, 20, None, more) == ("numbers/position-20",)


def test_the_periodic_prompt_has_its_own_rhythm() -> None:
    settings = AnnounceSettings(periodic="hold-please", periodic_frequency_us=seconds(45))
    assert heard(44, FRESH, 5, None, settings) == ()
    first = announcement(at(45), FRESH, 5, None, settings)
    assert first is not None
    assert first.prompts == ("hold-please",)
    assert heard(89, first.told, 5, None, settings) == ()
    assert heard(90, first.told, 5, None, settings) == ("hold-please",)
    assert next_check(first.told, settings) == at(90)


def test_the_next_check_is_when_a_better_place_may_be_told() -> None:
    assert next_check(FRESH, EVERY_30S) == START
    assert next_check(after(5, 3), EVERY_30S) == at(15)


@pytest.mark.parametrize(
    ("expected_s", "lo", "hi"),
    [
        *((0, 0, 1), (60, 0, 1), (60.000001, 1, 2), (90, 1, 2), (120, 1, 2), (121, 2, 3)),
        *((301, 5, 7), (599, 7, 10), (601, 10, 15), (7200, 90, 120), (7201, 120, None)),
    ],
)
def test_the_range_is_rounded_up(expected_s: float, lo: int, hi: int | None) -> None:
    assert wait_range(seconds(expected_s)) == WaitRange(lo, hi)


def test_an_unknown_wait_stays_unknown() -> None:
    assert wait_range(None) is None


def test_an_open_wait_is_told_as_more_than() -> None:
    assert heard(0, FRESH, 1, wait_range(3 * 3600 * SECOND)) == (
        "numbers/position-1",
        "numbers/wait-over-120",
    )


def test_a_place_below_one_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="place 0"):
        announcement(START, FRESH, 0, None, EVERY_30S)


def test_the_settings_are_those_of_the_config() -> None:
    queue = QueueModel.model_validate(
        {
            "title": "Паспорта",
            "announce-frequency": "30s",
            "min-announce-frequency": "10s",
            "announce-position": "more",
            "announce-position-limit": 7,
            "announce-holdtime": "once",
            "periodic-announce": "hold",
            "periodic-announce-frequency": "1m",
        }
    )
    assert AnnounceSettings.of(queue) == AnnounceSettings(
        frequency_us=seconds(30),
        min_frequency_us=seconds(10),
        position=PositionMode.MORE,
        position_limit=7,
        holdtime=HoldtimeMode.ONCE,
        periodic="hold",
        periodic_frequency_us=seconds(60),
    )


settings_of_any_kind = st.builds(
    AnnounceSettings,
    frequency_us=st.sampled_from([seconds(5), seconds(20), Micros(0)]),
    min_frequency_us=st.sampled_from([Micros(0), seconds(3), seconds(15)]),
    position=st.sampled_from(PositionMode),
    position_limit=st.integers(1, 30),
    position_only_up=st.booleans(),
    holdtime=st.sampled_from(HoldtimeMode),
    periodic=st.sampled_from([None, "hold-please"]),
    periodic_frequency_us=st.sampled_from([Micros(0), seconds(20)]),
)


@examples(deadline=None)
@given(
    settings_of_any_kind,
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.one_of(st.none(), st.integers(0, 9000)),
            st.sampled_from([False, False, False, True]),
        ),
        min_size=40,
        max_size=80,
    ),
)
def test_over_a_whole_wait_nothing_gets_worse_unexplained_or_comes_too_often(
    settings: AnnounceSettings, seconds_of_waiting: list[tuple[int, int | None, bool]]
) -> None:
    """One look a second; the test keeps its own books of what the citizen heard."""
    told, last, place, wait = FRESH, None, 10**9, 10**9
    for second, (position, expected_s, explained) in enumerate(seconds_of_waiting):
        expected = wait_range(None if expected_s is None else expected_s * SECOND)
        cause = PLACE_CHANGED if explained else None
        found = announcement(at(second), told, position, expected, settings, cause)
        if found is None:
            continue
        told = found.told
        if found.prompts == ("hold-please",):
            continue
        assert last is None or second - last >= settings.min_frequency_us / SECOND
        last = second
        stated = PLACE_CHANGED in found.prompts
        # Behind the limit every place is said in the same words.
        far = settings.position_limit + 1 if "numbers/more" in found.prompts else position
        if any(name.startswith(("numbers/position", "numbers/more")) for name in found.prompts):
            assert stated or far <= place
            place = far
        if any(name.startswith("numbers/wait") for name in found.prompts):
            assert expected is not None
            upper = 10**6 if expected.hi_min is None else expected.hi_min
            assert stated or upper <= wait
            wait = upper
