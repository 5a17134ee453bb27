"""What was answered today is more with each answer, and never less until midnight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import Medium
from gkc_engine.backend import EngineBackend
from gkc_engine.control.day import DayCounters
from gkc_engine.control.live import Reloaded, Row
from gkc_engine.control.observe import Observer
from gkc_engine.control.views import queue_rows
from gkc_engine.demo.centers_seen import Seen
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step
from gkc_engine.ids import ContactId, Instant, OfferId
from gkc_engine.metrics import Metrics
from gkc_engine.records import RecordReader
from gkc_engine.statistics.intervals import next_midnight
from tests.control.fake import IVANOVA, NOW, PASSPORT, PETROV, ZONE, after, directory
from tests.control.test_with_core import Clock, settings

CITIZEN = ContactId("c1")
FIGURES = ("offered", "answered", "answered_30m")


class Disk:
    """A writer whose disk is as slow as the test wants."""

    accepting = True

    def __init__(self) -> None:
        self.writes = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def write(self, steps: Sequence[Step]) -> None:
        assert steps
        self.writes.set()
        await self.free.wait()


async def _reload(_force: bool, _author: str) -> Reloaded:
    raise AssertionError


class Place:
    """An engine, and what the control socket shows of it."""

    def __init__(self) -> None:
        self.clock, self.disk, self.day = Clock(), Disk(), DayCounters(ZONE, NOW)
        self.engine = Engine(Acd(), self.clock, self.disk)
        self.live = EngineBackend(
            self.engine,
            directory(),
            self.day,
            cast("RecordReader", None),
            ExpectedWait(),
            health=dict,
            reload=_reload,
        )
        self.engine.observe(Observer(Metrics(), self.day).steps)

    async def said(self, *events: ev.Event) -> None:
        for event in events:
            self.engine.submit(event)
        await self.engine.drain()

    async def answers(self, offer: int, contact: str = CITIZEN) -> None:
        """Let a citizen come, and be answered by Ivanova."""
        contact_id = ContactId(contact)
        await self.said(
            ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number=contact, entry="+7495"
            ),
            ev.QueueRequested(contact_id=contact_id, queue=PASSPORT),
            ev.OfferAccepted(offer_id=OfferId(offer), agent_id=IVANOVA),
        )

    def row(self) -> Row:
        return queue_rows(self.live, PASSPORT)[0]

    def figures(self) -> tuple[Any, ...]:
        row = self.row()
        return tuple(row[name] for name in FIGURES)


@asynccontextmanager
async def place(now: Instant = NOW) -> AsyncIterator[Place]:
    """Run one, with both operators at work."""
    made = Place()
    made.clock.moment = now
    running = asyncio.ensure_future(made.engine.run())
    try:
        await made.said(
            ev.SettingsApplied(settings=settings()),
            *(ev.AgentLoggedIn(agent_id=agent_id, by="test") for agent_id in (IVANOVA, PETROV)),
        )
        yield made
    finally:
        made.disk.free.set()
        await end_tasks([running])


@pytest.mark.parametrize("times", [1, 2])
async def test_who_hangs_up_stays_counted_until_that_is_written(times: int) -> None:
    async with place() as here:
        for n in range(times):
            await here.answers(n + 1, f"c{n}")
            if n:
                continue
            here.clock.moment = after(NOW, 100)
            if times > 1:
                await here.said(ev.ContactLeft(contact_id=ContactId("c0"), party=ev.Party.CITIZEN))
                here.clock.moment = after(NOW, 200)
        assert here.figures() == (times, times, times)
        here.disk.writes.clear()
        here.disk.free.clear()
        last = ContactId(f"c{times - 1}")
        here.engine.submit(ev.ContactLeft(contact_id=last, party=ev.Party.CITIZEN))
        seen = set()
        while not here.disk.writes.is_set():  # The core has it; facts wait for each other.
            await asyncio.sleep(0)
            seen.add(here.figures())
        seen.add(here.figures())
        assert here.row()["talking"] == 0, "it is over"
        here.disk.free.set()
        await here.engine.drain()
        seen.add(here.figures())
        assert seen == {(times, times, times)}


async def test_who_came_before_midnight_is_none_of_todays_at_any_moment() -> None:
    midnight = next_midnight(NOW, ZONE)
    async with place(after(midnight, -60)) as here:
        await here.answers(1)
        assert here.row()["answered"] == 1
        here.clock.moment = after(midnight, 60)
        await here.said(ev.Tick())
        talks = here.figures()
        await here.said(ev.ContactLeft(contact_id=CITIZEN, party=ev.Party.CITIZEN))
        assert talks == here.figures() == (0, 0, 1)


async def test_a_colleague_who_is_asked_is_no_contact_of_the_queue() -> None:
    async with place() as here:
        await here.said(ev.AgentLoggedOut(agent_id=IVANOVA))
        asked = ContactId("consult-1")
        await here.said(ev.ConsultStarted(contact_id=asked, agent_id=PETROV, queue=PASSPORT))
        assert (here.row()["waiting"], *here.figures()) == (1, 0, 0, 0)
        await here.said(ev.AgentLoggedIn(agent_id=IVANOVA, by="test"))
        await here.said(ev.OfferAccepted(offer_id=OfferId(1), agent_id=IVANOVA))
        assert here.row()["talking"] == 1
        assert here.figures() == (0, 0, 0)


def test_a_center_of_the_demo_that_starts_anew_shows_what_was_until_it_knows() -> None:
    own = {"own": True, "out": {}, "in": {}}
    queue = {"waiting": 0, "longest_wait_s": None, "talking": 0, "answered": 7, "abandoned": 2}
    picture = {"queues": [queue], "agents": [], "health": {"figures_complete": True}}
    seen = Seen("sever")
    seen.learn(picture, [own])
    begun = {**picture, "queues": [queue | {"answered": 1, "abandoned": 0}]}
    seen.learn(begun | {"health": {"figures_complete": False}}, [own])
    assert (seen.answered, seen.abandoned) == (7, 2)
    seen.learn(begun, [own])
    assert (seen.answered, seen.abandoned) == (1, 0)
