"""The whole demo: our Asterisk, the engine with its watchdog, the outside world, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import secrets
import signal
from typing import Final

from gkc_engine.clock import SystemClock
from gkc_engine.config.store import store_url
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, socket_path
from gkc_engine.demo import elsewhere, note
from gkc_engine.demo.account import Account
from gkc_engine.demo.city import Ports
from gkc_engine.demo.running import must_live, together, until_first
from gkc_engine.demo.setup import (
    CITIZEN,
    RING_S,
    WRAP_UP_S,
    DemoOptions,
    Screen,
    Teller,
    moved_ports,
)
from gkc_engine.demo.site import Site, SiteOptions
from gkc_engine.demo.traffic import drained
from gkc_engine.demo.tree import Document
from gkc_engine.demo.waiting import listed
from gkc_engine.demo.world import OutsideWorld
from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.pbx.install import Install

WATCH_EVERY_S: Final = 1.0


class Demo:
    """Runs once."""

    def __init__(self, options: DemoOptions, install: Install, screen: Screen) -> None:
        self.options = options
        self.install = install
        self.screen = screen
        self.run_id = f"d{secrets.token_hex(4)}"
        self.clock = SystemClock()
        # Two generators: what a phone does must not depend on how many citizens were drawn.
        self._phones_rng = random.Random(f"phones {options.seed}")
        self._citizens_rng = random.Random(f"citizens {options.seed}")
        self.site: Site
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
                await self.site.settled(self.screen)
            finally:
                # Also when Ctrl-C comes now: nothing of ours outlives us.
                await asyncio.shield(self._stop())
            return self.account(since)

    def kill(self) -> None:
        """End every process at once: for those who press Ctrl-C twice."""
        if hasattr(self, "world"):
            self.world.asterisk.signal(signal.SIGKILL)
        if hasattr(self, "site"):
            self.site.kill()

    # --- start -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        prepare(self.options, self.screen)
        self._choose_ports()

    def _choose_ports(self) -> None:
        options = self.options
        usual = not options.free_ports
        self.world = OutsideWorld(self.install, options.folder / "outside", usual_port=usual)
        ports = Ports.free(preferred=usual)
        if usual:
            for moved in moved_ports(ports, self.world.sip_port):
                self.screen.say(moved)
        self.site = Site(
            SiteOptions(
                config=options.config,
                folder=options.folder,
                sockets=options.sockets,
                run=self.run_id,
                restart=options.restart,
                rare=options.rare,
                settle=self._put_elsewhere,
            ),
            self.install,
            ports,
            self.world,
            secrets.token_hex(6),
        )

    def _put_elsewhere(self, document: Document) -> None:
        if self.options.store is not None:
            elsewhere.put(document, self.options.store)

    async def _start(self) -> None:
        say = self.screen.say
        site, world = self.site, self.world
        say("starting Asterisk, the telephone network and the phones")
        await together(site.city.start_asterisk(), world.start(site.outside()))
        say("starting the engine")
        await site.start_engine()
        self._write_note()
        await site.come_to_work(self.screen)

    def _write_note(self) -> None:
        site, world, options = self.site, self.world, self.options
        note.write(
            options.note,
            {
                note.PIDS: {"demo": os.getpid(), **site.pids(), "outside": world.asterisk.pid},
                "ports": {
                    **dataclasses.asdict(site.city.ports),
                    "outside_sip": world.sip_port,
                    "outside_ami": world.ami.port,
                },
                "citizen": {"user": CITIZEN, "password": site.password, "dial": site.number},
                "run": self.run_id,
                "seed": options.seed,
                "calls": str(world.asterisk.calls_csv),
                **site.note(),
            },
        )

    def _tell(self) -> None:
        site, say = self.site, self.screen.say
        login = site.login()
        say(f"config: {site.city.folder}, a copy: every calendar is open,")
        say(f"  phones ring {RING_S} s and a wrap-up lasts {WRAP_UP_S} s, so that much happens")
        say(f"be an operator: SIP server {login['server']} (UDP), user {login['user']},")
        say(f"  password {login['password']}; then dial *45, or: gkc agent login {site.free_agent}")
        say(f"be a citizen: same server and password, user {CITIZEN}; dial {site.number}")
        say("look: gkc wall, gkc queue show --live, gkc agent show, gkc contact list; end: Ctrl-C")

    # --- the calls -------------------------------------------------------------------------

    async def _live(self) -> None:
        """Let citizens call until the end of the run."""
        folder = self.options.folder
        await until_first(
            self._watch(),
            self.world.decide_phones(self._phones_rng),
            must_live("Asterisk", self.site.city.asterisk.wait(), folder),
            must_live("the outside world's Asterisk", self.world.asterisk.wait(), folder),
            self._engine_died(),
            self._calls(),
        )

    async def _engine_died(self) -> None:
        await self.site.engine_ended(self.screen)
        await asyncio.Event().wait()

    async def _calls(self) -> None:
        options = self.options
        traffic = self.site.traffic(self._citizens_rng, rate=options.rate, seconds=options.seconds)
        if traffic.count is not None:
            self.screen.say(f"{traffic.count} citizens call within {options.seconds:g} s")
        await traffic.run()
        await drained(self.world, self.screen.say)

    # --- looking ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(ControlError, OSError):  # Killed and restarted: look again.
                snapshot, contacts, pid = await asyncio.to_thread(self.site.look)
                if pid != self.site.noted_pid:  # The watchdog has started another.
                    self.site.noted_pid = pid
                    self._write_note()
                self.screen.show(snapshot, contacts, len(self.world.originated))
            await asyncio.sleep(WATCH_EVERY_S)

    # --- the end ---------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop everything within 5 s: citizens and phones first, Asterisk last."""
        if not hasattr(self, "site"):
            return
        try:
            await self.world.stop()
            await self.site.city.stop_engine(grace_s=1.8)
            await self.site.city.asterisk.stop(grace_s=1.2)
        finally:
            self.kill()
            note.remove(self.options.note)

    def account(self, since: Instant) -> Account:
        """Compare the outside world's list of this run with the engine's records."""
        phones = {one.agent_id: one.endpoint for one in self.site.phones()}
        return self.site.account(since, self.screen, phones)


def prepare(options: DemoOptions, screen: Teller) -> None:
    """Make room for a run: end what a killed one has left, and empty the folder.

    Raises:
        GkcError: an engine runs here already, or the records may not lie where they are to.
    """
    left = note.end_left_over(options.note, options.folder)
    if left:
        screen.say(f"ended what a killed demo had left running: {listed(left)}")
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
