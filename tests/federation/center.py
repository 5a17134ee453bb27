"""One center of the simulated city, with its engine that dies and its lines; and who calls."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Medium, Settings
from gkc_engine.acd.state import ContactState
from gkc_engine.federation.messages import QueueLoad
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import HEARD, Federation, Send
from gkc_engine.federation.settings import FederationSettings
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    QueueId,
    seconds,
)

if TYPE_CHECKING:
    from tests.federation.world import City

QUEUE = QueueId("tax")
START = 1_000_000 * SECOND
NO_RING = seconds(1.5)
AWAY = seconds(2)
"""How long an engine is dead."""

LEVELS = (None, None, 700, 900, 1000)
LEVEL_LASTS = seconds(40)
DONOR_LEVEL_MIN = 800
OWN_LEVEL_MIN = {"yug": 950}
"""It gives nobody away at a level that the others' rules find good enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely each is, of a message or (crash, cut, dead) of a second."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    """By up to 4 s: others overtake it."""
    garbled: float = 0.0
    replayed: float = 0.0
    """Said once more up to 20 s later."""
    cut: float = 0.0
    crash: float = 0.0
    dead_trunk: float = 0.0
    skew_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Trunk:
    """One call from an owner to a donor, as the two Asterisks have it."""

    owner: str
    donor: str
    contact: ContactId
    guest: ContactId
    offer: int
    agent: AgentId
    dead: bool
    rung: bool = False
    connected: bool = False
    over: bool = False


@dataclass(slots=True, kw_only=True)
class Citizen:
    """What really happened to one who called."""

    contact: ContactId
    center: str
    came: int
    patience: int
    present: bool = True
    answers: int = 0
    most: int = 1
    """So many answers at most: one more each time he is handed on, and each time he comes back."""
    with_whom: set[tuple[str, AgentId]] = field(default_factory=set)
    """Operators he is connected with at this moment."""


class Center:
    """One center: core, protocol, ledger, and the Asterisk that outlives them."""

    def __init__(self, city: City, name: str, settings: Settings, part: FederationSettings) -> None:
        self.city, self.name, self.settings, self.part = city, name, settings, part
        self.skew = 0
        self.acd = Acd()
        self.ledger: list[tuple[ev.Event, Instant]] = []
        self.alive = True
        self.later: list[ev.Event] = []
        """What Asterisk has to tell when the engine is back."""
        self.life = 0
        self.federation = self._join()
        self.timer = 0

    def _join(self) -> Federation:
        self.life += 1
        ids = (ContactId(f"{self.name}-{self.life}-{n}") for n in itertools.count())
        return Federation(self.part, self, epoch=self.life, new_id=lambda: next(ids))

    # --- what the protocol asks (``Sight``) -----------------------------------------------------

    def loads(self) -> dict[QueueId, QueueLoad]:
        return {queue.queue_id: self._load(queue.queue_id) for queue in self.settings.queues}

    def _load(self, queue: QueueId) -> QueueLoad:
        view = self.acd.queue_view(queue)
        assert view is not None
        kept = 0 if queue in self.part.second_lines else self.part.keep_free
        ready = max(0, view.ready - kept)
        return QueueLoad(wait_us=0, ready=ready, waiting=view.waiting, sl_milli=self.level())

    def level(self) -> int | None:
        """Return the service level of now, which comes and goes as it likes."""
        spell = self.city.now // LEVEL_LASTS
        return Random(f"{self.city.seed} {self.name} {spell}").choice(LEVELS)

    def state(self) -> State:
        return State.NORMAL

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        del contact_id
        return None

    # --- the engine -----------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        return Instant(self.city.now + self.skew)

    def tell(self, event: ev.Event) -> None:
        """Give the engine an event; what it has to hear later if it is dead."""
        if not self.alive:
            self.later.append(event)
            return
        for command in self._step(event):
            self.city.perform(self, command)
        self.settle()

    def _step(self, event: ev.Event) -> list[cmd.Command]:
        now = self.now
        self.ledger.append((event, now))
        self.city.watch.before(self, event)
        commands = self.acd.step(event, now)
        for command in commands:
            if type(command) in HEARD:
                self.federation.said(command, now)
            self.city.watch.says(self, command)
        return commands

    def settle(self) -> None:
        """Let the protocol do what is due, and come again when the core or it wants to."""
        self.federation.settle(self.now)
        self._pour()
        due = [self.federation.next_deadline(self.now), self.acd.next_deadline()]
        at = min(moment for moment in due if moment is not None) - self.skew
        self.timer += 1
        mine = self.timer
        self.city.at(max(at, self.city.now + 1), lambda: self._due(mine))

    def _due(self, mine: int) -> None:
        if mine == self.timer and self.alive:
            deadline = self.acd.next_deadline()
            if deadline is not None and deadline <= self.now:
                self.tell(ev.Tick())
            else:
                self.settle()

    def _pour(self) -> None:
        while out := self.federation.take():
            for one in out:
                if isinstance(one, Send):
                    self.city.post(self, one)
                    continue
                for command in self._step(one.event):
                    self.city.perform(self, command)

    def hear(self, data: bytes) -> None:
        if self.alive:
            self.federation.hear(data, self.now)
            self.city.watch.took(self, data)
            self.settle()

    def crash(self) -> None:
        self.alive = False
        self.city.at(self.city.now + AWAY, self.come_back)

    def come_back(self) -> None:
        """Replay the ledger, as after any start; then hear what happened meanwhile."""
        self.acd = Acd()
        for event, now in self.ledger:
            self.acd.step(event, now)
        self.alive = True
        self.federation = self._join()
        lines = self.acd.in_line(Medium.VOICE)
        self.federation.owner.standing.recall(lines, self.acd.guests())
        self.tell(ev.EngineRestarted())
        later, self.later = self.later, []
        for event in later:
            self.tell(event)
        for contact_id in list(self.acd.contacts()):
            view = self.acd.contact_view(contact_id)
            guest = contact_id not in self.city.citizens
            if guest and view is not None and view.state is not ContactState.GUEST:
                continue
            self.tell(ev.ContactAttached(contact_id=contact_id))
        self.tell(ev.CaughtUp())
