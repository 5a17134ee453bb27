"""The native queue rang an operator who, as far as we knew, was still busy."""

from __future__ import annotations

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import QueueSettings
from gkc_engine.ids import ContactId, OfferId
from tests.acd.test_core import ANNA, TAX, arrive, at, core_with, settings, us

C1, C2 = ContactId("c1"), ContactId("c2")


def anna_talks_with_c1(wrap_up: float = 0) -> Acd:
    """And c2 stands in the native queue."""
    acd = core_with(settings(QueueSettings(queue_id=TAX, wrapup_us=us(wrap_up))), ANNA)
    arrive(acd, C1, at(1))
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(2))
    arrive(acd, C2, at(3))
    acd.step(ev.ContactDetached(contact_id=C2), at(4))
    return acd


def state(acd: Acd) -> AgentState:
    view = acd.agent_view(ANNA)
    assert view is not None
    return view.state


def test_the_end_of_the_talk_before_is_told_late() -> None:
    acd = anna_talks_with_c1()
    acd.step(ev.FallbackAnswered(contact_id=C2, agent_id=ANNA, at=at(5)), at(6))
    acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(7))
    assert state(acd) is AgentState.TALK
    acd.step(ev.ContactLeft(contact_id=C2, party=ev.Party.CITIZEN), at(8))
    assert state(acd) is AgentState.READY


def test_the_talk_told_late_may_end_first() -> None:
    acd = anna_talks_with_c1()
    acd.step(ev.FallbackAnswered(contact_id=C2, agent_id=ANNA, at=at(5)), at(6))
    acd.step(ev.ContactLeft(contact_id=C2, party=ev.Party.CITIZEN), at(7))
    assert state(acd) is AgentState.TALK
    acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(8))
    assert state(acd) is AgentState.READY


def test_a_wrap_up_is_cut_by_a_talk_that_is_real() -> None:
    acd = anna_talks_with_c1(wrap_up=10)
    acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(5))
    assert state(acd) is AgentState.WRAP_UP
    acd.step(ev.FallbackAnswered(contact_id=C2, agent_id=ANNA, at=at(6)), at(6))
    acd.step(ev.Tick(), at(30))
    assert state(acd) is AgentState.TALK


@pytest.mark.parametrize(
    ("left", "party", "expected"),
    [
        (4.01, ev.Party.CITIZEN, cmd.Disposition.ABANDONED),
        (4.5, ev.Party.CITIZEN, cmd.Disposition.FAILED_OPEN),
        (None, ev.Party.CITIZEN, cmd.Disposition.FAILED_OPEN),
        (4.5, ev.Party.SYSTEM, cmd.Disposition.FAILED_OPEN),
        (4.01, ev.Party.SYSTEM, cmd.Disposition.SYSTEM_FAILED),
    ],
)
def test_who_left_as_we_lost_him_was_not_with_the_native_queue(
    left: float | None, party: ev.Party, expected: cmd.Disposition
) -> None:
    acd = core_with(settings(QueueSettings(queue_id=TAX, short_abandon_us=us(1))))
    arrive(acd, C1, at(1))
    acd.step(ev.ContactDetached(contact_id=C1, at=at(4)), at(5))
    gone = ev.ContactLeft(contact_id=C1, party=party, at=None if left is None else at(left))
    (row,) = [c for c in acd.step(gone, at(6)) if isinstance(c, cmd.ContactEnded)]
    assert row.disposition is expected


def anna_is_rung_for_c1() -> Acd:
    """And talks with c2, whom the native queue gave her before."""
    acd = core_with(settings(), ANNA)
    arrive(acd, C1, at(1))
    arrive(acd, C2, at(2))
    acd.step(ev.ContactDetached(contact_id=C2), at(3))
    acd.step(ev.FallbackAnswered(contact_id=C2, agent_id=ANNA, at=at(4)), at(5))
    return acd


def test_who_talks_is_not_free_when_the_ring_that_could_not_be_ends() -> None:
    acd = anna_is_rung_for_c1()
    acd.step(
        ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.RESCINDED, reason=""), at(6)
    )
    assert state(acd) is AgentState.TALK
    acd.step(ev.ContactLeft(contact_id=C2, party=ev.Party.CITIZEN), at(7))
    assert state(acd) is AgentState.RESERVED, "c1 is next"


def test_an_answer_that_crosses_the_native_one_is_a_second_talk() -> None:
    acd = anna_is_rung_for_c1()
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=ANNA), at(6))
    assert state(acd) is AgentState.TALK
    acd.step(ev.ContactLeft(contact_id=C2, party=ev.Party.CITIZEN), at(7))
    assert state(acd) is AgentState.TALK
    acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(8))
    assert state(acd) is AgentState.READY


def test_a_foreign_call_told_while_we_ring_counts_when_that_is_over() -> None:
    acd = core_with(settings(), ANNA)
    arrive(acd, C1, at(1))
    acd.step(ev.AgentDeviceChanged(agent_id=ANNA, reachable=True, in_use=True), at(2))
    assert state(acd) is AgentState.RESERVED
    failed = ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.RESCINDED, reason="")
    acd.step(ev.ContactDetached(contact_id=C1), at(3))
    acd.step(failed, at(3))
    assert state(acd) is AgentState.NOT_READY
    arrive(acd, C2, at(4))
    assert state(acd) is AgentState.NOT_READY
    acd.step(ev.AgentDeviceChanged(agent_id=ANNA, reachable=True), at(5))
    assert state(acd) is AgentState.RESERVED


def test_a_foreign_call_that_ends_while_we_ring_costs_no_place_among_the_idle() -> None:
    acd = core_with(settings(), ANNA)
    arrive(acd, C1, at(1))
    acd.step(ev.AgentDeviceChanged(agent_id=ANNA, reachable=True, in_use=True), at(2))
    acd.step(ev.AgentDeviceChanged(agent_id=ANNA, reachable=True), at(3))
    acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(4))
    view = acd.agent_view(ANNA)
    assert view is not None
    assert (view.state, view.idle_since) == (AgentState.READY, at(0))
