"""``gkc replay``: takes recorded events again and compares what the core says, byte for byte."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import msgspec
import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.recorder import history
from gkc_engine.recorder.codec import CodecError, decode, encode
from gkc_engine.recorder.history import HistoryError, Recorded, Said, said
from gkc_engine.recorder.ledger import engine_version
from gkc_engine.recorder.queries import iso


@dataclass(slots=True, kw_only=True)
class Difference:
    """A step to which the core says something else now."""

    seq: int
    kind: str
    at: Instant
    event: str
    """As JSON."""
    recorded: list[Said]
    replayed: list[Said]

    @property
    def first(self) -> int:
        """Index of the first command that differs (or that only one of the two has)."""
        pairs = enumerate(zip_longest(self.recorded, self.replayed))
        return next(index for index, (was, now) in pairs if was != now)


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What a replay found."""

    base_seq: int
    """Row of the snapshot that it began from; 0 = the ledger's beginning."""
    engines: list[str]
    """Versions that recorded it, as far as snapshots tell."""
    since: Instant
    until: Instant
    steps: int = 0
    """In the range asked for."""
    steps_before: int = 0
    """Between the snapshot and the range; compared too."""
    commands: int = 0
    differences: int = 0
    """Steps with another answer, those before the range among them."""
    first: Difference | None = None


def replay(
    connection: sa.Connection, since: Instant, until: Instant, *, other_version: bool = False
) -> Replayed:
    """Take the steps of [since, until] again, from the last snapshot before them.

    The steps between that snapshot and ``since`` are compared too: after a difference the state
    is another one, and nothing that follows proves anything.

    Args:
        connection: Read only.
        since: First instant asked for.
        until: Last instant asked for.
        other_version: Compare with another engine's record: what both know, not byte for byte.

    Raises:
        HistoryError: Nothing is on record there, rows are missing, or another engine recorded them.
    """
    held = history.span(connection)
    base = history.base_before(connection, since)
    report = Replayed(base_seq=base.seq, engines=[], since=since, until=until)
    acd, last_seq = base.core(), base.seq
    for step in history.steps(connection, base.seq):
        if step.now > until:
            break
        last_seq = step.seq + len(step.said)
        if step.now < since:
            report.steps_before += 1
        else:
            report.steps += 1
        report.commands += len(step.said)
        now = [said(command) for command in acd.step(step.event, step.now)]
        _compare(report, step, now, other_version=other_version)
    report.engines = sorted(history.engine_versions(connection, base, last_seq))
    if not report.steps:
        raise HistoryError(
            f"nothing is on record from {iso(since)} to {iso(until)}; the ledger holds {held}"
        )
    if not other_version and set(report.engines) - {engine_version()}:
        raise HistoryError(
            f"recorded by engine {', '.join(report.engines)}, this is {engine_version()}: another "
            "version may rightly decide otherwise; --other-version compares all the same"
        )
    return report


def _compare(report: Replayed, step: Recorded, now: list[Said], *, other_version: bool) -> None:
    if step.said == now:
        return
    was = step.said
    if other_version:
        # What another version wrote, in the words of this one: a new field takes its default.
        with contextlib.suppress(CodecError):  # else it is a difference, told as it was written
            was = [(kind, encode(decode(kind, data))) for kind, data in was]
        if was == now:
            return
    report.differences += 1
    if report.first is None:
        report.first = Difference(
            seq=step.seq,
            kind=step.kind,
            at=step.now,
            event=encode(step.event),
            recorded=was,
            replayed=now,
        )


def as_json(report: Replayed) -> dict[str, Any]:
    """Return the report as JSON's own types."""
    first = report.first
    return {
        "from": iso(report.since),
        "to": iso(report.until),
        "base_seq": report.base_seq,
        "engine_versions": report.engines,
        "steps": report.steps,
        "steps_before": report.steps_before,
        "commands": report.commands,
        "differences": report.differences,
        "first_difference": None
        if first is None
        else {
            "seq": first.seq,
            "kind": first.kind,
            "at": iso(first.at),
            "event": msgspec.json.decode(first.event),
            "differs_at": first.first,
            "recorded": [_named(one) for one in first.recorded],
            "replayed": [_named(one) for one in first.replayed],
        },
    }


def _named(command: Said) -> dict[str, Any]:
    kind, data = command
    return {"kind": kind, "data": msgspec.json.decode(data)}


def text(report: Replayed) -> str:
    """Return the report for people."""
    begin = "the ledger's beginning"
    if report.base_seq:
        begin = f"the snapshot at row {report.base_seq}"
    engines = ", ".join(report.engines) or "not on record"
    when = f"{iso(report.since)} to {iso(report.until)}"
    lines = [
        f"replayed {report.steps} steps of {when}, engine {engines}",
        f"  and {report.steps_before} before them, from {begin}",
        f"{report.commands} commands compared: {report.differences} steps differ",
    ]
    if report.first is not None:
        lines += _told(report.first)
    return "\n".join(lines)


def _told(first: Difference) -> list[str]:
    alike = first.first
    lines = [
        f"first difference at row {first.seq}, {first.kind} of {iso(first.at)}",
        f"  event     {first.event}",
    ]
    if alike:
        lines.append(f"  ({alike} commands alike before it)")
    for name, side in (("recorded", first.recorded), ("replayed", first.replayed)):
        rest = side[alike:]
        lines += [f"  {name}  {kind} {data}" for kind, data in rest[:5]]
        lines += [f"  {name}  (nothing more)"] if not rest else []
        lines += [f"  {name}  … and {len(rest) - 5} more"] if len(rest) > 5 else []
    return lines
