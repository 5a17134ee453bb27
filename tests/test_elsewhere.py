"""The core is told at once that another center is there, and later that none is any more."""

from __future__ import annotations

from typing import Any, cast

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Medium, QueueSettings, Settings
from gkc_engine.elsewhere import HOLD_US, Elsewhere
from gkc_engine.errors import GkcError
from gkc_engine.federation.settings import BLOCK_US
from gkc_engine.ids import Instant, Micros, QueueId, seconds

TAX, HOUSING, MAIL = QueueId("tax"), QueueId("housing"), QueueId("mail")


class Center:
    """A core that hears at once, and other centers as the test says."""

    def __init__(self) -> None:
        self.acd, self.time = Acd(), Instant(seconds(1_000))
        queues = [QueueSettings(queue_id=queue) for queue in (TAX, HOUSING)]
        queues.append(QueueSettings(queue_id=MAIL, medium=Medium.EMAIL))
        self.acd.step(
            ev.SettingsApplied(settings=Settings(version="1", queues=tuple(queues))), self.time
        )
        self.helped: set[QueueId] = set()
        self.busy = False
        self.told: list[tuple[QueueId, bool]] = []
        self.elsewhere = self.watch()

    def watch(self, hold_us: Micros = HOLD_US) -> Elsewhere:
        return Elsewhere(cast("Any", self), lambda queue: queue in self.helped, hold_us)

    def now(self) -> Instant:
        return self.time

    def submit(self, event: ev.StaffedElsewhere) -> None:
        if self.busy:
            raise GkcError("busy")
        self.told.append((event.queue, event.staffed))
        assert self.acd.step(event, self.time) == []

    def look_for(self, seconds_: int) -> list[tuple[QueueId, bool]]:
        """Look each second for so long; return what the core was told."""
        self.told.clear()
        for _ in range(seconds_):
            self.time = Instant(self.time + seconds(1))
            self.elsewhere.look()
        return self.told


def test_it_is_told_once_and_of_the_queue_alone() -> None:
    center = Center()
    assert center.look_for(60) == []
    center.helped = {TAX, MAIL}
    assert center.look_for(60) == [(TAX, True)], "letters go nowhere"


def test_whom_nobody_helps_for_a_moment_does_not_hear_of_it() -> None:
    center = Center()
    center.helped = {TAX}
    center.look_for(1)
    for _ in range(3):
        center.helped = set()
        assert center.look_for(39) == []
        center.helped = {TAX}
        assert center.look_for(1) == []
    center.helped = set()
    assert center.look_for(40) == [(TAX, False)]
    assert center.look_for(60) == []
    center.helped = {TAX}
    assert center.look_for(1) == [(TAX, True)]
    center.helped = set()
    assert center.look_for(39) == [], "it is counted anew"


def test_a_center_left_alone_after_a_ring_without_a_sign_is_not_given_up() -> None:
    assert BLOCK_US + seconds(3) < HOLD_US


def test_a_core_that_is_busy_hears_it_later() -> None:
    center = Center()
    center.helped, center.busy = {TAX}, True
    assert center.look_for(3) == []
    center.busy = False
    assert center.look_for(3) == [(TAX, True)]


def test_an_engine_that_starts_believes_for_a_while_what_its_last_life_knew() -> None:
    center = Center()
    center.helped = {TAX}
    center.look_for(1)
    center.helped, center.elsewhere = set(), center.watch()
    assert center.look_for(40) == []
    assert center.look_for(1) == [(TAX, False)]


def test_who_is_alone_now_waits_for_nobody() -> None:
    center = Center()
    center.helped = {TAX}
    center.look_for(1)
    center.helped, center.elsewhere = set(), center.watch(Micros(0))
    assert center.look_for(1) == [(TAX, False)]
