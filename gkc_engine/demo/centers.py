"""The demo of several centers: three of everything, a hub between them, and one outside world."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import secrets
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gkc_engine.clock import SystemClock
from gkc_engine.config.loader import load_config
from gkc_engine.control.protocol import ControlError, Json, socket_path
from gkc_engine.control.server import Call, ControlServer
from gkc_engine.demo import note
from gkc_engine.demo.account import Hand
from gkc_engine.demo.centers_account import CityAccount, city_account
from gkc_engine.demo.centers_net import Net
from gkc_engine.demo.centers_note import about, pids
from gkc_engine.demo.centers_plan import (
    AFTER_S,
    BUS_VARIABLE,
    CENTERS,
    LINES_SOCKET,
    SILENCE_S,
    TOKEN_VARIABLE,
    CenterPlan,
    Ways,
    make_own,
    staff_of,
)
from gkc_engine.demo.centers_records import CityRecords, city_records, wrong_of
from gkc_engine.demo.centers_seen import CentersScreen, Seen
from gkc_engine.demo.city import RTP_STARTS, Ports
from gkc_engine.demo.run import WATCH_EVERY_S, prepare
from gkc_engine.demo.running import must_live, together, until_first
from gkc_engine.demo.setup import CITIZEN, DemoOptions
from gkc_engine.demo.site import Site, SiteOptions
from gkc_engine.demo.traffic import drained
from gkc_engine.demo.world import OutsideWorld
from gkc_engine.ids import SECOND, Instant
from gkc_engine.pbx.install import Install


class Which(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters of ``demo.cut`` and ``demo.heal``."""

    center: str


class CentersDemo:
    """Runs once."""

    def __init__(self, options: DemoOptions, install: Install, screen: CentersScreen) -> None:
        self.options = options
        self.install = install
        self.screen = screen
        self.run_id = f"d{secrets.token_hex(4)}"
        self.clock = SystemClock()
        self.source = load_config(options.config)
        self.token_key, self.password = secrets.token_hex(32), secrets.token_hex(6)
        self.sites: dict[str, Site] = {}
        self._seen = {plan.name: Seen(plan.name) for plan in CENTERS}
        self._control: ControlServer | None = None
        self._noted: dict[str, int | None] = {}
        self.net: Net
        self.records: CityRecords
        self.world: OutsideWorld

    async def run(self) -> CityAccount | None:
        """Run it; return the account of a run with an end.

        Raises:
            GkcError: something did not start: what, why, and what to do.
        """
        options = self.options
        with note.alone(options.folder):
            prepare(options, self.screen)
            self._make()
            since = self.clock.now()
            try:
                await self._start()
                self._tell()
                await self._live()
                if options.seconds is None:
                    return None
                records = await self._settled()
            finally:
                # Also when Ctrl-C comes now: nothing of ours outlives us.
                await asyncio.shield(self._stop())
            return self.account(since, records)

    async def _settled(self) -> list[dict[str, Any]]:
        """Wait until all is on record, in the centers and in the city; return how they compare."""
        for name in self.net.parted:
            self._line(name, whole=True)  # What happened meanwhile is to arrive.
        await asyncio.gather(*(site.settled(self.screen) for site in self.sites.values()))
        self.screen.say("comparing the city's records with the centers'")
        return await self.records.compared()

    def kill(self) -> None:
        """End every process at once: for those who press Ctrl-C twice."""
        if hasattr(self, "world"):
            self.world.asterisk.signal(signal.SIGKILL)
        for site in self.sites.values():
            site.kill()
        if hasattr(self, "records"):
            self.records.kill()
            self.net.kill()

    # --- start -----------------------------------------------------------------------------

    def _make(self) -> None:
        options = self.options
        usual = not options.free_ports
        self.world = OutsideWorld(self.install, options.folder / "outside", usual_port=usual)
        ports: dict[str, Ports] = {}
        for plan, rtp_start in zip(CENTERS, RTP_STARTS, strict=True):
            found = Ports.free(preferred=usual and not ports)
            ports[plan.name] = dataclasses.replace(found, rtp_start=rtp_start)
        sip_ports = {name: one.sip for name, one in ports.items()}
        self.net = Net(options.folder / "bus", sip_ports, self.clock.now)
        for plan in CENTERS:
            self.sites[plan.name] = self._site(plan, ports[plan.name])
        config = self.sites[CENTERS[0].name].city.folder
        self.records = CityRecords(config, options.folder / "city", options.sockets)

    def _site(self, plan: CenterPlan, ports: Ports) -> Site:
        options, source, first = self.options, self.source, plan is CENTERS[0]
        ways = Ways(
            nats_port=self.net.leaf_ports[plan.name],
            sip_port=ports.sip,
            trunks=self.net.trunks(plan.name),
            hub_port=self.net.hub_port if first else None,
            hub_secrets=self.net.secret_files() if first else {},
        )
        return Site(
            SiteOptions(
                config=options.config,
                folder=options.folder / plan.name,
                # The city's engine is where the commands look; the others are found by --config.
                sockets=options.sockets if first else options.sockets / plan.name,
                run=f"{self.run_id}-{plan.name}",
                name="" if first else plan.name,
                restart=options.restart,
                # Planned citizens need their own center's operators, and this one sends none away.
                rare=options.rare and first,
                tune=partial(make_own, plan, staff_of(plan, source), ways),
                secrets={TOKEN_VARIABLE: self.token_key, BUS_VARIABLE: self.net.secret},
                citizens=plan.citizens,
                after_s=AFTER_S,
            ),
            self.install,
            ports,
            self.world,
            self.password,
        )

    async def _start(self) -> None:
        say, sites = self.screen.say, tuple(self.sites.values())
        say(f"starting {len(sites)} Asterisks, the telephone network and phones, and NATS")
        outside = [site.outside() for site in sites]
        await together(
            self.net.start(),
            self.world.start(*outside, silence_s=SILENCE_S),
            *(site.city.start_asterisk() for site in sites),
        )
        say(f"starting {len(sites)} engines")
        await together(self.records.start(), *(site.start_engine() for site in sites))
        await self._serve_lines()
        self._link_sockets()
        self._write_note()
        await together(*(site.come_to_work(self.screen) for site in sites))

    async def _serve_lines(self) -> None:
        self._control = ControlServer(self.options.sockets / LINES_SOCKET, _unwritten)
        self._control.method("demo.cut", Which, self._cut)
        self._control.method("demo.heal", Which, self._heal)
        await self._control.start()

    def _link_sockets(self) -> None:
        """Let ``--config`` find each engine among those of one directory."""
        for site in self.sites.values():
            link = socket_path(self.options.sockets, site.city.folder)
            link.unlink(missing_ok=True)
            link.symlink_to(socket_path(site.city.sockets))

    def _pids(self) -> dict[str, int | None]:
        return {
            **pids(self.sites, self.net, self.world),
            "collector": self.records.pid,
        }

    def _write_note(self) -> None:
        self._noted = self._pids()
        note.write(
            self.options.note,
            {
                note.PIDS: self._noted,
                **about(self.sites, self.net, self.world),
                "run": self.run_id,
                "seed": self.options.seed,
                "lines": str(self.options.sockets / LINES_SOCKET),
            },
        )

    def _tell(self) -> None:
        say = self.screen.say
        for name, site in self.sites.items():
            staff = len(site.phones())
            say(f"{name}: {staff} operators, SIP port {site.city.ports.sip}: {site.city.folder}")
        first = next(iter(self.sites.values()))
        login, other = first.login(), list(self.sites.values())[1]
        say(f"be a citizen: SIP user {CITIZEN}, password {first.password}; dial {first.number}")
        say(f"be an operator of {first.name}: user {login['user']}, the same password; dial *45")
        say("look: gkc center show --live, gkc queue show; of another center:")
        say(f"  gkc queue show --config {_short(other.city.folder)}")
        say("the city's records: gkc city show, gkc --city report day, gkc records verify --city")
        say(f"cut a line, and mend it: gkc demo cut {other.name}, gkc demo heal {other.name}")

    # --- lines -----------------------------------------------------------------------------

    async def _cut(self, which: Which, _call: Call) -> Json:
        return self._line(which.center, whole=False)

    async def _heal(self, which: Which, _call: Call) -> Json:
        return self._line(which.center, whole=True)

    def _line(self, center: str, *, whole: bool) -> Json:
        cable = self.net.cable(center)
        before = cable.whole
        if whole:
            cable.heal()
        else:
            cable.cut()
        if before != whole:
            self.screen.say(f"the line of {center} is {'whole again' if whole else 'cut'}")
        return {"changed": before != whole, "parted": self.net.parted}

    # --- the calls -------------------------------------------------------------------------

    async def _live(self) -> None:
        """Let citizens call until the end of the run."""
        folder, sites = self.options.folder, self.sites.values()
        phones = random.Random(f"phones {self.options.seed}")
        await until_first(
            self._watch(),
            self.world.decide_phones(phones),
            must_live("the outside world's Asterisk", self.world.asterisk.wait(), folder),
            *(
                must_live(f"{site.name}'s Asterisk", site.city.asterisk.wait(), folder)
                for site in sites
            ),
            *(self._engine_ended(site) for site in sites),
            self.net.revive(self.screen.say),
            self.records.revive(self.screen.say),
            self._calls(),
        )

    async def _engine_ended(self, site: Site) -> None:
        await site.engine_ended(self.screen)
        await asyncio.Event().wait()

    async def _calls(self) -> None:
        options = self.options
        traffics = [
            self.sites[plan.name].traffic(
                random.Random(f"citizens {options.seed} {plan.name}"),
                rate=options.rate * plan.share,
                seconds=options.seconds,
            )
            for plan in CENTERS
        ]
        if options.seconds is not None:
            count = sum(traffic.count or 0 for traffic in traffics)
            self.screen.say(f"{count} citizens call within {options.seconds:g} s")
        await asyncio.gather(*(traffic.run() for traffic in traffics))
        await drained(self.world, self.screen.say)

    # --- looking ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.gather(*(self._look(name) for name in self.sites))
            if self._noted != self._pids():
                self._write_note()  # A watchdog has started another.
            parted = frozenset(self.net.parted)
            for name, seen in self._seen.items():
                seen.parted = name in parted
            self.screen.show_centers(tuple(self._seen.values()), len(self.world.originated))
            await asyncio.sleep(WATCH_EVERY_S)

    async def _look(self, name: str) -> None:
        site, seen = self.sites[name], self._seen[name]
        try:
            snapshot, _, pid = await asyncio.to_thread(site.look)
            rows = await asyncio.to_thread(site.city.ask, "center.show")
        except (ControlError, OSError):
            seen.away = True  # Killed, and being restarted.
            return
        site.noted_pid = pid
        seen.learn(snapshot, rows)

    # --- the end ---------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop everything within 5 s: Asterisks and NATS last.

        Whatever is to be accounted for is on record by now, so nobody waits for citizens to go.
        """
        if not self.sites:
            return
        cities = [site.city for site in self.sites.values()]
        try:
            if self._control is not None:
                await self._control.close()
            engines = [city.stop_engine(grace_s=1.6) for city in cities]
            await asyncio.gather(self.world.stop(), *engines)
            last = [city.asterisk.stop(grace_s=1.0) for city in cities]
            await asyncio.gather(self.records.stop(), self.net.stop(), *last)
        finally:
            self.kill()
            for site in self.sites.values():
                socket_path(self.options.sockets, site.city.folder).unlink(missing_ok=True)
            note.remove(self.options.note)

    def account(self, since: Instant, records: list[dict[str, Any]]) -> CityAccount:
        """Compare the outside world's list of this run with all engines' records.

        ``records``: how the city's compare with theirs (`CityRecords.compared`).
        """
        accounts = {
            name: site.account(
                since, self.screen, self._phones_of(name), partial(self._unheard, name)
            )
            for name, site in self.sites.items()
        }
        whole = city_account(accounts, self.world.asterisk.calls_csv)
        whole.records = city_records(records)
        whole.wrong += [wrong for row in records if (wrong := wrong_of(row))]
        return whole

    def _unheard(self, called: str, hand: Hand) -> bool:
        """Whether a phone was answered into a line that was cut: ``called`` never learned it."""
        whose = {p.endpoint: name for name, site in self.sites.items() for p in site.phones()}
        center = whose.get(hand.phone, called)
        if hand.begun_s is None or center == called:
            return False
        at = Instant(round(hand.begun_s * SECOND))
        return any(self.net.cable(one).was_cut(at) for one in (center, called))

    def _phones_of(self, center: str) -> Mapping[str, str]:
        """Return the phone of each operator of the city by how ``center``'s records name him."""
        return {
            one.agent_id if name == center else f"{name}:{one.agent_id}": one.endpoint
            for name, site in self.sites.items()
            for one in site.phones()
        }


def _short(path: Path) -> Path:
    """Return a path as one types it from here."""
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def _unwritten(*_row: object) -> None:
    """Keep no audit: what is done to the lines is done to nobody's records."""
