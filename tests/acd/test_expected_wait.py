"""The estimate of a wait against a simulated pool, and when there is none."""

from __future__ import annotations

import heapq
import random
from statistics import fmean

import pytest

from gkc_engine.acd.commands import Command, ContactEnded, Disposition
from gkc_engine.acd.events import Party
from gkc_engine.acd.expected_wait import SAMPLES_MAX, SAMPLES_MIN, ExpectedWait
from gkc_engine.acd.settings import Medium
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, seconds

TAX, MAIL = QueueId("tax"), QueueId("mail")
NONE = Micros(0)


def handled(
    talk_s: float,
    *,
    hold_s: float = 0.0,
    queue: QueueId | None = TAX,
    disposition: Disposition = Disposition.ANSWERED,
    via: str = "engine",
) -> ContactEnded:
    """Return the end of a contact."""
    return ContactEnded(
        contact_id=ContactId("c"),
        disposition=disposition,
        medium=Medium.VOICE,
        started=Instant(0),
        ended=Instant(10**9),
        party=Party.CITIZEN,
        reason="",
        via=via,
        queue=queue,
        first_queued=Instant(0),
        answered=Instant(1),
        agent_id=AgentId("anna"),
        menu_us=NONE,
        wait_us=NONE,
        ring_us=NONE,
        talk_us=seconds(talk_s),
        hold_us=seconds(hold_s),
        offers=1,
    )


def taught(*ends: Command) -> ExpectedWait:
    expected = ExpectedWait()
    expected.learn(ends)
    return expected


def simulated_wait_s(place: int, agents: int, mean_s: float, rng: random.Random) -> float:
    """Return what the ``place``-th in line waits until an agent takes him; all are busy at 0."""
    ends = [rng.expovariate(1 / mean_s) for _ in range(agents)]
    heapq.heapify(ends)
    for _ in range(place - 1):  # each before him is taken by the next free one
        heapq.heappush(ends, heapq.heappop(ends) + rng.expovariate(1 / mean_s))
    return heapq.heappop(ends)


@pytest.mark.parametrize(("place", "agents"), [(1, 1), (1, 8), (5, 3), (20, 6), (40, 2)])
def test_the_estimate_is_the_mean_wait_of_a_simulated_pool(place: int, agents: int) -> None:
    rng = random.Random(20091123)
    talk, wrap_up = 90.0, 30.0
    waits = [simulated_wait_s(place, agents, talk + wrap_up, rng) for _ in range(4000)]
    expected = taught(*(handled(talk) for _ in range(SAMPLES_MIN)))
    found = expected.expect(TAX, place, agents, seconds(wrap_up))
    assert found is not None
    assert found / SECOND == pytest.approx(fmean(waits), rel=0.05)


def test_hold_counts_as_handling() -> None:
    expected = taught(*(handled(20, hold_s=40) for _ in range(SAMPLES_MIN)))
    assert expected.expect(TAX, 2, 1, NONE) == seconds(120)


def test_too_few_data_are_not_spoken_of() -> None:
    few = [handled(60) for _ in range(SAMPLES_MIN - 1)]
    assert taught(*few).expect(TAX, 1, 1, NONE) is None
    assert taught(*few, handled(60)).expect(TAX, 1, 1, NONE) == seconds(60)


def test_nobody_at_work_is_no_wait_to_be_told() -> None:
    expected = taught(*(handled(60) for _ in range(SAMPLES_MIN)))
    assert expected.expect(TAX, 1, 0, NONE) is None
    assert expected.expect(MAIL, 1, 3, NONE) is None, "another queue's data"


@pytest.mark.parametrize(
    "foreign",
    [
        handled(9999, disposition=Disposition.ABANDONED),
        handled(9999, via="fallback"),
        handled(9999, queue=None),
        handled(9999, queue=MAIL),
    ],
)
def test_only_what_our_agents_handled_in_this_queue_teaches(foreign: ContactEnded) -> None:
    expected = taught(*(handled(60) for _ in range(SAMPLES_MIN)), *[foreign] * SAMPLES_MIN)
    assert expected.expect(TAX, 1, 1, NONE) == seconds(60)


def test_the_old_is_forgotten() -> None:
    expected = taught(
        *(handled(600) for _ in range(50)), *(handled(60) for _ in range(SAMPLES_MAX))
    )
    assert expected.expect(TAX, 1, 1, NONE) == seconds(60)
