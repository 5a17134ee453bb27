"""Several centers ask for one operator: who has waited longest gets him, and nobody waits long."""

from __future__ import annotations

import asyncio
import itertools

from nats.aio.client import Client
from nats.aio.msg import Msg

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass
from gkc_engine.federation.link import Link
from gkc_engine.federation.messages import (
    VERSION,
    Ask,
    Body,
    Load,
    Message,
    QueueLoad,
    encode,
)
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import KEPT_MAX, Federation, Submit
from gkc_engine.federation.settings import (
    ASK_TIMEOUT_US,
    RIVALS_US,
    FederationSettings,
    LinkSettings,
)
from gkc_engine.ids import SECOND, ContactId, Instant, Micros, QueueId, seconds

QUEUE = QueueId("tax")
NOW = Instant(1_000_000_000)


class Alone:
    """A center with one operator free, and nobody waiting."""

    def loads(self) -> dict[QueueId, QueueLoad]:
        return {QUEUE: QueueLoad(wait_us=0, ready=1, waiting=0)}

    def state(self) -> State:
        return State.NORMAL

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        del contact_id
        return None


class Donor:
    """A center that hears what sever and yug say."""

    def __init__(self, *, waiting: dict[str, int]) -> None:
        self.numbers = itertools.count()
        settings = FederationSettings(center="centr", peers=("sever", "yug"))
        self.federation = Federation(settings, Alone(), epoch=1, new_id=lambda: ContactId("x"))
        self.federation.settle(NOW)
        for center, n in waiting.items():
            load = QueueLoad(wait_us=None, ready=0, waiting=n)
            self.hears(center, Load(state=State.OVERLOADED, queues={QUEUE: load}))
        self.federation.take()

    def hears(self, center: str, body: Body, now: Instant = NOW) -> None:
        message = Message(
            version=VERSION, center=center, epoch=1, seq=next(self.numbers), body=body
        )
        self.federation.hear(encode(message), now)

    def asked(
        self, center: str, waited_s: float, contact_class: ContactClass | None = None
    ) -> None:
        self.hears(
            center,
            Ask(
                reservation_id=f"{center}-{next(self.numbers)}",
                contact_id="c1",
                queue=QUEUE,
                waited_us=seconds(waited_s),
                contact_class=contact_class,
            ),
        )

    def submitted(self) -> list[str]:
        """Whose askings the core is given now, in order."""
        return [
            one.event.owner
            for one in self.federation.take()
            if isinstance(one, Submit) and isinstance(one.event, ev.ReservationAsked)
        ]


def test_the_longest_wait_comes_first_whoever_is_nearer() -> None:
    donor = Donor(waiting={"sever": 1, "yug": 1})
    donor.asked("sever", 5)
    donor.asked("yug", 60)
    donor.federation.settle(NOW)
    assert donor.submitted() == []
    due = donor.federation.next_deadline(NOW)
    assert due == NOW + RIVALS_US
    donor.federation.settle(due)
    assert donor.submitted() == ["yug", "sever"]
    donor.federation.settle(due)
    assert donor.submitted() == [], "once"


def test_class_comes_before_wait() -> None:
    donor = Donor(waiting={"sever": 1, "yug": 1})
    donor.asked("yug", 60)
    donor.asked("sever", 5, ContactClass.EMERGENCY)
    donor.federation.settle(Instant(NOW + RIVALS_US))
    assert donor.submitted() == ["sever", "yug"]


def test_one_who_asks_alone_is_answered_at_once() -> None:
    donor = Donor(waiting={"sever": 9, "yug": 0})
    donor.asked("sever", 5)
    assert donor.submitted() == ["sever"]


def test_a_rival_that_is_not_heard_any_more_is_none() -> None:
    donor = Donor(waiting={"yug": 1})
    donor.federation.peers["yug"].loaded = Instant(NOW - seconds(4))
    donor.asked("sever", 5)
    assert donor.submitted() == ["sever"]


def test_no_more_are_kept_than_there_is_room_for() -> None:
    donor = Donor(waiting={"sever": 1, "yug": 1})
    for _ in range(KEPT_MAX):
        donor.asked("sever", 5)
    assert donor.submitted() == []
    donor.asked("sever", 1)
    assert donor.submitted() == ["sever"]


def test_what_was_asked_before_the_line_was_cut_is_not_answered_after_it() -> None:
    donor = Donor(waiting={"sever": 1, "yug": 1})
    donor.asked("sever", 5)
    donor.federation.settle(Instant(NOW + ASK_TIMEOUT_US + RIVALS_US))
    assert donor.submitted() == [], "sever has given up, and asked elsewhere"
    donor.asked("sever", 5)
    donor.federation.settle(Instant(NOW + RIVALS_US))
    assert donor.submitted() == ["sever"]


class Still:
    """An engine whose time stands still."""

    def now(self) -> Instant:
        return NOW

    def submit(self, event: ev.Event, *, source: str = "", key: str | None = None) -> None:
        del event, source, key


async def test_the_link_comes_back_when_they_are_due() -> None:
    donor = Donor(waiting={"sever": 1, "yug": 1})
    link = Link(Still(), donor.federation, LinkSettings(urls=("nats://127.0.0.1:1",)))
    link.up = True
    ask = Ask(reservation_id="r", contact_id="c", queue=QUEUE, waited_us=0)
    message = Message(version=VERSION, center="sever", epoch=1, seq=99, body=ask)
    await link._hear(Msg(_client=Client(), subject="gkc.to.centr.sever", data=encode(message)))
    assert link._timer is not None
    due_s = link._timer.when() - asyncio.get_running_loop().time()
    link._timer.cancel()
    assert due_s <= RIVALS_US / SECOND
