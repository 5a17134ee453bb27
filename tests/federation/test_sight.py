"""How a center says it stands, what that costs, and who is remembered over a restart."""

from __future__ import annotations

import time

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import (
    AgentSettings,
    ContactClass,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
)
from gkc_engine.acd.state import ContactState
from gkc_engine.federation.peers import State
from gkc_engine.federation.sight import CenterSight
from gkc_engine.federation.standing import Standing
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    OfferId,
    QueueId,
    SkillId,
    seconds,
)
from tests.channels.world import at
from tests.federation.centers import TAX, settings_of


class Looked:
    """A core, and the sight of it."""

    def __init__(self, operators: int = 0, queues: tuple[QueueId, ...] = (TAX,)) -> None:
        self.acd, self.expected, self.now = Acd(), ExpectedWait(), at(0)
        self.standing = Standing()
        self.level: float | None = None
        self.told_us: dict[QueueId, Micros] = {}
        self.tell(ev.SettingsApplied(settings=settings_of(operators, queues)))
        self.sight = self.see()

    def see(self, *, keep_free: int = 0, planned: bool = False) -> CenterSight:
        self.sight = CenterSight(
            self.acd,
            lambda: self.now,
            expect=lambda contact, now: self.expected.expect(self.acd, contact, now),
            expect_new=lambda queue, _now: self.told_us.get(queue),
            level=lambda _queue, _now: self.level,
            target_us=lambda _queue: 20 * SECOND,
            keep_free=keep_free,
            planned=planned,
        )
        return self.sight

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            said = self.acd.step(event, self.now)
            self.expected.learn(said)
            for command in said:
                self.standing.said(command)

    def call(self, n: int, queue: QueueId = TAX, **more: object) -> None:
        contact_id = ContactId(f"c{n}")
        self.tell(
            ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number=str(n), entry="+7495"
            ),
            ev.QueueRequested(contact_id=contact_id, queue=queue, **more),  # type: ignore[arg-type]
        )

    def log_in(self, *numbers: int) -> None:
        self.tell(*(ev.AgentLoggedIn(agent_id=AgentId(f"a{n}"), by="test") for n in numbers))

    def later(self, by_s: float) -> None:
        self.now = Instant(self.now + seconds(by_s))


def test_who_is_free_is_said_less_those_who_are_kept() -> None:
    city = Looked(operators=3)
    city.log_in(0, 1, 2)
    assert city.see().loads()[TAX].ready == 3
    assert city.see(keep_free=1).loads()[TAX].ready == 2
    city.call(1)
    assert city.see(keep_free=1).loads()[TAX].ready == 1
    assert city.sight.loads()[TAX].waiting == 1, "he is rung for, and not yet answered"
    assert city.see(keep_free=5).loads()[TAX].ready == 0


def test_a_closed_queue_takes_nobody() -> None:
    city = Looked(operators=1)
    assert city.see().loads()[TAX].open
    city.tell(ev.HoursChanged(queue=TAX, open=False))
    assert not city.see().loads()[TAX].open
    city.tell(ev.HoursChanged(queue=TAX, open=True), ev.EmergencyClosed(queue=TAX))
    assert not city.see().loads()[TAX].open
    city.tell(ev.EmergencyOpened(queue=TAX))
    assert city.see().loads()[TAX].open
    city.call(1)
    city.tell(ev.SettingsApplied(settings=settings_of(1, (QueueId("pass"),))))
    assert not city.see().loads()[TAX].open, "it is out of the config, and only drains"


def test_a_queue_is_staffed_by_whom_another_center_may_ever_be_given() -> None:
    city = Looked()
    queue = QueueSettings(
        queue_id=TAX,
        require={SkillId("tax"): 5},
        relax=(RelaxStep(after_us=seconds(20), require={SkillId("tax"): 1}),),
    )
    agents = tuple(
        AgentSettings(agent_id=AgentId(name), skills=skills)
        for name, skills in (("a0", {}), ("a1", {SkillId("tax"): 2}), ("a2", {SkillId("tax"): 5}))
    )
    city.tell(ev.SettingsApplied(settings=Settings(version="2", queues=(queue,), agents=agents)))
    assert not city.see().loads()[TAX].staffed
    city.log_in(0, 1)
    assert not city.see().loads()[TAX].staffed, "she may take it after 20 s, of our own only"
    city.log_in(2)
    assert city.see().loads()[TAX].staffed
    assert not city.see(keep_free=1).loads()[TAX].staffed, "he is there for our own alone"
    assert not city.see(planned=True, keep_free=10**6).loads()[TAX].staffed
    city.tell(ev.AgentPaused(agent_id=AgentId("a2"), reason="tea"))
    assert (city.see().loads()[TAX].staffed, city.sight.loads()[TAX].ready) == (True, 0)
    city.tell(ev.AgentLoggedOut(agent_id=AgentId("a2")))
    assert not city.see().loads()[TAX].staffed


def test_a_service_level_is_said_in_thousandths() -> None:
    city = Looked(operators=1)
    assert city.see().loads()[TAX].sl_milli is None
    city.level = 2 / 3
    assert city.see().loads()[TAX].sl_milli == 667


def test_the_state_in_one_word() -> None:
    city = Looked(operators=1)
    assert city.see().state() is State.UNSTAFFED
    city.log_in(0)
    assert city.see().state() is State.NORMAL
    city.told_us[TAX] = Micros(21 * SECOND)
    assert city.see().state() is State.NORMAL, "nobody waits"
    city.call(1)
    city.call(2)
    assert city.see().state() is State.OVERLOADED
    assert city.see(planned=True).state() is State.PLANNED


def test_what_a_reload_changes_is_said_at_once() -> None:
    city = Looked(operators=2)
    city.log_in(0, 1)
    sight = city.see(keep_free=2, planned=True)
    assert (sight.state(), sight.loads()[TAX].ready) == (State.PLANNED, 0)
    sight.change(1, planned=False)
    assert (sight.state(), sight.loads()[TAX].ready) == (State.NORMAL, 1)
    sight.change(1, planned=False, second_lines=(TAX,))
    assert sight.loads()[TAX].ready == 2, "for the second line nobody is kept free"


def test_a_load_is_looked_at_ten_times_a_second_and_waits_once() -> None:
    city = Looked(operators=2)
    city.log_in(0)
    city.told_us[TAX] = Micros(5)
    assert (city.sight.loads()[TAX].ready, city.sight.loads()[TAX].wait_us) == (1, 5)
    city.log_in(1)
    city.told_us[TAX] = Micros(9)
    city.later(0.05)
    assert city.sight.loads()[TAX].ready == 1
    city.later(0.06)
    assert (city.sight.loads()[TAX].ready, city.sight.loads()[TAX].wait_us) == (2, 5)
    city.later(0.9)
    assert city.sight.loads()[TAX].wait_us == 9


def test_who_is_not_in_our_line_just_now_is_not_sent_away() -> None:
    city = Looked(operators=1)
    city.call(1)
    assert city.sight.expected_wait(ContactId("c1")) is None, "nobody is at work"
    city.tell(ev.ContactDetached(contact_id=ContactId("c1")))
    city.later(2)
    city.sight.loads()
    assert city.sight.expected_wait(ContactId("c1")) == 0


@pytest.mark.parametrize("restored", [False, True])
def test_who_stands_here_is_known_after_a_restart(restored: bool) -> None:
    city = Looked(operators=1, queues=(TAX, QueueId("pass")))
    city.log_in(0)
    for n in range(5):  # The first is offered, the others wait.
        city.call(n)
        city.later(1)
    city.call(5, QueueId("pass"))
    city.call(6, contact_class=ContactClass.EMERGENCY)
    city.tell(
        ev.ReservationAsked(
            reservation_id=ContactId("g1"),
            owner="yug",
            contact_id=ContactId("y1"),
            queue=TAX,
            waited_us=Micros(0),
            hold_us=seconds(3),
        )
    )
    acd = Acd.restore(city.acd.snapshot()) if restored else city.acd
    recalled = Standing()
    recalled.recall(acd.in_line(Medium.VOICE), acd.guests())
    for queue in (TAX, QueueId("pass")):
        found = [w.contact_id for w in recalled.first(queue, 10)]
        assert found == [w.contact_id for w in city.standing.first(queue, 10)]
        assert found
    assert [w.contact_id for w in recalled.first(TAX, 10)] == ["c6", "c1", "c2", "c3", "c4"]
    offered = recalled.get(ContactId("c0"))
    assert offered is not None
    assert not offered.waits


def test_a_guest_who_waits_here_after_a_transfer_is_recalled_as_one() -> None:
    """Whatever queue he comes into, he is not sent on."""
    city = Looked(operators=1, queues=(TAX, QueueId("pass")))
    city.log_in(0)
    guest, anna = ContactId("g1"), AgentId("a0")
    city.tell(
        ev.ReservationAsked(
            reservation_id=guest,
            owner="yug",
            contact_id=ContactId("y1"),
            queue=TAX,
            waited_us=Micros(0),
            hold_us=seconds(3),
        ),
        ev.GuestArrived(contact_id=guest),
        ev.OfferAccepted(offer_id=OfferId(1), agent_id=anna),
        ev.AgentPaused(agent_id=anna),
        ev.TransferRequested(contact_id=guest, from_agent=anna, to_queue=QueueId("pass")),
    )
    view = city.acd.contact_view(guest)
    assert view is not None
    assert (view.state, view.queue) == (ContactState.WAITING, "pass")
    assert city.acd.guests() == [guest]
    assert city.acd.in_line(Medium.VOICE) == []


def test_what_a_look_costs_does_not_depend_on_who_waits() -> None:
    queues = tuple(QueueId(f"q{n}") for n in range(100))
    city = Looked(operators=500, queues=queues)
    few = _cost(city)
    for n in range(10_000):
        city.call(n, queues[n % 100])
    many = _cost(city)
    assert sum(load.waiting for load in city.sight.loads().values()) == 10_000
    assert many < 5 * few + 0.002, f"{few * 1000:.2f} ms, then {many * 1000:.2f} ms"


def _cost(city: Looked) -> float:
    """Return the best of some looks, in seconds."""
    costs = []
    for _ in range(10):
        city.later(0.2)
        begun = time.perf_counter()
        city.sight.loads()
        costs.append(time.perf_counter() - begun)
    return min(costs)
