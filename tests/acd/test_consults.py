"""An operator with a citizen on hold asks a queue for a colleague: who gets whom, in what order."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import AgentSettings, QueueSettings
from gkc_engine.acd.state import ContactState
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId, SkillId
from tests.acd.test_core import ANNA, BORIS, TAX, arrive, at, core_with, offers, settings, us

LAW = QueueId("law")
SKILL = SkillId("law")
CITIZEN, FIRST, LATER, CONSULT = (ContactId(c) for c in ("c1", "c0", "c2", "consult"))


def anna_asks_law() -> Acd:
    """At 5 s Anna, with a citizen since 1 s, asks for law; Boris there is busy, one more waits."""
    acd = core_with(
        settings(
            QueueSettings(queue_id=TAX),
            QueueSettings(queue_id=LAW, require={SKILL: 1}, wrapup_us=us(9)),
            agents=(
                AgentSettings(agent_id=ANNA),
                AgentSettings(agent_id=BORIS, skills={SKILL: 1}),
            ),
        ),
        BORIS,
    )
    arrive(acd, FIRST, at(0), LAW)
    acd.step(ev.OfferAccepted(offer_id=OfferId(1), agent_id=BORIS), at(0))
    acd.step(ev.AgentLoggedIn(agent_id=ANNA), at(0))
    arrive(acd, CITIZEN, at(1))
    acd.step(ev.OfferAccepted(offer_id=OfferId(2), agent_id=ANNA), at(2))
    arrive(acd, LATER, at(3), LAW)
    asked = acd.step(
        ev.ConsultStarted(contact_id=CONSULT, agent_id=ANNA, queue=LAW, about=CITIZEN), at(5)
    )
    assert [c.contact_id for c in asked if isinstance(c, cmd.HoldContact)] == [CONSULT]
    return acd


def boris_comes_free(acd: Acd, now: Instant) -> list[cmd.Command]:
    out = acd.step(ev.ContactLeft(contact_id=FIRST, party=ev.Party.CITIZEN), now)
    return out + acd.step(ev.AgentReady(agent_id=BORIS), now)


def state(acd: Acd, agent: AgentId) -> AgentState:
    view = acd.agent_view(agent)
    assert view is not None
    return view.state


def over(acd: Acd, now: Instant) -> list[cmd.Command]:
    return acd.step(ev.ContactLeft(contact_id=CONSULT, party=ev.Party.AGENT), now)


def test_it_stands_where_the_citizen_would_stand() -> None:
    acd = anna_asks_law()
    assert offers(boris_comes_free(acd, at(6))) == [(CONSULT, BORIS)]


def test_who_was_found_takes_the_citizen_over_in_his_queue() -> None:
    acd = anna_asks_law()
    boris_comes_free(acd, at(6))
    acd.step(ev.OfferAccepted(offer_id=OfferId(3), agent_id=BORIS), at(7))
    moved = ev.TransferCompleted(contact_id=CITIZEN, from_agent=ANNA, to_agent=BORIS, to_queue=LAW)
    acd.step(moved, at(8))
    over(acd, at(8))
    assert (state(acd, ANNA), state(acd, BORIS)) == (AgentState.READY, AgentState.TALK)
    last = acd.step(ev.ContactLeft(contact_id=CITIZEN, party=ev.Party.CITIZEN), at(9))
    assert [(c.queue, c.agent_id) for c in last if isinstance(c, cmd.SegmentClosed)] == [
        (LAW, BORIS)
    ]
    assert state(acd, BORIS) is AgentState.WRAP_UP


def test_completed_while_it_rings_the_same_colleague_is_rung_for_the_citizen() -> None:
    acd = anna_asks_law()
    boris_comes_free(acd, at(6))
    out = acd.step(ev.TransferRequested(contact_id=CITIZEN, from_agent=ANNA, to_queue=LAW), at(7))
    assert offers(out) == []
    assert offers(over(acd, at(7))) == [(CITIZEN, BORIS)]


def test_completed_while_it_waits_the_citizen_has_its_place() -> None:
    acd = anna_asks_law()
    acd.step(ev.TransferRequested(contact_id=CITIZEN, from_agent=ANNA, to_queue=LAW), at(6))
    over(acd, at(6))
    view = acd.contact_view(CITIZEN)
    assert view is not None
    assert (view.state, view.enqueued, view.place) == (ContactState.WAITING, at(1), 1)
    assert offers(boris_comes_free(acd, at(7))) == [(CITIZEN, BORIS)]


def test_who_was_found_has_a_part_in_the_contact_that_was_asked_about() -> None:
    acd = anna_asks_law()
    out = boris_comes_free(acd, at(6))
    out += acd.step(ev.OfferAccepted(offer_id=OfferId(3), agent_id=BORIS), at(7))
    out += acd.step(ev.HoldStarted(contact_id=CONSULT, agent_id=BORIS), at(8))
    out += acd.step(ev.HoldEnded(contact_id=CONSULT, agent_id=BORIS), at(9))
    out += over(acd, at(10))
    assert [c for c in out if isinstance(c, cmd.ConsultEnded)][-1] == cmd.ConsultEnded(
        contact_id=CITIZEN,
        n=3,
        agent_id=BORIS,
        call_id=CONSULT,
        kind="consulted",
        started=at(7),
        ended=at(10),
    )


def test_nobody_was_found_and_nothing_is_on_record() -> None:
    acd = anna_asks_law()
    out = boris_comes_free(acd, at(6))
    assert not [c for c in out + over(acd, at(7)) if isinstance(c, cmd.ConsultEnded)]


def test_advice_is_no_part_of_the_record_and_needs_no_wrap_up() -> None:
    acd = anna_asks_law()
    out = boris_comes_free(acd, at(6))
    out += acd.step(ev.OfferAccepted(offer_id=OfferId(3), agent_id=BORIS), at(7))
    out += over(acd, at(8))
    of_it = {type(c) for c in out if getattr(c, "contact_id", None) == CONSULT}
    assert of_it == {cmd.OfferContact, cmd.OfferEnded, cmd.AgentStateChanged}
    assert offers(out)[-1] == (LATER, BORIS)


def test_a_queue_that_is_not_there_is_refused() -> None:
    acd = anna_asks_law()
    asked = ev.ConsultStarted(contact_id=ContactId("x"), agent_id=ANNA, queue=QueueId("none"))
    assert [type(c) for c in acd.step(asked, at(6))] == [cmd.EventRejected]
    assert acd.contact_view(ContactId("x")) is None
