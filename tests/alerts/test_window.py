"""Counts of the last minutes, counted by hand."""

from __future__ import annotations

from gkc_engine.acd.commands import Disposition
from gkc_engine.alerts.window import Window
from gkc_engine.ids import SECOND, Instant, QueueId, seconds
from gkc_engine.statistics.counting import Ended
from gkc_engine.statistics.figures import offered, service_level

TAX, OTHER = QueueId("tax"), QueueId("other")
T0 = 1_790_000_000


def at(second: float) -> Instant:
    return Instant(round((T0 + second) * SECOND))


def ended(queued: float, wait: float, how: Disposition, queue: QueueId = TAX) -> tuple[Ended, int]:
    one = Ended(queue=queue, disposition=how, first_queued=at(queued), wait_us=seconds(wait))
    return one, 20 * SECOND


def test_a_contact_counts_when_it_was_decided_and_no_longer_than_the_window() -> None:
    window = Window()
    window.kept_us = seconds(600)
    answered, lost = Disposition.ANSWERED, Disposition.ABANDONED
    window.add(
        [
            ended(0, 10, answered),  # in time; decided at 10
            ended(100, 30, answered),  # late; decided at 130
            ended(200, 40, lost),  # decided at 240
            ended(200, 40, lost, OTHER),
        ],
        at(700),  # the talks ended long after they were answered
    )
    # The first was decided more than 600 s before: it is not even kept.
    assert window.of(TAX, seconds(600), at(700)).answered == 1
    counts = window.of(TAX, seconds(500), at(700))
    assert (offered(counts), counts.abandoned) == (1, 1)
    assert service_level(counts) == 0.0
    assert offered(window.of(TAX, seconds(600), at(900))) == 0
    assert window._buckets[TAX] == {}, "what is over is forgotten"
    assert offered(window.of(QueueId("none"), seconds(600), at(900))) == 0


def test_nothing_is_kept_when_nobody_asks() -> None:
    window = Window()
    window.add([ended(0, 10, Disposition.ANSWERED)], at(20))
    assert not window._buckets[TAX]
