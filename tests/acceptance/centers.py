"""Two centers on this machine: each a real Asterisk, and an engine with its phone channel.

The engines run in the test's own process, so that the test can play the link between centers; what
a killed one leaves is what its sockets and its records leave: they are closed in one instant, and
the next engine replays the steps that were written.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from gkc_engine import plans
from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.ami import AmiLink
from gkc_engine.channels.phone.channel import PhoneChannel
from gkc_engine.channels.phone.entry import EntryDesk
from gkc_engine.channels.phone.menu_run import MenuRunner
from gkc_engine.channels.phone.plan import KnownCall
from gkc_engine.clock import SystemClock
from gkc_engine.config.loader import load_config
from gkc_engine.config.settings import to_settings
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, abroad
from gkc_engine.ivr.fastagi import AgiServer
from gkc_engine.pbx.from_config import plan_from_config
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import CenterTrunk, Trunk
from gkc_engine.pbx.process import AsteriskProcess
from gkc_engine.pbx.render import render_standalone
from tests.acceptance.desk import Desk
from tests.acceptance.harness import CONFIG, until
from tests.acceptance.sipp import SippBench
from tests.channels.world import FrontDesk, Silent
from tests.ports import free_ports

KEY = "the-key-of-a-city-for-tests"
PASSPORT = QueueId("passport")
HOLD_US = Micros(3 * SECOND)
C = TypeVar("C")
CLOCK = SystemClock()


class Disk:
    """Keeps the steps, and syncs each group to a file as the ledger does."""

    accepting = True

    def __init__(self, path: Path) -> None:
        self.steps: list[Step] = []
        self.written: dict[int, float] = {}
        """Number of steps -> when (s since the epoch) they were all on the disk."""
        self._path = path

    async def write(self, steps: Sequence[Step]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{step}\n" for step in steps)
            file.flush()
            os.fdatasync(file.fileno())
        self.steps += steps
        self.written[len(self.steps)] = time.clock_gettime(time.CLOCK_REALTIME)

    def when(self, command: cmd.Command) -> float:
        """Return when a command's commit was done."""
        (index,) = [n for n, step in enumerate(self.steps) if command in step.commands]
        return min(at for count, at in self.written.items() if count > index)


class Center:
    """One of them."""

    def __init__(self, name: str, folder: Path, install: Install) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.install = install
        self.ports = dataclasses.replace(free_ports(), rtp_start=_RTP[name])
        self.bench = SippBench(self.folder / "sipp", f"127.0.0.1:{self.ports.sip}")
        self.bench.folder.mkdir()
        self.desk = Desk()
        self.disk = Disk(self.folder / "steps")
        self.asterisk = AsteriskProcess(install=install, run_dir=self.folder / "asterisk")
        self.config = load_config(CONFIG)
        self.key = KEY
        self.contacts = FrontDesk(prefix=f"{name}-")
        self._secret = secrets.token_urlsafe(24)
        self._others: tuple[CenterTrunk, ...] = ()
        self._running: asyncio.Task[None] | None = None
        self.engine: Engine
        self.channel: PhoneChannel

    @property
    def trunk(self) -> CenterTrunk:
        return CenterTrunk(center=self.name, host="127.0.0.1", port=self.ports.sip)

    # --- Asterisk ------------------------------------------------------------------------------

    async def start(self, *others: Center, phones: dict[str, int] | None = None) -> None:
        """Start the phones (``phones``: the ports of others than ours), Asterisk, the engine."""
        self._others = tuple(other.trunk for other in others)
        at = phones or await self.desk.start(self.bench)
        prompts = CONFIG / "prompts"  # Asterisk asks by one of them for a number after *2
        plan = plan_from_config(self.config, lambda _reference: self._secret, prompts)
        plan = dataclasses.replace(
            plan,
            center=self.name,
            ami=dataclasses.replace(plan.ami, port=self.ports.ami),
            operators=tuple(
                dataclasses.replace(
                    o, contact=f"sip:{o.endpoint}@127.0.0.1:{at.get(o.endpoint) or at['']}"
                )
                for o in plan.operators
            ),
            trunks=(Trunk(match=("127.0.0.11",)),),
            centers=self._others,
            fastagi_port=self.ports.agi,
            sip_port=self.ports.sip,
            rtp_start=self.ports.rtp_start,
            rtp_end=self.ports.rtp_end,
            rtp_timeout_s=3 if phones is None else 0,
            qualify_s=3,
        )
        etc = render_standalone(plan, install=self.install, run_dir=self.folder / "asterisk")
        with (etc / "gkc.d" / "extensions.conf").open("a", encoding="utf-8") as file:
            file.writelines(_by_hand(trunk) for trunk in self._others)
        await self.asterisk.start()
        await self.revive()

    # --- the engine ----------------------------------------------------------------------------

    def _channel(self) -> PhoneChannel:
        plan = plans.phone_plan(self.config, lambda _name, _language: None)
        plan.between = plans.between_centers(self.name, self.key, self._others)
        return PhoneChannel(
            self.engine,
            plan,
            self.contacts,
            lambda channel: AmiLink(
                "127.0.0.1",
                self.ports.ami,
                "gkc",
                self._secret,
                on_event=channel.on_ami_event,
                on_up=channel.on_ami_up,
                on_down=channel.on_ami_down,
            ),
            lambda channel: AgiServer(channel.sockets.serve, "127.0.0.1", self.ports.agi),
            EntryDesk(MenuRunner(lambda: self.config.ivr), cast(Any, Silent()), PASSPORT),
            self.asterisk.legs_csv,
        )

    async def revive(self) -> None:
        """Start an engine that goes on where the last one stopped, as ``app`` does."""
        acd, steps = Acd(), self.disk.steps
        for step in steps:
            acd.step(step.event, step.now)
        self.engine = Engine(acd, CLOCK, self.disk)
        last = steps[-1].now if steps else Instant(0)
        self.engine.restore(last, [(s.source, s.source_key) for s in steps if s.source_key])
        self.channel = self._channel()
        self.engine.attach(self.channel.perform)
        self._running = asyncio.get_running_loop().create_task(self.engine.run())
        if steps:
            self.engine.submit(ev.EngineRestarted())
            self.channel.resync.away_since(last, acd.unheard)
            self.channel.adopt(self._known(acd))
        self.engine.submit(ev.SettingsApplied(settings=to_settings(self.config)))
        await self.engine.drain()
        await self.channel.start()

        async def up() -> bool:
            return self.channel.ami.up and self.channel.resync.runs_total > 0

        await until(up, f"the engine of {self.name} has asked Asterisk", 30)
        await self.engine.drain()

    def _known(self, acd: Acd) -> list[KnownCall]:
        legs: dict[ContactId, str] = {}
        for step in self.disk.steps:
            event = step.event
            if isinstance(event, ev.ContactStarted | ev.GuestArrived) and event.uniqueid:
                legs[event.contact_id] = event.uniqueid
        return [
            KnownCall(contact_id=known, leg=legs[known], entry="+74951112233", language="ru")
            for known in acd.contacts()
            if known in legs
        ]

    async def die(self) -> None:
        """Be gone: not a word more is written, and every socket is closed."""
        assert self._running is not None
        await end_tasks([self._running])
        await self.channel.stop()

    async def stop(self) -> None:
        await self.bench.stop()
        if self._running is not None:
            await self.die()
        await self.asterisk.kill()
        await self.desk.stop()

    # --- looking -------------------------------------------------------------------------------

    async def login(self, *agents: str) -> None:
        """Log operators in; wait until each is ready."""
        for agent in agents:
            self.engine.submit(ev.AgentLoggedIn(agent_id=AgentId(agent)))
        for agent in agents:
            await self.agent_is(agent, "ready")

    async def agent_is(self, agent: str, state: str) -> None:
        async def look() -> bool:
            view = self.engine.acd.agent_view(AgentId(agent))
            return view is not None and view.state == state

        await until(look, f"{agent} of {self.name} is {state}", 20, 0.01)

    def view(self, contact_id: ContactId) -> ContactView | None:
        return self.engine.acd.contact_view(contact_id)

    async def contact_is(self, contact_id: ContactId, state: str) -> ContactView:
        async def look() -> ContactView | None:
            view = self.view(contact_id)
            return view if view is not None and view.state == state else None

        now = self.view(contact_id)
        return await until(look, f"{contact_id} is {state}, it was {now}", 20, 0.01)

    async def contact(self, skip: int = 0) -> ContactId:
        """Return the contact of whoever has called since the first ``skip``."""

        async def look() -> ContactId | None:
            started = [s.event for s in self.disk.steps if isinstance(s.event, ev.ContactStarted)]
            return started[skip].contact_id if len(started) > skip else None

        return await until(look, "a citizen is here", 20, 0.01)

    def count(self) -> int:
        return sum(isinstance(s.event, ev.ContactStarted) for s in self.disk.steps)

    def said(self, kind: type[C], contact_id: ContactId | None = None) -> list[C]:
        """Return what the core said of one kind, of one contact."""
        found = [c for s in self.disk.steps for c in s.commands if isinstance(c, kind)]
        return [c for c in found if contact_id in (None, getattr(c, "contact_id", None))]

    async def ended(self, contact_id: ContactId) -> cmd.ContactEnded:
        """Wait for the one row of a contact."""

        async def look() -> list[cmd.ContactEnded]:
            return self.said(cmd.ContactEnded, contact_id)

        (row,) = await until(look, f"{contact_id} has ended", 20, 0.01)
        return row

    def outcomes(self, contact_id: ContactId) -> list[tuple[str, str]]:
        """Return who was asked for a contact, and how it ended."""
        return [(o.agent_id, str(o.outcome)) for o in self.said(cmd.OfferEnded, contact_id)]

    async def outcome(self, contact_id: ContactId, count: int = 1) -> tuple[str, str]:
        """Wait until so many offers of a contact have ended; return the last."""

        async def look() -> bool:
            return len(self.outcomes(contact_id)) >= count

        await until(look, f"offers of {contact_id} have ended", 20, 0.01)
        return self.outcomes(contact_id)[count - 1]

    def reasons(self, contact_id: ContactId) -> list[str]:
        return [o.reason for o in self.said(cmd.OfferEnded, contact_id)]


def _by_hand(trunk: CenterTrunk) -> str:
    """Return a dialplan by which a center calls another one with whatever token it likes."""
    dial = f"Dial(PJSIP/gkc-passport@{trunk.endpoint},5,b(prehdr^add^1(${{TOKEN}}^1)))"
    return f"\n[by-hand-{trunk.center}]\nexten => dial,1,{dial}\n same => n,Hangup()\n"


_RTP = {"centr": 20000, "sever": 26000}


@dataclasses.dataclass(slots=True)
class City:
    """Both, and the link between them."""

    home: Center
    donor: Center
    asked: int = 0

    async def reserve(self, contact_id: ContactId) -> cmd.GrantReservation:
        """Ask the donor for an operator who is free."""
        self.asked += 1
        said = await self.donor.engine.ask(
            ev.ReservationAsked(
                reservation_id=ContactId(f"res-{self.asked}"),
                owner=self.home.name,
                contact_id=contact_id,
                queue=PASSPORT,
                waited_us=Micros(30 * SECOND),
                hold_us=HOLD_US,
            ),
            source="federation",
        )
        (grant,) = [c for c in said if isinstance(c, cmd.GrantReservation)]
        return grant

    async def send(self, grant: cmd.GrantReservation) -> cmd.OverflowContact:
        """Tell the owner that it was granted."""
        home = self.home
        said = await home.engine.ask(
            ev.ReservationGranted(
                contact_id=grant.contact_id,
                reservation_id=grant.reservation_id,
                center=self.donor.name,
                agent_id=abroad(self.donor.name, grant.agent_id),
                until=Instant(home.engine.now() + grant.hold_us),
                timeout_us=grant.timeout_us,
            ),
            source="federation",
        )
        (sent,) = [c for c in said if isinstance(c, cmd.OverflowContact)]
        return sent

    async def come_with(self, token: str) -> None:
        """Call the donor from its known neighbour, but with this token."""
        cli = self.home.asterisk.cli
        await cli(f"dialplan set global TOKEN {token}")
        where = f"Local/dial@by-hand-{self.donor.name}"
        await cli(f"channel originate {where} application Wait 1")

    async def overflow(self, contact_id: ContactId) -> cmd.OverflowContact:
        """Have a contact served by the donor."""
        return await self.send(await self.reserve(contact_id))


@asynccontextmanager
async def two_centers(
    folder: Path, install: Install, phones: dict[str, dict[str, int]] | None = None
) -> AsyncIterator[City]:
    """Run them."""
    home, donor = Center("centr", folder, install), Center("sever", folder, install)
    ports = phones or {}
    try:
        await donor.start(home, phones=ports.get("sever"))
        await home.start(donor, phones=ports.get("centr"))
        yield City(home, donor)
    finally:
        await home.stop()
        await donor.stop()
