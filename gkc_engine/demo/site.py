"""One center in a demo: its city of processes, whose phones are played, and how to look at it."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.config.store import store_name, store_url
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, Json, socket_path
from gkc_engine.demo.account import Account, Hand
from gkc_engine.demo.books import Books
from gkc_engine.demo.city import City, CityOptions, Ports
from gkc_engine.demo.people import Citizens
from gkc_engine.demo.rare import ON_BREAK, widen
from gkc_engine.demo.setup import (
    CITIZEN_NUMBER,
    Teller,
    citizen_account,
    quicker,
    sound_lengths,
)
from gkc_engine.demo.staff import shut_the_door, staff
from gkc_engine.demo.traffic import Traffic
from gkc_engine.demo.tree import Document
from gkc_engine.demo.waiting import happens, listed
from gkc_engine.demo.world import TRUNK_HOST, OutsideWorld
from gkc_engine.errors import PeerError
from gkc_engine.ids import Instant, Micros, QueueId
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import OperatorPhone, OutsideCenter, Trunk

CONTACTS_SHOWN: Final = 8

SETTLE_S: Final = 40.0
"""For the engine to record the end of the last call; one that was killed at the end of the run has
to be started first, which a busy machine does in half a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteOptions:
    """What of a demo one of its centers needs."""

    config: Path
    """The configuration that it has a copy of."""
    folder: Path
    """Where everything of it lies."""
    sockets: Path
    """Where the commands look for its engine's socket."""
    run: str
    """Begins the id of each of its calls."""
    name: str = ""
    """Of one of several centers, to the outside world; empty: the only one, or the first."""
    restart: bool = True
    rare: bool = True
    """Whether what is rare happens in it, too (`demo.rare`)."""
    tune: Callable[[Document], None] = lambda _document: None
    """Changes each file of the copy, before what every demo changes."""
    settle: Callable[[Document], None] = lambda _document: None
    """The same, afterwards."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that its configuration refers to."""
    citizens: str = "+7900"
    """What the number of each of its citizens begins with."""
    after_s: float = 1.0
    """How long a citizen stays when his operator is suddenly gone."""


class Site:
    """Started, looked at, accounted for; what it is a part of decides when."""

    def __init__(
        self,
        options: SiteOptions,
        install: Install,
        ports: Ports,
        world: OutsideWorld,
        password: str,
    ) -> None:
        self.options = options
        self.world = world
        self.password = password
        self.source: Config = load_config(options.config)
        self.free_agent = ""
        self.noted_pid = 0
        """Of the engine, as ``demo.json`` has it."""
        self.city = City(
            options.config,
            options.folder,
            install,
            ports,
            CityOptions(
                phone=self._phone,
                trunks=(Trunk(match=(TRUNK_HOST,), contact=world.called),),
                restart=options.restart,
                tune=self._tune,
                state=options.folder,
                sockets=options.sockets,
                extra_pjsip=citizen_account(password),
                secrets=options.secrets,
            ),
        )
        self.free_agent = next(iter(self.city.config.operators))

    def _tune(self, document: Document) -> None:
        self.options.tune(document)
        quicker(document)
        if self.options.rare:
            widen(self.source, document)
        self.options.settle(document)

    def _phone(self, phone: OperatorPhone) -> OperatorPhone:
        if phone.agent_id == self.free_agent:
            return dataclasses.replace(phone, password=self.password, contact=None)
        contact = self.world.contact_of(phone.endpoint)
        return dataclasses.replace(phone, password=None, contact=contact)

    @property
    def name(self) -> str:
        """The center's name."""
        return self.city.config.center.name

    def phones(self) -> tuple[OperatorPhone, ...]:
        """Return the phones that the outside world plays: all but the free operator's."""
        return tuple(p for p in self.city.plan().operators if p.agent_id != self.free_agent)

    def outside(self) -> OutsideCenter:
        """Return what the outside world is to know of it."""
        port = self.city.ports.sip
        return OutsideCenter(name=self.options.name, port=port, phones=self.phones())

    # --- start -----------------------------------------------------------------------------

    async def start_engine(self) -> None:
        """Start the engine; return when it answers."""
        await self.city.start_engine()
        self.noted_pid = self.city.engine_pid

    async def come_to_work(self, screen: Teller) -> None:
        """Let the operators log in and wait until they can be rung."""
        phones = {phone.agent_id: phone.endpoint for phone in self.phones()}
        screen.say(f"{len(phones)} operators log in")
        away = await staff(self.city, phones, ON_BREAK)
        if self.options.rare:
            await shut_the_door(self.city)
        if away:
            screen.say(f"these operators' phones cannot be reached: {listed(away)}")

    def pids(self) -> dict[str, int | None]:
        """Return the processes of it, by what they are."""
        assert self.city.engine is not None
        return {
            "watchdog": self.city.engine.pid,
            "engine": self.noted_pid,
            "asterisk": self.city.asterisk.pid,
        }

    def note(self) -> dict[str, Any]:
        """Return what ``demo.json`` says of it."""
        city = self.city
        return {
            "operator": self.login(),
            "numbers": list(self.source.numbers),
            "timezone": self.source.center.timezone,
            "config": str(city.folder),
            "state": str(self.options.folder),
            "store": self.store,
            "socket": str(socket_path(city.sockets)),
            "log": str(city.log),
        }

    @property
    def store(self) -> str:
        """The records' name."""
        return store_name(self.city.config.store, self.city.state)

    @property
    def store_url(self) -> str:
        """Where the records lie, with a password if it needs one."""
        return store_url(self.store, self.city.folder)

    @property
    def number(self) -> str:
        """What a citizen dials."""
        return next(iter(self.source.numbers))

    def login(self) -> dict[str, str]:
        """Return how a softphone becomes the free operator's."""
        operator = self.city.config.operators[self.free_agent]
        return {
            "agent_id": self.free_agent,
            "name": operator.name,
            "server": f"127.0.0.1:{self.city.ports.sip}",
            "user": operator.interface.removeprefix("PJSIP/"),
            "password": self.password,
            "pin": self.city.pins.get((operator.pin or "").removeprefix("env:"), ""),
        }

    # --- calls -----------------------------------------------------------------------------

    def traffic(self, rng: random.Random, *, rate: float, seconds: float | None) -> Traffic:
        """Return the citizens who call it, ``rate`` a second, drawn from ``rng``."""
        citizens = Citizens(
            # The ways of what was given: the added numbers are planned citizens' only.
            self.source,
            sound_lengths(self.city.folder / "prompts"),
            rng,
            self.options.run,
            rare=self.options.rare,
            numbers=self.options.citizens,
            line=self.outside().line,
            after_s=self.options.after_s,
        )
        out = self.options.rare and self.source.outbound is not None
        return Traffic(self.world, citizens, rate=rate, seconds=seconds, calls_out=out)

    # --- looking ---------------------------------------------------------------------------

    def look(self) -> tuple[Json, Json, int]:
        """Return the state of the center, its last contacts, and the engine's pid; blocks.

        Raises:
            ControlError: the engine is away.
        """
        with ControlClient(socket_path(self.city.sockets), reply_s=2.0) as client:
            pid = int(client.call("engine.show")[0]["pid"])
            contacts = client.call("contact.list", {"limit": CONTACTS_SHOWN})
            stream = client.stream("watch")
            return next(iter(stream)), contacts, pid

    async def engine_ended(self, screen: Teller) -> bool:
        """Wait until the engine with its watchdog has ended; return whether that was to be.

        Raises:
            PeerError: it was to be restarted.
        """
        engine = self.city.engine
        assert engine is not None
        code = await engine.wait()
        if self.options.restart:
            raise PeerError(f"the engine's watchdog ended (status {code}):\n{self.city.tail()}")
        screen.say(f"the engine ended (status {code}); --no-restart leaves it so")
        return True

    async def settled(self, screen: Teller) -> None:
        """Wait until the engine has recorded the end of every call."""

        async def nothing_open() -> bool:
            try:
                return not await asyncio.to_thread(self.city.ask, "queue.waiting")
            except (ControlError, OSError):
                return False  # Just being restarted.

        engine = self.city.engine
        if engine is None or engine.returncode is not None:
            return  # --no-restart: nobody is left to record anything.
        if not await happens(nothing_open, SETTLE_S):
            screen.say("the engine still holds calls open that are over")

    def account(
        self,
        since: Instant,
        screen: Teller,
        phones: Mapping[str, str],
        unheard: Callable[[Hand], bool] = lambda _hand: False,
    ) -> Account:
        """Compare the outside world's list of this run with the engine's records.

        ``phones``: the phone of each operator, of this center's and others' as its records name
        them, who is played by the outside world. ``unheard``: as in `Books`.
        """
        book = dataclasses.replace(self.books(since, phones), unheard=unheard)
        mine = {one for one in self.world.originated if one.startswith(f"{book.run}-")}
        differing = book.dialled() ^ mine
        if differing:
            screen.say(f"the outside world's two lists differ: {listed(sorted(differing))}")
        queues = self.city.config.queues.items()
        targets = {QueueId(name): Micros(queue.servicelevel) for name, queue in queues}
        return book.balance(mine, targets)

    def books(self, since: Instant, phones: Mapping[str, str]) -> Books:
        """Return where this center and the outside world wrote down its calls."""
        return Books(
            run=self.options.run,
            since=since,
            outside_csv=self.world.asterisk.calls_csv,
            center_csv=self.city.asterisk.calls_csv,
            store=self.store_url,
            visitor=CITIZEN_NUMBER,
            phones=phones,
        )

    def kill(self) -> None:
        """End its processes at once."""
        self.city.kill_engine()
        self.city.asterisk.signal(signal.SIGKILL)
