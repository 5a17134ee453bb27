"""The order of one instant, rejections, views, and that no event is forgotten."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import core
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import (
    AgentSettings,
    Blending,
    ContactClass,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
    Then,
    Treatment,
)
from gkc_engine.acd.state import ContactState
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId, SkillId

TAX, MAIL = QueueId("tax"), QueueId("mail")
ANNA, BORIS = AgentId("anna"), AgentId("boris")


def at(seconds: float) -> Instant:
    return Instant(round(seconds * SECOND))


def us(seconds: float) -> Micros:
    return Micros(round(seconds * SECOND))


def settings(*queues: QueueSettings, agents: tuple[AgentSettings, ...] = ()) -> Settings:
    known = agents or (AgentSettings(agent_id=ANNA), AgentSettings(agent_id=BORIS))
    return Settings(version="1", queues=queues or (QueueSettings(queue_id=TAX),), agents=known)


def core_with(config: Settings, *logged_in: AgentId) -> Acd:
    acd = Acd()
    acd.step(ev.SettingsApplied(settings=config), at(0))
    for agent_id in logged_in:
        acd.step(ev.AgentLoggedIn(agent_id=agent_id), at(0))
    return acd


def arrive(
    acd: Acd,
    contact: str,
    now: Instant,
    queue: QueueId = TAX,
    medium: Medium = Medium.VOICE,
    contact_class: ContactClass | None = None,
) -> list[cmd.Command]:
    contact_id = ContactId(contact)
    acd.step(
        ev.ContactStarted(contact_id=contact_id, medium=medium, number="1", entry="+7495"), now
    )
    return acd.step(
        ev.QueueRequested(contact_id=contact_id, queue=queue, contact_class=contact_class), now
    )


def offers(commands: list[cmd.Command]) -> list[tuple[ContactId, AgentId]]:
    return [
        (c.contact_id, agent)
        for c in commands
        if isinstance(c, cmd.OfferContact)
        for agent in c.agent_ids
    ]


def test_each_event_is_handled_and_stands_in_a_line_of_p5() -> None:
    """An event without a line of its own would be taken for one that names an agent."""
    union = set(get_args(ev.Event))
    assert union - set(core._HANDLERS) - core.FOR_THE_RECORD == {ev.EngineRestarted}
    assert not core.FOR_THE_RECORD & set(core._HANDLERS)
    source = Path(core.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"ev\.(\w+)\(\)", source)) | {e.__name__ for e in core._RANKS}
    by_agent = {e.__name__ for e in union} - named
    assert by_agent == {
        "HoldStarted",
        "HoldEnded",
        "TalkEnded",
        "AgentLoggedIn",
        "AgentLoggedOut",
        "AgentPaused",
        "AgentReady",
        "AgentDeviceChanged",
        "AgentCallStarted",
        "AgentCallEnded",
        "WrapUpCoded",
        "SkillsChanged",
        "OutboundStarted",
        "SkillOverridden",
    }


def test_agents_become_able_before_steps_of_the_same_instant() -> None:
    """P5: at 20 s the wrap-up ends (kind 1) and the step begins (kind 2)."""
    tight = QueueSettings(
        queue_id=TAX,
        require={SkillId("tax"): 1},
        relax=(RelaxStep(after_us=us(20), require={}),),
        wrapup_us=us(5),
    )
    agents = (
        AgentSettings(agent_id=ANNA, skills={SkillId("tax"): 1}),
        AgentSettings(agent_id=BORIS),
    )
    acd = core_with(settings(tight, agents=agents), BORIS, ANNA)
    assert offers(arrive(acd, "c1", at(0))) == [(ContactId("c1"), ANNA)]
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(0))
    arrive(acd, "c2", at(0))
    acd.step(ev.ContactLeft(contact_id=ContactId("c1"), party=ev.Party.CITIZEN), at(15))
    # Boris has been idle longer, but the step that lets him in comes after Anna's wrap-up.
    assert offers(acd.step(ev.Tick(), at(20))) == [(ContactId("c2"), ANNA)]


def test_arrivals_of_an_instant_wait_for_its_timers_and_results_do_not() -> None:
    acd = core_with(settings(QueueSettings(queue_id=TAX, wrapup_us=us(5))), ANNA)
    arrive(acd, "c1", at(0))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(1))
    acd.step(ev.ContactLeft(contact_id=ContactId("c1"), party=ev.Party.CITIZEN), at(5))
    arrive(acd, "c2", at(6))
    # A result of an offer (kind 0) does not run the wrap-up that ends at the same instant …
    stale = ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.BUSY)
    assert acd.step(stale, at(10)) == []
    assert acd.next_deadline() == at(10)
    # … but an arrival (kind 4) does, so that the one who waited longer is taken.
    assert offers(arrive(acd, "c3", at(10), contact_class=ContactClass.EMERGENCY)) == []
    assert acd.contact_view(ContactId("c2")).state is ContactState.OFFERED  # type: ignore[union-attr]


def test_what_was_due_before_is_handled_at_its_own_instant() -> None:
    acd = core_with(settings(QueueSettings(queue_id=TAX, wrapup_us=us(5))), ANNA)
    arrive(acd, "c1", at(0))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(1))
    acd.step(ev.ContactLeft(contact_id=ContactId("c1"), party=ev.Party.CITIZEN), at(5))
    acd.step(ev.Tick(), at(60))
    view = acd.agent_view(ANNA)
    assert view is not None
    assert view.idle_since == at(10)


def test_time_never_goes_back() -> None:
    acd = core_with(settings())
    acd.step(ev.Tick(), at(5))
    with pytest.raises(AssertionError, match="time went back"):
        acd.step(ev.Tick(), at(4))


def test_a_tick_that_is_on_no_record_is_not_the_last_instant_known() -> None:
    told: list[list[cmd.Command]] = []
    for ticks in ((), (ev.Tick(),)):
        acd = core_with(settings())
        arrive(acd, "c1", at(1))
        for tick in ticks:
            assert acd.step(tick, at(3)) == []
        told.append(acd.step(ev.EngineRestarted(), at(9)))
    assert told[0] == told[1]
    assert [c.ended for c in told[0] if isinstance(c, cmd.SegmentClosed)] == [at(1)]


def test_what_is_not_known_yet_reaches_back_over_an_engine_that_died_before_it_knew() -> None:
    acd = core_with(settings())
    arrive(acd, "c1", at(1))
    assert acd.unheard is None
    acd.step(ev.EngineRestarted(), at(9))
    arrive(acd, "c2", at(10))
    again = Acd.restore(acd.snapshot())
    again.step(ev.EngineRestarted(), at(20))
    assert again.unheard == at(1)
    assert again.step(ev.CaughtUp(), at(21)) == []
    assert again.unheard is None
    again.step(ev.EngineRestarted(), at(30))
    assert again.unheard == at(21)


@pytest.mark.parametrize(
    "event",
    [
        ev.AgentLoggedIn(agent_id=AgentId("nobody")),
        ev.HoursChanged(queue=QueueId("nothing"), open=False),
        ev.EmergencyClosed(queue=QueueId("nothing")),
        ev.SkillsChanged(agent_id=AgentId("nobody"), skills={}),
        ev.SkillOverridden(agent_id=AgentId("nobody"), skill=SkillId("tax"), level=1),
        ev.SkillOverridden(agent_id=ANNA, skill=SkillId("tax"), level=11),
        ev.SkillOverridden(agent_id=ANNA, skill=SkillId("tax"), level=1, until=at(1)),
        ev.QueueAnnounced(queue=QueueId("nothing"), say="outage", until=at(9)),
        ev.QueueAnnounced(queue=TAX, say="outage", until=at(1)),
        ev.BroadcastStopped(queue=QueueId("nothing")),
    ],
    ids=lambda e: type(e).__name__,
)
def test_unknown_names_are_rejected_by_name(event: ev.Event) -> None:
    (rejected,) = core_with(settings()).step(event, at(1))
    assert isinstance(rejected, cmd.EventRejected)
    assert rejected.kind == type(event).__name__


def test_unknown_queue_is_rejected_and_the_contact_stays() -> None:
    acd = core_with(settings())
    (rejected,) = arrive(acd, "c1", at(1), QueueId("nothing"))
    assert isinstance(rejected, cmd.EventRejected)
    view = acd.contact_view(ContactId("c1"))
    assert view is not None
    assert view.state is ContactState.MENU


def test_place_counts_all_who_compete_for_the_queue() -> None:
    acd = core_with(settings(), ANNA)
    arrive(acd, "c1", at(1))
    arrive(acd, "c2", at(2))
    arrive(acd, "c3", at(3))
    arrive(acd, "c4", at(4), contact_class=ContactClass.EMERGENCY)
    acd.step(ev.ContactDetached(contact_id=ContactId("c2")), at(5))
    places = {c: acd.contact_view(ContactId(c)).place for c in ("c1", "c2", "c3", "c4")}  # type: ignore[union-attr]
    assert places == {"c4": 1, "c1": 2, "c2": 3, "c3": 4}


def test_queue_view_counts() -> None:
    acd = core_with(settings(), ANNA, BORIS)
    acd.step(ev.AgentPaused(agent_id=BORIS, reason="lunch"), at(0))
    arrive(acd, "c1", at(1))
    arrive(acd, "c2", at(2))
    view = acd.queue_view(TAX)
    assert view is not None
    assert (view.waiting, view.offered, view.oldest) == (1, 1, at(1))
    assert (view.logged_in, view.ready, view.busy, view.not_ready) == (2, 0, 1, 1)
    before = acd.snapshot()
    list(acd.queues())
    list(acd.agents())
    list(acd.contacts())
    assert acd.snapshot() == before


def test_several_slots_and_media_that_exclude_each_other() -> None:
    mail = QueueSettings(queue_id=MAIL, medium=Medium.EMAIL)
    agents = (AgentSettings(agent_id=ANNA, capacity={Medium.VOICE: 1, Medium.EMAIL: 2}),)
    config = settings(QueueSettings(queue_id=TAX), mail, agents=agents)
    config.blending = {Medium.VOICE: Blending(excludes=(Medium.EMAIL,))}
    acd = core_with(config, ANNA)
    first = arrive(acd, "m1", at(1), MAIL, Medium.EMAIL)
    second = arrive(acd, "m2", at(2), MAIL, Medium.EMAIL)
    assert offers(first) + offers(second) == [(ContactId("m1"), ANNA), (ContactId("m2"), ANNA)]
    assert offers(arrive(acd, "m3", at(3), MAIL, Medium.EMAIL)) == []
    assert offers(arrive(acd, "c1", at(4))) == []
    acd.step(ev.ContactLeft(contact_id=ContactId("m1"), party=ev.Party.CITIZEN), at(5))
    # A slot is free again, but mail is in hand: the call waits on, the next letter comes.
    left = acd.step(ev.ContactLeft(contact_id=ContactId("m3"), party=ev.Party.CITIZEN), at(6))
    assert offers(left) == []


def test_first_of_two_ways_on_ends_when_queues_send_to_each_other() -> None:
    """Two queues whose treatments lead to each other: nobody circles for ever."""
    one = QueueSettings(
        queue_id=TAX, maxwait_us=us(10), timed_out=Treatment(then=Then.QUEUE, queue=MAIL)
    )
    two = QueueSettings(
        queue_id=MAIL, maxwait_us=us(10), timed_out=Treatment(then=Then.QUEUE, queue=TAX)
    )
    acd = core_with(settings(one, two))
    arrive(acd, "c1", at(0))
    out = acd.step(ev.Tick(), at(10))
    assert [c.queue for c in out if isinstance(c, cmd.ContactQueued)] == [MAIL]
    (treated,) = (c for c in out if isinstance(c, cmd.TreatContact))
    assert treated.disposition is cmd.Disposition.TIMEOUT


def test_a_full_queue_sends_on_to_another() -> None:
    full = QueueSettings(queue_id=TAX, maxlen=0, full=Treatment(then=Then.QUEUE, queue=MAIL))
    acd = core_with(settings(full, QueueSettings(queue_id=MAIL)), ANNA)
    arrive(acd, "c1", at(1))
    out = arrive(acd, "c2", at(2))
    assert [c.queue for c in out if isinstance(c, cmd.ContactQueued)] == [MAIL]
    assert not any(isinstance(c, cmd.TreatContact) for c in out)
    view = acd.contact_view(ContactId("c2"))
    assert view is not None
    assert (view.queue, view.state) == (MAIL, ContactState.WAITING)
    for contact in ("c2", "c1"):  # Each gives up the one place that it had.
        acd.step(ev.ContactLeft(contact_id=ContactId(contact), party=ev.Party.CITIZEN), at(3))
    assert list(acd.contacts()) == []


def test_far_sides_instants_stand_in_segments_within_the_step() -> None:
    acd = core_with(settings(), ANNA)
    arrive(acd, "c1", at(10))
    early = acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA, at=at(12.5)), at(13))
    (ring,) = (c for c in early if isinstance(c, cmd.SegmentClosed))
    assert (ring.started, ring.ended) == (at(10), at(12.5))
    ahead = acd.step(
        ev.ContactLeft(contact_id=ContactId("c1"), party=ev.Party.CITIZEN, at=at(99)), at(20)
    )
    (ended,) = (c for c in ahead if isinstance(c, cmd.ContactEnded))
    assert (ended.ended, ended.wait_us, ended.talk_us) == (at(20), us(2.5), us(7.5))
