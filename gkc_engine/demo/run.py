"""The whole demo: our Asterisk, the engine with its watchdog, the outside world, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Final

from gkc_engine.clock import SystemClock
from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.config.store import store_name, store_url
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, Json, socket_path
from gkc_engine.demo import elsewhere, note
from gkc_engine.demo.account import Account
from gkc_engine.demo.books import Books
from gkc_engine.demo.city import City, CityOptions, Ports
from gkc_engine.demo.people import CALL_MAX_S, Arrival, Citizens
from gkc_engine.demo.rare import CALLS_OUT_EVERY_S, ON_BREAK, widen
from gkc_engine.demo.setup import (
    CITIZEN,
    CITIZEN_NUMBER,
    RING_S,
    WRAP_UP_S,
    DemoOptions,
    Screen,
    citizen_account,
    moved_ports,
    quicker,
    sound_lengths,
)
from gkc_engine.demo.staff import shut_the_door, staff
from gkc_engine.demo.tree import Document
from gkc_engine.demo.waiting import happens, listed
from gkc_engine.demo.world import TRUNK_HOST, OutsideWorld
from gkc_engine.errors import GkcError, PeerError
from gkc_engine.ids import Instant, Micros, QueueId
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import OperatorPhone, Trunk

DRAIN_S: Final = 58.0
"""After the last call was dialled; then whoever is still on the line is hung up."""

assert CALL_MAX_S < DRAIN_S

HANG_UP_S: Final = 2.0

SETTLE_S: Final = 40.0
"""For the engine to record the end of the last call; one that was killed at the end of the run has
to be started first, which a busy machine does in half a minute."""

WATCH_EVERY_S: Final = 1.0
CONTACTS_SHOWN: Final = 8


class Demo:
    """Runs once."""

    def __init__(self, options: DemoOptions, install: Install, screen: Screen) -> None:
        self.options = options
        self.install = install
        self.screen = screen
        self.run_id = f"d{secrets.token_hex(4)}"
        self.clock = SystemClock()
        self.source: Config = load_config(options.config)
        # Two generators: what a phone does must not depend on how many citizens were drawn.
        self._phones_rng = random.Random(f"phones {options.seed}")
        self._citizens_rng = random.Random(f"citizens {options.seed}")
        self.free_agent = next(iter(self.source.operators))
        self.password = secrets.token_hex(6)
        self._noted_pid = 0
        self.city: City
        self.world: OutsideWorld

    async def run(self) -> Account | None:
        """Run it; return the account of a run with an end.

        Raises:
            GkcError: something did not start: what, why, and what to do.
        """
        options = self.options
        with note.alone(options.folder):
            self._prepare()
            since = self.clock.now()
            try:
                await self._start()
                self._tell()
                await self._live()
                if options.seconds is None:
                    return None
                await self._settled()
            finally:
                # Also when Ctrl-C comes now: nothing of ours outlives us.
                await asyncio.shield(self._stop())
            return self.account(since)

    def kill(self) -> None:
        """End every process at once: for those who press Ctrl-C twice."""
        if hasattr(self, "world"):
            self.world.asterisk.signal(signal.SIGKILL)
        if hasattr(self, "city"):
            self.city.kill_engine()
            self.city.asterisk.signal(signal.SIGKILL)

    # --- start -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        options = self.options
        left = note.end_left_over(options.note, options.folder)
        if left:
            self.screen.say(f"ended what a killed demo had left running: {listed(left)}")
        with contextlib.suppress(ControlError), ControlClient(socket_path(options.sockets)) as old:
            raise GkcError(
                f"an engine is already running here (pid {old.peer.pid}): stop it first"
                f" (kill -TERM {old.peer.pid})"
            )
        if options.store is not None:
            url = store_url(options.store, options.config)
            elsewhere.look(url, options.store, keep=options.keep)
        if not options.keep:
            note.empty(options.folder)
        self._choose_ports()

    def _choose_ports(self) -> None:
        options = self.options
        usual = not options.free_ports
        self.world = OutsideWorld(self.install, options.folder / "outside", usual_port=usual)
        ports = Ports.free(preferred=usual)
        if usual:
            for moved in moved_ports(ports, self.world.sip_port):
                self.screen.say(moved)
        self.city = City(
            options.config,
            options.folder,
            self.install,
            ports,
            CityOptions(
                phone=self._phone,
                trunks=(Trunk(match=(TRUNK_HOST,), contact=self.world.called),),
                restart=options.restart,
                tune=self._tune,
                state=options.folder,
                sockets=options.sockets,
                extra_pjsip=citizen_account(self.password),
            ),
        )

    def _tune(self, document: Document) -> None:
        quicker(document)
        if self.options.rare:
            widen(self.source, document)
        if self.options.store is not None:
            elsewhere.put(document, self.options.store)

    def _phone(self, phone: OperatorPhone) -> OperatorPhone:
        if phone.agent_id == self.free_agent:
            return dataclasses.replace(phone, password=self.password, contact=None)
        contact = self.world.contact_of(phone.endpoint)
        return dataclasses.replace(phone, password=None, contact=contact)

    async def _start(self) -> None:
        say = self.screen.say
        city, world = self.city, self.world
        say("starting Asterisk, the telephone network and the phones")
        phones = tuple(p for p in city.plan().operators if p.agent_id != self.free_agent)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(city.start_asterisk())
                both.create_task(world.start(city.ports.sip, phones))
        except* PeerError as failed:
            raise PeerError("\n".join(str(error) for error in failed.exceptions)) from None
        say("starting the engine")
        await city.start_engine()
        self._write_note(city.engine_pid)
        say(f"{len(phones)} operators log in")
        away = await staff(city, {phone.agent_id: phone.endpoint for phone in phones}, ON_BREAK)
        if self.options.rare:
            await shut_the_door(city)
        if away:
            say(f"these operators' phones cannot be reached: {listed(away)}")

    def _write_note(self, engine_pid: int) -> None:
        self._noted_pid = engine_pid
        city, world, options = self.city, self.world, self.options
        assert city.engine is not None
        note.write(
            options.note,
            {
                note.PIDS: {
                    "demo": os.getpid(),
                    "watchdog": city.engine.pid,
                    "engine": engine_pid,
                    "asterisk": city.asterisk.pid,
                    "outside": world.asterisk.pid,
                },
                "ports": {
                    **dataclasses.asdict(city.ports),
                    "outside_sip": world.sip_port,
                    "outside_ami": world.ami.port,
                },
                "numbers": list(self.source.numbers),
                "operator": self.login(),
                "citizen": {"user": CITIZEN, "password": self.password, "dial": self.number},
                "run": self.run_id,
                "seed": options.seed,
                "timezone": self.source.center.timezone,
                "config": str(city.folder),
                "state": str(options.folder),
                "store": self.store,
                "socket": str(socket_path(city.sockets)),
                "log": str(city.log),
                "calls": str(world.asterisk.calls_csv),
            },
        )

    @property
    def store(self) -> str:
        """The records' name."""
        return store_name(self.city.config.store, self.city.state)

    @property
    def number(self) -> str:
        """What a citizen dials."""
        return next(iter(self.source.numbers))

    def login(self) -> dict[str, str]:
        """Return how a softphone becomes the free operator's."""
        operator = self.source.operators[self.free_agent]
        return {
            "agent_id": self.free_agent,
            "name": operator.name,
            "server": f"127.0.0.1:{self.city.ports.sip}",
            "user": operator.interface.removeprefix("PJSIP/"),
            "password": self.password,
            "pin": self.city.pins.get((operator.pin or "").removeprefix("env:"), ""),
        }

    def _tell(self) -> None:
        login, say = self.login(), self.screen.say
        say(f"config: {self.city.folder}, a copy: every calendar is open,")
        say(f"  phones ring {RING_S} s and a wrap-up lasts {WRAP_UP_S} s, so that much happens")
        say(f"be an operator: SIP server {login['server']} (UDP), user {login['user']},")
        say(f"  password {login['password']}; then dial *45, or: gkc agent login {self.free_agent}")
        say(f"be a citizen: same server and password, user {CITIZEN}; dial {self.number}")
        say("look: gkc wall, gkc queue show --live, gkc agent show, gkc contact list; end: Ctrl-C")

    # --- the calls -------------------------------------------------------------------------

    async def _live(self) -> None:
        """Let citizens call until the end of the run."""
        watch = asyncio.create_task(self._watch())
        phones = asyncio.create_task(self.world.decide_phones(self._phones_rng))
        died = [
            asyncio.create_task(self._died("Asterisk", self.city.asterisk.wait())),
            asyncio.create_task(
                self._died("the outside world's Asterisk", self.world.asterisk.wait())
            ),
            asyncio.create_task(self._engine_died()),
        ]
        calls = asyncio.create_task(self._calls())
        tasks = [watch, phones, calls, *died]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _died(self, what: str, ended: Coroutine[None, None, int]) -> None:
        code = await ended
        raise PeerError(f"{what} ended by itself (status {code}); its log: {self.options.folder}")

    async def _engine_died(self) -> None:
        engine = self.city.engine
        assert engine is not None
        code = await engine.wait()
        if self.options.restart:
            raise PeerError(f"the engine's watchdog ended (status {code}):\n{self.city.tail()}")
        self.screen.say(f"the engine ended (status {code}); --no-restart leaves it so")
        await asyncio.Event().wait()

    async def _calls(self) -> None:
        sound_s = sound_lengths(self.city.folder / "prompts")
        # The ways of what was given: the numbers that the demo has added are planned ones' only.
        citizens = Citizens(
            self.source, sound_s, self._citizens_rng, self.run_id, rare=self.options.rare
        )
        seconds = self.options.seconds
        if seconds is None:
            async with self._calls_out(itertools.count()):
                await self._dial(citizens.endless(self.options.rate))
            return
        arrivals = citizens.fixed(seconds, self.options.rate)
        self.screen.say(f"{len(arrivals)} citizens call within {seconds:g} s")
        started = asyncio.get_running_loop().time()
        async with self._calls_out(range(max(1, int(seconds / CALLS_OUT_EVERY_S)))) as out:
            await self._dial(arrivals)
            await out
        await asyncio.sleep(max(0.0, started + seconds - asyncio.get_running_loop().time()))
        await self._drained()

    @contextlib.asynccontextmanager
    async def _calls_out(self, rounds: Iterable[object]) -> AsyncIterator[asyncio.Task[None]]:
        """Let operators call outside meanwhile, if they may; what is left is given up."""
        may = self.options.rare and self.source.outbound is not None
        out = asyncio.create_task(self.world.call_out(rounds if may else ()))
        try:
            yield out
        finally:
            out.cancel()

    async def _dial(self, arrivals: Iterable[Arrival]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for arrival in arrivals:
            await asyncio.sleep(max(0.0, started + arrival.at_s - loop.time()))
            await self.world.call(arrival.call)

    async def _drained(self) -> None:
        """Wait until the last citizen has hung up; then make the others."""
        if await happens(self._nobody_on_the_line, DRAIN_S):
            return
        self.screen.say("hanging up the citizens that are still on the line")
        await self.world.hang_up_all()
        await happens(self._nobody_on_the_line, HANG_UP_S)

    async def _nobody_on_the_line(self) -> bool:
        return await self.world.in_progress() == 0

    # --- looking ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(ControlError, OSError):  # Killed and restarted: look again.
                snapshot, contacts, pid = await asyncio.to_thread(self._look)
                if pid != self._noted_pid:  # The watchdog has started another.
                    self._write_note(pid)
                self.screen.show(snapshot, contacts, len(self.world.originated))
            await asyncio.sleep(WATCH_EVERY_S)

    def _look(self) -> tuple[Json, Json, int]:
        with ControlClient(socket_path(self.city.sockets), reply_s=2.0) as client:
            pid = int(client.call("engine.show")[0]["pid"])
            contacts = client.call("contact.list", {"limit": CONTACTS_SHOWN})
            stream = client.stream("watch")
            return next(iter(stream)), contacts, pid

    async def _settled(self) -> None:
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
            self.screen.say("the engine still holds calls open that are over")

    # --- the end ---------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop everything within 5 s: citizens and phones first, Asterisk last."""
        if not hasattr(self, "city"):
            return
        try:
            await self.world.stop()
            await self.city.stop_engine(grace_s=1.8)
            await self.city.asterisk.stop(grace_s=1.2)
        finally:
            self.kill()
            note.remove(self.options.note)

    def account(self, since: Instant) -> Account:
        """Compare the outside world's list of this run with the engine's records."""
        book = Books(
            run=self.run_id,
            since=since,
            outside_csv=self.world.asterisk.calls_csv,
            center_csv=self.city.asterisk.calls_csv,
            store=store_url(self.store, self.city.folder),
            visitor=CITIZEN_NUMBER,
            phones={
                one.agent_id: one.endpoint
                for one in self.city.plan().operators
                if one.agent_id != self.free_agent
            },
        )
        differing = book.dialled() ^ set(self.world.originated)
        if differing:
            self.screen.say(f"the outside world's two lists differ: {listed(sorted(differing))}")
        queues = self.city.config.queues.items()
        targets = {QueueId(name): Micros(queue.servicelevel) for name, queue in queues}
        return book.balance(self.world.originated, targets)
