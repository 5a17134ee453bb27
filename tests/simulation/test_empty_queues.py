"""P4 and kept places through the whole engine: what a citizen hears and where he goes.

The core's own words are tried in ``tests/acd``; here the phone channel carries them out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import Disposition
from tests.fakes.asterisk_agi import AgiClient, _Socket
from tests.fakes.asterisk_channel import Channel
from tests.fakes.asterisk_people import Citizen, Manners, Plan
from tests.simulation import city
from tests.simulation.world import Load, World

ENGLISH = [phone for phone, skills in city.SKILLS_OF.items() if "english" in skills]
UNSTAFFED = {"say": "any_operator", "then": "queue passport"}


@dataclass
class Told:
    """What the engine did in one story."""

    commands: list[cmd.Command]
    heard: list[str] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]


Story = Callable[[World], Awaitable[None]]


def play(monkeypatch: pytest.MonkeyPatch, story: Story, **english: object) -> Told:
    """Play a story in the city, with other keys for the queue ``english``."""
    monkeypatch.setitem(city.QUEUES, "english", {**city.QUEUES["english"], **english})
    heard: list[str] = []
    stream = AgiClient._stream

    async def overheard(
        self: AgiClient, channel: Channel, socket: _Socket, name: str, digits: str
    ) -> str | None:
        heard.append(name)
        return await stream(self, channel, socket, name, digits)

    monkeypatch.setattr(AgiClient, "_stream", overheard)
    world = World(1, Load(calls=0), Manners(decline=0, miss=0, busy=0, leaves_at_answer=0))

    async def whole_story() -> None:
        await world.build()
        world.start_engine()
        world.citizens = []
        await asyncio.sleep(3.0)
        await story(world)
        assert await world.until_over(300.0), "the calls never end"
        await asyncio.sleep(5.0)

    task = world.machine.context.run(lambda: world.loop.create_task(whole_story()))
    world.loop.run_until_complete(task)
    assert world.store is not None
    commands = [command for step in world.store.steps() for command in step.commands]
    world.close()
    return Told(commands, heard)


def call(world: World, number: int, patience_s: float) -> Citizen:
    plan = Plan(
        number=number,
        at=0.0,
        dialled="+74957770003",
        patience_s=patience_s,
        talk_s=5.0,
        hangs_up_first=True,
        digit=None,
        digit_after_s=1.0,
    )
    citizen = Citizen(world.pbx, plan)
    world.citizens.append(citizen)
    return citizen


def english_phones(world: World, registered: bool) -> None:
    for phone in world.phones:
        if phone.interface in ENGLISH:
            phone.register(registered)


def ended(told: Told) -> list[tuple[Disposition, str]]:
    return [(end.disposition, end.queue) for end in told.of(cmd.ContactEnded)]


def test_who_may_not_join_hears_why_and_goes_where_the_config_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(world: World) -> None:
        english_phones(world, registered=False)
        await asyncio.sleep(2.0)
        call(world, 1, 60.0)

    told = play(monkeypatch, story, joinempty="strict", unstaffed=UNSTAFFED)
    (treated,) = told.of(cmd.TreatContact)
    assert (treated.disposition, treated.treatment.queue) == (Disposition.NO_AGENT, "passport")
    assert [name for name in told.heard if "any_operator" in name]
    assert ended(told) == [(Disposition.ANSWERED, "passport")]


def test_who_may_not_join_and_has_nowhere_to_go_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(world: World) -> None:
        english_phones(world, registered=False)
        await asyncio.sleep(2.0)
        call(world, 1, 60.0)

    told = play(monkeypatch, story, joinempty="strict")
    (end,) = told.of(cmd.ContactEnded)
    assert (end.disposition, end.wait_us) == (Disposition.NO_AGENT, 0)
    assert end.ended - end.started < 5_000_000, "at once, not when his patience is over"


def test_who_waits_is_sent_on_when_the_last_phone_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        for number in range(1, 5):  # Three phones speak English; one waits.
            call(world, number, 100.0)
        await asyncio.sleep(1.0)
        english_phones(world, registered=False)

    told = play(monkeypatch, story, leavewhenempty="strict", unstaffed=UNSTAFFED)
    treated = told.of(cmd.TreatContact)
    assert treated, "nobody was sent on"
    assert {t.disposition for t in treated} == {Disposition.NO_AGENT}
    assert [name for name in told.heard if "any_operator" in name]
    assert {d for d, _ in ended(told)} == {Disposition.ANSWERED}
    assert (Disposition.ANSWERED, "passport") in ended(told)


def test_who_is_cut_off_and_calls_again_has_his_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        english_phones(world, registered=False)
        await asyncio.sleep(2.0)
        call(world, 7, 5.0)
        await asyncio.sleep(1.0)
        call(world, 8, 15.0)
        await asyncio.sleep(8.0)
        call(world, 7, 10.0)
        await asyncio.sleep(1.0)

    told = play(monkeypatch, story, resume_within="60s")
    first, other, again = told.of(cmd.ContactQueued)
    assert again.resumes == first.contact_id
    assert again.contact_id != first.contact_id
    assert (again.enqueued, again.sequence) == (first.enqueued, first.sequence)
    assert again.sequence < other.sequence
