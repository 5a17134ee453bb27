"""Steps of the wall clock, and what Asterisk wrote down before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.channels.phone import cel
from gkc_engine.channels.phone.wall import WallSteps
from gkc_engine.ids import SECOND, Instant
from tests.channels.test_cel import STARTED, line, stamp
from tests.channels.world import at, leg

HOUR = 3600.0


class Clock:
    """The engine's time, and how far the wall clock is ahead of it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ahead = 0.0

    def now(self) -> Instant:
        return at(self.seconds)

    def of_wall(self, stamp: Instant) -> Instant:
        return Instant(stamp - round(self.ahead * SECOND))


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_stamps_of_before_and_after_a_step(step: float) -> None:
    clock = Clock()
    steps = WallSteps(clock.of_wall, clock.now)
    clock.seconds = 100
    steps.look()
    clock.seconds, clock.ahead = 104, step
    steps.look()
    clock.seconds = 200
    steps.look()
    for seconds in (50, 99):
        assert steps.engine_time(at(seconds)) == at(seconds), "before it"
    for seconds in (105, 199):
        assert steps.engine_time(at(seconds + step)) == at(seconds), "after it"


def test_a_slewed_clock_is_no_step() -> None:
    clock = Clock()
    steps = WallSteps(clock.of_wall, clock.now)
    clock.seconds, clock.ahead = 100, 0.1
    steps.look()
    assert steps.engine_time(at(50)) == at(50)


def test_a_stamp_from_the_future_is_of_a_clock_that_nobody_saw() -> None:
    clock = Clock()
    steps = WallSteps(clock.of_wall, clock.now)
    assert steps.engine_time(at(HOUR)) is None


def test_lines_of_before_a_step_back_while_no_engine_was_there(tmp_path: Path) -> None:
    """Killed at 100, the clock set back by an hour, started at 104: our time goes on from 100."""
    path = tmp_path / "legs.csv"
    rows = [
        STARTED.format(t=stamp(10), leg=leg(1)),
        STARTED.format(t=stamp(90), leg=leg(2)),
        line("ANSWER", leg(2), 95),
        line("HANGUP", leg(2), 101),
        line("HANGUP", leg(1), 103 - HOUR),
    ]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    clock = Clock()
    clock.seconds, clock.ahead = 104, -HOUR
    steps = WallSteps(clock.of_wall, clock.now)
    past = cel.read_history(path, at(80), steps.engine_time)
    ended = past.legs[leg(1)].ended
    assert ended == at(103)
    told = past.legs[leg(2)]
    # How long before that it was nobody can know: they are told as if at once, in their distances.
    assert (told.started, told.answered, told.ended) == (at(92), at(97), at(103))
    assert past.legs[leg(1)].started is None, "too old"


def test_an_engine_with_its_own_time_finds_the_lines_of_since(tmp_path: Path) -> None:
    path = tmp_path / "legs.csv"
    rows = [STARTED.format(t=stamp(n + HOUR), leg=leg(n)) for n in range(100)]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    clock = Clock()
    clock.seconds, clock.ahead = 100, HOUR
    past = cel.read_history(path, at(90), WallSteps(clock.of_wall, clock.now).engine_time)
    assert [told.started for told in past.citizens(at(90))] == [at(n) for n in range(90, 100)]
