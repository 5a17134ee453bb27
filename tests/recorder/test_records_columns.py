"""The columns of the records, each from what the real core said. docs/reference/records.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import (
    AgentSettings,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
)
from gkc_engine.engine import Step
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId, SkillId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queries import list_contacts, show_contact
from gkc_engine.recorder.rebuild import dump, rebuild
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.places import Place
from tests.recorder.support import START

RECORDS = {
    "event": "seq event_id ts_us center kind contact_id segment_id agent_id queue config_version"
    " source source_key data schema_version",
    "contact": "contact_id number medium direction initiation center_entry did language service"
    " topic citizen_id citizen_kind case_id previous_contact_id related_contact_id linkedid"
    " message_id fax_id started first_queued answered ended menu_us wait_us ring_us talk_us"
    " hold_us wrap_up_us offers overflow_count disposition via end_party sl_threshold_us sl_met"
    " short ewt_said_us class requirement_final consent recording_refs config_version",
    "segment": "segment_id contact_id n kind start end center queue agent_id step outcome"
    " end_reason channel_uniqueid transfer_kind peer_segment citizen_id",
    "offer": "offer_id contact_id agent_id slot created ringing answered ended outcome reason"
    " ring_us",
    "agent_interval": "agent_id slot start end state reason medium contact_id",
    "config_version": "hash author applied diff",
    "audit": "actor action object before after",
}
"""The product's definition ("Records"), its words."""

ANNA, BEN = AgentId("anna"), AgentId("ben")
TAX, LAW = QueueId("tax"), QueueId("law")
ONE = ContactId("c1")
A = SkillId("a")


def city(version: str = "v1") -> Settings:
    relax = (RelaxStep(after_us=seconds(30), require={A: 1}),)
    tax = QueueSettings(queue_id=TAX, require={A: 3}, relax=relax, wrapup_us=seconds(10))
    law = QueueSettings(queue_id=LAW, require={A: 1}, wrapup_us=seconds(7))
    people = (
        AgentSettings(agent_id=ANNA, skills={A: 2}),
        AgentSettings(agent_id=BEN, skills={A: 1}),
    )
    return Settings(version=version, center="centr", queues=(tax, law), agents=people)


class Play:
    """The core on a stage; what it said goes into a store."""

    def __init__(self, store: LedgerStore) -> None:
        self.store, self.acd, self.now = store, Acd(), START
        self.say(ev.SettingsApplied(settings=city(), author="start"))
        self.say(ev.AgentLoggedIn(agent_id=ANNA))

    def say(self, event: ev.Event) -> None:
        commands = self.acd.step(event, self.now)
        step = Step(now=self.now, event=event, source="core", source_key=None, commands=commands)
        self.store.append(batch_of([step], "centr"))

    def after(self, duration_s: float) -> Play:
        until = Instant(self.now + seconds(duration_s))
        while (due := self.acd.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.say(ev.Tick())
        self.now = until
        return self

    def arrive(self, contact: ContactId = ONE, queue: QueueId = TAX) -> None:
        number = f"2026-ЦАО-{contact}"
        started = ev.ContactStarted(
            contact_id=contact, medium=Medium.VOICE, number=number, entry="+74957777777"
        )
        self.say(started)
        self.say(ev.QueueRequested(contact_id=contact, queue=queue))

    def answer(self, offer: int, agent: AgentId, leg: str) -> None:
        offer_id = OfferId(offer)
        self.say(ev.OfferAccepted(offer_id=offer_id, agent_id=agent, leg=leg, at=self.now))

    def leave(self, contact: ContactId = ONE, *, heard_after_s: float = 0) -> None:
        at = Instant(self.now - seconds(heard_after_s))
        self.say(ev.ContactLeft(contact_id=contact, party=ev.Party.CITIZEN, at=at))

    def shown(self, contact: ContactId = ONE) -> dict[str, Any]:
        """The contact as people see it, and the same when everything is made anew."""
        self.store.settle()
        shown = show_contact(self.store.engine, contact)
        with self.store.transaction() as connection:
            grown = list(dump(connection))
        rebuild(self.store)
        with self.store.transaction() as connection:
            assert list(dump(connection)) == grown
        return shown


def span_s(segment: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(segment[name]) for name in ("start", "end"))
    return (end - start).total_seconds()


@pytest.fixture
def play(place: Place) -> Iterator[Play]:
    store = place.store()
    store.open()
    play = Play(store)
    yield play
    play.store.close()


@pytest.mark.parametrize("table", sorted(RECORDS))
def test_the_tables_have_the_columns_of_the_definition(table: str) -> None:
    missing = set(RECORDS[table].split()) - set(schema.metadata.tables[table].columns.keys())
    assert missing == set()


def test_the_json_of_contacts_has_the_names_of_the_definition(play: Play) -> None:
    play.arrive()
    play.store.settle()
    (row,) = list_contacts(play.store.engine)
    wanted = {re.sub("_us$", "_s", name) for name in RECORDS["contact"].split()}
    assert wanted - set(row) == set()
    shown = play.shown()
    assert wanted - set(shown) == set()
    assert not [name for name in row if name.endswith("_us")]
    play.after(3).leave()
    for name, rows in (("segment", "segments"), ("offer", "offers_list")):
        for row in play.shown()[rows]:
            names = {re.sub("_us$", "_s", n) for n in RECORDS[name].split()}
            assert names - set(row) == set()


def test_the_requirement_in_force_at_the_end_is_on_record(play: Play) -> None:
    play.arrive()
    assert play.shown()["requirement_final"] == {"a": 3}
    play.after(31)
    assert play.shown()["requirement_final"] == {"a": 1}
    play.answer(1, ANNA, "ast-7")
    play.leave()
    assert play.shown()["requirement_final"] == {"a": 1}
    assert [o["slot"] for o in play.shown()["offers_list"]] == [0]


def test_a_talk_has_its_leg_and_the_agents_wrap_up_follows_it(play: Play) -> None:
    play.arrive(queue=LAW)
    play.after(2).answer(1, ANNA, "ast-7")
    play.after(5).say(ev.HoldStarted(contact_id=ONE, agent_id=ANNA, at=play.now))
    play.after(1).leave(heard_after_s=0.25)
    play.after(20)
    segments = play.shown()["segments"]
    assert [(s["segment_id"], s["kind"], s["channel_uniqueid"]) for s in segments] == [
        ("c1.0", "menu", None),
        ("c1.1", "queue", None),
        ("c1.2", "ring", None),
        ("c1.3", "talk", "ast-7"),
        ("c1.4", "hold", "ast-7"),
        ("c1.4.w", "wrap_up", None),
    ]
    wrap_up, hold = segments[-1], segments[-2]
    assert (wrap_up["party"], wrap_up["peer_segment"]) == ("agent", hold["segment_id"])
    assert (wrap_up["start"], wrap_up["agent_id"], wrap_up["queue"]) == (hold["end"], "anna", "law")
    # The sum is that of the agent's state, which began when the engine heard of the end.
    assert span_s(wrap_up) == play.shown()["wrap_up_s"] + 0.25 == 7.25
    closed = [e for e in play.shown()["events"] if e["kind"] == "gkc.segment.closed"]
    assert len(closed) == 5


def test_a_wrap_up_that_ends_after_a_restart_still_follows_its_talk(play: Play) -> None:
    play.arrive(queue=LAW)
    play.after(2).answer(1, ANNA, "ast-7")
    play.after(5).leave()
    play.store.close()
    play.store = LedgerStore(str(play.store.engine.url))
    play.store.open()
    play.after(20)
    assert [s["segment_id"] for s in play.shown()["segments"]][-1] == "c1.3.w"


def test_a_transfer_is_blind_or_attended(play: Play) -> None:
    play.say(ev.AgentLoggedIn(agent_id=BEN))
    play.arrive(queue=LAW)
    play.after(2).answer(1, ANNA, "ast-7")
    play.after(5).say(ev.TransferRequested(contact_id=ONE, from_agent=ANNA, to_agent=BEN))
    play.after(2).answer(2, BEN, "ast-9")
    moved = ev.TransferCompleted(contact_id=ONE, from_agent=BEN, to_agent=ANNA, leg="ast-11")
    play.after(9).say(moved)
    play.after(3).leave()
    talks = [s for s in play.shown()["segments"] if s["kind"] == "talk"]
    assert [(t["agent_id"], t["channel_uniqueid"], t["transfer_kind"]) for t in talks] == [
        ("anna", "ast-7", "blind"),
        ("ben", "ast-9", "attended"),
        ("anna", "ast-11", None),
    ]
    play.after(30)
    wrap_ups = [s["segment_id"] for s in play.shown()["segments"] if s["kind"] == "wrap_up"]
    assert wrap_ups == [f"{t['segment_id']}.w" for t in talks]


def test_the_native_queue_connects_with_nobody_asked_first(play: Play) -> None:
    play.arrive(queue=LAW)
    play.after(2).answer(1, ANNA, "ast-7")
    moved = ev.TransferCompleted(contact_id=ONE, from_agent=ANNA, to_agent=BEN, attended=False)
    play.after(9).say(moved)
    play.after(3).leave()
    talks = [s for s in play.shown()["segments"] if s["kind"] == "talk"]
    assert [t["transfer_kind"] for t in talks] == ["blind", None]


def test_a_reload_is_on_record_with_its_author_and_its_diff(play: Play) -> None:
    diff = ("queues.tax.timeout 20s → 15s", "queues.law: new")
    play.say(ev.SettingsApplied(settings=city("v2"), author="root (cli)", diff=diff))
    play.store.settle()
    with play.store.transaction() as connection:
        rows = connection.execute(schema.config_version.select()).mappings()
        found = {r["hash"]: (r["author"], r["diff"]) for r in rows}
    assert found == {"v1": ("start", None), "v2": ("root (cli)", "\n".join(diff))}
