"""A phone channel on a real core, with an Asterisk that says what the test wants it to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Command, ContactEnded
from gkc_engine.acd.core import Acd
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.ami import AmiEvent, AmiLink, AmiReply
from gkc_engine.channels.phone.channel import PhoneChannel
from gkc_engine.channels.phone.entry import EntryDesk
from gkc_engine.channels.phone.plan import KnownCall, PhonePlan
from gkc_engine.channels.phone.roster import Phone
from gkc_engine.config.loader import load_config
from gkc_engine.config.settings import to_settings
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, OfferId, QueueId
from gkc_engine.ivr.fastagi import AgiServer
from tests.fakes.facts import Facts

CITY = Path(__file__).parents[1] / "acceptance" / "city"
T0 = Instant(1_795_478_000 * SECOND)


def at(seconds: float) -> Instant:
    """Return an instant of the story."""
    return Instant(T0 + round(seconds * SECOND))


def leg(n: int, seconds: float = 0.0) -> str:
    """Return a Uniqueid as Asterisk makes it."""
    return f"testcity-{at(seconds) // SECOND}.{n}"


class HandClock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.moment = T0

    def now(self) -> Instant:
        return self.moment

    def drift_us(self) -> int:
        return 0


class Memory:
    """A writer that keeps the steps."""

    accepting = True

    def __init__(self) -> None:
        self.steps: list[Step] = []

    async def write(self, steps: Sequence[Step]) -> None:
        self.steps += steps


class SaysAmi:
    """The link: lists as set by the test, actions noted."""

    up = True
    problem = ""

    def __init__(self) -> None:
        self.lists: dict[str, list[AmiEvent]] = {}
        self.said: Facts[tuple[str, dict[str, Any]]] = Facts()
        self.refuses: PeerError | None = None
        self.status: dict[str, str] = {}

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def action(self, name: str, /, **fields: object) -> AmiReply:
        self.said.add((name, fields))
        return AmiReply({"response": "Success", **self.status})

    async def list_action(self, name: str, /, **fields: object) -> list[AmiEvent]:
        del fields
        if self.refuses is not None:
            raise self.refuses
        return self.lists.get(name, [])

    def actions(self, name: str) -> list[dict[str, Any]]:
        return [fields for action, fields in self.said.all if action == name]

    def booted(self, instant: Instant) -> None:
        """Set when this Asterisk started, told in local time as it does."""
        local = datetime.fromtimestamp(instant / SECOND).astimezone()
        self.status = {
            "corestartupdate": local.strftime("%Y-%m-%d"),
            "corestartuptime": local.strftime("%H:%M:%S"),
        }

    def channels(self, *rows: dict[str, str]) -> None:
        """Set the lines that Asterisk holds."""
        self.lists["CoreShowChannels"] = [AmiEvent.of("CoreShowChannel", **row) for row in rows]


def citizen_row(n: int, *, app: str = "AGI", bridge: str = "", **more: str) -> dict[str, str]:
    """Return the row of a citizen's line."""
    row = {
        "Uniqueid": leg(n),
        "Linkedid": leg(n),
        "Channel": f"PJSIP/gkc-trunk-{n:08x}",
        "ChannelStateDesc": "Up",
        "Application": app,
        "BridgeId": bridge,
        "Context": "gkc",
        "Exten": "+74951112233",
        "CallerIDNum": f"+7900000{n:04d}",
        "Duration": "00:00:10",
    }
    return row | more


def phone_row(n: int, phone: str, of: int, *, bridge: str = "", up: bool = True) -> dict[str, str]:
    """Return the row of an operator's leg that was dialled for citizen ``of``."""
    return {
        "Uniqueid": leg(n),
        "Linkedid": leg(of),
        "Channel": f"PJSIP/{phone}-{n:08x}",
        "ChannelStateDesc": "Up" if up else "Ringing",
        "Application": "AppDial",
        "BridgeId": bridge,
        "Context": "gkc-operators",
    }


class FrontDesk:
    """Gives ids in order."""

    def __init__(self, prefix: str = "new") -> None:
        self._n, self._prefix = 0, prefix
        self.block_list: set[str | None] = set()

    def new_contact(self, now: Instant) -> tuple[ContactId, str]:
        del now
        self._n += 1
        return ContactId(f"{self._prefix}{self._n}"), f"2026-ТЕСТ-{self._n:06d}"

    def citizen(self, number: str, name: str, now: Instant) -> str | None:
        del name, now
        return f"key of {number}"

    def blocked(self, citizen: str | None, now: Instant) -> bool:
        del now
        return citizen in self.block_list

    def recording_path(self, contact_id: ContactId, offer_id: OfferId, now: Instant) -> str:
        del now
        return f"{contact_id}-{offer_id}.wav"


class World:
    """The channel, its core, and what became of it."""

    def __init__(self, cel: Path | None) -> None:
        config = load_config(CITY)
        self.clock = HandClock()
        self.memory = Memory()
        self.engine = Engine(Acd(), self.clock, self.memory)
        self.settings = to_settings(config)
        self.ami = SaysAmi()
        phones = tuple(
            Phone(agent_id=AgentId(name), interface=operator.interface)
            for name, operator in config.operators.items()
        )
        plan = PhonePlan(
            phones=phones,
            entries={},
            voices={},
            fallbacks={},
            members={p.agent_id: ("gkc-passport",) for p in phones},
        )
        self.channel = PhoneChannel(
            self.engine,
            plan,
            FrontDesk(),
            lambda _channel: cast(AmiLink, self.ami),
            lambda channel: AgiServer(channel.sockets.serve, "127.0.0.1", 0),
            EntryDesk(cast(Any, None), cast(Any, Silent()), QueueId("operator")),
            cel,
        )
        self.engine.attach(self.channel.perform)

    async def said(self, *events: ev.Event, seconds: float | None = None) -> None:
        """Let the core take events, at ``seconds`` of the story."""
        if seconds is not None:
            self.clock.moment = at(seconds)
        for event in events:
            self.engine.submit(event)
        await self.engine.drain()

    async def waiting(self, n: int, seconds: float) -> ContactId:
        """Let citizen ``n`` wait for a passport."""
        contact_id = ContactId(f"c{n}")
        await self.said(
            ev.ContactStarted(
                contact_id=contact_id,
                medium=self.settings.queues[0].medium,
                number=str(n),
                entry="+74951112233",
                uniqueid=leg(n),
            ),
            ev.QueueRequested(contact_id=contact_id, queue=QueueId("passport")),
            seconds=seconds,
        )
        return contact_id

    async def restart(self, seconds: float, *known: int) -> None:
        """Go on as a new engine does: ``known`` are the calls that it finds on record."""
        self.channel.resync.away_since(self.clock.moment, self.engine.acd.unheard)
        await self.said(ev.EngineRestarted(), seconds=seconds)
        self.channel.adopt(
            KnownCall(
                contact_id=ContactId(f"c{n}"), leg=leg(n), entry="+74951112233", language="ru"
            )
            for n in known
        )
        await self.resync()

    async def resync(self) -> None:
        await self.channel.resync.run()
        await self.engine.drain()

    def view(self, contact_id: str) -> ContactView | None:
        return self.engine.acd.contact_view(ContactId(contact_id))

    def agent(self, agent_id: str) -> str:
        view = self.engine.acd.agent_view(AgentId(agent_id))
        assert view is not None
        return view.state

    def commands(self) -> list[Command]:
        return [command for step in self.memory.steps for command in step.commands]

    def events(self) -> list[ev.Event]:
        return [step.event for step in self.memory.steps]

    def ended(self) -> dict[str, ContactEnded]:
        return {c.contact_id: c for c in self.commands() if isinstance(c, ContactEnded)}


class Silent:
    """An announcer with nothing to say."""

    def next_due(self, call: object, now: object) -> None:
        del call, now

    def prompts(self, call: object, now: object) -> Sequence[Any]:
        del call, now
        return ()

    def forget(self, contact_id: object) -> None:
        del contact_id


@asynccontextmanager
async def world(*, cel: Path | None = None, agents: Sequence[str] = ()) -> AsyncIterator[World]:
    """Run it."""
    here = World(cel)
    running = asyncio.get_running_loop().create_task(here.engine.run())
    try:
        await here.said(ev.SettingsApplied(settings=here.settings))
        for agent in agents:
            await here.said(ev.AgentLoggedIn(agent_id=AgentId(agent)))
        yield here
    finally:
        await here.channel.stop()
        await end_tasks([running])
