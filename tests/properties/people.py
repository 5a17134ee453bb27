"""What the naive distributor knows of agents and contacts; strings and numbers only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gkc_engine.acd.settings import ContactClass


@dataclass
class OAgent:
    name: str
    rank: int
    skills: dict[str, int]
    at_work: bool = False
    reachable: bool = True
    pause: tuple[int | None] | None = None
    rest: int | None = None
    misses: int = 0
    idle_since: int = 0
    doing: str = "nothing"  # nothing | offer | talk | wrap
    wrap_until: int = 0
    log: list[tuple[int, str]] = field(default_factory=list)

    def able(self) -> bool:
        return (
            self.at_work
            and self.reachable
            and self.pause is None
            and self.rest is None
            and self.doing == "nothing"
        )


@dataclass
class OContact:
    name: str
    citizen: str | None
    state: str = "menu"  # menu waiting offered talk detached treated
    held: bool = True
    queue: str = ""
    own: tuple[ContactClass | None, int | None, int | None] = (None, None, None)
    enqueued: int | None = None
    seq: int = -1
    step: int = 0
    agent: str | None = None
    holds_slot: bool = False
    talk_n: int = 0
    answered: int | None = None
    barred: dict[str, int] = field(default_factory=dict)
    prefer: tuple[str, int] | None = None
    lease: int = 0
    created: int = 0
    rescinding: bool = False
    doubt: bool = False
    decided: str | None = None


@dataclass
class Due:
    key: tuple[int, int, int, int]
    act: Callable[[], None]
