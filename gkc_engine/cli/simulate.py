"""``gkc simulate``: the production core on a virtual clock, with the traffic of a scenario."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._console import print_json, progress
from gkc_engine.control.protocol import Json
from gkc_engine.errors import ConfigError, GkcError
from gkc_engine.ids import Micros
from gkc_engine.simulation.plan import REPLICATIONS_MAX, Plan
from gkc_engine.simulation.replications import Result, Task, cores, simulate
from gkc_engine.simulation.report import report
from gkc_engine.simulation.scenario import load_scenario
from gkc_engine.simulation.table import ArrivalsFile, read_arrivals, write_trace

PROGRESS_FIRST_S, PROGRESS_S = 1.0, 5.0
"""Seconds until the first line of progress, and between two."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print one object for programs.")]

COUNTS = ("offered", "answered", "abandoned", "refused", "waiting")
FIGURES = (
    _tables.Column(key="queue", head="Queue"),
    _tables.Column(key="offered", head="Offered", right=True),
    _tables.Column(key="answered", head="C", right=True),
    _tables.Column(key="abandoned", head="A", right=True),
    _tables.Column(key="refused", head="Refused", right=True, drops=2),
    _tables.Column(key="waiting", head="W", right=True, drops=3),
    _tables.Column(key="asa_s", head="ASA, s", right=True),
    _tables.Column(key="wait_mean_s", head="Wait, s", right=True, drops=1),
    _tables.Column(key="wait_p50_s", head="P50", right=True, drops=4),
    _tables.Column(key="wait_p90_s", head="P90", right=True),
    _tables.Column(key="wait_p95_s", head="P95", right=True, drops=5),
    _tables.Column(key="wait_max_s", head="Max", right=True, drops=6),
    _tables.Column(key="sl", head="SL", right=True),
)
"""C answered, A abandoned, W still waiting at the end: Asterisk's letters, as in `queue show`."""
OCCUPANCY = (
    _tables.Column(key="name", head="Operators"),
    _tables.Column(key="occupancy", head="Occupancy", right=True),
)


def simulate_scenario(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.yaml", show_default=False)],
    *,
    seed: Annotated[
        int, typer.Option(min=0, help="Chooses the random numbers; the same seed, the same bytes.")
    ] = 1,
    replications: Annotated[
        int,
        typer.Option(
            min=1, max=REPLICATIONS_MAX, help="Independent runs: their spread gives the intervals."
        ),
    ] = 1,
    arrivals: Annotated[
        Path | None,
        typer.Option(metavar="IN.csv", help="Contacts that are given, instead of the traffic."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="OUT.csv", help="What became of each of them (with --arrivals)."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a scenario through the routing of this engine and print its figures."""
    _check_options(arrivals, trace, replications)
    plan = load_scenario(scenario, arrivals_given=arrivals is not None)
    given: ArrivalsFile | None = None
    if arrivals is not None:
        given = read_arrivals(arrivals, [queue.queue_id for queue in plan.settings.queues])
        plan = _without_traffic(plan)
    _tell_of_hours(plan)
    task = Task(
        plan=plan,
        seed=seed,
        given=None if given is None else tuple(given.arrivals),
        keep_fates=trace is not None,
    )
    what = "contacts" if replications == 1 else "replications"
    results = simulate(task, replications, jobs=cores(), progress=_Progress(what).tell)
    if trace is not None and given is not None:
        _write(trace, given, results[0])
    figures = report(results, seed)
    if json:
        print_json(figures)
    else:
        _print_tables(figures)


def _check_options(arrivals: Path | None, trace: Path | None, replications: int) -> None:
    if trace is None:
        return
    if arrivals is None:
        raise ConfigError("--trace: found no --arrivals, expected the contacts to be traced")
    if replications != 1:
        raise ConfigError(f"--trace: found --replications {replications}, expected one run")
    if trace.is_dir() or not trace.parent.is_dir():
        raise ConfigError(f"--trace {trace}: found no folder for it, expected a file to write")
    if trace.exists() and trace.samefile(arrivals):
        raise ConfigError(f"--trace {trace}: found the file of --arrivals, expected another one")


def _tell_of_hours(plan: Plan) -> None:
    if plan.hours and plan.start is None:
        names = ", ".join(plan.hours)
        print(f"hours of {names}: not applied, for the scenario has no start:", file=sys.stderr)


def _without_traffic(plan: Plan) -> Plan:
    return replace(plan, flows=(), contacts=None, duration_us=None, warmup_us=Micros(0))


def _write(trace: Path, given: ArrivalsFile, result: Result) -> None:
    assert result.fates is not None
    try:
        write_trace(trace, given, result.fates)
    except OSError as error:
        raise GkcError(f"{trace}: cannot be written ({error.strerror})") from error


class _Progress:
    """Lines on stderr while it runs, none in the first second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._next = self._begun + PROGRESS_FIRST_S

    def tell(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now >= self._next and done < of:
            self._next = now + PROGRESS_S
            progress(f"{done} of {of} {self._what}, {now - self._begun:.0f} s")


# --- tables for people ---------------------------------------------------------------------------


def _print_tables(figures: Json) -> None:
    ranges = figures["ci95"] or {"queues": {}, "total": {}, "occupancy": {}}
    rows = [
        {"queue": name, **_cells(values, ranges["queues"].get(name, {}))}
        for name, values in figures["queues"].items()
        if values["offered"]
    ]
    if len(rows) > 1:
        rows.append({"queue": "(all)", **_cells(figures["total"], ranges["total"])})
    _tables.print_rows(FIGURES, rows, "No contacts: nobody came after the warm-up.")
    print()
    shares = [
        {"name": name, "occupancy": _share(value, ranges["occupancy"].get(name))}
        for name, value in figures["occupancy"].items()
    ]
    _tables.print_rows(OCCUPANCY, shares, "No operators.")
    if figures["ci95"]:
        print(f"\nMeans of {figures['replications']} replications ± half of the 95 % interval.")


def _cells(values: Json, ranges: Json) -> dict[str, str]:
    cells = {}
    for key, value in values.items():
        found = ranges.get(key)
        if key == "sl":
            cells[key] = _share(value, found)
        else:
            cells[key] = _with_range(value, found, 1.0, 0 if key in COUNTS else 1)
    return cells


def _share(value: Json, found: Json) -> str:
    text = _with_range(value, found, 100.0, 1)
    return text if value is None else f"{text}%"


def _with_range(value: Json, found: Json, scale: float, decimals: int) -> str:
    if value is None:
        return "-"
    text = f"{value * scale:.{decimals}f}"
    if found is None:
        return text
    return f"{text} ±{(found[1] - found[0]) / 2 * scale:.{decimals}f}"
