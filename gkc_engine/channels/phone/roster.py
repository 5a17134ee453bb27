"""Which phone belongs to which operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gkc_engine.ids import AgentId, QueueId


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """An operator's phone as the config names it."""

    agent_id: AgentId
    interface: str
    """``PJSIP/101``: what Dial rings and what the device state is called."""
    title: str = ""
    always: bool = False
    """``login: always``: at work whenever the engine runs; a static contact needs no login."""
    queues: tuple[QueueId, ...] = ()
    """The queues that he may serve at any of their steps."""
    pin: str | None = field(default=None, repr=False)
    """Lets him log in at another's phone."""

    @property
    def extension(self) -> str:
        """The number that other operators dial: the part after the slash."""
        return self.interface.partition("/")[2]


@dataclass(slots=True)
class Roster:
    """Look-ups by interface and extension; replaced as a whole by a reload or a change of seat."""

    phones: Iterable[Phone]
    seats: dict[AgentId, str] = field(default_factory=dict)
    """Operators who are logged in at a phone (interface) that is not their own."""
    by_agent: dict[AgentId, Phone] = field(init=False)
    """Each operator with the phone at which he sits now."""
    by_interface: dict[str, Phone] = field(init=False)
    by_extension: dict[str, Phone] = field(init=False)
    own: dict[str, AgentId] = field(init=False)
    """Whose each phone is by the config."""

    def __post_init__(self) -> None:
        phones = tuple(self.phones)
        self.phones = phones
        self.own = {p.interface: p.agent_id for p in phones}
        known = {p.agent_id for p in phones}
        assert len(known) == len(self.own) == len(phones), "doubled operator"
        self.seats = {
            agent_id: interface
            for agent_id, interface in self.seats.items()
            if agent_id in known and interface in self.own and self.own[interface] != agent_id
        }
        self.by_agent = {
            p.agent_id: replace(p, interface=self.seats.get(p.agent_id, p.interface))
            for p in phones
        }
        self.by_interface = {p.interface: p for p in phones if p.agent_id not in self.seats}
        # Who sits at a phone now is who it rings for, whoever owns it.
        self.by_interface |= {i: self.by_agent[a] for a, i in self.seats.items()}
        self.by_extension = {p.extension: p for p in self.by_interface.values()}

    def agent_of(self, interface: str | None) -> AgentId | None:
        """Return the operator who sits at the phone ``interface``, if it is one's."""
        phone = self.by_interface.get(interface or "")
        return phone.agent_id if phone else None
