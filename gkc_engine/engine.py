"""Drives the core: inbox -> step -> ledger -> perform -> timer. One of it per center.

The order may not change: everything that waits in the inbox is stepped, then written down in one
group commit, and only then carried out. After a crash we may miss a ring; we never ring without
a record (ADR 0002).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol, get_args

import structlog
from structlog.contextvars import bound_contextvars

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import Command
from gkc_engine.acd.core import Acd
from gkc_engine.acd.events import EngineRestarted, Event, SettingsApplied, Tick
from gkc_engine.clock import Clock
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant, Micros

log = structlog.get_logger(__name__)

INBOX_MAX = 100_000
"""Events that may wait for the core; a center of 70 calls/s makes about 700 a second."""

GROUP_MAX = 512
"""Events of one group commit: bounds how long the first of them waits for its actions."""

STILL_S = 3.5
"""When the loop stood still for so long, Asterisk has taken our callers or is about to: the lease
is 4 s. What we believed then must be asked anew before anything is decided."""

PULSE_S = 0.5

LINGER_S = 0.05
"""How long facts may wait for others to share their commit; a crash may lose so much of them,
as it may lose what lay unread in a socket."""

_FACTS: Final = frozenset(get_args(cmd.Fact))
"""What the core says for the record; every other command is to be carried out at once."""

KEYS_MAX = 200_000
"""Source keys remembered, so that a repeated fact is stepped once."""


class EngineBusyError(GkcError):
    """The inbox is full: the adapter must shed load (the dialplan's fallback serves)."""

    def __init__(self) -> None:
        super().__init__(
            f"{INBOX_MAX} events wait for the core, nothing was changed; try again in some seconds"
        )


@dataclass(slots=True, kw_only=True)
class Step:
    """One event as the core took it, with what the core said: the unit of the ledger."""

    now: Instant
    event: Event
    source: str
    source_key: str | None
    commands: list[Command] = field(default_factory=list)
    config_version: str = ""


@dataclass(slots=True)
class _Waiting:
    """An event in the inbox; ``answer`` is for who waits for what the core says."""

    event: Event
    source: str
    key: str | None
    answer: asyncio.Future[Sequence[Command]] | None


@dataclass(slots=True)
class _Group:
    """What shares one commit."""

    steps: list[Step] = field(default_factory=list)
    answers: list[tuple[asyncio.Future[Sequence[Command]], Step]] = field(default_factory=list)
    hurried: bool = False
    """Whether somebody waits for it, or something is to be done."""


def _contact_of(command: Command) -> str | None:
    return getattr(command, "contact_id", None)


class Writer(Protocol):
    """Durable history of the engine (``recorder.writer.DurableWriter``)."""

    @property
    def accepting(self) -> bool:
        """False when nothing more can be made durable: take no new contact."""
        ...

    async def write(self, steps: Sequence[Step]) -> None:
        """Return once ``steps`` would survive a power cut. Bounded; falls back to the journal."""
        ...


Performer = Callable[[Command, Instant], None]
"""Carries out one command or looks at one fact. Never raises, never blocks."""

Observer = Callable[[Sequence[Step]], None]
"""Sees every committed step (metrics, queue_log, live views)."""


class Engine:
    """Owns the core. Adapters call :meth:`submit`; it calls them through ``performers``."""

    def __init__(self, acd: Acd, clock: Clock, writer: Writer, *, config_version: str = "") -> None:
        self.acd = acd
        self._clock = clock
        self._writer = writer
        self._config_version = config_version
        self._inbox: deque[_Waiting] = deque()
        self._awake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = 0
        """Who waits for all of it to be done."""
        self._keys: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._between: deque[Callable[[], Awaitable[None]]] = deque()
        """Work that must not fall between a step and its commit (snapshots)."""
        self._last = Instant(0)
        self._ahead = Micros(0)
        """What our time has over the clock's: it was stepped back while nobody was here."""
        self._timer: asyncio.TimerHandle | None = None
        self._unwritten: list[Step] = []
        self._performers: list[Performer] = []
        self._observers: list[Observer] = []
        self._alive = 0.0
        """When the loop was last seen to turn."""
        self.on_stood_still: Callable[[Micros], None] = lambda _us: None
        """Told how long the loop had stood still, after the core is told that nothing is sure."""
        self.on_decided: Callable[[float], None] = lambda _s: None
        """Told how many seconds each step of the core took."""
        self.steps_total = 0
        self.repeats_total = 0

    @property
    def accepting(self) -> bool:
        """Whether a new contact may be taken (its record can be made durable)."""
        return self._writer.accepting and len(self._inbox) < INBOX_MAX // 2

    @property
    def inbox_depth(self) -> int:
        """Events that wait for the core."""
        return len(self._inbox)

    @property
    def unwritten(self) -> Sequence[Step]:
        """Steps that the core has taken and of which no observer knows: they wait for their commit.

        Who adds what observers have counted to what the core holds would miss what ends in them.
        """
        return self._unwritten

    def now(self) -> Instant:
        """Return the engine's time: the clock's, never before the last step."""
        return max(self._last, self._time())

    def _time(self) -> Instant:
        return Instant(self._clock.now() + self._ahead)

    def wall(self) -> Instant:
        """Return the wall clock as other programs of this machine see it, steps and all."""
        return Instant(self._clock.now() + self._clock.drift_us())

    def of_wall(self, at: Instant) -> Instant:
        """Return what Asterisk stamped by the wall clock in the engine's own time.

        Without it a step of the wall clock would shift all that Asterisk tells against what we
        saw ourselves, and durations with it.
        """
        return Instant(at - self._clock.drift_us() + self._ahead)

    def attach(self, performer: Performer) -> None:
        """Let ``performer`` see every command after its commit, in order."""
        self._performers.append(performer)

    def observe(self, observer: Observer) -> None:
        """Let ``observer`` see every committed group."""
        self._observers.append(observer)

    def restore(self, last: Instant, keys: Iterable[tuple[str, str]]) -> None:
        """Go on where the last engine stopped: its time, and the facts it had already taken."""
        self._last = max(self._last, last)
        # The clock was stepped back meanwhile: our time goes on from there and does not stand
        # still until the clock has caught up, for timers and durations need it to move.
        self._ahead = Micros(max(0, self._last - self._clock.now()))
        for key in keys:
            self._keys[key] = None

    def has_taken(self, source: str, key: str) -> bool:
        """Whether the fact of this key was stepped before, as far back as keys are remembered."""
        return (source, key) in self._keys

    async def snapshot(
        self, encode: Callable[[Acd], str], save: Callable[[Instant, str], Awaitable[bool]]
    ) -> bool:
        """Save the core's state between two groups, so that it is exactly after the last step.

        Returns what ``save`` says: False = try again later.
        """
        saved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            saved.set_result(await save(self.now(), encode(self.acd)))

        self._between.append(work)
        self._idle.clear()
        self._awake.set()
        return await saved

    def submit(self, event: Event, *, source: str = "core", key: str | None = None) -> None:
        """Hand an event to the core. Never blocks; a fact with a known ``key`` is dropped.

        Raises:
            EngineBusyError: 100 000 events behind; the adapter must shed load.
        """
        if len(self._inbox) >= INBOX_MAX:
            raise EngineBusyError
        self._put(_Waiting(event, source, key, None))

    async def ask(self, event: Event, *, source: str) -> Sequence[Command]:
        """Let the core take ``event``; return what it said once that is on record.

        Raises:
            EngineBusyError: as ``submit``.
        """
        if len(self._inbox) >= INBOX_MAX:
            raise EngineBusyError
        answer: asyncio.Future[Sequence[Command]] = asyncio.get_running_loop().create_future()
        self._put(_Waiting(event, source, None, answer))
        return await answer

    def _put(self, waiting: _Waiting) -> None:
        self._inbox.append(waiting)
        self._idle.clear()
        self._awake.set()

    async def drain(self) -> None:
        """Wait until every submitted event has been stepped, written and carried out."""
        self._draining += 1
        self._awake.set()
        try:
            await self._idle.wait()
        finally:
            self._draining -= 1

    async def run(self) -> None:
        """Process events until cancelled."""
        self._arm_timer()
        self._alive = asyncio.get_running_loop().time()
        pulse = asyncio.get_running_loop().create_task(self._pulse())
        try:
            await self._forever()
        finally:
            pulse.cancel()

    async def _pulse(self) -> None:
        while True:
            self._look_at_clock()
            await asyncio.sleep(PULSE_S)

    def _look_at_clock(self) -> None:
        """Notice that we were stopped (SIGSTOP, a suspended machine): no stale decision then."""
        now = asyncio.get_running_loop().time()
        still, self._alive = now - self._alive, now
        if still > STILL_S:
            log.critical("engine_stood_still", seconds=round(still, 3))
            # Before all that waits, and before the timers that came due meanwhile.
            self._inbox.appendleft(_Waiting(EngineRestarted(), "core", None, None))
            self._idle.clear()
            self._awake.set()
            self.on_stood_still(Micros(int(still * SECOND)))

    async def _forever(self) -> None:
        while True:
            if not self._inbox and not self._between:
                self._idle.set()
                self._awake.clear()
                await self._awake.wait()
            while self._between:
                await self._between.popleft()()
            await self._group()

    async def _group(self) -> None:
        group = _Group()
        self._unwritten = group.steps
        self._take(group)
        if group.steps and not group.hurried:
            await self._linger(group)
        if group.steps:
            await self._writer.write(group.steps)
            self.steps_total += len(group.steps)
            self._perform(group.steps)
        self._unwritten = []
        for answer, step in group.answers:
            if not answer.done():
                answer.set_result(step.commands)
        self._arm_timer()

    def _take(self, group: _Group) -> None:
        """Step all that waits."""
        self._look_at_clock()
        steps, clock = group.steps, asyncio.get_running_loop().time
        while self._inbox and len(steps) < GROUP_MAX:
            waiting = self._inbox.popleft()
            event, key = waiting.event, waiting.key
            if key is not None and self._seen(waiting.source, key):
                self.repeats_total += 1
                continue
            # The clock never goes back within a run; a restored core may be ahead of it.
            self._last = max(self._last, self._time())
            if isinstance(event, SettingsApplied):
                self._config_version = event.settings.version
            begun = clock()
            commands = self.acd.step(event, self._last)
            self.on_decided(clock() - begun)
            step = Step(
                now=self._last,
                event=event,
                source=waiting.source,
                source_key=key,
                commands=commands,
                config_version=self._config_version,
            )
            if step.commands or not isinstance(event, Tick):
                steps.append(step)
            if waiting.answer is not None:
                group.answers.append((waiting.answer, step))
            if waiting.answer is not None or not _FACTS.issuperset(map(type, step.commands)):
                group.hurried = True

    async def _linger(self, group: _Group) -> None:
        """Let facts that nothing is to be done about share one commit with what comes soon.

        Half of a call's events are such; a commit costs more than all else about them, and what
        is urgent would have to wait for it.
        """
        self._arm_timer()

        def enough() -> None:
            group.hurried = True
            self._awake.set()

        # The alarm itself ends it, no look at a clock: a timer may fire a moment early.
        alarm = asyncio.get_running_loop().call_later(LINGER_S, enough)
        while not (group.hurried or self._draining or self._between):
            if not self._inbox:
                self._awake.clear()
                await self._awake.wait()
            self._take(group)
            group.hurried |= len(group.steps) >= GROUP_MAX
        alarm.cancel()

    def _seen(self, source: str, key: str) -> bool:
        if (source, key) in self._keys:
            return True
        self._keys[source, key] = None
        if len(self._keys) > KEYS_MAX:
            self._keys.popitem(last=False)
        return False

    def _perform(self, steps: Sequence[Step]) -> None:
        for step in steps:
            for contact_id, commands in groupby(step.commands, _contact_of):
                # Every line that is logged on the way, also by what is spawned there, names him.
                with bound_contextvars(**({"contact_id": contact_id} if contact_id else {})):
                    for command in commands:
                        self._carry_out(command, step.now)
        for observer in self._observers:
            try:
                observer(steps)
            except Exception:
                log.exception("observer_failed", observer=repr(observer))

    def _carry_out(self, command: Command, now: Instant) -> None:
        for performer in self._performers:
            try:
                performer(command, now)
            except Exception:
                # A performer that raises is our own mistake; the others and the citizens must
                # not pay for it. The lease of the offer repairs what was not done.
                log.exception("perform_failed", command=type(command).__name__)

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.acd.next_deadline()
        if deadline is not None:
            delay = max(0, deadline - self._time()) / 1_000_000
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        # Not through submit(): a full inbox must not stop time.
        self._put(_Waiting(Tick(), "core", None, None))
