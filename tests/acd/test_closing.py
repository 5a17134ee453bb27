"""Closing: who waits and who comes is told and led on, and it holds until it is taken back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import QueueSettings, Then, Treatment
from gkc_engine.ids import ContactId, OfferId, QueueId
from tests.acd.test_core import ANNA, BORIS, TAX, arrive, at, core_with, offers, settings

DUTY = QueueId("duty")
TOLD = Treatment(say="closed-now")
LED_ON = Treatment(say="moved", then=Then.QUEUE, queue=DUTY)


def told(said: Sequence[cmd.Command]) -> list[tuple[ContactId, Treatment]]:
    return [(c.contact_id, c.treatment) for c in said if isinstance(c, cmd.TreatContact)]


def city(**tax: object) -> Acd:
    own = QueueSettings(queue_id=TAX, emergency_closed=TOLD, **tax)  # type: ignore[arg-type]
    return core_with(settings(own, QueueSettings(queue_id=DUTY)))


def test_who_waits_and_who_comes_gets_the_queues_own_treatment() -> None:
    acd = city()
    arrive(acd, "c1", at(1))
    said = acd.step(ev.EmergencyClosed(queue=TAX, reason="дым"), at(2))
    assert told(said) == [("c1", TOLD)]
    assert told(arrive(acd, "c2", at(3))) == [("c2", TOLD)]
    closing = acd.closing(TAX)
    assert closing is not None
    assert (closing.emergency, closing.reason) == (True, "дым")
    assert acd.closing(DUTY) is None
    acd.step(ev.EmergencyOpened(queue=TAX), at(4))
    assert acd.closing(TAX) is None
    assert told(arrive(acd, "c3", at(5))) == []


def test_who_is_led_on_keeps_his_time_of_entry() -> None:
    acd = city()
    arrive(acd, "c1", at(1))
    said = acd.step(ev.EmergencyClosed(queue=TAX, say="moved", then_queue=DUTY), at(20))
    assert told(said) == [("c1", LED_ON)]
    said = acd.step(ev.QueueRequested(contact_id=ContactId("c1"), queue=DUTY), at(24))
    (queued,) = [c for c in said if isinstance(c, cmd.ContactQueued)]
    assert (queued.queue, queued.enqueued) == (DUTY, at(1))


def test_a_ring_goes_on_and_its_contact_is_told_only_if_nobody_answers() -> None:
    acd = city()
    acd.step(ev.AgentLoggedIn(agent_id=ANNA), at(0))
    assert offers(arrive(acd, "c1", at(1))) == [("c1", ANNA)]
    assert told(acd.step(ev.EmergencyClosed(queue=TAX), at(2))) == []
    failed = ev.OfferFailed(offer_id=OfferId(1), agent_id=ANNA, failure=ev.OfferFailure.REJECTED)
    assert told(acd.step(failed, at(3))) == [("c1", TOLD)]


@pytest.mark.parametrize("back", ["hours", "emergency"])
def test_a_way_that_leads_back_is_refused(back: str) -> None:
    closed = Treatment(say="x", then=Then.QUEUE, queue=TAX)
    acd = core_with(
        settings(QueueSettings(queue_id=TAX), QueueSettings(queue_id=DUTY, closed=closed))
    )
    if back == "emergency":
        acd = city()
        acd.step(ev.EmergencyClosed(queue=DUTY, say="x", then_queue=TAX), at(1))
    said = acd.step(ev.EmergencyClosed(queue=TAX, say="moved", then_queue=DUTY), at(2))
    assert [c.reason for c in said if isinstance(c, cmd.EventRejected)] == ["duty leads back"]
    assert acd.closing(TAX) is None


def test_the_whole_center_closes_and_opens_at_once() -> None:
    acd = city()
    for n, queue in enumerate((TAX, DUTY)):
        arrive(acd, f"c{n}", at(1), queue)
    said = acd.step(ev.EmergencyClosed(say="all", reason="дым"), at(2))
    assert told(said) == [("c0", Treatment(say="all")), ("c1", Treatment(say="all"))]
    acd.step(ev.EmergencyOpened(), at(3))
    assert (acd.closing(TAX), acd.closing(DUTY)) == (None, None)


def test_a_restart_and_a_reload_leave_it_closed() -> None:
    acd = city()
    acd.step(ev.EmergencyClosed(queue=TAX, say="moved", then_queue=DUTY, reason="дым"), at(1))
    again = Acd.restore(acd.snapshot())
    again.step(ev.EngineRestarted(), at(2))
    again.step(
        ev.SettingsApplied(
            settings=settings(
                QueueSettings(queue_id=TAX, title="new"), QueueSettings(queue_id=DUTY)
            )
        ),
        at(3),
    )
    closing = again.closing(TAX)
    assert closing is not None
    assert (closing.emergency, closing.reason) == (True, "дым")
    assert told(arrive(again, "c1", at(4))) == [("c1", LED_ON)]


@pytest.mark.parametrize("leave", [False, True])
def test_hours_end_the_waiting_only_where_the_queue_says_leave(leave: bool) -> None:
    closed = Treatment(say="closed")
    acd = city(leave_at_closing=leave, closed=closed)
    acd.step(ev.AgentLoggedIn(agent_id=ANNA), at(0))
    arrive(acd, "c1", at(1))  # rings
    arrive(acd, "c2", at(1))  # waits
    said = acd.step(ev.HoursChanged(queue=TAX, open=False), at(2))
    assert told(said) == ([("c2", closed)] if leave else [])
    failed = ev.OfferFailed(offer_id=OfferId(1), agent_id=ANNA, failure=ev.OfferFailure.REJECTED)
    assert told(acd.step(failed, at(3))) == ([("c1", closed)] if leave else [])
    assert offers(acd.step(ev.AgentLoggedIn(agent_id=BORIS), at(4))) == (
        [] if leave else [("c1", BORIS)]
    )
