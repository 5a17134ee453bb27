"""Guests, and contacts that other centers served, as they stand in the records; made anew, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.control.story import story
from gkc_engine.engine import Step
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.history import span
from gkc_engine.recorder.history import steps as history
from gkc_engine.recorder.queries import list_contacts
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.recovery import steps as recorded
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.retention.rows import citizens_due, contacts_of
from gkc_engine.simulation.explain import Explanation, explain
from gkc_engine.simulation.explain_citizen import Answer
from gkc_engine.simulation.explain_json import as_json
from gkc_engine.simulation.explain_text import Teller
from gkc_engine.simulation.measured import Measured
from gkc_engine.simulation.past import calls_out
from gkc_engine.statistics import drill, operators
from gkc_engine.statistics.figures import Part
from gkc_engine.statistics.report import rows_by
from gkc_engine.statistics.rollups import Period, read
from tests.recorder.support import START
from tests.recorder.test_records_columns import ANNA, LAW, ONE, Play, span_s

GUEST = ContactId("r1")
THERE = AgentId("sever:115")


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    store = LedgerStore(schema.sqlite_url(str(tmp_path / "ledger.db")))
    store.open()
    yield Play(store)
    store.close()


def asked(play: Play, guest: ContactId = GUEST) -> None:
    play.say(
        ev.ReservationAsked(
            reservation_id=guest,
            owner="sever",
            contact_id=ContactId("c9"),
            queue=LAW,
            waited_us=seconds(40),
            hold_us=seconds(3),
            brief=ev.ContactBrief(number="2026-С-000123", language="en"),
        )
    )


def came(play: Play, guest: ContactId = GUEST) -> None:
    play.say(
        ev.GuestArrived(
            contact_id=guest,
            citizen="KEY",
            language="en",
            uniqueid="leg-1",
            at=play.now,
        )
    )


def served_guest(play: Play) -> None:
    """On its way for 1 s, rings 4 s, talks 30 s; 7 s of wrap-up."""
    asked(play)
    play.after(1)
    came(play)
    play.after(4).answer(1, ANNA, "leg-2")
    play.after(30).leave(GUEST)
    play.after(12)


def granted(play: Play, reservation: str = "g1") -> None:
    play.say(
        ev.ReservationGranted(
            contact_id=ONE,
            reservation_id=ContactId(reservation),
            center="sever",
            agent_id=THERE,
            until=Instant(play.now + seconds(3)),
            timeout_us=seconds(20),
        )
    )


def sent(play: Play) -> None:
    """Waits 10 s here, rings in sever for 5."""
    play.say(ev.AgentLoggedOut(agent_id=ANNA))
    play.arrive(queue=LAW)
    play.after(10)
    granted(play)
    play.say(ev.OfferRinging(offer_id=OfferId(1), at=play.now))
    play.after(5)


def served_elsewhere(play: Play) -> None:
    sent(play)
    play.answer(1, THERE, "trunk-1")
    play.after(30).leave()


def period(play: Play) -> Period:
    play.store.settle()
    return Period(since=START, until=Instant(play.now + 1))


def by_queue(play: Play) -> dict[str, dict[str, Any]]:
    of = period(play)
    with play.store.engine.connect() as connection:
        return {row["queue"]: row for row in rows_by("queue", read(connection, of, by=("queue",)))}


def listed(play: Play, part: Part) -> list[str]:
    of = period(play)
    with play.store.engine.connect() as connection:
        return [row["contact_id"] for row in drill.counted(connection, of, part)]


def people(play: Play) -> dict[str | None, dict[str, Any]]:
    until = period(play).until
    with play.store.engine.connect() as connection:
        found = operators.rows(connection, START, until, play.now)
    return {row["agent_id"]: row for row in found}


# --- at the donor --------------------------------------------------------------------------------


def test_a_guest_is_a_contact_from_the_grant_to_the_wrap_up(play: Play) -> None:
    served_guest(play)
    shown = play.shown(GUEST)
    assert [(s["party"], s["kind"], span_s(s), s["agent_id"]) for s in shown["segments"]] == [
        ("citizen", "transit", 1.0, ANNA),
        ("citizen", "ring", 4.0, ANNA),
        ("citizen", "talk", 30.0, ANNA),
        ("agent", "wrap_up", 7.0, ANNA),
    ]
    wanted = {
        "direction": "guest",
        "initiation": "overflow",
        "owner": "sever",
        "origin": "c9",
        "number": "2026-С-000123",
        "language": "en",
        "citizen_id": "KEY",
        "linkedid": "leg-1",
        "queue": LAW,
        "first_queued": None,
        "disposition": "answered",
        "agent_id": ANNA,
        "talk_s": 30.0,
        "wrap_up_s": 7.0,
        "sl_met": None,
    }
    assert {key: shown[key] for key in wanted} == wanted
    kinds = [event["kind"] for event in shown["events"]]
    assert kinds[:2] == ["gkc.guest.asked", "gkc.guest.grant"]
    assert "gkc.contact.ended" in kinds


def test_a_guest_is_on_record_while_it_is_here(play: Play) -> None:
    asked(play)
    assert (play.shown(GUEST)["answered"], play.shown(GUEST)["medium"]) == (None, "voice")
    came(play)
    play.after(3).answer(1, ANNA, "leg-2")
    shown = play.shown(GUEST)
    assert (shown["agent_id"], shown["ended"]) == (ANNA, None)
    assert shown["answered"] is not None


def test_who_is_denied_is_no_contact(play: Play) -> None:
    play.say(ev.AgentLoggedOut(agent_id=ANNA))
    asked(play)
    play.store.settle()
    assert list_contacts(play.store.engine) == []


@pytest.mark.parametrize("comes", [True, False])
def test_a_guest_that_is_not_answered_is_returned(play: Play, *, comes: bool) -> None:
    asked(play)
    if comes:
        came(play)
        play.after(4).say(
            ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER, at=play.now)
        )
        play.leave(GUEST)
    play.after(4)
    shown = play.shown(GUEST)
    assert (shown["disposition"], shown["answered"]) == ("returned", None)
    assert [o["outcome"] for o in shown["offers_list"]] == ["no_answer" if comes else "withdrawn"]


def test_a_guest_is_its_operators_work_and_not_offered_here(play: Play) -> None:
    served_guest(play)
    row = by_queue(play)[LAW]
    assert (row["offered"], row["answered"], row["service_level"]) == (0, 0, None)
    assert (row["guests"], row["guests_answered"], row["overflow_sent"]) == (1, 1, 0)
    assert listed(play, Part.GUESTS) == listed(play, Part.GUESTS_ANSWERED) == [GUEST]
    assert listed(play, Part.OFFERED) == []
    mine = people(play)[ANNA]
    assert (mine["handled"], mine["talk_s"], mine["wrap_up_s"]) == (1, 30.0, 7.0)
    assert mine["aht_s"] == 37.0
    # Kept free for 1 s and rung for 4, on neither side of it; ready for 5 after the wrap-up.
    assert mine["occupancy"] == round(37 / (37 + 5), 4)


def test_a_guest_is_in_no_live_figure_of_waits(play: Play) -> None:
    asked(play)
    came(play)
    (standing,) = play.acd.standings()
    view = play.acd.contact_view(GUEST)
    assert (standing.first_queued, standing.state) == (None, "guest")
    assert view is not None
    assert view.owner == "sever"


def test_guests_are_listed_by_direction_and_have_a_citizen_to_forget(play: Play) -> None:
    served_guest(play)
    play.store.settle()
    engine = play.store.engine
    assert [r["contact_id"] for r in list_contacts(engine, direction="guest")] == [GUEST]
    assert list_contacts(engine, direction="in") == []
    with play.store.transaction() as connection:
        row = {"citizen_key": "KEY", "kind": "phone", "cipher": b"", "first_seen": START - 1}
        connection.execute(schema.citizen.insert(), row)
    with engine.connect() as connection:
        assert [found[0] for found in contacts_of(connection, "KEY")] == [GUEST]
        assert citizens_due(connection, START, 10) == [], "his time runs from when he was here"
        assert citizens_due(connection, Instant(play.now + 1), 10) == ["KEY"]


def test_numbers_of_this_center_do_not_go_on_from_a_guests(play: Play) -> None:
    served_guest(play)
    play.store.settle()
    with play.store.engine.connect() as connection:
        found = connection.scalars(sa.select(schema.contact.c.number_seq)).all()
    assert found == [None]


# --- at the owner --------------------------------------------------------------------------------


def test_a_contact_answered_elsewhere_counts_once_with_its_whole_wait(play: Play) -> None:
    served_elsewhere(play)
    shown = play.shown()
    assert [(s["kind"], span_s(s), s["agent_id"]) for s in shown["segments"]] == [
        ("menu", 0.0, None),
        ("queue", 10.0, None),
        ("ring", 5.0, THERE),
        ("talk", 30.0, THERE),
    ]
    assert (shown["disposition"], shown["agent_id"], shown["wait_s"]) == ("answered", THERE, 15.0)
    assert (shown["offers"], shown["overflow_count"], shown["overflow_returned"]) == (1, 1, None)
    assert [(o["agent_id"], o["outcome"], o["ring_s"]) for o in shown["offers_list"]] == [
        (THERE, "accepted", 5.0)
    ]
    row = by_queue(play)[LAW]
    assert (row["offered"], row["answered"], row["asa_s"]) == (1, 1, 15.0)
    assert (row["overflow_sent"], row["overflow_answered"], row["overflow_returned"]) == (1, 1, 0)
    assert (row["guests"], row["service_level"]) == (0, 1.0)
    for part in (Part.OVERFLOW_SENT, Part.OVERFLOW_ANSWERED):
        assert listed(play, part) == [ONE]


def test_a_talk_elsewhere_is_on_record_while_it_lasts(play: Play) -> None:
    sent(play)
    assert play.shown()["answered"] is None
    play.answer(1, THERE, "trunk-1")
    assert (play.shown()["agent_id"], play.shown()["ended"]) == (THERE, None)
    row = by_queue(play)[LAW]
    assert (row["answered"], row["waiting"], row["overflow_answered"]) == (1, 0, 1)


def test_another_centers_operators_are_not_among_ours(play: Play) -> None:
    served_elsewhere(play)
    found = people(play)
    assert THERE not in found
    assert all(row["handled"] == row["offers"] == 0 for row in found.values())


def test_one_who_came_back_is_counted_as_such_and_no_miss_of_ours(play: Play) -> None:
    sent(play)
    play.say(ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER, at=play.now))
    play.after(5)
    granted(play, "g2")
    play.after(1).answer(2, THERE, "trunk-2")
    play.after(20).leave()
    shown = play.shown()
    assert (shown["overflow_count"], shown["overflow_returned"]) == (2, 1)
    assert (shown["agent_offers"], shown["offers_unanswered"]) == (0, 0)
    row = by_queue(play)[LAW]
    counted = (row["overflow_sent"], row["overflow_answered"], row["overflow_returned"])
    assert counted == (1, 1, 1), "numbers of contacts, not of times"
    assert listed(play, Part.OVERFLOW_RETURNED) == [ONE]


# --- the ledger and Asterisk's format ------------------------------------------------------------


def lines_of(play: Play) -> list[str]:
    """The lines of queue_log, without their time."""
    play.store.settle()
    log = QueueLog()
    with play.store.engine.connect() as connection:
        told = [
            Step(
                now=step.now,
                event=step.event,
                source=step.source,
                source_key=None,
                commands=step.commands,
            )
            for step in recorded(connection)
        ]
    return [line.split("|", 1)[1] for line in log.lines(told) if "MEMBER" not in line]


def test_to_asterisks_tools_another_centers_operator_is_a_member(play: Play) -> None:
    served_elsewhere(play)
    assert lines_of(play) == [
        "c1|law|NONE|ENTERQUEUE|||1",
        f"c1|law|{THERE}|CONNECT|15||5",
        f"c1|law|{THERE}|COMPLETECALLER|15|30|1",
    ]


def test_a_ring_elsewhere_without_an_answer_is_one(play: Play) -> None:
    sent(play)
    play.say(ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER, at=play.now))
    assert lines_of(play)[-1] == f"c1|law|{THERE}|RINGNOANSWER|5000"


def test_an_answer_that_crossed_its_recall_is_a_connect(play: Play) -> None:
    sent(play)
    play.after(40).answer(1, THERE, "trunk-1")
    play.after(30).leave()
    names = [line.split("|")[3] for line in lines_of(play)]
    assert names == ["ENTERQUEUE", "RINGNOANSWER", "CONNECT", "COMPLETECALLER"]


@pytest.mark.parametrize("answered", [True, False])
def test_the_queue_log_knows_of_no_guest(play: Play, *, answered: bool) -> None:
    if answered:
        served_guest(play)
    else:
        asked(play)
        came(play)
        failed = ev.OfferFailure.NO_ANSWER
        play.after(4).say(ev.OfferFailed(offer_id=OfferId(1), failure=failed, at=play.now))
        play.leave(GUEST)
    assert lines_of(play) == []


def test_after_a_restart_it_goes_on_with_a_talk_elsewhere(play: Play) -> None:
    sent(play)
    play.answer(1, THERE, "trunk-1")
    play.say(ev.AgentLoggedIn(agent_id=ANNA))
    asked(play)  # A guest, who will not come: his ring is none of any queue.
    assert play.shown(GUEST)["ended"] is None
    log = QueueLog()
    with play.store.engine.connect() as connection:
        log.prime(connection, None)
        before = span(connection).last_seq
    play.after(30).leave()
    with play.store.engine.connect() as connection:
        told = [
            Step(now=s.now, event=s.event, source="", source_key=None, commands=s.commands())
            for s in history(connection, before)
        ]
    assert [line.split("|", 3)[3] for line in log.lines(told)] == [
        f"{THERE}|COMPLETECALLER|15|30|1"
    ]


def test_what_the_donor_said_stands_under_the_guest(play: Play) -> None:
    served_guest(play)
    play.say(ev.AgentLoggedOut(agent_id=ANNA))
    asked(play, ContactId("r2"))
    with play.store.engine.connect() as connection:
        e = schema.event.c
        found = connection.execute(
            sa.select(e.kind, e.contact_id).where(e.kind.startswith("gkc.guest"))
        ).all()
    assert set(map(tuple, found)) == {
        ("gkc.guest.asked", GUEST),
        ("gkc.guest.grant", GUEST),
        ("gkc.guest.arrived", GUEST),
        ("gkc.guest.asked", "r2"),
        ("gkc.guest.deny", "r2"),
    }


# --- the story -----------------------------------------------------------------------------------

MOSCOW = ZoneInfo("Europe/Moscow")


def told_of(play: Play, contact: ContactId) -> Explanation:
    play.store.settle()
    engine = schema.make_engine(play.store.engine.url.render_as_string(), read_only=True)
    with engine.connect() as connection:
        found = explain(connection, contact)
    engine.dispose()
    assert found.differences == 0
    return found


def test_the_story_says_where_it_waited_was_sent_and_was_answered(play: Play) -> None:
    served_elsewhere(play)
    text = story(play.shown(), MOSCOW)
    lines = (
        "waits in law: 0:10, then offered",
        "center sever keeps operator 115 of center sever free for it",
        "is sent to center sever, to operator 115 of center sever (offer 1)",
        "operator 115 of center sever's phone rings",
        "operator 115 of center sever answers",
        "talk with operator 115 of center sever: 0:30, then left",
    )
    for line in lines:
        assert line in text, text


def test_the_story_says_that_it_came_back(play: Play) -> None:
    sent(play)
    play.say(ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER, at=play.now))
    text = story(play.shown(), MOSCOW)
    assert "operator 115 of center sever does not answer; it comes back to its place here" in text


def test_why_it_was_sent_is_on_record(play: Play) -> None:
    play.say(ev.AgentLoggedOut(agent_id=ANNA))
    play.arrive(queue=LAW)
    play.after(10).say(
        ev.ReservationGranted(
            contact_id=ONE,
            reservation_id=ContactId("g1"),
            center="sever",
            agent_id=THERE,
            until=Instant(play.now + seconds(3)),
            timeout_us=seconds(20),
            gain_us=seconds(42),
            not_asked={"yug": "nobody_free"},
        )
    )
    why = "expected 0:42 sooner than here; not asked: yug (nobody free)"
    assert why in story(play.shown(), MOSCOW)
    text = Teller(told_of(play, ONE), MOSCOW, {}).text()
    assert (
        "sent to operator 115 of center sever, after 10s here; the place is kept "
        "(expected 42 s sooner than here; not asked: yug (nobody free))  [P10]"
    ) in text


def test_the_answer_to_the_citizen_is_in_plain_russian(play: Play) -> None:
    served_elsewhere(play)
    text = Answer(told_of(play, ONE), MOSCOW).text()
    assert "Обращение направлено в центр «sever», к свободному оператору (правило P10)." in text
    assert "Оператор другого центра ответил. Вы ожидали 15 с." in text
    assert "115" not in text, "nobody is named"


def test_the_answer_says_that_it_came_back(play: Play) -> None:
    sent(play)
    play.say(ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER, at=play.now))
    text = Answer(told_of(play, ONE), MOSCOW).text()
    assert (
        "Оператор другого центра не ответил; обращение вернулось на своё место в очереди." in text
    )


@pytest.mark.parametrize("answered", [True, False])
def test_a_guest_is_explained_where_it_was_served(play: Play, *, answered: bool) -> None:
    if answered:
        served_guest(play)
    else:
        asked(play)
        play.after(4)
    text = story(play.shown(GUEST), MOSCOW)
    assert "belongs to   center sever, contact c9 there" in text
    assert "an operator is kept free for a contact" in text
    assert ("its line comes from its center" in text) is answered
    assert "ends: " + ("answered" if answered else "returned") in text
    told = told_of(play, GUEST)
    assert "guest    of center sever" in Teller(told, MOSCOW, {}).text()
    answer = Answer(told, MOSCOW).text()
    assert "Для обращения в центр «sever» придержан свободный оператор" in answer
    assert as_json(told, {})["owner"] == "sever"


@pytest.mark.parametrize("answered", [True, False])
def test_a_dry_run_knows_of_the_time_that_guests_take(play: Play, *, answered: bool) -> None:
    if answered:
        served_guest(play)
    else:
        asked(play)
        play.after(4)
    play.store.settle()
    with play.store.engine.connect() as connection:
        said = [command for step in recorded(connection) for command in step.commands]
    assert list(calls_out(said)) == [
        ev.AgentCallStarted(agent_id=ANNA, call_id=GUEST, kind="outbound"),
        ev.AgentCallEnded(agent_id=ANNA, call_id=GUEST),
    ]


@pytest.mark.parametrize("answered", [True, False])
def test_a_dry_run_counts_no_guest(play: Play, *, answered: bool) -> None:
    measured = Measured(Acd().snapshot(), START, Instant(START + seconds(600)))
    if answered:
        served_guest(play)
    else:
        asked(play)
        play.after(4)
    play.store.settle()
    with play.store.engine.connect() as connection:
        for step in recorded(connection):
            measured.observe(step.now, step.commands)
    assert measured.fates == {}
