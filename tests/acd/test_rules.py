"""Corners of the rules that histories seldom reach: circles, limits, what a reload leaves."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import places
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import (
    AgentSettings,
    Blending,
    ContactClass,
    EmptyFactor,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
    Strategy,
    Then,
    Treatment,
)
from gkc_engine.acd.state import AcdState, ContactState
from gkc_engine.ids import AgentId, ContactId, OfferId, QueueId, SkillId
from tests.acd.test_core import ANNA, BORIS, MAIL, TAX, arrive, at, core_with, offers, settings, us

HOUSING = QueueId("housing")


def call(acd: Acd, contact: str, citizen: str, now: float, *, menu_s: float = 0) -> cmd.Command:
    """A call of a citizen to the tax queue; return what stands on record of his place."""
    contact_id = ContactId(contact)
    acd.step(
        ev.ContactStarted(
            contact_id=contact_id, medium=Medium.VOICE, number="1", entry="+7495", citizen=citizen
        ),
        at(now),
    )
    out = acd.step(ev.QueueRequested(contact_id=contact_id, queue=TAX), at(now + menu_s))
    return next(c for c in out if isinstance(c, cmd.ContactQueued | cmd.TreatContact))


def hang_up(acd: Acd, contact: str, now: float) -> list[cmd.Command]:
    return acd.step(ev.ContactLeft(contact_id=ContactId(contact), party=ev.Party.CITIZEN), at(now))


# --- treatments -------------------------------------------------------------------------------


def test_a_circle_through_a_closed_queue_ends() -> None:
    """``timed_out`` leads to a queue that is closed and leads back: the contact is told so."""
    onward = Treatment(then=Then.QUEUE, queue=MAIL)
    one = QueueSettings(queue_id=TAX, maxwait_us=us(10), timed_out=onward)
    two = QueueSettings(queue_id=MAIL, closed=Treatment(then=Then.QUEUE, queue=TAX))
    acd = core_with(settings(one, two))
    acd.step(ev.HoursChanged(queue=MAIL, open=False), at(0))
    arrive(acd, "c1", at(0))
    (treated,) = (c for c in acd.step(ev.Tick(), at(10)) if isinstance(c, cmd.TreatContact))
    assert treated.disposition is cmd.Disposition.CLOSED


def test_a_closed_queue_leads_over_others_that_are_closed() -> None:
    def closed_to(queue: QueueId, target: QueueId) -> QueueSettings:
        return QueueSettings(queue_id=queue, closed=Treatment(then=Then.QUEUE, queue=target))

    acd = core_with(
        settings(closed_to(TAX, MAIL), closed_to(MAIL, HOUSING), QueueSettings(queue_id=HOUSING))
    )
    for queue in (TAX, MAIL):
        acd.step(ev.HoursChanged(queue=queue, open=False), at(0))
    queued = [c.queue for c in arrive(acd, "c1", at(1)) if isinstance(c, cmd.ContactQueued)]
    assert queued == [HOUSING]


def test_who_finds_nobody_is_refused_and_no_part_of_the_offered() -> None:
    empty = QueueSettings(queue_id=TAX, joinempty=(EmptyFactor.PAUSED,))
    acd = core_with(settings(empty))
    arrive(acd, "c1", at(1))
    (ended,) = (c for c in hang_up(acd, "c1", 3) if isinstance(c, cmd.ContactEnded))
    assert (ended.disposition, ended.first_queued) == (cmd.Disposition.NO_AGENT, None)


def test_a_later_step_keeps_those_who_wait_in_an_empty_queue() -> None:
    """Nobody is left for the present step, but somebody will be for the next."""
    queue = QueueSettings(
        queue_id=TAX,
        require={SkillId("tax"): 1},
        relax=(RelaxStep(after_us=us(20), require={}),),
        leavewhenempty=(EmptyFactor.PAUSED,),
    )
    acd = core_with(settings(queue), ANNA)
    arrive(acd, "c1", at(0))
    assert acd.step(ev.Tick(), at(1)) == []
    acd.step(ev.AgentPaused(agent_id=ANNA), at(2))
    gone = acd.step(ev.Tick(), at(2))
    assert [c.disposition for c in gone if isinstance(c, cmd.TreatContact)] == ["no_agent"]


def test_nobody_leaves_when_help_comes_at_the_same_instant() -> None:
    """P5: the pause and the login are kind 1, leaving is kind 3."""
    queue = QueueSettings(queue_id=TAX, leavewhenempty=(EmptyFactor.PAUSED, EmptyFactor.INUSE))
    acd = core_with(settings(queue), ANNA)
    arrive(acd, "c1", at(0))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(1))
    acd.step(ev.AgentLoggedIn(agent_id=BORIS), at(1))
    assert acd.step(ev.Tick(), at(1)) == []
    acd.step(ev.AgentPaused(agent_id=BORIS), at(2))
    assert acd.next_deadline() is None
    arrive(acd, "c2", at(3))
    assert acd.next_deadline() == at(3)
    acd.step(ev.AgentReady(agent_id=BORIS), at(3))
    assert acd.next_deadline() != at(3)


# --- places -----------------------------------------------------------------------------------


def resuming(**more: object) -> QueueSettings:
    return replace(QueueSettings(queue_id=TAX, resume_within_us=us(60)), **more)  # type: ignore[arg-type]


def test_the_instant_of_the_call_counts_and_not_that_of_the_menu() -> None:
    acd = core_with(settings(resuming()))
    call(acd, "c1", "k1", 0)
    hang_up(acd, "c1", 10)
    back = call(acd, "c2", "k1", 65, menu_s=500)
    assert isinstance(back, cmd.ContactQueued)
    assert (back.enqueued, back.sequence, back.resumes) == (at(0), 0, "c1")


def test_an_endless_menu_costs_the_place() -> None:
    acd = core_with(settings(resuming()))
    call(acd, "c1", "k1", 0)
    hang_up(acd, "c1", 10)
    back = call(acd, "c2", "k1", 65, menu_s=606)
    assert isinstance(back, cmd.ContactQueued)
    assert (back.enqueued, back.resumes) == (at(671), None)


def test_a_place_ends_when_its_longest_wait_is_over() -> None:
    acd = core_with(settings(resuming(maxwait_us=us(30))))
    call(acd, "c1", "k1", 0)
    hang_up(acd, "c1", 20)
    back = call(acd, "c2", "k1", 30)
    assert isinstance(back, cmd.ContactQueued)
    assert back.enqueued == at(30)


def test_places_are_a_stated_number_and_outlast_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "PLACES_MAX", 2)
    acd = core_with(settings(resuming()))
    for n in range(3):
        call(acd, f"c{n}", f"k{n}", 2 * n)
        hang_up(acd, f"c{n}", 2 * n + 1)
    text = msgspec.json.encode(acd.snapshot())
    again = Acd.restore(msgspec.json.decode(text, type=AcdState))
    assert [p.citizen for p in again.snapshot().places] == ["k1", "k2"]
    for core in (acd, again):
        assert call(core, "c7", "k0", 20).resumes is None  # type: ignore[union-attr]
        assert call(core, "c8", "k2", 21).resumes == "c2"  # type: ignore[union-attr]


def test_old_places_are_forgotten() -> None:
    acd = core_with(settings(resuming()))
    call(acd, "c1", "k1", 0)
    hang_up(acd, "c1", 1)
    call(acd, "c2", "k2", 700)
    hang_up(acd, "c2", 701)
    assert [p.citizen for p in acd.snapshot().places] == ["k2"]


# --- blending ---------------------------------------------------------------------------------


def both_media(**blending: tuple[Medium, ...]) -> Settings:
    agents = (AgentSettings(agent_id=ANNA, capacity={Medium.VOICE: 1, Medium.EMAIL: 1}),)
    mail = QueueSettings(queue_id=MAIL, medium=Medium.EMAIL)
    config = settings(QueueSettings(queue_id=TAX), mail, agents=agents)
    return replace(config, blending={Medium.VOICE: Blending(**blending)})


def with_letter_and_call(config: Settings) -> Acd:
    acd = core_with(config, ANNA)
    arrive(acd, "m1", at(1), MAIL, Medium.EMAIL)
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(2))
    arrive(acd, "c1", at(3))
    acd.step(ev.OfferAccepted(offer_id=OfferId(2), agent_id=ANNA), at(4))
    return acd


def segments(commands: list[cmd.Command], contact: str) -> list[tuple[str, str]]:
    return [
        (c.kind.value, c.outcome.value)
        for c in commands
        if isinstance(c, cmd.SegmentClosed) and c.contact_id == contact
    ]


def test_a_letter_that_is_put_aside_while_parked_comes_back_on_hold() -> None:
    acd = with_letter_and_call(both_media(interrupts=(Medium.EMAIL,)))
    acd.step(ev.HoldStarted(contact_id=ContactId("m1"), agent_id=ANNA), at(5))
    out = hang_up(acd, "c1", 6)
    assert segments(out, "m1") == [("parked", "resumed")]
    out = hang_up(acd, "m1", 7)
    (ended,) = (c for c in out if isinstance(c, cmd.ContactEnded))
    assert segments(out, "m1") == [("hold", "left")]
    # Two seconds of talk, two parked, one on hold: the parked ones are no handling.
    assert (ended.talk_us, ended.hold_us) == (us(2), us(1))


def test_a_letter_accepted_during_a_call_is_answered_and_then_parked() -> None:
    acd = core_with(both_media(interrupts=(Medium.EMAIL,)), ANNA)
    arrive(acd, "c1", at(1))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(2))
    arrive(acd, "m1", at(3), MAIL, Medium.EMAIL)
    out = acd.step(ev.OfferAccepted(offer_id=OfferId(2), agent_id=ANNA), at(4))
    states = [(c.state, c.reason) for c in out if isinstance(c, cmd.AgentStateChanged)]
    assert states == [("talk", ""), ("hold", "parked")]


def test_a_citizen_may_leave_while_parked() -> None:
    acd = with_letter_and_call(both_media(interrupts=(Medium.EMAIL,)))
    out = hang_up(acd, "m1", 6)
    assert segments(out, "m1") == [("parked", "left")]
    view = acd.agent_view(ANNA)
    assert view is not None
    assert [slot.contact_id for slot in view.slots] == ["c1", None]


def test_a_config_that_interrupts_no_more_takes_letters_up_again() -> None:
    acd = with_letter_and_call(both_media(interrupts=(Medium.EMAIL,)))
    out = acd.step(ev.SettingsApplied(settings=replace(both_media(), blending={})), at(5))
    assert segments(out, "m1") == [("parked", "resumed")]


def test_a_letter_that_is_accepted_frees_for_a_call_what_its_ring_shut_out() -> None:
    """Excluded and interrupted: while the letter is only offered, no call comes."""
    acd = core_with(both_media(excludes=(Medium.EMAIL,), interrupts=(Medium.EMAIL,)), ANNA)
    arrive(acd, "m1", at(1), MAIL, Medium.EMAIL)
    assert offers(arrive(acd, "c1", at(2))) == []
    out = acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(3))
    assert offers(out) == [(ContactId("c1"), ANNA)]


# --- capacity, rests ----------------------------------------------------------------------------


def test_a_second_slot_is_no_way_round_the_rest() -> None:
    """The only one at work misses a call: he is asked again when his rest ends, not before."""
    agents = (AgentSettings(agent_id=ANNA, capacity={Medium.VOICE: 2}),)
    config = replace(settings(agents=agents), max_no_answer=3)
    acd = core_with(config, ANNA)
    arrive(acd, "c1", at(0))
    failed = ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER)
    assert offers(acd.step(failed, at(5))) == []
    assert offers(acd.step(ev.Tick(), at(15))) == [(ContactId("c1"), ANNA)]


def test_a_config_with_fewer_slots_is_heeded_at_once() -> None:
    two = (AgentSettings(agent_id=ANNA, capacity={Medium.VOICE: 2}),)
    one = (AgentSettings(agent_id=ANNA),)
    acd = core_with(settings(agents=two), ANNA)
    arrive(acd, "c1", at(0))
    acd.step(ev.SettingsApplied(settings=settings(agents=one)), at(1))
    assert offers(arrive(acd, "c2", at(2))) == []
    hang_up(acd, "c1", 3)
    view = acd.contact_view(ContactId("c2"))
    assert view is not None
    assert view.state is ContactState.OFFERED


def test_a_call_in_a_queue_of_letters_takes_a_slot_for_calls() -> None:
    """A reload may turn a queue with callers in it into one of another medium."""
    acd = core_with(settings())
    arrive(acd, "c1", at(0))
    letters = QueueSettings(queue_id=TAX, medium=Medium.EMAIL)
    acd.step(ev.SettingsApplied(settings=settings(letters)), at(1))
    assert offers(acd.step(ev.AgentLoggedIn(agent_id=ANNA), at(2))) == [(ContactId("c1"), ANNA)]


def test_the_end_of_one_handling_is_the_idle_time_of_the_other_slot() -> None:
    """P1: he last became ready when the call ended, though his letter is still wrapped up."""
    mail = QueueSettings(queue_id=MAIL, medium=Medium.EMAIL, wrapup_us=us(9))
    agents = (
        AgentSettings(agent_id=ANNA, capacity={Medium.VOICE: 1, Medium.EMAIL: 1}),
        AgentSettings(agent_id=BORIS),
    )
    acd = core_with(settings(QueueSettings(queue_id=TAX), mail, agents=agents), ANNA)
    arrive(acd, "m1", at(1), MAIL, Medium.EMAIL)
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(1))
    arrive(acd, "c1", at(2))
    acd.step(ev.OfferAccepted(offer_id=OfferId(2), agent_id=ANNA), at(2))
    hang_up(acd, "m1", 3)
    hang_up(acd, "c1", 4)
    view = acd.agent_view(ANNA)
    assert view is not None
    assert view.idle_since == at(4)


# --- strategies -------------------------------------------------------------------------------


def test_specialists_are_counted_anew_after_a_reload() -> None:
    tax, housing = SkillId("tax"), SkillId("housing")
    general = QueueSettings(queue_id=TAX, strategy=Strategy.SPARE_SPECIALISTS)
    other = QueueSettings(queue_id=HOUSING, require={housing: 1})
    agents = (
        AgentSettings(agent_id=ANNA, skills={tax: 1}),
        AgentSettings(agent_id=BORIS, skills={housing: 1}),
    )
    acd = core_with(settings(general, other, agents=agents), ANNA, BORIS)
    assert offers(arrive(acd, "c1", at(1))) == [(ContactId("c1"), ANNA)]
    hang_up(acd, "c1", 2)
    other = replace(other, require={tax: 1})
    acd.step(ev.SettingsApplied(settings=settings(general, other, agents=agents)), at(3))
    assert offers(arrive(acd, "c2", at(4))) == [(ContactId("c2"), BORIS)]


def test_a_priority_is_on_record_once() -> None:
    acd = core_with(settings())
    arrive(acd, "c1", at(1))
    event = ev.ContactPriorityChanged(
        contact_id=ContactId("c1"), contact_class=ContactClass.EMERGENCY, head_start_us=us(5)
    )
    (fact,) = acd.step(event, at(2))
    assert isinstance(fact, cmd.PriorityChanged)
    assert (fact.contact_class, fact.head_start_us) == (ContactClass.EMERGENCY, us(5))
    assert acd.step(event, at(3)) == []


def test_agents_named_by_nobody() -> None:
    """An unknown agent's talk, when the config names him later, ends like any other."""
    acd = core_with(settings(agents=(AgentSettings(agent_id=ANNA),)), ANNA)
    arrive(acd, "c1", at(1))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(2))
    late = AgentId("late")
    acd.step(
        ev.TransferCompleted(contact_id=ContactId("c1"), from_agent=ANNA, to_agent=late), at(3)
    )
    both = (AgentSettings(agent_id=ANNA), AgentSettings(agent_id=late))
    acd.step(ev.SettingsApplied(settings=settings(agents=both)), at(4))
    (ended,) = (c for c in hang_up(acd, "c1", 5) if isinstance(c, cmd.ContactEnded))
    assert ended.disposition is cmd.Disposition.ANSWERED
