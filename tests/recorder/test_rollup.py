"""The roll-ups against a count of their own, from the rows of contacts, offers and segments."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId, seconds
from gkc_engine.recorder import projections
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.statistics.figures import offered
from gkc_engine.statistics.rollups import Period, read
from tests.recorder.places import Place
from tests.recorder.rolled import QUARTER, counted, rows, stands
from tests.recorder.support import START, History
from tests.recorder.test_projections import random_day, store_of

EXAMPLES = int(os.environ.get("GKC_RECORDER_EXAMPLES", "4"))


def kept(store: LedgerStore) -> list[dict[str, Any]]:
    with store.transaction() as connection:
        return rows(connection, "rollup")


def varied(seed: int, contacts: int) -> History:
    """A random day, and what it lacks: menus, doors that are shut, moves, transfers, ring-all."""
    history = random_day(seed, contacts)
    for n in range(contacts % 5):
        started = history.now
        history.step(
            ev.ContactStarted(
                contact_id=ContactId(f"menu{n}"),
                medium=Medium.VOICE,
                number=f"2026-ЦАО-{900 + n:06d}",
                entry="+74951112233",
            )
        )
        how = (cm.Disposition.ABANDONED_MENU, cm.Disposition.FULL, cm.Disposition.SELF_SERVED)
        history.after(7)
        history.step(
            ev.ContactLeft(contact_id=ContactId(f"menu{n}"), party=ev.Party.CITIZEN),
            left(history, f"menu{n}", started, how[n % 3]),
        )
    for n in range(contacts % 3):
        handed_over(history, f"moved{n}", late=n == 1)
    return history


def left(history: History, contact: str, started: Instant, how: cm.Disposition) -> cm.ContactEnded:
    return cm.ContactEnded(
        contact_id=ContactId(contact),
        disposition=how,
        medium=Medium.VOICE,
        started=started,
        ended=history.now,
        party=ev.Party.CITIZEN,
        reason="",
        via="engine",
        queue=QueueId("passport") if how is cm.Disposition.FULL else None,
        first_queued=None,
        answered=None,
        agent_id=None,
        menu_us=Micros(history.now - started),
        wait_us=Micros(0),
        ring_us=Micros(0),
        talk_us=Micros(0),
        hold_us=Micros(0),
        offers=0,
    )


def handed_over(history: History, contact: str, *, late: bool) -> None:
    """Two agents ring, one answers and hands the citizen over to another queue, where he waits."""
    history.arrive(contact)
    queued = history.now
    history.offers += 1
    offer = OfferId(history.offers)
    history.step(
        ev.Tick(),
        cm.OfferContact(
            offer_id=offer,
            contact_id=ContactId(contact),
            agent_ids=(AgentId("anna"), AgentId("ben")),
            queue=QueueId("passport"),
            timeout_us=seconds(20),
            step=0,
            created=history.now,
        ),
    )
    history.after(25 if late else 5)
    answered = history.now
    accepted, missed = cm.OfferOutcome.ACCEPTED, cm.OfferOutcome.NO_ANSWER
    history.step(
        ev.OfferAccepted(offer_id=offer, agent_id=AgentId("anna")),
        history.offer_ended(contact, "anna", offer, queued, accepted),
        history.offer_ended(contact, "ben", offer, queued, missed),
        history.state("anna", cm.AgentState.TALK, contact),
    )
    history.after(1000)  # Into the next quarter-hour: it counts where it came.
    talk = history.segment(
        contact, 1, cm.SegmentKind.TALK, answered, cm.SegmentOutcome.TRANSFERRED, "anna"
    )
    history.step(
        ev.Tick(),
        talk,
        cm.ContactQueued(
            contact_id=ContactId(contact),
            queue=QueueId("tax"),
            enqueued=history.now,
            sequence=history.sequence,
            contact_class=ContactClass.NORMAL,
            head_start_us=Micros(0),
            medium=Medium.VOICE,
        ),
        history.state("anna", cm.AgentState.WRAP_UP, contact),
    )
    history.after(12)
    history.step(ev.Tick(), history.state("anna", cm.AgentState.READY))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    contacts=st.integers(1, 12),
    sizes=st.lists(st.sampled_from((1, 2, 7, 50)), min_size=1, max_size=4),
    at_hand=st.sampled_from((1, 3, 20_000)),
)
def test_roll_ups_are_what_the_contacts_add_up_to(
    place: Place,
    seed: int,
    contacts: int,
    sizes: list[int],
    at_hand: int,
) -> None:
    """However they grew: in small groups, with kills, with contacts read back from the table."""
    history = varied(seed, contacts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projections, "CACHE_MAX", at_hand)
        store = store_of(place.another(), history, sizes)
    with store.transaction() as connection:
        expected = counted(connection)
        assert stands(connection) == expected
        assert sum(s["contacts"] for s in expected.values()) == len(rows(connection, "contact"))
        offered_is_the_sum_of_its_parts(connection)
    store.rebuild()
    with store.transaction() as connection:
        assert stands(connection) == expected
    store.close()


def offered_is_the_sum_of_its_parts(connection: sa.Connection) -> None:
    """In each quarter-hour and queue, all who came are answered, gone, ended or still there."""
    came = Counter(
        (row["first_queued"] // QUARTER * QUARTER, row["queue"])
        for row in rows(connection, "contact")
        if row["first_queued"] is not None
    )
    first, last = min(came)[0], max(came)[0] + QUARTER
    bounds = [Instant(at) for at in range(first, last + 1, QUARTER)]
    period = Period(since=bounds[0], until=bounds[-1])
    made = read(connection, period, by=("queue",), bounds=bounds, waits=False)
    assert {group: offered(line.counts) for group, line in made.items()} == came


def test_a_late_wrap_up_changes_the_quarter_hour_in_which_its_contact_came(place: Place) -> None:
    history = History(now=Instant(START // QUARTER * QUARTER + QUARTER - seconds(30)))
    history.configured()
    history.talk("c1", "anna", ring_s=3, talk_s=60)
    store = place.store()
    store.open()
    *before, wrapped_up = history.steps
    store.append(batch_of(before, "centr"))
    store.settle()
    row = {"start": START // QUARTER * QUARTER, "queued": True, "center": "centr"}
    row |= {"direction": "in", "medium": "voice", "did": "+74957777777"}
    row |= {"queue": "passport", "service": "mvd", "outcome": "answered"}
    sums = {"contacts": 1, "in_target": 1, "wait_us": 3_000_000, "talk_us": 60_000_000}
    sums |= {"hold_us": 0, "wrap_up_us": 0, "agent_offers": 1, "offers_unanswered": 0}
    sums |= {"offers_withdrawn": 0, "transfers": 0}
    sums |= {"overflow_sent": 0, "overflow_answered": 0, "overflow_returned": 0}
    assert kept(store) == [row | sums]
    store.append(batch_of([wrapped_up], "centr"))
    store.settle()
    assert kept(store) == [row | sums | {"wrap_up_us": 10_000_000}]
    store.close()


def test_a_row_in_which_nobody_counts_any_more_goes(place: Place) -> None:
    history = History()
    history.configured()
    history.abandon("c1", 30)
    store = place.store()
    store.open()
    *waits, leaves = history.steps
    seen: list[Mapping[str, Any]] = []
    for steps in (waits, [leaves]):
        store.append(batch_of(steps, "centr"))
        store.settle()
        seen.extend(kept(store))
    assert [(row["outcome"], row["contacts"]) for row in seen] == [("waiting", 1), ("abandoned", 1)]
    store.close()


def test_who_was_refused_at_the_door_counts_for_the_queues_service(place: Place) -> None:
    history = varied(seed=1, contacts=2)  # two that never entered a queue: menu0, menu1 (full)
    store = store_of(place, history, [50])
    never = [row for row in kept(store) if not row["queued"]]
    told = sorted((row["outcome"], row["queue"], row["service"], row["contacts"]) for row in never)
    assert told == [("abandoned_menu", "", "", 1), ("full", "passport", "mvd", 1)]
    store.close()


def test_each_offer_that_is_over_counts_once_on_its_contact(place: Place) -> None:
    history = History()
    history.configured()
    history.arrive("c1")
    for outcome in cm.OfferOutcome:  # seven; refused, not answered, busy, unreachable: ours
        offer, created = history.offered("c1", "anna"), history.now
        history.after(3)
        ended = history.offer_ended("c1", "anna", offer, created, outcome)
        history.step(ev.Tick(), ended)
        history.step(ev.Tick(), ended)  # said again
    store = store_of(place, history, [7, 2])
    (row,) = kept(store)
    told = [row[name] for name in ("agent_offers", "offers_unanswered", "offers_withdrawn")]
    assert told == [7, 4, 1]
    store.close()
