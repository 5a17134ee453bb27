"""Which phone belongs to which operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gkc_engine.ids import AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """An operator's phone as the config names it."""

    agent_id: AgentId
    interface: str
    """``PJSIP/101``: what Dial rings and what the device state is called."""
    title: str = ""
    always: bool = False
    """``login: always``: at work whenever the engine runs; a static contact needs no login."""

    @property
    def extension(self) -> str:
        """The number that other operators dial: the part after the slash."""
        return self.interface.partition("/")[2]


@dataclass(slots=True)
class Roster:
    """Look-ups by interface and extension; replaced as a whole by a reload."""

    phones: Iterable[Phone]
    by_agent: dict[AgentId, Phone] = field(init=False)
    by_interface: dict[str, Phone] = field(init=False)
    by_extension: dict[str, Phone] = field(init=False)

    def __post_init__(self) -> None:
        phones = tuple(self.phones)
        self.phones = phones
        self.by_agent = {p.agent_id: p for p in phones}
        self.by_interface = {p.interface: p for p in phones}
        self.by_extension = {p.extension: p for p in phones}
        assert len(self.by_agent) == len(self.by_interface) == len(phones), "doubled operator"

    def agent_of(self, interface: str | None) -> AgentId | None:
        """Return the operator whose phone ``interface`` is, if it is one's."""
        phone = self.by_interface.get(interface or "")
        return phone.agent_id if phone else None
