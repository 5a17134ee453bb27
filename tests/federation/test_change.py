"""Other settings while the protocol runs: a center comes, another goes, what is asked goes on."""

from __future__ import annotations

import msgspec

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.federation.messages import (
    VERSION,
    Ask,
    Body,
    Deny,
    Grant,
    Load,
    Message,
    QueueLoad,
    decode,
    encode,
)
from gkc_engine.federation.peers import Refused, State
from gkc_engine.federation.protocol import Federation, Send, Submit
from gkc_engine.federation.settings import FederationSettings, OverflowRule
from gkc_engine.ids import SECOND, ContactId, Instant, Micros, QueueId

TAX = QueueId("tax")
WAITS = ContactId("c1")
NOW = Instant(1_000 * SECOND)


class Home:
    """A center with nobody at work."""

    def loads(self) -> dict[QueueId, QueueLoad]:
        return {}

    def state(self) -> State:
        return State.UNSTAFFED

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        assert contact_id == WAITS
        return None


def settings(*centers: str, name: str = "sever") -> FederationSettings:
    rule = OverflowRule(
        queues=frozenset({TAX}),
        to=centers,
        after_us=Micros(0),
        gain_min_us=Micros(0),
        donor_sl_min_milli=0,
    )
    return FederationSettings(center=name, rules=(rule,), peers=centers)


class Line:
    """One center, ``sever``, in which a citizen waits; the others are what is put in here."""

    def __init__(self, *centers: str) -> None:
        ids = iter(ContactId(f"r{n}") for n in range(100))
        self.federation = Federation(settings(*centers), Home(), 1, lambda: next(ids))
        self.seq = 0
        self.federation.said(
            cmd.ContactQueued(
                contact_id=WAITS,
                queue=TAX,
                medium=Medium.VOICE,
                enqueued=NOW,
                sequence=1,
                contact_class=ContactClass.NORMAL,
                head_start_us=Micros(0),
            ),
            NOW,
        )
        self.federation.said(cmd.HoldContact(contact_id=WAITS, queue=TAX, enqueued=NOW), NOW)

    def says(self, center: str, body: Body) -> None:
        self.seq += 1
        message = Message(version=VERSION, center=center, epoch=1, seq=self.seq, body=body)
        self.federation.hear(encode(message), NOW)
        self.federation.settle(NOW)

    def free(self, center: str) -> None:
        self.says(
            center, Load(state="normal", queues={TAX: QueueLoad(wait_us=0, ready=1, waiting=0)})
        )

    def asked(self) -> list[tuple[str, Ask]]:
        out = [one for one in self.federation.take() if isinstance(one, Send)]
        bodies = [(one.center, decode(one.data).body) for one in out]
        return [(center, body) for center, body in bodies if isinstance(body, Ask)]


def test_who_is_named_no_more_is_not_heard_and_not_asked_and_who_is_new_is() -> None:
    line = Line("yug")
    line.free("yug")
    [(center, ask)] = line.asked()
    assert center == "yug"
    line.says("yug", Deny(reservation_id=ask.reservation_id, reason="nobody"))
    assert line.asked() == []
    line.federation.change(settings("vostok"))
    line.free("yug")
    assert line.federation.refused["", Refused.FOREIGN] == 1
    line.free("vostok")
    assert [center for center, _ in line.asked()] == ["vostok"]


def test_a_center_is_there_for_a_queue_if_somebody_at_work_could_serve_it() -> None:
    line = Line("yug", "vostok")

    def says(center: str, state: str = "normal", *, ready: int = 0, staffed: bool = True) -> bool:
        queue = QueueLoad(wait_us=None, ready=ready, waiting=9, sl_milli=100, staffed=staffed)
        line.says(center, Load(state=state, queues={TAX: queue}))
        return line.federation.may_help(TAX, NOW)

    assert not line.federation.may_help(TAX, NOW), "nobody has been heard"
    assert not says("yug", staffed=False)
    assert says("vostok"), "all are busy: for now"
    assert not says("vostok", "unstaffed")
    assert not says("vostok", "going-down")
    assert says("yug", "overloaded")
    assert not line.federation.may_help(QueueId("other"), NOW), "no rule has it"
    assert not line.federation.may_help(TAX, Instant(NOW + 4 * SECOND)), "that was long ago"


def test_who_is_not_staffed_is_not_asked() -> None:
    line = Line("yug")
    queue = QueueLoad(wait_us=0, ready=1, waiting=0, staffed=False)
    line.says("yug", Load(state="normal", queues={TAX: queue}))
    assert line.asked() == []


def test_who_stays_is_known_as_before_and_what_he_was_asked_for_is_good() -> None:
    line = Line("yug")
    line.free("yug")
    [(_, ask)] = line.asked()
    line.federation.change(settings("vostok", "yug"))
    grant = Grant(
        reservation_id=ask.reservation_id, agent_id="115", hold_us=3 * SECOND, timeout_us=SECOND
    )
    line.says("yug", grant)
    submitted = [one for one in line.federation.take() if isinstance(one, Submit)]
    assert len(submitted) == 1
    assert line.federation.peers["yug"].load is not None


def test_of_a_planned_center_it_is_noted_that_it_is_heard_and_no_more() -> None:
    line = Line("yug")
    line.federation.change(msgspec.structs.replace(settings("yug"), planned=("vostok",)))
    line.free("vostok")
    assert line.federation.planned_heard == {"vostok": NOW}
    assert not line.federation.refused
    assert line.asked() == []
    line.free("zapad")
    assert line.federation.refused["", Refused.FOREIGN] == 1


def test_a_center_is_called_as_it_was_until_it_starts_again() -> None:
    line = Line("yug")
    line.federation.change(settings("yug", name="north"))
    line.federation.settle(NOW)
    said = [decode(one.data).center for one in line.federation.take() if isinstance(one, Send)]
    assert set(said) == {"sever"}
