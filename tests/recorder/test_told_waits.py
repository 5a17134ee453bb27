"""What waiting citizens were told, on record: a queue's first statement, and what came true."""

from __future__ import annotations

import sqlalchemy as sa

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, QueueId, seconds
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queries import list_contacts, show_contact, told_waits
from tests.recorder.places import Place
from tests.recorder.support import PASSPORT, START, History

NEW_COLUMNS = ("ewt_queue", "ewt_told", "ewt_said_us", "ewt_lo_us", "ewt_hi_us")


def told(
    history: History,
    contact: str,
    expected_s: float,
    range_min: tuple[int, int | None] = (0, 1),
    queue: QueueId = PASSPORT,
) -> None:
    low, high = range_min
    history.step(
        ev.WaitTold(
            contact_id=ContactId(contact),
            queue=queue,
            expected_us=seconds(expected_s),
            lo_us=seconds(60 * low),
            hi_us=None if high is None else seconds(60 * high),
        )
    )


def served(history: History, contact: str, wait_s: float, *statements: tuple[float, float]) -> None:
    """A contact that waits, is told (after so long, so much) and then answered."""
    history.arrive(contact)
    queued = history.now
    for after_s, expected_s in statements:
        history.now = Instant(queued + seconds(after_s))
        told(history, contact, expected_s)
    history.now = Instant(queued + seconds(wait_s))
    offer = history.offered(contact, "anna")
    history.step(
        ev.OfferAccepted(offer_id=offer, agent_id=AgentId("anna")),
        history.state("anna", cm.AgentState.TALK, contact),
    )
    answered = history.now
    history.after(60)
    history.step(
        ev.ContactLeft(contact_id=ContactId(contact), party=ev.Party.CITIZEN),
        history.ended(contact, Instant(queued - seconds(2)), queued, answered, "anna", 0, 60),
        history.state("anna", cm.AgentState.READY),
    )


def stored(place: Place, history: History) -> sa.Engine:
    store = place.store()
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.close()
    return place.reading()


def test_what_was_told_first_is_kept_with_its_instant_and_range(place: Place) -> None:
    history = History()
    history.configured()
    served(history, "c1", 100, (10, 50), (30, 20))
    row = show_contact(stored(place, history), "c1")
    assert row["ewt_queue"] == "passport"
    assert row["ewt_told"] == "2026-09-21T14:13:32.000000Z"
    assert (row["ewt_said_s"], row["ewt_lo_s"], row["ewt_hi_s"]) == (50.0, 0.0, 60.0)
    assert sum(e["kind"] == "gkc.contact.wait_told" for e in row["events"]) == 2


def test_of_another_queue_it_is_another_statement_and_after_the_answer_none(
    place: Place,
) -> None:
    history = History()
    history.configured()
    history.arrive("c1")
    told(history, "c1", 50)
    history.after(5)
    told(history, "c1", 200, (3, None), QueueId("housing"))
    served(history, "c2", 10)
    told(history, "c2", 30)
    told(history, "nobody", 30)
    second, first = list_contacts(stored(place, history))
    assert (first["ewt_queue"], first["ewt_said_s"], first["ewt_hi_s"]) == ("housing", 200.0, None)
    assert second["ewt_said_s"] is None


def test_the_sums_are_of_those_who_were_answered_where_they_were_told(place: Place) -> None:
    history = History()
    history.configured()
    served(history, "c1", 70, (10, 50))  # 60 s after it was said: 10 s too short, in range
    served(history, "c2", 110, (10, 130))  # 100 s: 30 s too long, beyond the minute
    served(history, "c3", 20)  # told nothing
    history.arrive("c4")  # still waits
    told(history, "c4", 50)
    history.arrive("c5")  # leaves
    told(history, "c5", 50)
    late = history.now
    served(history, "c6", 40, (10, 30))
    engine = stored(place, history)
    (all_of_them,) = told_waits(engine, since=START)
    assert all_of_them == {
        "queue": "passport",
        "n": 3,
        "waited_s": 190.0,
        "error_s": -10.0 + 30.0 + 0.0,
        "square_s2": 100.0 + 900.0,
        "within": 2,
    }
    (before,) = told_waits(engine, since=START, until=late)
    assert before["n"] == 2
    assert told_waits(engine, since=Instant(late + seconds(3))) == []
    assert told_waits(engine, since=START, queue="housing") == []


def test_the_event_carries_microseconds() -> None:
    history = History()
    told(history, "c1", 0.000001)
    event = history.steps[0].event
    assert isinstance(event, ev.WaitTold)
    assert event.expected_us == Micros(1)
