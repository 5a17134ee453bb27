"""The methods over the real core and driver: what people see is what the core decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.backend import EngineBackend
from gkc_engine.control.day import DayCounters
from gkc_engine.control.live import Reloaded, Row
from gkc_engine.control.methods import Methods
from gkc_engine.control.observe import Observer
from gkc_engine.control.reactions import Reactions
from gkc_engine.control.server import ControlServer
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, ContactId, Instant, Micros, OfferId, SkillId
from gkc_engine.metrics import Metrics
from gkc_engine.recorder import schema
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.records import RecordReader
from tests.control.fake import (
    HOUSING,
    IVANOVA,
    NOW,
    PASSPORT,
    PETROV,
    ZONE,
    AuditLog,
    after,
    directory,
)
from tests.control.test_server import ask, request

SKILL = SkillId("passport")
FIRST, SECOND_ONE = ContactId("c1"), ContactId("c2")


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> Instant:
        return self.moment

    def drift_us(self) -> int:
        return 0


class Durable:
    """A writer for which everything is durable at once."""

    accepting = True

    async def write(self, steps: Sequence[Step]) -> None:
        assert steps


@dataclass
class City:
    clock: Clock
    engine: Engine
    server: ControlServer
    observer: Observer
    audit: AuditLog

    async def said(self, *events: ev.Event) -> None:
        for event in events:
            self.engine.submit(event)
        await self.engine.drain()

    async def show(self, method: str, **params: object) -> list[dict[str, Any]]:
        [reply] = await ask(self.server, request(method, params))
        assert "error" not in reply, reply
        result = reply["result"]
        assert isinstance(result, list)
        return result

    async def refused(self, method: str, **params: object) -> tuple[str, str]:
        [reply] = await ask(self.server, request(method, params))
        error = reply["error"]
        assert isinstance(error, dict)
        return error["error_id"], error["message"]

    async def queue(self, name: str) -> dict[str, Any]:
        return (await self.show("queue.show", queue=name))[0]


def settings() -> Settings:
    return Settings(
        version="v1",
        queues=(
            QueueSettings(queue_id=HOUSING),
            QueueSettings(queue_id=PASSPORT, require={SKILL: 3}, wrapup_us=Micros(10 * SECOND)),
        ),
        agents=(
            AgentSettings(agent_id=IVANOVA, skills={SKILL: 5}),
            AgentSettings(agent_id=PETROV),
        ),
    )


class FakeVoice:
    """Two prompts, and a program that speaks all but one word."""

    def prompts(self) -> Sequence[str]:
        return ["outage", "closed"]

    async def speak(self, text: str) -> None:
        if "непроизносимо" in text:
            raise GkcError("the text cannot be spoken: no tts.command")


async def _reload(_force: bool, _author: str) -> Reloaded:
    raise AssertionError


def _health() -> Row:
    return {"accepting": True}


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    clock = Clock()
    engine = Engine(Acd(), clock, Durable())
    store = schema.make_engine(schema.sqlite_url(str(tmp_path / "gkc.sqlite")))
    schema.metadata.create_all(store)

    async def settle() -> None:
        pass  # the tables are written by hand here

    citizens = Citizens(store, tmp_path / "key")
    reader = RecordReader(schema.sqlite_url(str(tmp_path / "gkc.sqlite")), citizens, settle)
    day = DayCounters(ZONE, NOW)
    day.configure({PASSPORT: 20 * SECOND})
    backend = EngineBackend(
        engine, directory(), day, reader, ExpectedWait(), health=_health, reload=_reload
    )
    observer = Observer(Metrics(), day)
    engine.observe(observer.steps)
    engine.observe(backend.observe)
    audit = AuditLog()
    server = ControlServer(tmp_path / "engine.sock", audit)
    Methods(backend, "0.1.0").register(server)
    Reactions(backend, engine.acd, FakeVoice()).register(server)
    await server.start()
    running = asyncio.ensure_future(engine.run())
    made = City(clock, engine, server, observer, audit)
    await made.said(ev.SettingsApplied(settings=settings()))
    yield made
    await end_tasks([running])
    await server.close()
    await reader.close()
    store.dispose()


def started(contact: ContactId) -> ev.ContactStarted:
    return ev.ContactStarted(
        contact_id=contact, medium=Medium.VOICE, number=f"2026-ЦАО-{contact}", entry="+7495"
    )


async def test_a_day_in_the_life_of_a_queue(city: City) -> None:
    await city.said(started(FIRST), ev.QueueRequested(contact_id=FIRST, queue=PASSPORT))
    city.clock.moment = after(NOW, 30)
    row = await city.queue("passport")
    assert (row["waiting"], row["longest_wait_s"], row["offline"]) == (1, 30.0, 1 + 1)
    [contact] = await city.show("queue.waiting", queue="passport")
    assert (contact["number"], contact["state"], contact["position"]) == (
        "2026-ЦАО-c1",
        "waiting",
        1,
    )

    [agent] = await city.show("agent.login", agent="ivanova")
    assert agent["state"] == "reserved", "the one who waits was offered at once"
    row = await city.queue("passport")
    assert (row["waiting"], row["ringing"], row["busy"]) == (1, 1, 1)

    city.clock.moment = after(NOW, 33)
    await city.said(
        ev.OfferRinging(offer_id=OfferId(1)),
        ev.OfferAccepted(offer_id=OfferId(1), agent_id=IVANOVA),
    )
    row = await city.queue("passport")
    assert (row["waiting"], row["talking"], row["answered"], row["offered"]) == (0, 1, 1, 1)
    assert row["asa_s"] == 33.0
    assert row["service_level"] == 0.0, "answered, but after 20 s"

    city.clock.moment = after(NOW, 60)
    await city.said(ev.ContactLeft(contact_id=FIRST, party=ev.Party.CITIZEN))
    row = await city.queue("passport")
    assert (row["talking"], row["answered"], row["offered"]) == (0, 1, 1), "counted once"
    [agent] = await city.show("agent.show", agent="ivanova")
    assert (agent["state"], agent["since"]) == ("wrap_up", "2026-11-18T11:07:40.000000Z")
    registry = city.observer.metrics.registry
    labels = {"queue": "passport", "medium": "voice", "disposition": "answered"}
    assert registry.get_sample_value("gkc_contacts_total", labels) == 1


async def test_offered_is_always_the_sum_of_its_parts(city: City) -> None:
    await city.said(started(FIRST), ev.QueueRequested(contact_id=FIRST, queue=PASSPORT))
    await city.said(started(SECOND_ONE), ev.QueueRequested(contact_id=SECOND_ONE, queue=PASSPORT))
    assert (await city.queue("passport"))["offered"] == 2
    city.clock.moment = after(NOW, 3)
    await city.said(ev.ContactLeft(contact_id=FIRST, party=ev.Party.CITIZEN))
    city.clock.moment = after(NOW, 8)
    await city.said(ev.ContactLeft(contact_id=SECOND_ONE, party=ev.Party.CITIZEN))
    row = await city.queue("passport")
    assert (row["offered"], row["abandoned"], row["abandoned_short"]) == (2, 2, 1)
    assert row["service_level"] == 0.0


async def test_a_pause_ends_by_itself_and_is_shown_with_its_end(city: City) -> None:
    await city.show("agent.login", agent="petrov")
    [agent] = await city.show("agent.pause", agent="petrov", reason="обед", for_s=60)
    assert (agent["state"], agent["reason"]) == ("not_ready", "обед")
    assert agent["until"] == "2026-11-18T11:07:40.000000Z"
    city.clock.moment = after(NOW, 61)
    await city.said(ev.Tick())
    [agent] = await city.show("agent.show", agent="petrov")
    assert (agent["state"], agent["until"]) == ("ready", None)
    assert [row[1] for row in city.audit] == ["agent.login", "agent.pause"]


async def test_a_result_goes_to_the_contact_in_hand_or_the_last_one(city: City) -> None:
    await city.show("agent.login", agent="ivanova")
    nothing = await city.refused("agent.result", agent="ivanova", code="12")
    assert nothing == ("refused", "ivanova has had no contact yet to give a result of")
    assert (await city.refused("agent.result", agent="petrov", code="12"))[0] == "not_logged_in"
    await city.said(started(FIRST), ev.QueueRequested(contact_id=FIRST, queue=PASSPORT))
    await city.said(ev.OfferAccepted(offer_id=OfferId(1), agent_id=IVANOVA))
    [agent] = await city.show("agent.result", agent="ivanova", code="12")
    assert (agent["agent_id"], agent["state"]) == ("ivanova", "talk")
    await city.said(ev.ContactLeft(contact_id=FIRST, party=ev.Party.CITIZEN))
    await city.show("agent.result", agent="ivanova", code="обед")
    given = [row for row in city.audit if row[1] == "agent.result"]
    assert [row[4] for row in given[-2:]] == [
        {"contact": FIRST, "code": "12"},
        {"contact": FIRST, "code": "обед"},
    ]


async def test_a_queue_closes_tells_those_who_wait_and_opens_again(city: City) -> None:
    for contact in (FIRST, SECOND_ONE):
        await city.said(started(contact), ev.QueueRequested(contact_id=contact, queue=PASSPORT))
    [row] = await city.show("queue.close", queue="passport", reason="дым", to="housing")
    assert (row["closed"], row["closed_reason"], row["led_on"]) == ("emergency", "дым", 2)
    row = await city.queue("passport")
    assert (row["closed"], row["waiting"]) == ("emergency", 0)
    assert (await city.queue("housing"))["closed"] is None
    refused = await city.refused("queue.close", queue="housing", to="passport")
    assert refused == ("refused", "passport is closed: who is led there would be sent away")
    assert (await city.refused("queue.close", queue=None, to="housing"))[0] == "bad_params"
    assert (await city.refused("queue.close", queue="nothing"))[0] == "unknown_queue"
    [row] = await city.show("queue.open", queue="passport")
    assert row["closed"] is None
    refused = await city.refused("queue.open", queue="passport")
    assert refused == ("refused", "passport is not closed in an emergency")
    rows = [row for row in city.audit if row[1] in ("queue.close", "queue.open")]
    assert [(action, subject) for _, action, subject, _, _ in rows] == [
        ("queue.close", "queue passport"),
        ("queue.close", "housing passport"),
        ("queue.close", "housing"),
        ("queue.close", "nothing"),
        ("queue.open", "queue passport"),
        ("queue.open", "passport"),
    ]
    closed = {"passport": "emergency"}
    assert rows[0][3:] == (
        {"closed": {}},
        {"closed": closed, "led_on": 2, "reason": "дым", "to": "housing"},
    )
    assert rows[4][3:] == ({"closed": closed}, {"closed": {}, "led_on": 0})


async def test_the_whole_center_closes_in_one_word(city: City) -> None:
    await city.said(started(FIRST), ev.QueueRequested(contact_id=FIRST, queue=PASSPORT))
    rows = await city.show("queue.close", queue=None, reason="эвакуация")
    assert [row["closed"] for row in rows] == ["emergency", "emergency"]
    [contact] = await city.show("queue.waiting")
    assert contact["state"] == "treated"
    assert city.audit[-1][2] == "center"
    rows = await city.show("queue.open", queue=None)
    assert [row["closed"] for row in rows] == [None, None]
