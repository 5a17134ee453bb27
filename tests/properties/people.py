"""What the naive distributor knows of agents, contacts and queues; strings and numbers only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gkc_engine.acd.settings import ContactClass, QueueSettings, Treatment


@dataclass
class OSlot:
    medium: str
    doing: str = "nothing"  # nothing | offer | talk | wrap
    contact: str = ""
    until: int = 0

    def clear(self) -> None:
        self.doing, self.contact, self.until = "nothing", "", 0


@dataclass
class OAgent:
    name: str
    rank: int
    base: dict[str, int]
    """Of the config, or of the shift."""
    slots: list[OSlot]
    over: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """A supervisor's word on single skills: level (0 = none), and until when."""
    shift: bool = False
    at_work: bool = False
    reachable: bool = True
    phone: str = "known"
    in_use: bool = False
    calls: set[str] = field(default_factory=set)
    pause: tuple[int | None] | None = None
    rest: int | None = None
    misses: int = 0
    idle_since: int = 0
    aside: bool = False
    """His offer has just failed: the contact's P1 comes before he is able again (P5)."""
    log: list[tuple[int, str]] = field(default_factory=list)

    @property
    def skills(self) -> dict[str, int]:
        found = {s: level for s, level in self.base.items() if s not in self.over}
        return found | {s: level for s, (level, _) in self.over.items() if level > 0}

    @property
    def media(self) -> set[str]:
        return {slot.medium for slot in self.slots}

    @property
    def in_hand(self) -> int:
        return sum(slot.doing != "nothing" for slot in self.slots)

    def slot_of(self, contact: str) -> OSlot | None:
        return next((s for s in self.slots if s.contact == contact and s.doing != "wrap"), None)


@dataclass
class OContact:
    name: str
    medium: str
    citizen: str | None
    started: int
    state: str = "menu"  # menu waiting offered talk detached treated
    held: bool = True
    queue: str = ""
    own: tuple[ContactClass | None, int | None, int | None] = (None, None, None)
    enqueued: int | None = None
    seq: int = -1
    step: int = 0
    agent: str | None = None
    """Who talks with it."""
    asked: list[str] = field(default_factory=list)
    """Whom the open offer asks; several only with ``ring: all``."""
    talk_n: int = 0
    answered: int | None = None
    barred: dict[str, int] = field(default_factory=dict)
    prefer: tuple[str, int] | None = None
    lease: int = 0
    created: int = 0
    offered_by: str = ""
    """The queue by whose rules the open offer was made."""
    rescinding: bool = False
    doubt: bool = False
    decided: str | None = None
    then_queue: str | None = None
    sent_on: list[str] = field(default_factory=list)


@dataclass
class OPlace:
    queue: str
    citizen: str
    contact: str
    enqueued: int
    seq: int
    left: int


@dataclass
class OQueue:
    rules: QueueSettings
    open: bool = True
    emergency: Treatment | None = None
    elsewhere: bool = False

    def need(self, step: int) -> dict[str, int]:
        found = self.rules.require if step == 0 else self.rules.relax[step - 1].require
        return {str(skill): level for skill, level in found.items()}

    @property
    def medium(self) -> str:
        return self.rules.medium.value


@dataclass
class Due:
    key: tuple[int, int, int, int, int]
    """Instant, P5's kind, rank inside the kind, what, slot."""
    act: Callable[[], None]
