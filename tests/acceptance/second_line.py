"""An okrug (sever) and the city above it (centr), whose specialists are the okrug's second line.

As ``centers``, but nothing is played by the test: both take part in the city by their config, over
a real NATS with a hub and a leaf node each.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from gkc_engine import federating
from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.views import ContactView
from gkc_engine.config.federation import federation_settings, members
from gkc_engine.config.loader import load_config
from gkc_engine.control.day import DayCounters
from gkc_engine.endings import end_tasks
from gkc_engine.federation.link import Link
from gkc_engine.federation.settings import CenterEntry, LinkSettings, Part
from gkc_engine.ids import SECOND, AgentId, ContactId, QueueId
from gkc_engine.numbers import SECOND_LINE_CODE
from gkc_engine.pbx.install import Install
from tests.acceptance.centers import Center
from tests.acceptance.harness import CONFIG, until
from tests.acceptance.phone import Leg
from tests.acceptance.stage import PASSPORT
from tests.acceptance.transfer_cases import asked_for_a_number, hears_each_other
from tests.federation.centers import buses

EXPERTS = "+74951112266"
"""The second line's number; the code is the other way to it."""

OKRUG, CITY = "sever", "centr"

_MORE = """---
federation:
  nats: nats://127.0.0.1:4222
  token_key: env:GKC_TOKEN_KEY
  centers:
    centr: {level: city, trunk: "127.0.0.1:5160"}
    sever: {level: okrug, parent: centr, trunk: "127.0.0.1:5260"}
overflow:
  - {queues: [experts], to: [parent], levels: [okrug], after: 0s, gain_min: 0s, donor_sl_min: 0}
services:
  mvd: {title: МВД, second_line: experts}
...
"""
_QUEUE = """  experts:
    title: Эксперты
    service: mvd
    require: {expert: 3}
    timeout: 4s
    wrapuptime: 0s
    unreachable_delay: 2s
    no_answer_delay: 2s
    return_after: 6s
"""


def _config(folder: Path, name: str) -> Path:
    """Write the test city as one of the two: experts are at work in the city alone."""
    folder.mkdir(parents=True)
    (folder / "prompts").symlink_to(CONFIG / "prompts")
    (folder / "more.yaml").write_text(_MORE, encoding="utf-8")
    for file in CONFIG.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        for old, new in (
            ("name: testcity", f"name: {name}"),
            ("numbers:\n", f'numbers:\n  "{EXPERTS}": {{queue: experts}}\n'),
            ("skills: {passport: Паспорта", "skills: {expert: Эксперт, passport: Паспорта"),
            ("    title: Паспорта\n", "    title: Паспорта\n    service: mvd\n"),
            ("    wrapuptime: 0s\n", "    wrapuptime: 0s\n    transfer_codes: true\n"),
            ("operators:\n", f"{_QUEUE}operators:\n"),
        ):
            text = text.replace(old, new, 1)
        if name == CITY:
            experts = (("dina", "PJSIP/105"), ("egor", "PJSIP/106"))
            for _, phone in experts:
                text = text.replace(f"{phone}}}", f"{phone}, skills: {{expert: 5}}}}")
        (folder / file.name).write_text(text, encoding="utf-8")
    return folder


class Linked(Center):
    """A center that takes part in the city by itself."""

    def __init__(self, name: str, folder: Path, install: Install, bus: LinkSettings) -> None:
        super().__init__(name, folder, install)
        self.config = load_config(_config(self.folder / "config", name))
        self._bus = bus
        self._linked: asyncio.Task[None] | None = None
        self.link: Link

    async def revive(self) -> None:
        await super().revive()
        settings = federation_settings(self.config)
        assert settings is not None
        part = Part(
            settings=settings,
            link=self._bus,
            centers=tuple(
                CenterEntry(name=one.name, level=one.level, parent=one.parent, status=one.status)
                for one in members(self.config).values()
            ),
        )
        day = DayCounters(ZoneInfo("Europe/Moscow"), self.engine.now())
        joined = federating.joined(part, self.engine, ExpectedWait(), day)
        assert joined is not None
        self.link = joined.link
        self.channel.second_line.served_elsewhere = federating.served_elsewhere(joined, self.engine)
        self.relink()

    def relink(self) -> None:
        """Let it speak with the others."""
        self._linked = asyncio.get_running_loop().create_task(self.link.run())

    async def unlink(self) -> None:
        """Have the line to the others cut, for good."""
        assert self._linked is not None
        await end_tasks([self._linked])

    async def die(self) -> None:
        await self.unlink()
        await super().die()


@dataclasses.dataclass(slots=True)
class Two:
    """Both."""

    home: Linked
    donor: Linked

    async def hear_each_other(self) -> None:
        """Wait until the okrug knows how the city stands."""

        async def look() -> bool:
            return self.home.link.federation.peers[CITY].fresh(self.home.engine.now()) is not None

        await until(look, "the okrug hears the city", 30, 0.02)

    async def experts(self, *agents: str) -> None:
        """Let specialists of the city come to work, and the okrug know it."""
        await self.donor.login(*agents)
        federation = self.home.link.federation

        async def there() -> bool:
            beat = await self.donor.asterisk.cli("dialplan show globals")
            last = int("0" + beat.partition("GKC_HEARTBEAT=")[2][:10].strip())
            contacts = await self.home.asterisk.cli("pjsip show contacts")
            known = not any(word in contacts for word in ("Unavail", "Unknown", "NonQual"))
            return known and self.donor.engine.wall() // SECOND - last < 3

        # Of the case before, in which it may have been dead.
        await until(there, "the way to the city is open", 30, 0.1)
        federation.peers[CITY].blocked_until = None

        async def look() -> bool:
            load = federation.peers[CITY].fresh(self.home.engine.now())
            return load is not None and load.queues["experts"].ready == len(agents)

        await until(look, "the okrug knows of the experts", 20, 0.02)

    async def talk(self) -> tuple[ContactId, Leg, Leg]:
        """Let a citizen talk with the okrug's anna; return the contact, his leg and hers."""
        home = self.home
        count = home.count()
        await home.login("anna")
        leg = await (await home.desk.citizen()).dial(PASSPORT)
        contact_id = await home.contact(count)
        mine = await home.desk.phones["101"].next_call()
        mine.ring()
        await mine.answer()
        await hears_each_other(leg, mine)
        await home.contact_is(contact_id, "talk")
        await self.way_is_open()
        return contact_id, leg, mine

    async def way_is_open(self) -> None:
        """With experts at work, wait until the okrug may ask for them.

        After `experts` it was refused at times, by what a case before had left (open points).
        """
        federation, engine = self.home.link.federation, self.home.engine
        if not self.donor.engine.acd.at_work(Medium.VOICE):
            return

        async def look() -> bool:
            return federation.may_help(QueueId("experts"), engine.now())

        peer = federation.peers[CITY]
        said = f"{peer.state(engine.now())}, blocked until {peer.blocked_until}, {peer.load}"
        await until(look, f"the city is there for the okrug: {said}", 45, 0.02)

    async def rings(self, center: Center, user: str) -> Leg:
        """Wait until a phone rings; it says so."""
        leg = await center.desk.phones[user].next_call()
        leg.ring()
        return leg

    async def guest(self, contact_id: ContactId, n: int = -1) -> ContactId:
        """Return the city's name of a contact of the okrug's."""

        async def look() -> list[ContactId]:
            grants = self.donor.said(cmd.GrantReservation)
            return [g.reservation_id for g in grants if g.contact_id == contact_id]

        return (await until(look, "the city has it as a guest", 15, 0.01))[n]

    async def with_dina(self, contact_id: ContactId) -> ContactView:
        """Wait until both know that he talks with the city's dina, and it is on record."""

        async def look() -> ContactView | None:
            view = self.home.view(contact_id)
            talks = view is not None and view.state == "talk" and view.agent_id == "centr:dina"
            return view if talks else None

        view = await until(look, f"{contact_id} talks with dina", 20, 0.01)
        await self.donor.agent_is("dina", "talk")
        for center in (self.home, self.donor):
            await center.engine.drain()
        return view

    async def all_go(self) -> None:
        """Nobody is at work any more, and nobody is there."""
        for center in (self.home, self.donor):
            await center.desk.calm()
            for agent in center.config.operators:
                center.engine.submit(ev.AgentLoggedOut(agent_id=AgentId(agent)))
            for agent in center.config.operators:
                await center.agent_is(agent, "offline")
            await until(_empty(center), f"{center.name} is empty", 20)
            assert center.channel.agi.failed_total == 0, "no socket's handler has failed"


def _empty(center: Center) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return not list(center.engine.acd.contacts()) and not center.channel.calls.by_leg

    return look


@asynccontextmanager
async def okrug_and_city(folder: Path, install: Install) -> AsyncIterator[Two]:
    """Run them."""
    async with buses(folder / "bus", (OKRUG, CITY)) as bus:
        home = Linked(OKRUG, folder, install, bus.settings(OKRUG))
        donor = Linked(CITY, folder, install, bus.settings(CITY))
        two = Two(home, donor)
        try:
            await donor.start(home)
            await home.start(donor)
            await two.hear_each_other()
            yield two
        finally:
            await home.stop()
            await donor.stop()


async def is_over(leg: Leg, how: str = "BYE") -> None:
    async with asyncio.timeout(20):
        await leg.ended.wait()
    assert leg.how == how


def talks(center: Center, contact_id: ContactId) -> list[str]:
    """Return with whom he talked, in order."""
    segments = center.said(cmd.SegmentClosed, contact_id)
    return [str(s.agent_id) for s in segments if s.kind is cmd.SegmentKind.TALK]


def tile(center: Center, contact_id: ContactId) -> None:
    """One part follows the other, from the first to the last."""
    segments = center.said(cmd.SegmentClosed, contact_id)
    assert [s.n for s in segments] == list(range(len(segments)))
    assert all(a.ended == b.started for a, b in pairwise(segments))


async def handed_on(two: Two, number: str = EXPERTS) -> tuple[ContactId, Leg, Leg]:
    """Let anna hand her citizen to the city's dina, who answers; his leg and hers."""
    contact_id, leg, mine = await two.talk()
    before = two.home.view(contact_id)
    assert before is not None
    assert await mine.refer(number) == 202
    hers = await two.rings(two.donor, "105")
    await two.home.agent_is("anna", "ready")
    await hers.answer()
    await hears_each_other(leg, hers)
    view = await two.with_dina(contact_id)
    assert view.queue == "experts"
    assert (view.enqueued, view.sequence) == (before.enqueued, before.sequence)
    return contact_id, leg, hers


async def asks(two: Two, number: str = EXPERTS) -> tuple[ContactId, Leg, Leg, Leg, Leg]:
    """Let anna ask the city's dina about her citizen; his leg, her two, dina's."""
    contact_id, leg, mine = await two.talk()
    await mine.hold()
    await two.home.agent_is("anna", "hold")
    second = await mine.phone.dial(number)
    hers = await two.rings(two.donor, "105")
    await hers.answer()
    await hears_each_other(second, hers)
    await two.donor.agent_is("dina", "talk")
    await two.home.outcome(two.home.said(cmd.ConsultQueued)[-1].contact_id)  # on record
    await two.donor.engine.drain()
    return contact_id, leg, mine, second, hers


async def put_through_by_code(two: Two) -> tuple[ContactId, Leg, Leg]:
    """Let anna ask by ``*2``, then ``*49``, and hang up; the citizen talks with the specialist."""
    contact_id, leg, mine = await two.talk()
    await mine.press("*2")
    await asked_for_a_number(mine)
    await mine.press(SECOND_LINE_CODE)
    hers = await two.rings(two.donor, "105")
    await hers.answer()
    await hears_each_other(mine, hers)
    await two.donor.agent_is("dina", "talk")
    await two.home.outcome(two.home.said(cmd.ConsultQueued)[-1].contact_id)
    await mine.bye()
    await hears_each_other(leg, hers)
    return contact_id, leg, hers
