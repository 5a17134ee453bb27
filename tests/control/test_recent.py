"""The last half hour and the handling of today, by hand."""

from __future__ import annotations

import pytest

from gkc_engine.acd.commands import AgentState, AgentStateChanged, ContactEnded, Disposition
from gkc_engine.control.day import DayCounters
from gkc_engine.control.recent import RecentCounters
from gkc_engine.control.wrap_ups import WrapUps
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros
from gkc_engine.statistics.figures import Counts, Handling
from tests.control.test_day import MOSCOW, QUEUE, fact, instant

NOON = instant("2026-11-18T12:00:00+03:00")
MINUTE = 60 * SECOND
IVANOVA, PETROV = AgentId("ivanova"), AgentId("petrov")


def later(us: int, start: Instant = NOON) -> Instant:
    return Instant(start + us)


@pytest.mark.parametrize(
    ("at", "counted"),
    [
        (NOON, True),
        # 11:31:00 is the first instant of the 29th minute before noon's own, 11:30:59 is not.
        (instant("2026-11-18T11:31:00+03:00"), True),
        (later(-29 * MINUTE - 1), False),
    ],
)
def test_thirty_minutes_are_the_present_one_and_29_before(at: Instant, *, counted: bool) -> None:
    recent = RecentCounters()
    recent.add(QUEUE, Counts(answered=1), at, NOON)
    assert recent.of(QUEUE, NOON).answered == counted


def test_a_minute_goes_whole_when_its_half_hour_is_over() -> None:
    recent = RecentCounters()
    for second in (0, 59):
        recent.add(QUEUE, Counts(abandoned=1), later(second * SECOND), later(second * SECOND))
    recent.add(QUEUE, Counts(abandoned=1), later(MINUTE), later(MINUTE))
    assert recent.of(QUEUE, later(30 * MINUTE - 1)).abandoned == 3
    assert recent.of(QUEUE, later(30 * MINUTE)).abandoned == 1
    assert recent.of(QUEUE, later(31 * MINUTE)) == Counts()


def test_what_is_recalled_late_does_not_come_back_out_of_the_past() -> None:
    recent = RecentCounters()
    recent.add(QUEUE, Counts(answered=1), later(29 * MINUTE), later(29 * MINUTE))
    recent.add(QUEUE, Counts(answered=7), later(-MINUTE), NOON)  # as of the start
    assert recent.of(QUEUE, later(29 * MINUTE)).answered == 1


def test_a_contact_counts_in_the_minute_in_which_it_was_answered() -> None:
    """A talk of 31 minutes is over: its answer lies before the half hour."""
    day = DayCounters(MOSCOW, NOON)
    day.configure({QUEUE: 20 * SECOND})
    end = later(31 * MINUTE)
    day.fold([fact(Disposition.ANSWERED, later(-10 * SECOND), 10)], end)
    day.fold([fact(Disposition.ANSWERED, later(5 * MINUTE), 30)], end)
    day.fold([fact(Disposition.ABANDONED, later(30 * MINUTE), 40)], end)
    day.fold([fact(Disposition.ABANDONED_SHORT, later(30 * MINUTE), 3)], end)
    assert day.recent(QUEUE, end) == Counts(
        answered=1,
        wait_answered_us=30 * SECOND,
        abandoned=2,
        abandoned_short=1,
        abandoned_in_target=1,
        wait_abandoned_us=43 * SECOND,
    )
    assert day.of(QUEUE, end).answered == 2, "the day has both"


def test_the_half_hour_knows_no_midnight() -> None:
    before = instant("2026-11-18T23:59:50+03:00")
    day = DayCounters(MOSCOW, before)
    day.fold([fact(Disposition.ABANDONED, before, 5)], before)
    after = later(MINUTE, before)
    assert (day.of(QUEUE, after).abandoned, day.recent(QUEUE, after).abandoned) == (0, 1)


def state(
    agent: AgentId, to: AgentState, at_s: int, contact: str | None = None
) -> AgentStateChanged:
    return AgentStateChanged(
        agent_id=agent,
        slot=0,
        state=to,
        since=later(at_s * SECOND),
        contact_id=None if contact is None else ContactId(contact),
    )


def over(contact: str, talk_s: int, hold_s: int = 0) -> ContactEnded:
    return ContactEnded(
        **{
            name: getattr(fact(Disposition.ANSWERED, NOON, 10), name)
            for name in ContactEnded.__struct_fields__
        }
        | {
            "contact_id": ContactId(contact),
            "talk_us": Micros(talk_s * SECOND),
            "hold_us": Micros(hold_s * SECOND),
        }
    )


def test_handling_time_has_the_wrap_ups_of_both_agents_of_a_transfer() -> None:
    day = DayCounters(MOSCOW, NOON)
    facts = [
        (20, state(IVANOVA, AgentState.TALK, 20, "a")),
        (50, state(IVANOVA, AgentState.WRAP_UP, 50, "a")),  # hands it over to petrov
        (60, state(IVANOVA, AgentState.READY, 60)),
        (90, state(PETROV, AgentState.WRAP_UP, 90, "a")),
        (90, over("a", talk_s=70, hold_s=5)),
    ]
    for at_s, one in facts:
        day.fold([one], later(at_s * SECOND))
    now = later(95 * SECOND)
    assert day.handling(QUEUE, now) == Handling(
        handled=1, talk_us=70 * SECOND, hold_us=5 * SECOND, wrap_up_us=10 * SECOND
    )
    day.fold([state(PETROV, AgentState.READY, 105)], later(105 * SECOND))
    assert day.handling(QUEUE, now).wrap_up_us == 25 * SECOND
    day.fold([state(PETROV, AgentState.OFFLINE, 200)], later(200 * SECOND))
    assert day.handling(QUEUE, now).wrap_up_us == 25 * SECOND, "once"


def test_a_wrap_up_over_midnight_is_of_the_day_of_its_contact() -> None:
    start = instant("2026-11-18T23:59:00+03:00")
    day = DayCounters(MOSCOW, start)
    ended = fact(Disposition.ANSWERED, start, 5)
    contact = ended.contact_id
    wrapping = AgentStateChanged(
        agent_id=PETROV, slot=0, state=AgentState.WRAP_UP, since=start, contact_id=contact
    )
    day.fold([wrapping, ended], start)
    after = instant("2026-11-19T00:00:30+03:00")
    day.fold(
        [AgentStateChanged(agent_id=PETROV, slot=0, state=AgentState.READY, since=after)], after
    )
    assert day.handling(QUEUE, after) == Handling()


def test_nothing_is_kept_of_what_is_over() -> None:
    wrap_ups = WrapUps()
    for n in range(100):
        wrap_ups.changed(state(IVANOVA, AgentState.WRAP_UP, n, f"c{n}"))
        assert wrap_ups.ended(ContactId(f"c{n}"), None) == 0  # never in a queue: nothing to count
        wrap_ups.changed(state(IVANOVA, AgentState.READY, n + 1))
    assert (wrap_ups._slots, wrap_ups._of) == ({}, {})
