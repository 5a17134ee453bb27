"""What is over is forgotten, however long a center runs; and what was lost is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.engine import EngineBusyError
from gkc_engine.federation.link import Link
from gkc_engine.federation.messages import (
    VERSION,
    Ask,
    Body,
    Deny,
    Grant,
    Load,
    Message,
    QueueLoad,
    Release,
    decode,
    encode,
)
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import Federation, Send
from gkc_engine.federation.settings import FederationSettings, LinkSettings
from gkc_engine.federation.standing import Standing
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId, seconds
from tests.fakes.ended import contact_ended
from tests.federation.centers import TAX, rule

NOW = Instant(1_000_000_000)


class Home:
    """A center where nobody is free and everybody waits for ever."""

    def loads(self) -> dict[QueueId, QueueLoad]:
        return {}

    def state(self) -> State:
        return State.NORMAL

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        del contact_id
        return None


def queued(contact: str, sequence: int = 1) -> Iterator[cmd.Command]:
    """Say that a contact of ours waits."""
    contact_id, at = ContactId(contact), Instant(NOW - 10_000 + sequence)
    yield cmd.ContactQueued(
        contact_id=contact_id,
        queue=TAX,
        medium=Medium.VOICE,
        enqueued=at,
        sequence=sequence,
        contact_class=ContactClass.NORMAL,
        head_start_us=Micros(0),
    )
    yield cmd.HoldContact(contact_id=contact_id, queue=TAX, enqueued=at)


def served(contact: str) -> cmd.Command:
    """Say that it is rung for here."""
    return cmd.OfferContact(
        offer_id=OfferId(1),
        contact_id=ContactId(contact),
        agent_ids=(AgentId("a1"),),
        queue=TAX,
        timeout_us=seconds(20),
        step=0,
        created=NOW,
    )


def ended(contact: str) -> cmd.Command:
    """Say that it is over."""
    return contact_ended(ContactId(contact), NOW, queue=TAX, first_queued=NOW)


class Sever:
    """One center's part, with whose neighbour ``yug`` the test speaks."""

    def __init__(self) -> None:
        settings = FederationSettings(center="sever", rules=(rule("yug"),), peers=("yug",))
        ids = (ContactId(f"r{n}") for n in range(10_000))
        self.federation = Federation(settings, Home(), 1, lambda: next(ids))
        self.owner = self.federation.owner
        self.epoch, self.seq = 1, 0

    def tell(self, *commands: cmd.Command) -> None:
        for command in commands:
            self.federation.said(command, NOW)

    def hears(self, body: Body) -> None:
        self.seq += 1
        message = Message(version=VERSION, center="yug", epoch=self.epoch, seq=self.seq, body=body)
        self.federation.hear(encode(message), NOW)

    def is_free(self) -> None:
        queues: dict[str, QueueLoad] = {TAX: QueueLoad(wait_us=0, ready=1, waiting=0)}
        self.hears(Load(state="normal", queues=queues))
        self.federation.settle(NOW)

    def said(self) -> list[Body]:
        out = [one for one in self.federation.take() if isinstance(one, Send)]
        return [decode(one.data).body for one in out]

    def asked(self) -> str:
        """Return the reservation that is asked for now."""
        [ask] = [body for body in self.said() if isinstance(body, Ask)]
        return ask.reservation_id


@pytest.mark.parametrize("first", [False, True], ids=["nobody", "somebody"])
def test_who_has_left_a_line_that_nobody_looks_at_is_forgotten(first: bool) -> None:
    standing = Standing()
    if first:  # He waits before them all, for as long as it takes.
        for command in queued("c0", 0):
            standing.said(command)
    for n in range(1, 5_000):
        for command in (*queued(f"c{n}", n), served(f"c{n}"), ended(f"c{n}")):
            standing.said(command)
    assert sum(map(len, standing._lines.values())) < 200
    assert [one.contact_id for one in standing.first(TAX, 5)] == ["c0"] * first


def test_who_is_moved_up_again_and_again_stands_once() -> None:
    standing = Standing()
    for command in (*queued("c1"), *queued("c2", 2)):
        standing.said(command)
    for n in range(5_000):
        standing.said(
            cmd.PriorityChanged(
                contact_id=ContactId("c2"),
                queue=TAX,
                contact_class=ContactClass.NORMAL,
                head_start_us=seconds(n),
                slope_milli=0,
            )
        )
    assert sum(map(len, standing._lines.values())) < 200
    assert [one.contact_id for one in standing.first(TAX, 5)] == ["c2", "c1"]


def test_a_denial_of_one_who_has_left_is_not_kept() -> None:
    sever = Sever()
    for n in range(100):
        sever.tell(*queued(f"c{n}"))
        sever.is_free()
        reservation = sever.asked()
        sever.tell(ended(f"c{n}"))
        sever.hears(Deny(reservation_id=reservation, reason="nobody_free"))
    assert sever.owner._denied == {}
    assert sever.owner._by_contact == {}


def test_a_donor_that_was_started_anew_is_asked_again_by_whom_it_had_denied() -> None:
    sever = Sever()
    sever.seq = 500
    sever.tell(*queued("c1"))
    sever.is_free()
    sever.hears(Deny(reservation_id=sever.asked(), reason="nobody_free"))
    sever.federation.settle(NOW)
    assert sever.said() == [], "not before it has said how it stands since"
    sever.epoch, sever.seq = 2, 0
    sever.is_free()
    assert sever.asked()


@pytest.mark.parametrize("sent_by", ["this engine", "the one before"])
def test_a_ring_without_a_sign_tells_of_the_way_only_to_who_has_sent_it(sent_by: str) -> None:
    """Whether one of before rang, nobody lived to hear: that is no dead trunk."""
    sever = Sever()
    if sent_by == "this engine":
        sever.tell(*queued("c1"))
        sever.is_free()
        sever.hears(Grant(reservation_id=sever.asked(), agent_id="115", hold_us=9, timeout_us=9))
    sever.tell(
        cmd.OfferEnded(
            offer_id=OfferId(1),
            contact_id=ContactId("c1"),
            agent_id=AgentId("yug:115"),
            queue=TAX,
            created=NOW,
            ringing=None,
            ended=NOW,
            outcome=cmd.OfferOutcome.UNREACHABLE,
        )
    )
    sever.tell(*queued("c2"))
    sever.is_free()
    asks = [body.contact_id for body in sever.said() if isinstance(body, Ask)]
    assert asks == ([] if sent_by == "this engine" else ["c2"])


class Busy:
    """An engine that takes nothing more."""

    def now(self) -> Instant:
        return NOW

    def submit(self, event: ev.Event, *, source: str = "", key: str | None = None) -> None:
        del event, source, key
        raise EngineBusyError


async def test_a_grant_that_the_engine_has_no_room_for_is_given_back() -> None:
    sever = Sever()
    link = Link(Busy(), sever.federation, LinkSettings(urls=("nats://127.0.0.1:1",)))
    link.up = True
    sever.tell(*queued("c1"))
    sever.is_free()
    reservation = sever.asked()
    sever.hears(
        Grant(reservation_id=reservation, agent_id="115", hold_us=3_000_000, timeout_us=1_000_000)
    )
    link._pour()
    assert link.dropped["engine_busy"] == 1
    (_, data, _) = link._outbox[-1]
    assert decode(data).body == Release(reservation_id=reservation, reason="busy")
    await asyncio.sleep(0)
    sever.is_free()
    assert sever.asked() != reservation, "it still waits, and may be sent"
