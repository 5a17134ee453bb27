"""The table of bench/README.md, and whether each target is met. Pure but for `Machine.read`."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.city import FLOOR, Arm

Figures = Mapping[tuple[str, Arm], Mapping[str, float]]
"""(what, arm) -> medians over the rounds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were taken on."""

    cores: int
    cpu: str
    load: float
    """Of the last minute, before the run began."""
    python: str

    @classmethod
    def read(cls) -> Machine:
        """Look at this machine."""
        info = Path("/proc/cpuinfo").read_text()
        model = re.search(r"model name\s*:\s*(.+)", info)
        return cls(
            cores=os.cpu_count() or 0,
            cpu=model[1].strip() if model else platform.machine(),
            load=os.getloadavg()[0],
            python=platform.python_version(),
        )


def verdicts(found: Figures) -> list[tuple[str, bool]]:
    """Return each target of the issue with whether it is met."""
    judged: list[tuple[str, bool]] = []
    for what in dict.fromkeys(what for what, _ in found):
        queue, engine = found[what, "queue"], found[what, "engine"]
        if what == "pickup":
            judged += [
                ("pick-up p50 <= 20 ms", engine["p50"] <= 20),
                ("pick-up p99 <= 100 ms", engine["p99"] <= 100),
                ("pick-up p50 >= 20 times below Queue()", engine["p50"] * 20 <= queue["p50"]),
            ]
        else:
            rate = what.removeprefix("arrival")
            limit = 1.5 * queue["p95"] + 5
            judged += [
                (f"arrival {rate}/s p95 <= 1.5 x Queue() + 5 ms", engine["p95"] <= limit),
                (f"arrival {rate}/s no failed call", engine["failed"] == 0),
            ]
        judged.append((f"{what} CPU a call <= Queue()", engine["cpu_ms"] <= queue["cpu_ms"]))
    return judged


def table(
    found: Figures,
    judged: Sequence[tuple[str, bool]],
    machine: Machine,
    rounds: int,
    seconds: float,
) -> str:
    """Return the markdown of the whole run."""
    taken = (
        f"Taken on {machine.cores} cores of {machine.cpu}, load {machine.load:.1f} before the"
        f" run, Python {machine.python}; {rounds} round(s), {seconds / 60:.1f} min. Medians."
    )
    lines = [
        taken,
        "",
        "| what | `Queue()` | engine | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for what in dict.fromkeys(what for what, _ in found):
        lines += _rows(what, found[what, "queue"], found[what, "engine"])
        for arm, title in FLOOR.items():
            if (what, arm) in found:
                floor = found[what, arm]
                cpu = (
                    f"{floor['cpu_ms']:.1f} ({floor['asterisk_ms']:.1f} + {floor['engine_ms']:.1f})"
                )
                lines.append(f"| … CPU ms a call, {title} | | {cpu} | |")
    lines += ["", *(f"- {'met' if ok else '**MISSED**'}: {text}" for text, ok in judged)]
    return "\n".join(lines)


def _rows(what: str, queue: Mapping[str, float], engine: Mapping[str, float]) -> list[str]:
    if what == "pickup":
        title = "agent free → next citizen's INVITE"
        keys = ("p50", "p99")
    else:
        title = f"arrival → INVITE, {what.removeprefix('arrival')} calls/s"
        keys = ("p50", "p95")
    rows = [
        f"| {title}, {key}, ms | {queue[key]:.1f} | {engine[key]:.1f}"
        f" | {queue[key] / engine[key]:.2f} |"
        for key in keys
    ]
    rows.append(
        f"| … CPU ms a call (Asterisk + engine) | {queue['cpu_ms']:.1f} | {engine['cpu_ms']:.1f}"
        f" ({engine['asterisk_ms']:.1f} + {engine['engine_ms']:.1f})"
        f" | {queue['cpu_ms'] / engine['cpu_ms']:.2f} |"
    )
    rows.append(
        f"| … failed, INVITEs repeated (all rounds; {engine['count']:.0f} counted a round)"
        f" | {queue['failed']:.0f}, {queue['repeated']:.0f}"
        f" | {engine['failed']:.0f}, {engine['repeated']:.0f} | |"
    )
    return rows
