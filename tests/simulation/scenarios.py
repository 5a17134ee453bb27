"""What goes wrong in a history, when, and how exact the records must then still be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.fakes.asterisk_people import Manners
from tests.simulation.checks import Bounds
from tests.simulation.world import Load, World


async def nothing(world: World) -> None:
    """No trouble at all."""
    del world


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of history."""

    name: str
    trouble: Callable[[World], Awaitable[None]] = nothing
    load: Load = field(default_factory=Load)
    manners: Manners = field(default_factory=Manners)
    bounds: Bounds = field(default_factory=Bounds)
    patience_s: float = 1.0
    """How long something may be wrong before it is a finding."""
    cel: bool = True
    """Asterisk lists past legs."""
    second_invites: bool = False
    """An operator's phone may be rung while it is in use: nobody can know."""

    def phones_findings(self, world: World) -> list[str]:
        """No operator is rung for two calls at once."""
        if self.second_invites:
            return []
        return [
            f"{phone.interface} is rung although it is in use, at {at / 1e6:.2f} s"
            for phone in world.phones
            for at, _ in phone.second_invites
        ]


CLEAN = Scenario(name="clean")

SCENARIOS: dict[str, Scenario] = {s.name: s for s in (CLEAN,)}
