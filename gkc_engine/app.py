"""The composition root of one center's engine: builds, wires, runs, takes down. No logic."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from gkc_engine import elsewhere, federating, plans, telephony
from gkc_engine.acd import events as ev
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.alerting import Alerting
from gkc_engine.auditing import Auditing
from gkc_engine.backend import EngineBackend
from gkc_engine.broadcasting import BroadcastVoice
from gkc_engine.channels.phone.plan import KnownCall
from gkc_engine.clock import SystemClock
from gkc_engine.config.federation import shipper_settings, token_key
from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.config.settings import applied
from gkc_engine.config.store import leave_note, sqlite_path, store_name, store_url
from gkc_engine.control.audit import logged
from gkc_engine.control.blocking import BlockingMethods
from gkc_engine.control.centers import CenterMethods
from gkc_engine.control.day import DayCounters
from gkc_engine.control.deliveries import DeliveryMethods
from gkc_engine.control.destroying import DestroyingMethods
from gkc_engine.control.live import Row
from gkc_engine.control.methods import Methods
from gkc_engine.control.observe import Observer
from gkc_engine.control.pictures import Shared
from gkc_engine.control.protocol import RUN_DIRECTORY_VARIABLE, socket_path
from gkc_engine.control.reactions import Reactions
from gkc_engine.control.server import ControlServer
from gkc_engine.delivery.service import Delivery
from gkc_engine.destruction import Destruction, retention_of
from gkc_engine.engine import Engine
from gkc_engine.errors import GkcError
from gkc_engine.federation import briefs
from gkc_engine.front_desk import FrontDesk
from gkc_engine.gauges import Gauges, with_disk
from gkc_engine.hours import Hours
from gkc_engine.ids import SECOND, AgentId, Instant, Micros, QueueId
from gkc_engine.ivr.prompts import PromptStore
from gkc_engine.metrics import Metrics, MetricsServer, in_loop, measure_loop_lag
from gkc_engine.recorder import queue_log_gap, schema
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.high_water import HighWater
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger, engine_version
from gkc_engine.recorder.numbers import Numbers
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recorder.writer import DurableWriter
from gkc_engine.records import RecordReader
from gkc_engine.recovered import recovered_core
from gkc_engine.reloading import Reloader, Swap
from gkc_engine.snapshots import Snapshots
from gkc_engine.tasks import Tasks
from gkc_engine.watchdog import beat_forever

log = structlog.get_logger(__name__)

SETTLE_S = 5.0
"""After a start: who waits for a decision comes before the figures of the day."""

RECALL_PAUSE_S = 0.02
"""Contacts of today that are counted again at a start; a city has fewer in a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line or the demo says in place of the config."""

    metrics_port: int | None = None
    ami_port: int | None = None
    agi_port: int | None = None


class App:
    """One running engine."""

    def __init__(self, folder: Path, state_dir: Path, overrides: Overrides) -> None:
        self.folder = folder
        self.state_dir = state_dir
        self.overrides = overrides
        self.config: Config = load_config(folder)
        self.clock = SystemClock()
        self.metrics = Metrics()
        self._stop = asyncio.Event()
        self.tasks = Tasks(self._stop.set)
        self._rendering = asyncio.Lock()

    async def run(self) -> None:
        """Start everything, run until asked to stop, take everything down in order.

        Raises:
            GkcError: what could not be started, where, and what to do.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self._records(stack)
            self._engine_parts()
            await self._start(stack)
            log.info("engine_up", center=self.config.center.name)
            await self._stop.wait()

    def request_stop(self) -> None:
        """Begin an orderly end."""
        self._stop.set()

    # --- building --------------------------------------------------------------------------

    async def _records(self, stack: contextlib.AsyncExitStack) -> None:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.store = store_name(self.config.store, self.state_dir)
        url = store_url(self.store, self.folder)
        self.ledger = Ledger(url, self.config.center.name)
        self.journal = Journal(self.state_dir / "emergency.journal")
        self.writer = DurableWriter(
            self.ledger,
            self.journal,
            high_water=HighWater(self.state_dir / "high_water.json"),
            on_commit=self.metrics.commit_seconds.observe,
        )
        await self.writer.open()
        stack.push_async_callback(self.writer.close)
        leave_note(self.store, self.state_dir, self.folder, self.config.center.timezone)
        self.recovery: Recovery = await self.writer.load()
        self.citizens = Citizens(self.ledger.store.engine, self.state_dir / "citizen.key")
        self.ledger.store.along(self.citizens.write)
        await self.ledger.call(self.citizens.blocks.load)
        self.reader = RecordReader(
            url,
            self.citizens,
            self.ledger.settle,
            lambda name: plans.recordings_of(self.config, self.state_dir).there(name),
        )
        stack.push_async_callback(self.reader.close)
        log_path, settings = self.state_dir / "queue_log", self.recovery.settings
        self.queue_log = queue_log_gap.opened(log_path, self.ledger.store.engine, settings)
        stack.callback(self.queue_log.reopen)

    def _engine_parts(self) -> None:
        zone = ZoneInfo(self.config.center.timezone)
        acd = recovered_core(self.recovery)
        self.engine = Engine(acd, self.clock, self.writer)
        self.engine.restore(self.recovery.last_now, self.recovery.recent_source_keys)
        self.day = DayCounters(zone, self.engine.now())
        self.day.configure({QueueId(n): q.servicelevel for n, q in self.config.queues.items()})
        self.reloader = Reloader(self.folder, self.engine, lambda: self.config, self._prepare)
        self.expected = ExpectedWait()
        self.backend = EngineBackend(
            self.engine,
            plans.directory_of(self.config, self.folder),
            self.day,
            self.reader,
            self.expected,
            health=self._health,
            reload=self.reloader.reload,
        )
        self.observer = Observer(self.metrics, self.day)
        self.observer.expect({n: q.medium for n, q in self.config.queues.items()})
        self.metrics.info.labels(engine_version(), self.config.center.name).set(1)
        self.engine.on_decided = self.metrics.decision_seconds.observe
        self.engine.observe(self.observer.steps)
        self.engine.observe(self.backend.observe)
        self.engine.observe(self.queue_log)
        self.snapshots = Snapshots(self.engine, self.writer, len(self.recovery.tail))
        self.engine.observe(self.snapshots.count)
        numbers = Numbers(self.config.center.prefix, zone, self.recovery.last_numbers)
        self._telephony(FrontDesk(numbers, self.citizens))
        part = federating.part_of(self.config, self.folder)
        self.joined = federating.joined(part, self.engine, self.expected, self.day)
        may_help = federating.served_elsewhere(self.joined, self.engine)
        self.phone.second_line.served_elsewhere = may_help
        # Who was one of several and is alone now has nobody to wait for.
        hold_us = elsewhere.HOLD_US if self.joined is not None else Micros(0)
        self.elsewhere = elsewhere.Elsewhere(self.engine, may_help, hold_us)
        self.alerting = Alerting(
            self.engine,
            self.backend,
            self.ledger,
            self.day,
            self.metrics,
            self.config,
            folder=self.folder,
            state=self.state_dir,
            ami_up=lambda: self.phone.ami.up,
            behind=self._behind,
        )
        self.announcements.on_broadcast = lambda _queue: self.phone.calls.wake()

    def _telephony(self, desk: FrontDesk) -> None:
        self.place = telephony.Place(
            folder=self.folder,
            state=self.state_dir,
            token_key=token_key(self.config, self.folder),
            ami_port=self.overrides.ami_port,
            agi_port=self.overrides.agi_port,
        )
        self.prompts = plans.prompt_store(self.config, self.folder, self.state_dir)
        sounds = plans.Sounds(self.prompts)
        self.announcements = telephony.announcements(
            lambda: self.config, self.engine, sounds, self.expected
        )
        self.phone = telephony.phone_channel(
            lambda: self.config, self.engine, desk, self.announcements, sounds, self.place
        )
        self.engine.attach(self.phone.perform)

    # --- running ---------------------------------------------------------------------------

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_sighup)
        self.tasks.spawn(self.engine.run())
        stack.push_async_callback(self._end_tasks)
        await self._first_events()
        sockets = Path(os.environ.get(RUN_DIRECTORY_VARIABLE) or self.state_dir / "run")
        auditing = Auditing(self.ledger, self.engine)
        stack.push_async_callback(auditing.close)
        self.control = control = ControlServer(
            socket_path(sockets), logged(auditing.now), late=auditing.late
        )
        Methods(self.backend, engine_version()).register(control)
        self._destroying(control, stack)
        voice = BroadcastVoice(lambda: self.prompts, lambda: self.config.center.languages[0])
        Reactions(self.backend, self.engine.acd, voice).register(control)
        self.alerting.register(control)
        shared = Shared(loop.time)
        zone = self.config.center.timezone
        CenterMethods(self.joined, zone, shared).register(control)
        self.delivery = Delivery(
            self.config, self.folder, self.state_dir, control.path.parent, self.clock
        )
        DeliveryMethods(self.delivery).register(control)
        self.alerting.mail_by(self.delivery)
        await control.start()
        stack.push_async_callback(control.close)
        stack.push_async_callback(self.delivery.close)
        port = self.overrides.metrics_port or self.config.metrics.port
        self.metrics_server = MetricsServer(self.metrics, port, self.config.metrics.host)
        stack.callback(self.metrics_server.close)
        gauges = Gauges(
            metrics=self.metrics,
            engine=self.engine,
            writer=self.writer,
            phone=self.phone,
            control=control,
            day=self.day,
            delivery=self.delivery,
        )
        works = [gauges.set, lambda: self.observer.sample(self.backend)]
        if self.joined is not None:
            works.append(federating.CenterMetrics(self.metrics.registry, self.joined.link).set)
        look = in_loop(*works)
        file = sqlite_path(store_url(self.store, self.folder))
        disk = self.state_dir if file is None else file.parent
        self.metrics.before_scrape = with_disk(self.metrics, disk, look)
        await self.phone.start()
        stack.push_async_callback(self.phone.stop)
        if self.joined is not None:
            self.tasks.spawn(self.joined.link.run())
            self.tasks.spawn(self.elsewhere.run())
            stack.push_async_callback(self.joined.link.leave)
        shipping = shipper_settings(self.config, self.folder)
        if shipping is not None:
            from gkc_engine.shipping.metrics import shipper_of  # Who ships nothing needs no NATS.

            url = store_url(self.store, self.folder)
            self.tasks.spawn(shipper_of(url, shipping, self.metrics.registry).run())
        self.hours = Hours(self.config, self.engine.now, self.engine.submit)
        self.tasks.spawn(self.alerting.run())
        for work in (self._follow_hours(), self.snapshots.run(), beat_forever()):
            self.tasks.spawn(work)
        self.tasks.spawn(measure_loop_lag(self.metrics))
        self.tasks.spawn(self._settle())
        self.tasks.spawn(self._render(self.prompts))

    def _destroying(self, control: ControlServer, stack: contextlib.AsyncExitStack) -> None:
        url = store_url(self.store, self.folder)
        reading = schema.make_engine(url, read_only=True)
        stack.callback(reading.dispose)
        destruction = Destruction(
            lambda: self.config,
            lambda write: retention_of(
                self.config, self.folder, self.state_dir, reading, self.citizens, write
            ),
            self.ledger,
        )
        DestroyingMethods(destruction, self.engine.now).register(control)
        BlockingMethods(self.citizens, self.ledger.call, self.engine.now).register(control)
        self.tasks.spawn(destruction.follow(self.engine.now))

    async def _first_events(self) -> None:
        """Tell the core what the world looks like at the start of this run."""
        if self.recovery.settings is not None:
            self.engine.submit(ev.EngineRestarted())
            self.phone.resync.away_since(self.recovery.last_now, self.engine.acd.unheard)
            open_calls = await self.reader.open_contacts(list(self.engine.acd.contacts()))
            self.backend.numbers.update({c.contact_id: c.number for c in open_calls})
            self.phone.adopt(
                KnownCall(
                    contact_id=c.contact_id, leg=c.uniqueid, entry=c.entry, language=c.language
                )
                for c in open_calls
                if c.uniqueid
            )
            self.phone.operators.restore()
            if self.joined is not None:
                ids = [c.contact_id for c in open_calls]
                self.joined.briefs.follow(await self.reader.told(ids, briefs.TOLD))
        self.engine.submit(applied(self.config, author="start"))
        self._log_in(plans.always_at_work(self.config))
        self.elsewhere.look()
        await self.engine.drain()

    def _log_in(self, agents: Sequence[AgentId]) -> None:
        """Log in who is always at work and is not yet; the core must know him by now."""
        for agent_id in agents:
            view = self.engine.acd.agent_view(agent_id)
            if view is None or not view.logged_in or view.logged_in_by != "always":
                self.engine.submit(ev.AgentLoggedIn(agent_id=agent_id, by="always"))

    async def _settle(self) -> None:
        """Do what can wait until those who waited for us are served."""
        begun = self.engine.now()
        await asyncio.sleep(SETTLE_S)
        # What is here now stays to the end: the collector need not walk it again and again. Not
        # collected before: that stops every caller for 0.15 s, to find a start's few cycles.
        gc.freeze()
        self.delivery.start()
        await self._recall_today(begun)

    async def _recall_today(self, begun: Instant) -> None:
        """Count again what ended today, and since when each operator is in his state."""
        since = Instant(self.day.since - 2 * 3600 * SECOND)
        self.backend.recall(await self.reader.open_intervals(since))
        # What ends after the beginning is counted as it ends. Page by page, for whoever calls now
        # waits for each of them.
        async for page in self.reader.ended(since=since, before=begun):
            self.day.recall(page, begun)
            self.alerting.recall(page, begun)
            await asyncio.sleep(RECALL_PAUSE_S)
        self.day.recalled()
        self.alerting.recalled()

    async def _end_tasks(self) -> None:
        if self.tasks.failed is None:
            with contextlib.suppress(TimeoutError):  # The next engine asks for the rest.
                async with asyncio.timeout(2.0):
                    await self.engine.drain()
        await self.tasks.end()

    async def _follow_hours(self) -> None:
        while True:
            await self.hours.run()

    async def _render(self, prompts: PromptStore) -> None:
        """Speak what no file speaks yet; not two at once, which would write the same files."""
        async with self._rendering:
            if prompts is self.prompts:  # else a reload has brought others
                await prompts.render_wanted()

    def _behind(self) -> float:
        return self.ledger.store.behind if self.writer.mode == "ledger" else math.inf

    def _health(self) -> Row:
        return {
            "accepting": self.engine.accepting,
            "ami_up": self.phone.ami.up,
            "ami_problem": self.phone.ami.problem or None,
            "inbox_depth": self.engine.inbox_depth,
            "record_mode": self.writer.mode.value,
            "figures_complete": self.day.complete,
            "agi_sessions": self.phone.agi.sessions,
            "steps": self.engine.steps_total,
            "store": self.store,
            "state": str(self.state_dir.resolve()),
        }

    # --- reload ----------------------------------------------------------------------------

    def _on_sighup(self) -> None:
        self.queue_log.reopen()
        self.tasks.spawn(self._reload_logged())

    async def _reload_logged(self) -> None:
        try:
            done = await self.reloader.reload(force=False, author="SIGHUP")
        except GkcError as error:
            log.warning("config_refused", problems=str(error).splitlines())
        else:
            log.info("config_reloaded", version=done.version, changes=len(done.diff))

    def _prepare(self, new: Config) -> Swap:
        """Build what a reloaded config needs; return what puts it in force."""
        prompts = plans.prompt_store(new, self.folder, self.state_dir)
        sounds = plans.Sounds(prompts)
        phone_plan = telephony.phone_plan(new, sounds, self.place)
        part = federating.part_of(new, self.folder)

        def swap() -> None:
            # Only whom this change brings: another may have logged himself out, and stays so.
            before = frozenset(plans.always_at_work(self.config))
            self.config, self.prompts = new, prompts
            self.announcements.replace(sounds.phrase, sounds.spoken)
            self.phone.apply_plan(phone_plan)
            self.backend.replace(plans.directory_of(new, self.folder))
            self.day.configure(
                {QueueId(n): q.servicelevel for n, q in new.queues.items()},
                ZoneInfo(new.center.timezone),
            )
            self.tasks.spawn(self._render(prompts))
            self.observer.expect({n: q.medium for n, q in new.queues.items()})
            self.hours = Hours(new, self.engine.now, self.engine.submit)
            self.hours.tell()
            self.alerting.apply(new)
            self._log_in([a for a in plans.always_at_work(new) if a not in before])
            self.delivery.replace(new)
            if self.joined is not None and part is not None:
                self.joined.change(part)

        return swap


NICE: Final = -5
"""Before Asterisk's hundreds of threads: we need little of the machine, but at once."""


def run(folder: Path, state_dir: Path, overrides: Overrides) -> int:
    """Run one engine in this process until a signal; return the exit code."""
    with contextlib.suppress(OSError):  # an ordinary user may not; the systemd unit may
        os.setpriority(os.PRIO_PROCESS, 0, NICE)

    async def main() -> int:
        app = App(folder, state_dir, overrides)
        await app.run()
        return 1 if app.tasks.failed is not None else 0

    return asyncio.run(main())
