"""How ``gkc demo --centers`` is seen: a row for each center, live or every few seconds; its end."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gkc_engine.cli import _tables
from gkc_engine.cli._console import progress
from gkc_engine.cli._demo_screen import Lines
from gkc_engine.control.when import span

if TYPE_CHECKING:
    from rich.live import Live

    from gkc_engine.demo.centers_account import CityAccount
    from gkc_engine.demo.centers_seen import Seen
    from gkc_engine.demo.setup import DemoOptions


class CentersLines(Lines):
    """For a pipe, a file, a script: stderr only."""

    def show_centers(self, centers: Sequence[Seen], dialled: int) -> None:
        """Print a line for all, but not more often than every few seconds."""
        if self._due.now():
            progress(f"{dialled} dialled; " + "; ".join(line(one) for one in centers))


def line(one: Seen) -> str:
    """Return a center in a few words."""
    state = " (cut off)" if one.parted else ""
    if one.away:
        return f"{one.center}{state}: no engine"
    return (
        f"{one.center}{state}: {one.waiting} waiting, {one.ready} ready, {one.busy} busy,"
        f" {one.answered} answered, {one.there} there, {one.guests} guests"
    )


class CentersTable:
    """For a terminal: what was said stays above, the live table stands below."""

    def __init__(self) -> None:
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

    def show_centers(self, centers: Sequence[Seen], dialled: int) -> None:
        """Draw the table anew."""
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        waiting = sum(one.waiting for one in centers)
        head = Text(f"{dialled} dialled, {waiting} waiting in the city", style="bold")
        view = Group(head, _tables.rich_table(COLUMNS, rows(centers), self._console.size.width))
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)


def _number(key: str, head: str, drops: int = 0) -> _tables.Column:
    return _tables.Column(key=key, head=head, right=True, drops=drops)


COLUMNS = (
    _tables.Column(key="center", head="Center"),
    _tables.Column(key="line", head="Line"),
    _number("waiting", "W"),
    _tables.Column(key="longest_s", head="Longest", show=span, right=True),
    _number("talking", "Talk"),
    _number("ready", "Ready"),
    _number("busy", "Busy"),
    _number("answered", "C"),
    _number("abandoned", "A"),
    _number("sent", "Sent", 2),
    _number("there", "C there", 1),
    _number("guests", "Guests", 1),
)
"""W, C and A are Asterisk's letters."""


def rows(centers: Sequence[Seen]) -> list[dict[str, Any]]:
    """Return a row for each center; of one whose engine is away nothing but that."""
    return [
        {
            "center": one.center,
            "line": "CUT" if one.parted else "no engine" if one.away else "up",
            **{
                column.key: None if one.away else getattr(one, column.key)
                for column in COLUMNS
                if column.key not in ("center", "line")
            },
        }
        for one in centers
    ]


FIGURES = (
    *("offered", "answered", "abandoned", "self_served", "refused", "failed_open"),
    *("overflow_answered", "guests_answered", "lost", "doubled", "other_hands"),
    *("wait_p50_s", "wait_p90_s", "wait_max_s", "service_level"),
)
"""What of the report is printed for people."""


def report_city(result: CityAccount, options: DemoOptions, *, json: bool) -> int:
    """Print the account of a run with an end; return the exit code."""
    from gkc_engine.demo.centers_account import city_report
    from gkc_engine.demo.centers_plan import CENTERS

    assert options.seconds is not None
    row = city_report(
        result,
        seconds=options.seconds,
        rate=options.rate,
        seed=options.seed,
        shares={plan.name: plan.share for plan in CENTERS},
    )
    if json:
        print(json_module.dumps(row, ensure_ascii=False))
    else:
        for text in table(row):
            print(text)
    whole = result.whole
    others = [f"{one} ({whose})" for one, whose in whole.whose.items()]
    for what, ids in (("lost", whole.lost), ("doubled", whole.doubled), ("other hands", others)):
        if ids:
            progress(f"{what}: {', '.join(ids[:20])}{' …' if len(ids) > 20 else ''}")
    for wrong in result.wrong:
        progress(wrong)
    return 0 if result.balanced else 1


def table(row: dict[str, Any]) -> list[str]:
    """Return the report for people: a column for the city, and one for each center."""
    columns = {"city": row, **row["centers"]}

    def text(name: str, cells: Sequence[object]) -> str:
        return f"{name:26}" + "".join(f"{'-' if c is None else c!s:>10}" for c in cells)

    lines = [text("", list(columns))]
    lines += [text(name, [one.get(name) for one in columns.values()]) for name in FIGURES]
    for how in ("with_overflow", "without_overflow"):
        for figure in ("answered", "mean_s", "p90_s"):
            cells = [one["waits"][how][figure] for one in columns.values()]
            lines.append(text(f"{how} {figure}", cells))
    records = row["city_records"]
    if records is not None:
        kept = f"{records['rows']} rows, {records['contacts']} contacts"
        lines.append(f"the city's records: {kept}, {records['differences']} differences")
    return lines
