"""What is seen of each center of a demo, for a line or a table. No processes here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gkc_engine.control.protocol import Json
from gkc_engine.demo.setup import Teller


@dataclass(slots=True)
class Seen:
    """One center, as it was when its engine last answered."""

    center: str
    away: bool = True
    """Its engine does not answer: not started yet, or killed."""
    parted: bool = False
    """Its line to the others is cut."""
    waiting: int = 0
    longest_s: float | None = None
    """Wait of who waits longest, since the first queue entry."""
    talking: int = 0
    """With an operator of this center or, of ours, of another."""
    ready: int = 0
    busy: int = 0
    answered: int = 0
    abandoned: int = 0
    sent: int = 0
    """To operators of other centers, since this engine's start, as the following."""
    there: int = 0
    """Of these, answered there."""
    guests: int = 0
    """Answered here, of other centers."""

    def learn(self, snapshot: Json, centers: Json) -> None:
        """Take what the engine shows of itself (``watch``) and of the others (``center.show``)."""
        queues, agents = snapshot["queues"], snapshot["agents"]
        waits = [row["longest_wait_s"] for row in queues if row["longest_wait_s"] is not None]
        own = next(row for row in centers if row["own"])
        self.away = False
        self.waiting = sum(row["waiting"] for row in queues)
        self.longest_s = max(waits, default=None)
        self.talking = sum(row["talking"] for row in queues)
        self.ready = sum(row["state"] == "ready" for row in agents)
        self.busy = sum(row["state"] not in ("ready", "offline", "not_ready") for row in agents)
        if snapshot["health"]["figures_complete"]:  # Else its engine still counts the day anew.
            self.answered = sum(row["answered"] for row in queues)
            self.abandoned = sum(row["abandoned"] for row in queues)
        self.sent = own["out"].get("sent", 0)
        self.there = own["out"].get("answered", 0)
        self.guests = own["in"].get("answered", 0)


class CentersScreen(Teller, Protocol):
    """Where a demo of several centers is seen."""

    def show_centers(self, centers: Sequence[Seen], dialled: int) -> None:
        """Show all of them at this instant."""
        ...
