"""The figures of a run, by hand."""

from __future__ import annotations

import pytest

from gkc_engine.acd.commands import (
    AgentState,
    AgentStateChanged,
    ContactEnded,
    Disposition,
)
from gkc_engine.acd.events import Party
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId
from gkc_engine.simulation.tally import OUTCOMES, TOTAL, Tally
from gkc_engine.statistics.counting import OUTBOUND_ONLY

A, B = QueueId("a"), QueueId("b")
ANNA, BORIS, DINA = AgentId("anna"), AgentId("p/1"), AgentId("p/2")


def us(seconds: float) -> Micros:
    return Micros(round(seconds * SECOND))


def tally() -> Tally:
    queues = (
        QueueSettings(queue_id=A),
        QueueSettings(queue_id=B, servicelevel_us=us(2)),
    )
    agents = (
        AgentSettings(agent_id=ANNA, capacity={Medium.VOICE: 1, Medium.CHAT: 2}),
        AgentSettings(agent_id=BORIS),
        AgentSettings(agent_id=DINA),
    )
    settings = Settings(version="1", queues=queues, agents=agents)
    return Tally(settings, {ANNA: "anna", BORIS: "p", DINA: "p"})


def ended(queue: QueueId, disposition: Disposition, wait_s: float) -> ContactEnded:
    return ContactEnded(
        contact_id=ContactId("1"),
        disposition=disposition,
        medium=Medium.VOICE,
        started=Instant(0),
        ended=Instant(us(1000)),
        party=Party.CITIZEN,
        reason="",
        via="engine",
        queue=queue,
        first_queued=Instant(0),
        answered=None,
        agent_id=None,
        menu_us=Micros(0),
        wait_us=us(wait_s),
        ring_us=Micros(0),
        talk_us=Micros(0),
        hold_us=Micros(0),
        offers=1,
    )


def test_figures_by_hand() -> None:
    one = tally()
    for wait in (0, 10, 20, 20.000001, 30, 40, 50, 60, 70, 100):
        one.ended(ended(A, Disposition.ANSWERED, wait))
    one.ended(ended(A, Disposition.ABANDONED, 15))
    one.ended(ended(A, Disposition.ABANDONED, 25))
    one.ended(ended(A, Disposition.ABANDONED_SHORT, 5))
    for disposition in (Disposition.FULL, Disposition.CLOSED, Disposition.NO_AGENT):
        one.ended(ended(A, disposition, 0))
    one.ended(ended(A, Disposition.TIMEOUT, 300))
    one.never_served(A)
    assert one.figures()[A] == {
        "offered": 18,
        "answered": 10,
        "abandoned": 3,
        "refused": 4,
        "waiting": 1,
        "asa_s": pytest.approx(40.0000001),
        "wait_mean_s": pytest.approx((400.000001 + 45) / 13),
        "wait_p50_s": 30.0,  # The fifth of ten: nearest rank, nothing is interpolated.
        "wait_p90_s": 70.0,
        "wait_p95_s": 100.0,
        "wait_max_s": 100.0,
        "sl": 3 / 12,  # At most 20 s: three; of 10 answered and 2 that did not leave at once.
    }


def test_each_queue_has_its_own_threshold_and_the_total_both() -> None:
    one = tally()
    one.ended(ended(A, Disposition.ANSWERED, 3))
    one.ended(ended(B, Disposition.ANSWERED, 3))
    one.ended(ended(B, Disposition.ANSWERED, 2))
    assert [one.figures()[name]["sl"] for name in (A, B, TOTAL)] == [1.0, 0.5, 2 / 3]
    assert one.figures()[TOTAL]["offered"] == 3


def test_nothing_counted_is_none_and_not_zero() -> None:
    figures = tally().figures()[A]
    assert {name for name, value in figures.items() if value is None} == {
        "asa_s",
        "wait_mean_s",
        "wait_p50_s",
        "wait_p90_s",
        "wait_p95_s",
        "wait_max_s",
        "sl",
    }
    assert {value for value in figures.values() if value is not None} == {0}


def test_every_way_to_end_has_an_outcome() -> None:
    """The others cannot happen here: no menus, no fallback queue, failures, calls out, guests."""
    assert set(Disposition) - set(OUTCOMES) == {
        Disposition.SELF_SERVED,
        Disposition.ANSWERED_BY_ANNOUNCEMENT,
        Disposition.ABANDONED_MENU,
        Disposition.BLOCKED,
        Disposition.MISDIRECTED,
        Disposition.FAILED_OPEN,
        Disposition.SYSTEM_FAILED,
        *OUTBOUND_ONLY,
        Disposition.RETURNED,
    }


def say(
    one: Tally,
    agent: AgentId,
    at: float,
    state: AgentState,
    slot: int = 0,
    until: float | None = None,
) -> None:
    one.changed(
        AgentStateChanged(
            agent_id=agent,
            slot=slot,
            state=state,
            since=Instant(us(at)),
            until=None if until is None else Instant(us(until)),
        )
    )


def test_occupancy_by_hand() -> None:
    """Measured from 10 s to 100 s. p/1: ready 10..20, rings ..25, talk ..55, wrap-up ..65, rests
    ..75, ready ..100; p/2 talks 0..100. Handling 40 + 90, ready 10 + 25.
    """
    one = tally()
    for agent in (BORIS, DINA):
        say(one, agent, 0, AgentState.READY)
    say(one, DINA, 0, AgentState.TALK)
    one.begin(Instant(us(10)))
    say(one, BORIS, 20, AgentState.RESERVED)
    say(one, BORIS, 22, AgentState.RINGING)
    say(one, BORIS, 25, AgentState.TALK)
    say(one, BORIS, 40, AgentState.HOLD)
    say(one, BORIS, 45, AgentState.TALK)
    say(one, BORIS, 55, AgentState.WRAP_UP, until=65)
    say(one, BORIS, 65, AgentState.READY, until=75)
    say(one, BORIS, 75, AgentState.READY)
    one.end(Instant(us(100)))
    say(one, BORIS, 300, AgentState.TALK)  # After the end nothing counts.
    assert one.occupancy() == {"anna": None, "p": pytest.approx(130 / 165)}


def test_a_run_that_is_over_before_its_warm_up_measures_nothing() -> None:
    one = tally()
    say(one, BORIS, 0, AgentState.TALK)
    one.end(Instant(us(10)))
    one.begin(Instant(us(20)))
    assert one.occupancy() == {"anna": None, "p": None}


def test_an_agent_with_several_slots_is_busy_while_any_is() -> None:
    one = tally()
    one.begin(Instant(0))
    for slot in range(3):
        say(one, ANNA, 0, AgentState.READY, slot)
    say(one, ANNA, 10, AgentState.TALK, 1)
    say(one, ANNA, 20, AgentState.TALK, 2)
    say(one, ANNA, 30, AgentState.READY, 1)
    say(one, ANNA, 40, AgentState.READY, 2)
    one.end(Instant(us(100)))
    assert one.occupancy()["anna"] == pytest.approx(0.3)
