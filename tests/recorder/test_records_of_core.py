"""The real core's facts, folded: what the definitions promise holds for whatever happens."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.engine import Step
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId, SkillId, seconds
from gkc_engine.recorder import recovery, schema
from gkc_engine.recorder.codec import encode
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.rebuild import dump, rebuild
from tests.postgres import Server
from tests.recorder.places import Place, PostgresPlace, SqlitePlace
from tests.recorder.support import START
from tests.recorder.test_projections import FEW, MANY

A, B = SkillId("a"), SkillId("b")
AGENTS = {"anna": {A: 5}, "ben": {A: 2, B: 4}, "clara": {B: 1}, "dina": {A: 1, B: 1}}
QUEUES = {"tax": {A: 2}, "housing": {B: 1}, "any": {}}
CITY = Settings(
    version="v1",
    queues=tuple(
        QueueSettings(queue_id=QueueId(q), require=r, wrapup_us=seconds(10), maxwait_us=seconds(90))
        for q, r in QUEUES.items()
    ),
    agents=tuple(AgentSettings(agent_id=AgentId(a), skills=s) for a, s in AGENTS.items()),
)


class City:
    """Feeds a core with what a random city does, in the driver's manner."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.acd = Acd()
        self.now = START
        self.steps: list[Step] = []
        self.offers: dict[OfferId, tuple[AgentId, ContactId]] = {}
        self.talks: dict[ContactId, AgentId] = {}
        self.alive: list[ContactId] = []
        self.arrived = self.asked = 0
        self.guests: list[ContactId] = []
        """Other centers' contacts for whom an operator was kept free and that are not over."""
        self.say(ev.SettingsApplied(settings=CITY))
        for agent in AGENTS:
            self.say(ev.AgentDeviceChanged(agent_id=AgentId(agent), reachable=True))
            self.say(ev.AgentLoggedIn(agent_id=AgentId(agent)))

    def say(self, event: ev.Event) -> None:
        commands = self.acd.step(event, self.now)
        self.steps.append(
            Step(now=self.now, event=event, source="core", source_key=None, commands=commands)
        )
        for command in commands:
            if isinstance(command, cm.OfferContact):
                self.offers[command.offer_id] = command.agent_ids[0], command.contact_id
            elif isinstance(command, cm.OverflowContact):
                self.offers[command.offer_id] = command.agent_id, command.contact_id
            elif isinstance(command, cm.GrantReservation):
                self.guests.append(command.reservation_id)
                self.arrived += 1
            elif isinstance(command, cm.OfferEnded):
                self.offers.pop(command.offer_id, None)
                if command.outcome is cm.OfferOutcome.ACCEPTED:
                    self.talks[command.contact_id] = command.agent_id
            elif isinstance(command, cm.ContactEnded):
                self.talks.pop(command.contact_id, None)
                if command.owner is not None:
                    self.guests.remove(command.contact_id)

    def wait(self) -> None:
        until = self.now + seconds(self.chance.choice((0, 0.2, 0.5, 2, 15)))
        while (due := self.acd.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.say(ev.Tick())
        self.now = Instant(until)

    def live(self) -> None:  # noqa: C901 - one thing of many
        self.wait()
        chance = self.chance
        agent = AgentId(chance.choice(list(AGENTS)))
        offer = chance.choice([*self.offers]) if self.offers else None
        contact = chance.choice(self.alive) if self.alive else None
        guest = chance.choice(self.guests) if self.guests else None
        match chance.randrange(20):
            case 0 | 1 | 2:
                self.arrive()
            case 3 | 4 | 5 | 12 | 13 if offer is not None:
                self.say(ev.OfferRinging(offer_id=offer))
                self.now = Instant(self.now + seconds(2))
                self.say(ev.OfferAccepted(offer_id=offer, agent_id=self.offers[offer][0]))
            case 6 if offer is not None:
                failure = chance.choice(list(ev.OfferFailure))
                self.say(ev.OfferFailed(offer_id=offer, failure=failure))
            case 7 if contact is not None:
                self.leave(contact)
            case 8 if contact in self.talks:
                end = chance.choice(list(ev.TalkEnd))
                self.say(self.talk_ended(contact, end))
            case 9:
                self.say(ev.AgentPaused(agent_id=agent, reason="lunch"))
            case 14:
                self.ask()
            case 15 | 16 if guest is not None:
                self.say(ev.GuestArrived(contact_id=guest, citizen="KEY", uniqueid=f"leg-{guest}"))
            case 17 if guest is not None:
                self.say(ev.ReservationReleased(reservation_id=guest, reason="served"))
            case 18 if guest is not None:
                self.say(ev.ContactLeft(contact_id=guest, party=ev.Party.CITIZEN))
            case 19 if contact is not None:
                self.grant(contact)
            case 10:
                self.say(chance.choice((ev.AgentLoggedOut, ev.AgentLoggedIn))(agent_id=agent))
            case _:
                self.say(ev.AgentReady(agent_id=agent))

    def talk_ended(self, contact: ContactId, end: ev.TalkEnd) -> ev.TalkEnded:
        return ev.TalkEnded(
            contact_id=contact, agent_id=self.talks[contact], end=end, party=ev.Party.AGENT
        )

    def ask(self) -> None:
        self.asked += 1
        self.say(
            ev.ReservationAsked(
                reservation_id=ContactId(f"r{self.asked}"),
                owner="sever",
                contact_id=ContactId(f"s{self.asked}"),
                queue=QueueId(self.chance.choice(list(QUEUES))),
                waited_us=seconds(self.chance.randrange(60)),
                hold_us=seconds(3),
            )
        )

    def grant(self, contact: ContactId) -> None:
        self.say(
            ev.ReservationGranted(
                contact_id=contact,
                reservation_id=ContactId(f"g{len(self.steps)}"),
                center="sever",
                agent_id=AgentId("sever:7"),
                until=Instant(self.now + seconds(3)),
                timeout_us=seconds(20),
            )
        )

    def arrive(self) -> None:
        self.arrived += 1
        contact = ContactId(f"c{self.arrived}")
        self.alive.append(contact)
        self.say(
            ev.ContactStarted(
                contact_id=contact,
                medium=Medium.VOICE,
                number=f"2026-ЦАО-{self.arrived:06d}",
                entry="+74957777777",
            )
        )
        self.wait()
        self.say(
            ev.QueueRequested(contact_id=contact, queue=QueueId(self.chance.choice(list(QUEUES))))
        )

    def leave(self, contact: ContactId) -> None:
        self.alive.remove(contact)
        self.say(ev.ContactLeft(contact_id=contact, party=ev.Party.CITIZEN))

    def night(self) -> None:
        while self.alive:
            self.wait()
            self.leave(self.alive[0])
        for guest in list(self.guests):
            self.say(ev.ContactLeft(contact_id=guest, party=ev.Party.SYSTEM))
        for agent in AGENTS:
            self.wait()
            self.say(ev.AgentLoggedOut(agent_id=AgentId(agent)))
        self.now = Instant(self.now + seconds(600))
        self.wait()


def rows_of(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    keys = list(table.primary_key.columns)
    return [dict(r) for r in connection.execute(sa.select(table).order_by(*keys)).mappings()]


CITIES = given(seed=st.integers(0, 2**32))


@MANY
@CITIES
def test_a_city_day_reconciles_and_replays(tmp_path: Path, seed: int) -> None:
    a_city_day_reconciles_and_replays(SqlitePlace(tmp_path), seed)


@pytest.mark.accept
@FEW
@CITIES
def test_a_city_day_reconciles_and_replays_on_postgresql(postgres: Server, seed: int) -> None:
    with PostgresPlace(postgres) as place:
        a_city_day_reconciles_and_replays(place, seed)


def a_city_day_reconciles_and_replays(place: Place, seed: int) -> None:
    city = City(seed)
    for _ in range(120):
        city.live()
    city.night()
    store = place.another().store()
    store.open()
    for start in range(0, len(city.steps), 11):
        store.append(batch_of(city.steps[start : start + 11], "centr"))
    store.settle()
    with store.transaction() as connection:
        reconcile(connection, city)
        replay(connection)
        grown = list(dump(connection))
    rebuild(store)
    with store.transaction() as connection:
        assert list(dump(connection)) == grown
    store.close()


def reconcile(connection: sa.Connection, city: City) -> None:
    contacts = rows_of(connection, schema.contact)
    segments = rows_of(connection, schema.segment)
    offers = rows_of(connection, schema.offer)
    intervals = rows_of(connection, schema.agent_interval)
    assert len(contacts) == city.arrived
    for contact in contacts:
        every = [s for s in segments if s["contact_id"] == contact["contact_id"]]
        own = sorted((s for s in every if s["party"] == "citizen"), key=lambda s: s["n"])
        assert contact["disposition"] is not None
        assert all(a["end"] == b["start"] for a, b in itertools.pairwise(own))
        assert (own[0]["start"], own[-1]["end"]) == (contact["started"], contact["ended"])
        talked = sum(s["end"] - s["start"] for s in own if s["kind"] == "talk")
        assert contact["talk_us"] == talked
        made = [o for o in offers if o["contact_id"] == contact["contact_id"]]
        assert len(made) == contact["offers"]
        # Not "has an accepted offer": an answer may cross the withdrawal and count all the same.
        talks = [s["start"] for s in own if s["kind"] == "talk"]
        assert contact["answered"] == min(talks, default=None)
        assert (contact["disposition"] == "answered") == bool(talks)
        wrap_ups = [s for s in every if s["party"] == "agent"]
        spent = sum(s["end"] - s["start"] for s in wrap_ups)
        assert (contact["wrap_up_us"], {s["kind"] for s in wrap_ups} - {"wrap_up"}) == (
            spent,
            set(),
        )
        behind = {s["segment_id"]: (s["end"], s["agent_id"]) for s in own}
        assert all(behind[s["peer_segment"]] == (s["start"], s["agent_id"]) for s in wrap_ups)
        queued = contact["first_queued"] is not None
        assert (contact["requirement_final"] is not None) == queued
        assert (contact["direction"] == "guest") == (contact["owner"] is not None)
        sent = [o for o in made if o["agent_id"] == "sever:7"]
        assert (contact["overflow_count"] or 0) == len(sent)
        back = sum(o["outcome"] not in ("accepted", "withdrawn") for o in sent)
        assert (contact["overflow_returned"] or 0) == back
        assert contact["agent_offers"] == len(made) - len(sent)
    for offer in offers:
        assert offer["ended"] is not None
        assert offer["slot"] == (None if offer["agent_id"] == "sever:7" else 0)
    for agent in AGENTS:
        mine = [i for i in intervals if i["agent_id"] == agent]
        assert all(a["end"] == b["start"] for a, b in itertools.pairwise(mine))
        assert (mine[-1]["state"], mine[-1]["end"]) == ("offline", None)
    talk = sum(i["end"] - i["start"] for i in intervals if i["state"] == "talk")
    elsewhere = [s for s in segments if s["kind"] == "talk" and s["agent_id"] == "sever:7"]
    assert talk + sum(s["end"] - s["start"] for s in elsewhere) == sum(
        c["talk_us"] for c in contacts
    )
    wrapped = sum(i["end"] - i["start"] for i in intervals if i["state"] == "wrap_up")
    assert wrapped == sum(c["wrap_up_us"] for c in contacts)


def replay(connection: sa.Connection) -> None:
    acd = Acd()
    for step in recovery.steps(connection):
        said = [encode(command) for command in acd.step(step.event, step.now)]
        assert said == [encode(command) for command in step.commands]
