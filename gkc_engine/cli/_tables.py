"""Tables for people: drawn on a terminal, aligned plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from gkc_engine.control.protocol import Json
from gkc_engine.control.when import local_time, span

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

Row = Mapping[str, Json]

GAP = 2
"""Blanks between columns."""

SHRUNK = 8
"""A column that shrinks keeps so many characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How one key of the rows is shown."""

    key: str
    head: str
    show: Callable[[Json], str] | None = None
    right: bool = False
    shrinks: bool = False
    """May be cut off with an ellipsis when the terminal is narrow; the others never are."""
    shrinks_last: bool = False
    """May be cut off when nothing is left that could be left out."""
    drops: int = 0
    """Left out when even that is not enough; the highest first, 0 never."""


def _plain(value: Json) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(str(one) for one in value) or "-"
    return str(value)


def percent(value: Json) -> str:
    """Return a share as whole per cents, cut off: 100 % means all of them."""
    return "-" if value is None else f"{int(value * 100 + 1e-9)}%"


def signed_percent(value: Json) -> str:
    """Return a deviation in per cent, to a tenth, with its sign."""
    return "-" if value is None else f"{value:+.1%}"


def _number(key: str, head: str, drops: int = 0) -> Column:
    return Column(key=key, head=head, right=True, drops=drops)


QUEUES = (
    Column(key="queue", head="Queue"),
    Column(key="title", head="Title", shrinks=True, drops=1),
    _number("waiting", "W"),
    Column(key="longest_wait_s", head="Longest", show=span, right=True),
    Column(key="expected_wait_s", head="EWT", show=span, right=True, drops=6),
    _number("ringing", "Ring", drops=4),
    _number("talking", "Talk"),
    _number("ready", "Ready"),
    _number("busy", "Busy"),
    _number("not_ready", "Pause", drops=2),
    _number("offline", "Off", drops=5),
    _number("offered", "Offered", drops=3),
    _number("answered", "C"),
    _number("abandoned", "A"),
    Column(key="service_level", head="SL", show=percent, right=True),
)
"""EWT expected wait, W waiting, C answered (completed), A abandoned, SL: Asterisk's own letters."""


DUE = (
    _number("citizens", "Citizens"),
    _number("recordings", "Recordings"),
    _number("legs", "Bytes of legs"),
    _number("files", "Files"),
)

DESTROYED = (
    Column(key="citizen", head="Citizen"),
    _number("citizens", "Citizens"),
    _number("blocks", "Blocks"),
    _number("recordings", "Recordings"),
    _number("legs", "Numbers masked"),
    _number("files", "Files"),
)

HOLDS = (
    Column(key="citizen", head="Citizen"),
    Column(key="since", head="Since"),
    Column(key="reason", head="Reason", shrinks=True),
    Column(key="actor", head="By", shrinks=True),
)


def blocks(zone: ZoneInfo) -> tuple[Column, ...]:
    """Return the columns of the block list; of a key its beginning, as in a contact's story."""

    def when(value: Json) -> str:
        return local_time(value, zone)

    return (
        Column(key="citizen", head="Citizen", show=lambda value: str(value)[:8]),
        Column(key="since", head="Since", show=when, drops=2),
        Column(key="until", head="Until", show=when),
        _number("refused", "Refused", drops=3),
        Column(key="reason", head="Reason", shrinks=True),
        Column(key="actor", head="By", shrinks=True, drops=1),
    )


TOLD_WAITS = (
    Column(key="queue", head="Queue"),
    _number("n", "Told"),
    Column(key="mean_wait_s", head="Wait", show=span, right=True),
    Column(key="bias", head="Bias", show=signed_percent, right=True),
    Column(key="rmse", head="RMSE", show=percent, right=True),
    Column(key="within_range", head="In range", show=percent, right=True),
)
"""Bias and RMSE over the mean wait."""


_REPORT = (
    _number("offered", "Offered"),
    _number("answered", "C"),
    _number("answered_in_target", "In time", drops=2),
    _number("abandoned", "A"),
    _number("abandoned_short", "Short", drops=1),
    _number("ended_waiting", "Ended", drops=3),
    _number("failed", "Failed", drops=3),
    _number("waiting", "W", drops=3),
    Column(key="abandon_rate", head="A %", show=percent, right=True),
    Column(key="asa_s", head="ASA", show=span, right=True),
    Column(key="wait_p50_s", head="P50", show=span, right=True, drops=5),
    Column(key="wait_p90_s", head="P90", show=span, right=True, drops=1),
    Column(key="wait_max_s", head="Max", show=span, right=True, drops=4),
    Column(key="aht_s", head="AHT", show=span, right=True),
    Column(key="service_level", head="SL", show=percent, right=True),
    *(
        Column(key=f"sl_{n}", head=f"SL-{n}", show=percent, right=True, drops=6)
        for n in (1, 2, 3, 4)
    ),
)
"""SL is SL-5; the others stand beside it where there is room."""

_OF = {
    "queue": "Queue",
    "service": "Service",
    "did": "Number",
    "center": "Center",
    "interval": "From",
}


_OVERFLOW = (
    _number("overflow_sent", "Sent", drops=2),
    _number("overflow_answered", "C there", drops=2),
    _number("overflow_returned", "Back", drops=3),
    _number("guests", "Guests", drops=2),
    _number("guests_answered", "G C", drops=3),
)
"""What centers did for each other; shown where any did."""


def report(by: str, rows: Sequence[Row] = ()) -> tuple[Column, ...]:
    """Return the columns of a report of these rows; the row of all together is named so."""
    moved = any(row.get(column.key) for row in rows for column in _OVERFLOW)

    def named(value: Json) -> str:
        return "all" if value is None else value or "-"

    shown = (*_REPORT, *_OVERFLOW) if moved else _REPORT
    return (Column(key=by, head=_OF[by], show=named), *shown)


OPERATORS = (
    Column(key="agent_id", head="Operator", show=lambda value: "all" if value is None else value),
    _number("handled", "Handled"),
    Column(key="aht_s", head="AHT", show=span, right=True),
    Column(key="talk_s", head="Talk", show=span, right=True, drops=2),
    Column(key="hold_s", head="Hold", show=span, right=True, drops=4),
    Column(key="wrap_up_s", head="Wrap-up", show=span, right=True, drops=3),
    Column(key="ready_s", head="Ready", show=span, right=True, drops=2),
    Column(key="paid_s", head="At work", show=span, right=True, drops=1),
    Column(key="occupancy", head="Occ", show=percent, right=True),
    Column(key="utilisation", head="Util", show=percent, right=True),
    _number("offers", "Rings", drops=3),
    Column(key="rna_rate", head="RNA", show=percent, right=True),
    Column(key="outbound", head="Out", right=True),
    Column(key="transfer_rate", head="Transf", show=percent, right=True, drops=1),
)
"""RNA: rings that were not answered."""


def versions(zone: ZoneInfo) -> tuple[Column, ...]:
    """Return the columns of the configs that were applied."""
    return (
        Column(key="applied", head="Applied", show=lambda v: local_time(v, zone)),
        Column(key="author", head="By", drops=2),
        Column(key="change", head="What changed", shrinks=True),
        Column(key="after_s", head="For", show=span, right=True, drops=1),
        _number("before_offered", "Off before", drops=3),
        _number("offered", "Off", drops=3),
        Column(key="before_service_level", head="SL before", show=percent, right=True),
        Column(key="service_level", head="SL", show=percent, right=True),
        Column(key="service_level_verdict", head="", show=_meant),
        Column(key="before_asa_s", head="ASA before", show=span, right=True),
        Column(key="asa_s", head="ASA", show=span, right=True),
        Column(key="asa_s_verdict", head="", show=_meant),
        Column(key="before_abandon_rate", head="A % before", show=percent, right=True, drops=1),
        Column(key="abandon_rate", head="A %", show=percent, right=True, drops=1),
        Column(key="abandon_rate_verdict", head="", show=_meant, drops=1),
        Column(key="version", head="Version", drops=4),
    )


def _meant(verdict: Json) -> str:
    return str(verdict or "").replace("_", " ")


def closed_lines(queues: Sequence[Row]) -> list[str]:
    """Return a line for each queue that is closed in an emergency: it lasts until somebody acts."""
    return [
        f"{row['queue']}: closed in an emergency"
        + (f" ({row['closed_reason']})" if row["closed_reason"] else "")
        for row in queues
        if row.get("closed") == "emergency"
    ]


def broadcast_lines(queues: Sequence[Row], zone: ZoneInfo) -> list[str]:
    """Return a line for each broadcast that stands."""
    return [
        f"{row['queue']}: announcing {_what_is_said(said)} until {local_time(said['until'], zone)}"
        + ("" if said["every_s"] is None else f", every {span(said['every_s'])}")
        + ("" if said["newcomers"] else ", to those who waited when it began")
        for row in queues
        for said in row.get("broadcasts") or ()
    ]


def _what_is_said(said: Row) -> str:
    return f"\u201c{said['text']}\u201d" if said["text"] else str(said["prompt"])


def override_lines(agents: Sequence[Row], zone: ZoneInfo) -> list[str]:
    """Return a line for each skill that a supervisor set over the config."""
    return [
        f"{row['agent_id']}: "
        + (f"{over['skill']}={over['level']}" if over["level"] else f"without {over['skill']}")
        + (f" until {local_time(over['until'], zone)}" if over["until"] else " until he logs out")
        for row in agents
        for over in row.get("overrides") or ()
    ]


def agents(zone: ZoneInfo) -> tuple[Column, ...]:
    """Return the columns of the operators' table."""
    return (
        Column(key="agent_id", head="Operator"),
        Column(key="title", head="Name", shrinks=True),
        Column(key="state", head="State"),
        Column(key="reason", head="Reason", shrinks=True),
        Column(key="state_s", head="For", show=span, right=True),
        Column(key="until", head="Until", show=lambda v: local_time(v, zone, with_date=False)),
        Column(key="interface", head="Phone", drops=1),
        Column(key="registered", head="Reg"),
        Column(key="queues", head="Queues", shrinks=True, drops=2),
    )


def alerts(zone: ZoneInfo) -> tuple[Column, ...]:
    """Return the columns of the alerts' table."""
    return (
        Column(key="alert_id", head="Id", right=True),
        Column(key="alert", head="Alert"),
        Column(key="queue", head="Queue"),
        Column(key="when", head="When"),
        Column(key="value", head="Value", right=True),
        Column(key="threshold", head="Threshold", right=True),
        Column(key="raised", head="Raised", show=lambda v: local_time(v, zone)),
        Column(key="cleared", head="Cleared", show=lambda v: local_time(v, zone)),
        Column(key="acked_by", head="Seen to by", shrinks=True, drops=1),
        Column(key="note", head="Note", shrinks=True, drops=2),
    )


def waiting(zone: ZoneInfo) -> tuple[Column, ...]:
    """Return the columns of the contacts in progress."""
    return (
        Column(key="position", head="Pos", right=True),
        Column(key="number", head="Contact"),
        Column(key="queue", head="Queue"),
        Column(key="state", head="State"),
        Column(key="started", head="Since", show=lambda v: local_time(v, zone, with_date=False)),
        Column(key="wait_s", head="Wait", show=span, right=True),
        Column(key="agent_id", head="Operator"),
    )


def contacts(zone: ZoneInfo) -> tuple[Column, ...]:
    """Return the columns of the list of contacts."""
    return (
        Column(key="number", head="Contact"),
        Column(key="started", head="Started", show=lambda v: local_time(v, zone)),
        Column(key="queue", head="Queue"),
        Column(key="wait_s", head="Wait", show=span, right=True),
        Column(key="talk_s", head="Talk", show=span, right=True),
        Column(key="agent_id", head="Operator"),
        Column(key="disposition", head="Disposition"),
        Column(key="direction", head="Dir", drops=2),
        Column(key="contact_id", head="Id", drops=1),
    )


def cells(columns: Sequence[Column], row: Row) -> list[str]:
    """Return the row's texts, safe for a terminal: a name cannot carry an escape sequence."""
    texts = ((c.show or _plain)(row.get(c.key)) for c in columns)
    return ["".join(ch if ch.isprintable() else "\ufffd" for ch in text) for text in texts]


def rich_table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """Return a table for a terminal of ``width`` characters."""
    from rich.table import Table
    from rich.text import Text

    fitted = fit(columns, rows, width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, size in fitted:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(
            column.head, justify=justify, no_wrap=True, overflow="ellipsis", width=size
        )
    kept = [column for column, _ in fitted]
    for row in rows:
        # Text, not markup: a title may well hold square brackets.
        table.add_row(*(Text(cell) for cell in cells(kept, row)))
    return table


def fit(
    columns: Sequence[Column], rows: Sequence[Row], width: int, gap: int = GAP
) -> list[tuple[Column, int]]:
    """Return the columns that fit into ``width`` and how wide each is.

    First those that shrink give way, down to 8 characters; then columns are left out by
    ``drops``; then those give way that shrink last. What is left is never cut off: a number without
    its end would be a lie.
    """
    kept = [(column, max(_widths(column, rows))) for column in columns]
    while True:
        excess = sum(size + gap for _, size in kept) - gap - width
        none_drops = not any(column.drops for column, _ in kept)
        for place, (column, size) in enumerate(kept):
            if excess > 0 and (column.shrinks or (column.shrinks_last and none_drops)):
                smaller = max(min(size, SHRUNK), size - excess)
                excess -= size - smaller
                kept[place] = (column, smaller)
        least = max(kept, key=lambda one: one[0].drops)
        if excess <= 0 or not least[0].drops:
            return kept
        kept = [(c, max(_widths(c, rows))) for c, _ in kept if c is not least[0]]


def _widths(column: Column, rows: Sequence[Row]) -> list[int]:
    from rich.cells import cell_len

    return [cell_len(column.head), *(cell_len(cells((column,), row)[0]) for row in rows)]


def plain_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return aligned lines for a pipe: nothing cut off, two blanks between columns."""
    from rich.cells import cell_len

    widths = [max(_widths(column, rows)) for column in columns]

    def line(texts: Sequence[str]) -> str:
        padded = []
        for column, width, text in zip(columns, widths, texts, strict=True):
            gap = " " * (width - cell_len(text))
            padded.append(gap + text if column.right else text + gap)
        return (" " * GAP).join(padded).rstrip()

    return "\n".join([line([c.head for c in columns]), *(line(cells(columns, r)) for r in rows)])


def print_rows(columns: Sequence[Column], rows: Sequence[Row], nothing: str) -> None:
    """Print ``rows``, or the sentence ``nothing`` when there are none."""
    if not rows:
        print(nothing)
    elif sys.stdout.isatty():
        console = terminal()
        console.print(rich_table(columns, rows, console.width))
    else:
        print(plain_table(columns, rows))


def terminal() -> Console:
    """Return the console of the terminal that stdout is."""
    from rich.console import Console

    return Console(highlight=False)


def age_line(age_s: float, problem: Exception | None, *, stale: bool) -> Text:
    """Return how old a live view's data is, and why it is not renewed."""
    from rich.text import Text

    if not stale:
        return Text(f"data {age_s:.1f} s old", style="dim")
    why = "" if problem is None else f", tried again each second: {problem}"
    text = f"!! STALE DATA: {age_s:.1f} s old{why}"
    return Text(text, style="bold reverse red", no_wrap=True, overflow="ellipsis")


def snapshot_view(
    snapshot: Row, zone: ZoneInfo, width: int, contacts_max: int = 10
) -> RenderableType:
    """Return one ``watch`` snapshot for a terminal: queues, contacts in progress, operators.

    In this order because a small screen shows the beginning.
    """
    from rich.console import Group
    from rich.text import Text

    now = local_time(snapshot["now"], zone)
    parts: list[RenderableType] = [
        Text(f"{snapshot['center']}  {now}", style="bold"),
        rich_table(QUEUES, snapshot["queues"], width),
    ]
    parts += [Text(line, style="bold red") for line in closed_lines(snapshot["queues"])]
    shown = snapshot["contacts"][:contacts_max]
    if shown:
        parts.append(Text())
        parts.append(rich_table(waiting(zone), shown, width))
        more = len(snapshot["contacts"]) - len(shown)
        if more:
            parts.append(Text(f"and {more} more in progress"))
    busy = [row for row in snapshot["agents"] if row["state"] != "offline"]
    if busy:
        parts.append(Text())
        parts.append(rich_table(agents(zone), busy, width))
    return Group(*parts)
