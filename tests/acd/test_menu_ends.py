"""How a contact is booked that never wanted a queue; and everybody's place at once."""

from __future__ import annotations

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import ContactEnded, Disposition, TreatContact
from gkc_engine.acd.settings import ContactClass, Medium, Then, Treatment
from gkc_engine.ids import ContactId
from tests.acd.test_core import TAX, arrive, at, core_with, settings

C1 = ContactId("c1")


@pytest.mark.parametrize(
    ("article", "party", "reason", "expected"),
    [
        (None, ev.Party.CITIZEN, "cause 16", Disposition.ABANDONED_MENU),
        ("meters", ev.Party.CITIZEN, "cause 16", Disposition.SELF_SERVED),
        ("meters", ev.Party.SYSTEM, ev.MENU_ENDED, Disposition.SELF_SERVED),
        (None, ev.Party.SYSTEM, ev.MENU_ENDED, Disposition.ANSWERED_BY_ANNOUNCEMENT),
        (None, ev.Party.SYSTEM, "asterisk_restart", Disposition.SYSTEM_FAILED),
    ],
)
def test_a_contact_that_ends_in_the_menu(
    article: str | None, party: ev.Party, reason: str, expected: Disposition
) -> None:
    acd = core_with(settings())
    started = ev.ContactStarted(contact_id=C1, medium=Medium.VOICE, number="1", entry="+7")
    acd.step(started, at(1))
    if article is not None:
        acd.step(ev.ArticleHeard(contact_id=C1, article=article), at(2))
    said = acd.step(ev.ContactLeft(contact_id=C1, party=party, reason=reason), at(3))
    assert [c.disposition for c in said if isinstance(c, ContactEnded)] == [expected]


def test_who_was_in_the_native_queue_and_leaves_the_menu_afterwards_fell_open() -> None:
    """He entered a queue, so he is offered; the parts of ``offered`` must hold him."""
    acd = core_with(settings())
    acd.step(ev.ContactStarted(contact_id=C1, medium=Medium.VOICE, number="1", entry="+7"), at(1))
    acd.step(ev.ContactDetached(contact_id=C1, at=at(2)), at(2))
    acd.step(ev.ContactAttached(contact_id=C1), at(9))
    said = acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(12))
    (ended,) = [c for c in said if isinstance(c, ContactEnded)]
    assert (ended.disposition, ended.first_queued) == (Disposition.FAILED_OPEN, at(2))


@pytest.mark.parametrize("left", [2.0, 2.03, 2.5])
def test_who_came_past_us_fell_open_however_soon_he_left(left: float) -> None:
    """A call of a time without an engine, which Asterisk's list of legs tells of."""
    acd = core_with(settings())
    acd.step(ev.ContactStarted(contact_id=C1, medium=Medium.VOICE, number="1", entry="+7"), at(2))
    acd.step(ev.ContactDetached(contact_id=C1, at=at(2)), at(4))
    gone = ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN, at=at(left))
    (ended,) = [c for c in acd.step(gone, at(4)) if isinstance(c, ContactEnded)]
    assert ended.disposition is Disposition.FAILED_OPEN


def test_who_was_in_the_native_queue_and_served_himself_afterwards_was_not_offered() -> None:
    acd = core_with(settings())
    acd.step(ev.ContactStarted(contact_id=C1, medium=Medium.VOICE, number="1", entry="+7"), at(1))
    acd.step(ev.ContactDetached(contact_id=C1, at=at(2)), at(2))
    acd.step(ev.ContactAttached(contact_id=C1), at(9))
    acd.step(ev.ArticleHeard(contact_id=C1, article="meters"), at(11))
    said = acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(12))
    (ended,) = [c for c in said if isinstance(c, ContactEnded)]
    assert (ended.disposition, ended.first_queued) == (Disposition.SELF_SERVED, None)


def test_who_is_blocked_was_not_offered_and_did_not_wait() -> None:
    acd = core_with(settings())
    acd.step(ev.ContactStarted(contact_id=C1, medium=Medium.VOICE, number="1", entry="+7"), at(1))
    (*_, treated) = acd.step(ev.ContactBlocked(contact_id=C1), at(1))
    assert isinstance(treated, TreatContact)
    assert treated.treatment == Treatment(say="blocked", then=Then.HANGUP)
    said = acd.step(ev.ContactLeft(contact_id=C1, party=ev.Party.CITIZEN), at(4))
    (ended,) = [c for c in said if isinstance(c, ContactEnded)]
    assert ended.disposition is Disposition.BLOCKED
    assert (ended.queue, ended.first_queued, ended.wait_us, ended.offers) == (None, None, 0, 0)


def test_places_of_all_are_the_places_of_each() -> None:
    acd = core_with(settings())
    for n, contact_class in enumerate(
        (ContactClass.NORMAL, ContactClass.BACKGROUND, ContactClass.EMERGENCY, None)
    ):
        arrive(acd, f"c{n}", at(1 + n), TAX, contact_class=contact_class)
    expected = {"c2": 1, "c0": 2, "c3": 3, "c1": 4}
    assert acd.places() == expected
    views = {c: acd.contact_view(c) for c in acd.contacts()}
    assert {c: v.place for c, v in views.items() if v is not None} == expected
