"""A dry run told: a table and sentences for people, JSON for programs. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gkc_engine.ids import SECOND
from gkc_engine.recorder.queries import iso
from gkc_engine.simulation.dryrun import (
    ASA_BOUND,
    ASA_BOUND_S,
    SHARE_BOUND,
    Breach,
    DryRun,
    Worse,
)
from gkc_engine.simulation.explain_text import seconds_text
from gkc_engine.simulation.measured import Fate, Figures

WORST = 10
"""Contacts told one by one in the text; JSON has all."""


def as_json(run: DryRun) -> dict[str, Any]:
    """Return the dry run as JSON's own types."""
    return {
        "from": iso(run.since),
        "to": iso(run.until),
        "seed": run.seed,
        "contacts": run.contacts,
        "config_today": run.today,
        "config_new": run.new,
        "queues": {
            queue: {
                "really": _figures(run.really.get(queue)),
                "now": _figures(run.now.get(queue)),
                "then": _figures(run.then.get(queue)),
            }
            for queue in dict.fromkeys((*run.now, *run.then))
        },
        "worse": [_worse(one) for one in run.worse],
        "baseline_off": [asdict(breach) for breach in run.off],
        "guardrails_broken": [asdict(breach) for breach in run.broken],
        "guardrails_unjudged": run.unjudged,
        "notes": run.notes,
    }


def _figures(figures: Figures | None) -> dict[str, Any] | None:
    return None if figures is None else asdict(figures)


def _worse(one: Worse) -> dict[str, Any]:
    return {
        "contact_id": one.contact_id,
        "number": one.number,
        "queue": one.queue,
        "now": _fate(one.now),
        "then": None if one.then is None else _fate(one.then),
    }


def _fate(fate: Fate) -> dict[str, Any]:
    return {"outcome": fate.outcome, "wait_s": fate.wait_us / SECOND}


def text(run: DryRun) -> str:
    """Return the dry run for people; what is to be warned of is apart."""
    lines = [
        f"{run.contacts} contacts of {iso(run.since)} to {iso(run.until)}, seed {run.seed}",
        f"today's config {run.today} -> new config {run.new}",
        "",
        *_table(run),
        "",
        *_baseline(run),
        "",
        *_fares_worse(run),
    ]
    if run.broken:
        lines += ["", *(_told("guard-rail broken", breach, "today") for breach in run.broken)]
    return "\n".join(lines)


def warnings(run: DryRun) -> list[str]:
    """Return what to warn of."""
    found = [f"note: {note}" for note in run.notes]
    found += [f"guard-rail not judged, nothing was counted: {one}" for one in run.unjudged]
    found += [_told("the rerun of today's config is off", breach, "really") for breach in run.off]
    if run.off:
        found.append("so what is said of the new config is not to be relied on there")
    return found


def _told(what: str, breach: Breach, was: str) -> str:
    """``was``: what the value beside it is, ``today`` or ``really``."""
    value, bound = (_number(breach.figure, v) for v in (breach.value, breach.bound))
    other = f", {was} {_number(breach.figure, breach.was)}" if breach.was is not None else ""
    return f"{what}: {breach.queue}: {breach.figure} {value}{other} (bound {bound})"


def _number(figure: str, value: float | None) -> str:
    if value is None:
        return "-"
    if figure in ("asa_s", "p90_s", "asa_max", "p90_max"):
        return f"{value:.1f}s"
    return f"{100 * value:.1f}%"


_COLUMNS = ("sl", "asa_s", "p90_s", "abandon_rate", "occupancy")
_TITLES = ("queue", "contacts", "SL", "ASA", "P90", "abandoned", "occupancy")


def _table(run: DryRun) -> list[str]:
    rows: list[tuple[str, ...]] = [_TITLES]
    for queue in dict.fromkeys((*run.now, *run.then)):
        now, then = run.now.get(queue), run.then.get(queue)
        pairs = [f"{_value(now, column)} -> {_value(then, column)}" for column in _COLUMNS]
        came = " -> ".join("-" if f is None else str(f.offered + f.refused) for f in (now, then))
        rows.append((queue, came, *pairs))
    widths = [max(len(row[n]) for row in rows) for n in range(len(_TITLES))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _value(figures: Figures | None, column: str) -> str:
    return "-" if figures is None else _number(column, getattr(figures, column))


def _baseline(run: DryRun) -> list[str]:
    """Tell how far the rerun of today's config is from what happened."""
    shares, asa = f"{100 * SHARE_BOUND:.0f}", f"{ASA_BOUND_S:.0f}s or {100 * ASA_BOUND:.0f}%"
    lines = [
        "today's config rerun (and what really happened); it warns from",
        f"  {shares} points of SL or abandoned and {asa} of ASA on:",
    ]
    for queue, real in run.really.items():
        now = run.rerun[queue]
        if not real.offered and not now.offered:
            continue
        parts = [
            f"{title} {_value(now, column)} ({_value(real, column)})"
            for title, column in (("SL", "sl"), ("ASA", "asa_s"), ("abandoned", "abandon_rate"))
        ]
        lines.append(f"  {queue}: {', '.join(parts)}")
    return lines


def _fares_worse(run: DryRun) -> list[str]:
    if not run.worse:
        return ["no contact fares worse"]
    lost = sum(one.lost for one in run.worse)
    lines = [f"{len(run.worse)} contacts fare worse, {lost} of them are no longer answered:"]
    for one in run.worse[:WORST]:
        then = "its queue is gone" if one.then is None else _ended(one.then)
        name = one.number or one.contact_id
        lines.append(f"  {name}  {one.queue}: {_ended(one.now)} -> {then}")
    if len(run.worse) > WORST:
        lines.append(f"  and {len(run.worse) - WORST} more (--json has all)")
    return lines


def _ended(fate: Fate) -> str:
    return f"{fate.outcome} after {seconds_text(fate.wait_us)}"
