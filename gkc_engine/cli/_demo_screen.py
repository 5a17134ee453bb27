"""How ``gkc demo`` is seen: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from zoneinfo import ZoneInfo

from gkc_engine.cli import _tables
from gkc_engine.cli._console import progress
from gkc_engine.control.protocol import Json
from gkc_engine.control.when import local_time, span

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions, RenderableType
    from rich.live import Live

LINE_EVERY_S: Final = 5.0
_CELL: Final = 27
"""Width of one operator: name, state, time."""

_GAP: Final = 3


class Every:
    """Tells when the next line is due."""

    def __init__(self) -> None:
        self._next = 0.0

    def now(self) -> bool:
        """Whether it is due now; then the next one is, some seconds later."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + LINE_EVERY_S
        return True


class Lines:
    """For a pipe, a file, a script: stderr only."""

    def __init__(self) -> None:
        self._due = Every()

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
        if self._due.now():
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
        from rich.live import Live

        view = picture(snapshot, contacts, dialled, zone=self._zone, size=self._console.size)
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)


def picture(
    snapshot: Json, contacts: Json, dialled: int, *, zone: ZoneInfo, size: ConsoleDimensions
) -> RenderableType:
    """Return queues, operators and last contacts, as much of them as the terminal holds.

    When it is too low: first queues without a call go, then contacts, then operators.
    """
    from rich.console import Group
    from rich.text import Text

    width = size.width
    staff = _staff_lines(snapshot["agents"], width)
    room = max(8, size.height - 3)  # The cursor's line, and two headings.
    queues = snapshot["queues"]
    if len(queues) + len(staff) + len(contacts) + 5 > room:
        queues = [row for row in queues if row["waiting"] or row["ringing"] or row["talking"]]
    queues = queues[: max(2, room - 6)]
    contacts = contacts[: max(0, room - len(queues) - 5)]
    staff = staff[: max(0, room - len(queues) - len(contacts) - 4)]
    head = f"{snapshot['center']}  {local_time(snapshot['now'], zone)}  "
    parts: list[RenderableType] = [
        Text(head + summary(snapshot, dialled), style="bold", no_wrap=True, overflow="ellipsis"),
        _tables.rich_table(_tables.QUEUES, queues, width),
    ]
    if staff:
        parts += [Text("Operators", style="bold"), *(Text(line, no_wrap=True) for line in staff)]
    if contacts:
        parts.append(_tables.rich_table(_last_contacts(zone), contacts, width))
    return Group(*parts)


def _last_contacts(zone: ZoneInfo) -> tuple[_tables.Column, ...]:
    column = _tables.Column
    return (
        column(key="number", head="Contact"),
        column(key="started", head="Started", show=lambda v: local_time(v, zone, with_date=False)),
        column(key="queue", head="Queue", shrinks=True),
        column(key="wait_s", head="Wait", show=span, right=True),
        column(key="talk_s", head="Talk", show=span, right=True),
        column(key="agent_id", head="Operator", shrinks=True, drops=1),
        column(key="disposition", head="Disposition"),
    )


def _staff_lines(agents: Json, width: int) -> list[str]:
    """Return who is at work and since when, several to a line."""
    shown = [
        f"{row['agent_id'][:11]:<11} {row['state']:<9} {span(row['state_s']):>5}"
        for row in agents
        if row["state"] != "offline"
    ]
    columns = max(1, (width + _GAP) // (_CELL + _GAP))
    rows = -(-len(shown) // columns)
    return [(" " * _GAP).join(shown[line::rows]) for line in range(rows)]
