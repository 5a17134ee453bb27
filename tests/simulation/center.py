"""One engine process in the simulation: the real core, driver, phone channel, AMI and AGI code.

Built as ``gkc_engine.app`` builds it, without the parts that need a machine: the control socket,
metrics, rendered prompts. The records are a ledger in memory, or the real one (``stores``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from gkc_engine import plans
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import ContactEnded
from gkc_engine.channels.phone.ami import AmiLink
from gkc_engine.channels.phone.channel import PhoneChannel
from gkc_engine.channels.phone.entry import EntryDesk
from gkc_engine.channels.phone.host import Sound
from gkc_engine.channels.phone.menu_run import MenuRunner
from gkc_engine.channels.phone.plan import KnownCall
from gkc_engine.channels.phone.waiting import Announcements
from gkc_engine.config.models import Config
from gkc_engine.config.settings import to_settings
from gkc_engine.engine import Engine
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId
from gkc_engine.ivr.fastagi import AgiServer
from gkc_engine.recorder.numbers import Numbers
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recorder.rows import Step
from gkc_engine.recovered import recovered_core
from tests.simulation.loop import Process, SimLoop
from tests.simulation.stores import Store

AMI_PORT = 5038
AGI_PORT = 4573
SOUND_S = 1.5
EPOCH_US = 1_790_000_000_000_000
"""Virtual time 0: an autumn day of 2026."""


class SimClock:
    """As ``SystemClock``: the wall clock at the start, carried on by the monotonic one."""

    def __init__(self, loop: SimLoop, wall_offset_us: Callable[[], int]) -> None:
        self._loop = loop
        self._wall = wall_offset_us
        self._at_start = wall_offset_us()

    def now(self) -> Instant:
        return Instant(EPOCH_US + self._loop.now_us + self._at_start)

    def drift_us(self) -> int:
        return self._wall() - self._at_start


class SimDesk:
    """Identity of new contacts, without randomness of the machine."""

    def __init__(self, numbers: Numbers, rng: random.Random) -> None:
        self._numbers = numbers
        self._rng = rng

    def new_contact(self, now: Instant) -> tuple[ContactId, str]:
        text = f"{now:016x}-{self._rng.getrandbits(64):016x}"
        return ContactId(text), self._numbers.allocate(now)

    def citizen(self, number: str, name: str, now: Instant) -> str | None:
        del name, now
        return f"key-{number}"

    def blocked(self, citizen: str | None, now: Instant) -> bool:
        del citizen, now
        return False

    def recording_path(self, contact_id: ContactId, offer_id: OfferId, now: Instant) -> str:
        del now
        return f"{contact_id}-{offer_id}.wav"


class Center:
    """One run of the engine, from its start to its kill."""

    def __init__(
        self,
        loop: SimLoop,
        config: Config,
        store: Store,
        rng: random.Random,
        wall_offset_us: Callable[[], int],
        cel: Path | None,
    ) -> None:
        self.cel = cel
        self.loop = loop
        self.config = config
        self.store = store
        self.rng = rng
        self.process = Process(loop, "engine")
        self.clock = SimClock(loop, wall_offset_us)
        self.ready = False
        """Started: the driver runs and the phone channel listens."""
        self.engine: Engine
        self.phone: PhoneChannel

    def start(self) -> None:
        """Begin as a process: recovery first, then everything else."""
        self.process.spawn(self._run())

    async def _run(self) -> None:
        writer, recovery = await self.store.open()
        self._build(writer, recovery)
        self.process.spawn(self.engine.run())
        await self._first_events(recovery)
        await self.phone.start()
        self.ready = True
        if self.rng.random() < 0.5:
            await self.engine.snapshot(self.store.encode, self.store.snapshot)

    def _build(self, writer: object, recovery: Recovery) -> None:
        config = self.config
        self.engine = Engine(recovered_core(recovery), self.clock, writer)  # type: ignore[arg-type]
        self.engine.restore(recovery.last_now, recovery.recent_source_keys)
        numbers = Numbers(
            config.center.prefix, ZoneInfo(config.center.timezone), recovery.last_numbers
        )
        plan = plans.phone_plan(
            config, lambda name, _language: Sound(f"snd/{name}", SOUND_S), lambda _reference: "0000"
        )
        self.announcements = Announcements(
            lambda: config,
            self.engine,
            phrase,
        )
        self.engine.observe(self.announcements.observe)
        self.phone = PhoneChannel(
            self.engine,
            plan,
            SimDesk(numbers, self.rng),
            lambda channel: AmiLink(
                "127.0.0.1",
                AMI_PORT,
                "gkc",
                "secret",
                on_event=channel.on_ami_event,
                on_up=channel.on_ami_up,
                on_down=channel.on_ami_down,
            ),
            lambda channel: AgiServer(channel.sockets.serve, "127.0.0.1", AGI_PORT),
            EntryDesk(
                MenuRunner(lambda: config.ivr),
                self.announcements,
                QueueId(next(iter(config.queues))),
            ),
            self.cel,
        )
        self.engine.attach(self.phone.perform)

    async def _first_events(self, recovery: Recovery) -> None:
        if recovery.settings is not None:
            self.engine.submit(ev.EngineRestarted())
            self.phone.resync.away_since(recovery.last_now)
            self.phone.adopt(known_calls(self.store.steps()))
        self.engine.submit(ev.SettingsApplied(settings=to_settings(self.config)))
        if recovery.settings is None:
            for name in self.config.operators:
                self.engine.submit(ev.AgentLoggedIn(agent_id=AgentId(name)))
        await self.engine.drain()


def phrase(names: Sequence[str], _language: str) -> list[Sound]:
    """Return a prompt's pieces; nothing is rendered here."""
    return [Sound(f"snd/{name}", SOUND_S) for name in names]


def known_calls(steps: list[Step]) -> list[KnownCall]:
    """Return the calls that had begun and not ended on record."""
    known: dict[ContactId, KnownCall] = {}
    for step in steps:
        event = step.event
        if isinstance(event, ev.ContactStarted) and event.uniqueid:
            known[event.contact_id] = KnownCall(
                contact_id=event.contact_id,
                leg=event.uniqueid,
                entry=event.entry,
                language=event.language,
            )
        for command in step.commands:
            if isinstance(command, ContactEnded):
                known.pop(command.contact_id, None)
    return list(known.values())
