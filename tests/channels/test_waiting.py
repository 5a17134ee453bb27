"""What a waiting citizen is told by the core's own places: when, what, and when nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.expected_wait import SAMPLES_MIN
from gkc_engine.acd.settings import ContactClass
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import Sound
from gkc_engine.channels.phone.waiting import Announcements
from gkc_engine.config.loader import load_config
from gkc_engine.ids import AgentId, ContactId, QueueId, seconds
from tests.acd.hall import exponential_s, handled
from tests.channels.world import CITY, World, at, leg, world

OPERATOR = QueueId("operator")
"""announce-frequency 20 s, min-announce-frequency 8 s; anybody can serve it."""
WRAP_UP_S = 30.0


class Hall:
    """A world whose queue ``operator`` makes announcements."""

    def __init__(self, here: World) -> None:
        self.here = here
        config = load_config(CITY)
        config.queues["operator"] = config.queues["operator"].model_copy(
            update={"wrapuptime": seconds(WRAP_UP_S)}
        )
        self.config = config
        self.told = Announcements(
            lambda: self.config,
            here.engine,
            self._sounds,
            spoken=lambda text, language: Sound(f"{language}:{text}", 2.0),
        )
        self.woken: list[str] = []
        self.told.on_broadcast = self.woken.append
        here.engine.observe(self.told.observe)

    @staticmethod
    def _sounds(names: Sequence[str], language: str) -> list[Sound]:
        if "lost" in names:
            return []
        return [Sound(f"{language}/{name.removeprefix('numbers/')}", 1.0) for name in names]

    async def waits(self, n: int, seconds_: float, queue: str = "operator", **how: object) -> Call:
        """Let citizen ``n`` wait; ``how``: fields of QueueRequested."""
        contact_id = ContactId(f"c{n}")
        if self.here.view(contact_id) is None:
            medium = self.here.settings.queues[0].medium
            started = ev.ContactStarted(
                contact_id=contact_id, medium=medium, number=str(n), entry="", uniqueid=leg(n)
            )
            await self.here.said(started, seconds=seconds_)
        wish = ev.QueueRequested(contact_id=contact_id, queue=QueueId(queue), **how)  # type: ignore[arg-type]
        await self.here.said(wish, seconds=seconds_)
        return Call(contact_id=contact_id, leg=leg(n), channel="")

    def hears(self, call: Call, seconds_: float) -> list[str]:
        return [sound.path for sound in self.told.prompts(call, at(seconds_))]

    def due(self, call: Call, seconds_: float) -> float | None:
        """Return when to ask next, in seconds of the story."""
        due = self.told.next_due(call, at(seconds_))
        return None if due is None else (due - at(0)) / 1e6

    def teach(self, talk_s: float, count: int = SAMPLES_MIN) -> None:
        for held_s in exponential_s(talk_s, count):
            self.told.expected.learn(handled(OPERATOR, held_s, WRAP_UP_S))


@asynccontextmanager
async def hall(*, agents: Sequence[str] = ()) -> AsyncIterator[Hall]:
    async with world(agents=agents) as here:
        yield Hall(here)


async def test_the_place_alone_is_told_while_the_data_are_too_few() -> None:
    async with hall() as h:
        await h.waits(1, 0)
        second = await h.waits(2, 1)
        await h.here.said(ev.AgentLoggedIn(agent_id=AgentId("dina")))
        h.teach(600, SAMPLES_MIN - 1)
        assert h.due(second, 1) == 1
        assert h.hears(second, 1) == ["ru/position-2"]


async def test_the_wait_is_told_by_place_handling_time_and_those_at_work() -> None:
    # 60 s of talk + 30 s of wrap-up; two ahead are rung for, so he is the second of those before
    # whom two work: 2 * 90 / 2 = 90 s.
    async with hall(agents=["vera"]) as h:
        await h.here.said(ev.AgentPaused(agent_id=AgentId("vera"), reason="lunch"))
        for n in (1, 2, 3):
            await h.waits(n, n)
        fourth = await h.waits(4, 4)
        h.teach(60)
        assert h.hears(fourth, 4) == ["ru/position-4"], "nobody is at work"
        for agent in ("dina", "egor"):
            await h.here.said(ev.AgentLoggedIn(agent_id=AgentId(agent)))
            assert h.here.agent(agent) == "reserved"
        assert h.hears(fourth, 30) == ["ru/position-4", "ru/wait-from-1", "ru/wait-to-2"]
        # What was said is on record, with the estimate behind it; a place alone is not.
        await h.here.engine.drain()
        told = [s.event for s in h.here.memory.steps if isinstance(s.event, ev.WaitTold)]
        assert [(t.contact_id, t.queue, t.lo_us, t.hi_us) for t in told] == [
            (fourth.contact_id, OPERATOR, seconds(60), seconds(120))
        ]
        assert told[0].expected_us == pytest.approx(seconds(112), rel=0.1), "both wrap-ups first"


async def test_asked_again_when_due_and_each_second_after() -> None:
    async with hall() as h:
        call = await h.waits(1, 0)
        assert h.hears(call, 0) == ["ru/position-1"]
        assert h.due(call, 0) == 8, "min-announce-frequency: a better place may be told"
        assert h.hears(call, 8) == []
        assert h.due(call, 8) == 9
        assert h.hears(call, 20) == ["ru/position-1"]


async def test_a_better_place_is_told_soon_a_worse_one_with_its_cause() -> None:
    async with hall() as h:
        first = await h.waits(1, 0)
        second = await h.waits(2, 0.5)
        assert h.hears(second, 1) == ["ru/position-2"]
        await h.here.said(
            ev.ContactLeft(contact_id=first.contact_id, party=ev.Party.CITIZEN), seconds=5
        )
        assert h.hears(second, 5) == [], "not before min-announce-frequency"
        assert h.hears(second, 9) == ["ru/position-1"]
        await h.waits(3, 10, contact_class=ContactClass.EMERGENCY)
        assert h.hears(second, 29) == ["ru/place-changed", "ru/position-2"]


async def test_another_queue_is_another_line() -> None:
    async with hall() as h:
        first = await h.waits(1, 0, "passport")
        assert h.due(first, 0) is None, "this queue tells nothing"
        await h.waits(2, 1)
        moved = await h.waits(3, 2)
        assert h.hears(moved, 2) == ["ru/position-2"]
        h.config.queues["passport"] = h.config.queues["operator"]
        await h.waits(3, 3, "passport")
        assert h.hears(moved, 3) == ["ru/position-2"], "told anew, and nothing about urgent calls"


async def test_nothing_is_kept_of_who_left() -> None:
    async with hall() as h:
        call = await h.waits(1, 0)
        assert h.hears(call, 0)
        assert h.told._told
        await h.here.said(
            ev.ContactLeft(contact_id=call.contact_id, party=ev.Party.CITIZEN), seconds=5
        )
        assert not h.told._told
        assert not h.told._asked
        assert h.due(call, 6) is None
        assert h.hears(call, 6) == []
        assert not h.told._told


async def test_his_language_is_spoken() -> None:
    async with hall() as h:
        call = await h.waits(1, 0)
        call.language = "en"
        assert h.hears(call, 0) == ["en/position-1"]


# --- broadcasts --------------------------------------------------------------------------------


async def announced(h: Hall, seconds_: float, queue: str = "operator", **how: object) -> None:
    event = ev.QueueAnnounced(queue=QueueId(queue), until=at(100), **how)  # type: ignore[arg-type]
    await h.here.said(event, seconds=seconds_)


async def heard(h: Hall, call: Call, broadcast: int, seconds_: float) -> None:
    await h.here.said(
        ev.BroadcastHeard(contact_id=call.contact_id, broadcast_id=broadcast), seconds=seconds_
    )


async def test_a_broadcast_is_said_at_once_and_behind_a_regular_announcement() -> None:
    async with hall() as h:
        call = await h.waits(1, 0)
        assert h.hears(call, 0) == ["ru/position-1"]
        await announced(h, 3, say="outage")
        assert h.woken == ["operator"]
        assert h.due(call, 3) == 3
        assert h.hears(call, 3) == ["ru/outage"]
        await heard(h, call, 1, 5)
        assert h.due(call, 5) == 8, "only the place is due again"
        await announced(h, 19, text="Отключена вода", every_us=seconds(30), newcomers=True)
        assert h.hears(call, 20) == ["ru/position-1", "ru:Отключена вода"]
        assert [s.broadcast_id for s in h.told.prompts(call, at(21))] == [2], "not heard out yet"
        await heard(h, call, 2, 22)
        assert h.hears(call, 27) == []
        later = await h.waits(2, 30)
        assert "ru:Отключена вода" in h.hears(later, 30)
        assert h.hears(call, 52.5)[-1] == "ru:Отключена вода", "again after 30 s"


async def test_a_queue_that_tells_nothing_makes_broadcasts_all_the_same() -> None:
    async with hall() as h:
        call = await h.waits(1, 0, "passport")
        assert h.due(call, 0) is None
        await announced(h, 1, "passport", say="outage")
        assert (h.due(call, 1), h.hears(call, 1)) == (1, ["ru/outage"])
        call.language = "en"
        assert h.hears(call, 2) == ["en/outage"]


async def test_a_broadcast_without_a_sound_is_given_up_and_not_asked_for_again() -> None:
    async with hall() as h:
        call = await h.waits(1, 0, "passport")
        await announced(h, 1, "passport", say="lost")
        assert h.hears(call, 1) == []
        assert h.due(call, 2) is None
        h.told.replace(h._sounds, lambda _text, _language: None)
        assert h.due(call, 3) == 2, "a reload may have brought the sound"
