"""Calls that operators made, and consultations, as they stand in the records; made anew, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import OutboundSettings
from gkc_engine.control.story import story
from gkc_engine.engine import Step
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.queries import list_contacts
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.simulation.past import calls_out
from gkc_engine.statistics import drill, operators
from gkc_engine.statistics.rollups import Period
from tests.fakes.ended import contact_ended
from tests.recorder.support import START
from tests.recorder.test_records_columns import ANNA, BEN, LAW, ONE, Play, city, span_s

OUT = ContactId("o1")


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    store = LedgerStore(schema.sqlite_url(str(tmp_path / "ledger.db")))
    store.open()
    made = Play(store)
    outbound = OutboundSettings(per_operator_hour=3, concurrent=2, wrapup_us=seconds(4))
    made.say(ev.SettingsApplied(settings=replace(city("v2"), outbound=outbound)))
    yield made
    store.close()


def dial(play: Play, contact: ContactId = OUT, *, barred: str = "", related: str = "") -> None:
    play.say(
        ev.OutboundStarted(
            contact_id=contact,
            agent_id=ANNA,
            number=f"2026-ЦАО-{contact}",
            citizen="KEY",
            uniqueid="leg-7",
            related=ContactId(related) if related else None,
            barred=barred,
        )
    )


def hand_over(play: Play) -> None:
    """Talk for 20 s after 6 s of ringing, 5 s of it on hold; 4 s of wrap-up follow."""
    dial(play)
    play.after(6).say(ev.OutboundAnswered(contact_id=OUT, at=Instant(play.now - seconds(1))))
    play.after(9).say(ev.HoldStarted(contact_id=OUT, agent_id=ANNA, at=play.now))
    play.after(5).say(ev.HoldEnded(contact_id=OUT, agent_id=ANNA, at=play.now))
    play.after(5)
    left = ev.ContactLeft(contact_id=OUT, party=ev.Party.AGENT, reason="cause 16", at=play.now)
    play.say(left)
    play.after(10)


def test_a_call_out_from_ring_to_wrap_up(play: Play) -> None:
    hand_over(play)
    shown = play.shown(OUT)
    assert [(s["party"], s["kind"], span_s(s)) for s in shown["segments"]] == [
        ("citizen", "ring", 5.0),
        ("citizen", "talk", 10.0),
        ("citizen", "hold", 5.0),
        ("citizen", "talk", 5.0),
        ("agent", "wrap_up", 4.0),
    ]
    assert {s["agent_id"] for s in shown["segments"]} == {ANNA}
    wanted = {
        "direction": "out",
        "initiation": "outbound",
        "citizen_id": "KEY",
        "linkedid": "leg-7",
        "agent_id": ANNA,
        "queue": None,
        "first_queued": None,
        "disposition": "answered",
        "end_party": "agent",
        "ring_s": 5.0,
        "talk_s": 15.0,
        "hold_s": 5.0,
        "wrap_up_s": 4.0,
        "wait_s": 0.0,
        "sl_met": None,
        "short": None,
        "offers": 0,
    }
    assert {key: shown[key] for key in wanted} == wanted


def test_who_rings_is_not_answered_and_who_answered_is(play: Play) -> None:
    dial(play)
    assert play.shown(OUT)["answered"] is None
    play.after(3).say(ev.OutboundAnswered(contact_id=OUT, at=play.now))
    assert datetime.fromisoformat(play.shown(OUT)["answered"]).timestamp() == play.now / SECOND


def test_related_barred_and_listed_by_direction(play: Play) -> None:
    play.arrive(queue=LAW)
    play.after(3).answer(1, ANNA, "leg-1")
    dial(play, related=ONE)
    play.after(2).say(
        ev.OutboundFailed(contact_id=OUT, failure=ev.OutboundFailure.DECLINED, at=play.now)
    )
    dial(play, ContactId("o2"), barred="night")
    play.leave()
    assert play.shown(OUT)["related_contact_id"] == ONE
    assert play.shown(OUT)["disposition"] == "declined"
    barred = play.shown(ContactId("o2"))
    assert (barred["disposition"], barred["reason"]) == ("barred", "night")
    assert [span_s(s) for s in barred["segments"]] == [0.0]
    engine = play.store.engine
    assert {r["contact_id"] for r in list_contacts(engine, direction="out")} == {OUT, "o2"}
    assert [r["contact_id"] for r in list_contacts(engine, direction="in")] == [ONE]


def test_operators_have_their_calls_and_queues_do_not(play: Play) -> None:
    hand_over(play)
    dial(play, ContactId("o2"))
    play.after(3).say(
        ev.OutboundFailed(contact_id=ContactId("o2"), failure=ev.OutboundFailure.BUSY)
    )
    dial(play, ContactId("o3"), barred="night")
    play.after(5)
    play.store.settle()
    until = Instant(play.now + 1)
    with play.store.engine.connect() as connection:
        (row,) = operators.rows(connection, START, until, play.now)
        in_queues = list(drill.queued(connection, Period(since=START, until=until)))
    # By his states, which change when the engine hears of it: 6 + 3 s of dialling, 14 of talk, 5 of
    # hold, 4 of wrap-up; ready for 6 s after that and 5 at the end.
    busy, ready = 9 + 14 + 5 + 4, 6 + 5
    assert (row["outbound"], row["outbound_answered"], row["dial_s"]) == (2, 1, 9.0)
    assert row["occupancy"] == round(busy / (busy + ready), 4)
    assert row["aht_s"] == 23.0
    assert in_queues == [], "none of them is offered to a queue"


def test_the_queue_log_knows_of_no_call_out(play: Play) -> None:
    log, lines = QueueLog(), list[str]()
    heard = play.acd.step

    def step(event: ev.Event, now: Instant) -> list[cm.Command]:
        said = heard(event, now)
        one = Step(now=now, event=event, source="core", source_key=None, commands=said)
        lines.extend(log.lines([one]))
        return said

    play.acd.step = step  # type: ignore[method-assign]
    hand_over(play)
    assert lines == []


def test_consultations_are_segments_of_both(play: Play) -> None:
    play.say(ev.AgentLoggedIn(agent_id=BEN))
    play.say(ev.AgentPaused(agent_id=BEN))
    play.arrive(queue=LAW)
    play.after(3).answer(1, ANNA, "leg-1")
    play.after(10).say(ev.HoldStarted(contact_id=ONE, agent_id=ANNA, at=play.now))
    play.after(2)
    for agent, kind in ((ANNA, "consult"), (BEN, "consulted")):
        call = ev.AgentCallStarted(agent_id=agent, call_id="leg-2", kind=kind, contact_id=ONE)
        play.say(call)
    play.after(8)
    for agent in (ANNA, BEN):
        play.say(ev.AgentCallEnded(agent_id=agent, call_id="leg-2"))
    play.after(1).say(ev.HoldEnded(contact_id=ONE, agent_id=ANNA, at=play.now))
    play.after(4).leave()
    shown = play.shown()
    (hold,) = (s for s in shown["segments"] if s["kind"] == "hold")
    found = [s for s in shown["segments"] if s["kind"] == "consult"]
    assert [(s["agent_id"], s["end_reason"], span_s(s), s["party"]) for s in found] == [
        (AgentId("anna"), "consult", 8.0, "agent"),
        (AgentId("ben"), "consulted", 8.0, "agent"),
    ]
    assert {s["peer_segment"] for s in found} == {hold["segment_id"]}
    assert {s["channel_uniqueid"] for s in found} == {"leg-2"}
    assert span_s(hold) == 11.0


def test_the_story_of_a_call_out_and_of_a_consultation(play: Play) -> None:
    moscow = ZoneInfo("Europe/Moscow")
    play.arrive(queue=LAW)
    play.after(3).answer(1, ANNA, "leg-1")
    call = ev.AgentCallStarted(agent_id=ANNA, call_id="leg-2", kind="consult", contact_id=ONE)
    play.say(call)
    play.after(8).say(ev.AgentCallEnded(agent_id=ANNA, call_id="leg-2"))
    play.leave()
    told = story(play.shown(), moscow)
    assert "anna asks a colleague: 0:08" in told
    dial(play, related=ONE)
    play.after(4).say(
        ev.OutboundFailed(contact_id=OUT, failure=ev.OutboundFailure.NO_ANSWER, at=play.now)
    )
    told = story(play.shown(OUT), moscow)
    for words in (
        f"belongs to   {ONE}",
        "anna calls citizen KEY",
        "the called phone rings: 0:04",
        "ends: no_answer, by the system",
    ):
        assert words in told, told


def test_a_rerun_knows_of_the_time_that_calls_out_take() -> None:
    said: list[cm.Command] = [
        cm.DialOut(contact_id=OUT, agent_id=ANNA),
        contact_ended(OUT, START, disposition=cm.Disposition.BUSY, agent_id=ANNA),
    ]
    assert list(calls_out(said)) == [
        ev.AgentCallStarted(agent_id=ANNA, call_id=OUT, kind="outbound"),
        ev.AgentCallEnded(agent_id=ANNA, call_id=OUT),
    ]
