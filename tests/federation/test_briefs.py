"""What travels with a contact that is sent on: over the line, to the donor's core and record."""

from __future__ import annotations

import msgspec
import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.overflow_events import STAGES_MAX, ContactBrief, Stage
from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.errors import PeerError
from gkc_engine.federation.briefs import Briefs
from gkc_engine.federation.messages import VERSION, Ask, Load, Message, QueueLoad, decode, encode
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import Federation, Send, Submit
from gkc_engine.federation.settings import FederationSettings, OverflowRule
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId
from tests.fakes.ended import contact_ended
from tests.federation.test_rivals import NOW, QUEUE, Alone

ONE = ContactId("c1")
TOLD = ContactBrief(
    number="2026-ЦАО-000123",
    language="en",
    menu=(("main", "2"), ("passport", "1")),
    past=(
        Stage(kind="menu", took_us=7 * SECOND),
        Stage(kind="talk", took_us=30 * SECOND, queue="tax", agent_id="anna"),
    ),
)


def started(contact_id: ContactId = ONE) -> ev.ContactStarted:
    return ev.ContactStarted(
        contact_id=contact_id,
        medium=Medium.VOICE,
        number="2026-ЦАО-000123",
        entry="+74957777777",
        language="ru",
    )


def closed(n: int, kind: SegmentKind, took_s: int, agent: str | None = None) -> cmd.SegmentClosed:
    return cmd.SegmentClosed(
        contact_id=ONE,
        n=n,
        kind=kind,
        started=NOW,
        ended=Instant(NOW + took_s * SECOND),
        outcome=SegmentOutcome.QUEUED,
        queue=None if agent is None else QueueId("tax"),
        agent_id=None if agent is None else AgentId(agent),
    )


def history() -> list[ev.Event | cmd.Command]:
    return [
        started(),
        ev.LanguageChosen(contact_id=ONE, language="en"),
        ev.MenuAnswered(contact_id=ONE, menu="main", digit="2"),
        ev.MenuAnswered(contact_id=ONE, menu="passport", digit="1"),
        closed(0, SegmentKind.MENU, 7),
        ev.MenuAnswered(contact_id=ContactId("another"), menu="main", digit="9"),
        closed(1, SegmentKind.TALK, 30, "anna"),
    ]


def test_what_happened_to_it_here_is_told() -> None:
    briefs = Briefs()
    briefs.follow(history())
    assert briefs.of(ONE) == TOLD
    assert briefs.of(ContactId("another")) is None, "it did not begin here"


def test_the_last_stages_go_along_and_no_more_than_a_message_takes() -> None:
    briefs = Briefs()
    briefs.follow([started()])
    for n in range(3 * STAGES_MAX):
        briefs.follow([closed(n, SegmentKind.QUEUE, n)])
        briefs.follow([ev.MenuAnswered(contact_id=ONE, menu=f"m{n}" * 99, digit="1")])
    told = briefs.of(ONE)
    assert told is not None
    assert [s.took_us // SECOND for s in told.past] == list(range(2 * STAGES_MAX, 3 * STAGES_MAX))
    asking = Ask(reservation_id="r", contact_id="c1", queue="tax", waited_us=0, brief=told)
    message = Message(version=VERSION, center="centr", epoch=1, seq=1, body=asking)
    assert decode(encode(message)) == message


def test_of_who_is_gone_nothing_is_kept() -> None:
    briefs = Briefs()
    ended = contact_ended(ONE, NOW, disposition=cmd.Disposition.ANSWERED)
    briefs.follow([*history(), ended])
    assert briefs.of(ONE) is None


def owner_with_one_waiting(briefs: Briefs) -> Federation:
    """Return centr's part: sever has somebody free, and a contact of centr waits."""
    rule = OverflowRule(
        queues=frozenset({QUEUE}),
        to=("sever",),
        after_us=Micros(0),
        gain_min_us=Micros(0),
        donor_sl_min_milli=0,
    )
    settings = FederationSettings(center="centr", peers=("sever",), rules=(rule,))
    made = Federation(settings, Alone(), epoch=1, new_id=lambda: ContactId("r1"), brief=briefs.of)
    load = QueueLoad(wait_us=0, ready=3, waiting=0)
    body = Load(state=State.NORMAL, queues={QUEUE: load})
    made.hear(encode(Message(version=VERSION, center="sever", epoch=1, seq=1, body=body)), NOW)
    queued = cmd.ContactQueued(
        contact_id=ONE,
        queue=QUEUE,
        enqueued=Instant(NOW - 60 * SECOND),
        sequence=1,
        contact_class=ContactClass.NORMAL,
        head_start_us=Micros(0),
        medium=Medium.VOICE,
    )
    made.said(queued, NOW)
    made.said(cmd.HoldContact(contact_id=ONE, queue=QUEUE, enqueued=queued.enqueued), NOW)
    return made


def test_the_donor_is_told_with_the_question() -> None:
    briefs = Briefs()
    briefs.follow(history())
    owner = owner_with_one_waiting(briefs)
    owner.settle(NOW)
    (asking,) = [o for o in owner.take() if isinstance(o, Send) and o.center == "sever"]
    donor = Federation(
        FederationSettings(center="sever", peers=("centr",)),
        Alone(),
        epoch=1,
        new_id=lambda: ContactId("x"),
    )
    donor.hear(asking.data, NOW, "centr")
    (asked,) = [o.event for o in donor.take() if isinstance(o, Submit)]
    assert isinstance(asked, ev.ReservationAsked)
    assert asked.brief == TOLD


@pytest.mark.parametrize(
    "brief",
    [
        {"language": "ru\nSET"},
        {"language": "x" * 17},
        {"number": "9" * 65},
        {"menu": [["main", "1"]] * (STAGES_MAX + 1)},
        {"past": [{"kind": "talk", "took_us": -1}]},
        {"name": "Ivan"},
    ],
)
def test_what_is_no_brief_is_refused_with_its_message(brief: dict[str, object]) -> None:
    body = {
        "type": "ask",
        "reservation_id": "r",
        "contact_id": "c",
        "queue": "tax",
        "waited_us": 0,
        "brief": brief,
    }
    message = {"version": VERSION, "center": "centr", "epoch": 1, "seq": 1, "body": body}
    with pytest.raises(PeerError):
        decode(msgspec.msgpack.encode(message))
