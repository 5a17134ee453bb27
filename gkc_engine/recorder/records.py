"""What the projector takes from the tables and what it gives to them, as types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gkc_engine.acd.settings import Settings

Record: TypeAlias = dict[str, Any]
"""One row of a projection by column name."""


class Reader(Protocol):
    """Rows that are in the tables already, for facts about what is not at hand."""

    def contact(self, contact_id: str) -> Record | None:
        """Return the contact's row."""
        ...

    def offer(self, offer_id: int, agent_id: str) -> Record | None:
        """Return the row of one agent's offer."""
        ...

    def open_intervals(self, agent_id: str) -> list[Record]:
        """Return the intervals of an agent's slots that have no end yet."""
        ...

    def last_talk(self, contact_id: str, agent_id: str) -> Record | None:
        """Return the citizen's last segment with this agent."""
        ...

    def settings(self) -> Settings | None:
        """Return the config applied last."""
        ...


@dataclass(slots=True)
class Changes:
    """Rows to write, by table; each replaces the row of its key, but those of sums."""

    contacts: list[Record]
    segments: list[Record]
    offers: list[Record]
    intervals: list[Record]
    versions: list[Record]
    rollups: list[Record]
    """What is to be added to the sums of each row, not the sums themselves."""
    times: list[Record]
    """Likewise, of ``agent_time``."""
