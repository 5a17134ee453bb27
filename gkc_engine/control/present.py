"""Since when each agent is in the present state: what the core says once and does not keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gkc_engine.acd.commands import AgentStateChanged, Command
from gkc_engine.ids import AgentId, Instant


class StepLike(Protocol):
    """What of ``engine.Step`` is looked at."""

    @property
    def commands(self) -> Sequence[Command]:
        """What the core said."""
        ...


class AgentTimes:
    """The last ``AgentStateChanged.since`` of every slot; give :meth:`steps` to the engine."""

    def __init__(self) -> None:
        self._since: dict[tuple[AgentId, int], Instant] = {}

    def steps(self, steps: Iterable[StepLike]) -> None:
        """Note the agents' changes of state in committed steps."""
        for step in steps:
            for command in step.commands:
                if isinstance(command, AgentStateChanged):
                    self._since[command.agent_id, command.slot] = command.since

    def add(self, agent_id: AgentId, slot: int, since: Instant) -> None:
        """Note an interval that was open when the engine started (``agent_interval.start``)."""
        self._since.setdefault((agent_id, slot), since)

    def since(self, agent_id: AgentId, slot: int = 0) -> Instant | None:
        """Return when the slot's present state began; ``None`` when nothing was said of it."""
        return self._since.get((agent_id, slot))
