"""What every channel is to the engine: a source of facts and a performer of commands."""

from __future__ import annotations

from typing import Protocol

from gkc_engine.acd.commands import Command
from gkc_engine.ids import Instant


class Channel(Protocol):
    """One medium's adapter. A new channel is one module and its config; the core is untouched."""

    name: str

    async def start(self) -> None:
        """Open listeners and links. Raises PeerError or ConfigError with what to mend."""
        ...

    async def stop(self) -> None:
        """Stop taking work, then close. Contacts in progress stay with Asterisk."""
        ...

    def perform(self, command: Command, now: Instant) -> None:
        """Carry out a command that concerns this channel; ignore the others. Never raises."""
        ...

    def healthy(self) -> bool:
        """Whether the channel can take and move contacts now."""
        ...
