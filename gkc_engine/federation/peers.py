"""What is known of the other centers, and for how long it is worth anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gkc_engine.federation.messages import Load, Message
from gkc_engine.federation.settings import FRESH_US
from gkc_engine.ids import Instant, QueueId

WINDOW: Final = 1_000
"""A message so many numbers behind the last one is none of now."""


class State(StrEnum):
    """How a center stands."""

    NORMAL = "normal"
    OVERLOADED = "overloaded"
    UNSTAFFED = "unstaffed"
    GOING_DOWN = "going-down"
    DOWN = "down"
    """Not heard: nobody says this of himself."""
    PLANNED = "planned"
    """Takes no citizens yet: its config says so."""


class Refused(StrEnum):
    """Why a message was not listened to."""

    MALFORMED = "malformed"
    VERSION = "version"
    FOREIGN = "foreign"
    """From a center that the config does not name."""
    OURSELVES = "ourselves"
    """Somebody else calls himself as we do."""
    OLD_LIFE = "old_life"
    """From a life of its sender that is over, or from a second center of that name."""
    REPLAYED = "replayed"
    """Older than what the sender has said since."""
    FORGED = "forged"
    """It names another center than the line by which it came."""
    FLOODED = "flooded"
    """More from one center than anybody has to say."""


@dataclass(slots=True)
class Peer:
    """One other center, as far as it has been heard."""

    name: str
    epoch: int = -1
    seq: int = -1
    """The greatest of this life."""
    load_seq: int = -1
    load: Load | None = None
    loaded: Instant | None = None
    """When the load came, by our clock."""
    blocked_until: Instant | None = None
    taken: int = 0
    """Operators asked for since the load came: it does not know of them yet."""
    empty: set[QueueId] = field(default_factory=set)
    """Queues of which it has said, since the load came, that nobody is free."""

    def age_us(self, now: Instant) -> int | None:
        """Return how old its load is; ``None``: there was none."""
        return None if self.loaded is None else now - self.loaded

    def fresh(self, now: Instant) -> Load | None:
        """Return its load, if it is worth anything."""
        age = self.age_us(now)
        return None if age is None or age > FRESH_US else self.load

    def state(self, now: Instant) -> State:
        """Return how it stands, as far as we know."""
        load = self.fresh(now)
        if load is None:
            return State.DOWN
        try:
            return State(load.state)
        except ValueError:
            return State.GOING_DOWN

    def blocked(self, now: Instant) -> bool:
        """Return whether it is left alone for now."""
        return self.blocked_until is not None and now < self.blocked_until

    def accept(self, message: Message, now: Instant) -> Refused | None:
        """Take note of a message; say why it is not to be listened to."""
        if message.epoch < self.epoch:
            return Refused.OLD_LIFE
        if message.epoch > self.epoch:
            self.epoch, self.seq, self.load_seq = message.epoch, -1, -1
        if message.seq <= self.seq - WINDOW:
            return Refused.REPLAYED
        if isinstance(message.body, Load):
            if message.seq <= self.load_seq:
                return Refused.REPLAYED
            self.load_seq, self.load, self.loaded = message.seq, message.body, now
            self.taken = 0
            self.empty.clear()
        self.seq = max(self.seq, message.seq)
        return None
