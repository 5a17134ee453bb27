"""How ``gkc demo`` is seen: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from zoneinfo import ZoneInfo

from gkc_engine.cli import _tables
from gkc_engine.cli._console import progress
from gkc_engine.control.protocol import Json

if TYPE_CHECKING:
    from rich.live import Live

LINE_EVERY_S: Final = 5.0


class Lines:
    """For a pipe, a file, a script: stderr only."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def say(self, text: str) -> None:
        """Print a line."""
        progress(text)

    def show(self, snapshot: Json, contacts: Json, dialled: int) -> None:  # noqa: ARG002
        """Print a line, but not more often than every few seconds."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_EVERY_S
        progress(summary(snapshot, dialled))


def summary(snapshot: Json, dialled: int) -> str:
    """Return the state of the center in one line."""
    queues, agents = snapshot["queues"], snapshot["agents"]

    def total(key: str) -> int:
        return sum(row[key] for row in queues)

    ready = sum(row["state"] == "ready" for row in agents)
    here = sum(row["state"] != "offline" for row in agents)
    return (
        f"{dialled} dialled, {len(snapshot['contacts'])} on the line:"
        f" {total('waiting')} waiting, {total('talking')} talking;"
        f" {total('answered')} answered, {total('abandoned')} abandoned;"
        f" {ready} of {here} operators ready"
    )


class Table:
    """For a terminal: what was said stays above, the live table stands below."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._console = _tables.terminal()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, markup=False)

    def show(self, snapshot: Json, contacts: Json, dialled: int) -> None:
        """Draw the table anew."""
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        width = self._console.width
        view = Group(
            Text(),
            _tables.snapshot_view(snapshot, self._zone, width, contacts_max=0),
            Text(),
            Text(f"last contacts  ({summary(snapshot, dialled)})", style="bold"),
            _tables.rich_table(_tables.contacts(self._zone), contacts, width),
        )
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)
