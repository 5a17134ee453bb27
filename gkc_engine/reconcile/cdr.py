"""CDR against CEL, in two things only: whether a call is there, and its billed seconds.

It is no oracle for outcomes: who waits in an answered AGI is ANSWERED, one attended transfer makes
four rows over two calls, and each Dial that fails begins another row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from gkc_engine.channels.phone import cel
from gkc_engine.ids import SECOND, Instant
from gkc_engine.reconcile.files import Line
from gkc_engine.reconcile.model import BILLSEC_US, Difference, Kind
from gkc_engine.reconcile.sides import Known, Leg
from gkc_engine.reconcile.spool import Spool
from gkc_engine.recorder.queries import iso

_START, _ANSWER, _END, _BILLSEC, _UNIQUEID, _COLUMNS = 4, 5, 6, 8, 10, 11
"""Columns of ``calls.csv`` (asterisk/README.md)."""

CdrRow = tuple[str, Instant, Instant, Instant | None, int, str]
"""Uniqueid, start, end, answer, billed microseconds, place in the file."""


def row_of(line: Line) -> CdrRow | None:
    """Return a line of ``calls.csv``; ``None``: torn, or times in another form."""
    try:
        row = next(csv.reader([line.text], strict=True), [])
    except csv.Error:
        return None
    if len(row) != _COLUMNS or not row[_UNIQUEID]:
        return None
    start, end = cel.instant(row[_START]), cel.instant(row[_END])
    billed = cel.instant(row[_BILLSEC].removeprefix("-"))
    if start is None or end is None or billed is None:
        return None
    answer = cel.instant(row[_ANSWER])
    return row[_UNIQUEID], start, end, answer or None, billed, str(line)


def differences(spool: Spool, known: Known, since: Instant, until: Instant) -> Iterator[Difference]:
    """Yield the calls that one of the lists lacks, and rows with other seconds than the legs."""
    yield from _unknown(spool, known, since, until)
    for row in spool.rows("SELECT * FROM leg WHERE uid = linked"):
        leg = Leg.of(row)
        over = leg.ended is not None and leg.ended <= known.settled
        if not over or leg.started is None or not since <= leg.started < until:
            continue
        rows = spool.all("SELECT * FROM cdr WHERE uid = ? ORDER BY started, ended", leg.uid)
        if not rows:
            ours = f"{leg.channel} from {iso(leg.started)}"
            yield _found(spool, Kind.CDR_MISSING, leg.uid, ours, "no row in calls.csv")
        elif leg.is_half:
            continue  # Its time is shared with the call that it was made for.
        else:
            yield from _billed(spool, leg, rows)


def _unknown(spool: Spool, known: Known, since: Instant, until: Instant) -> Iterator[Difference]:
    query = (
        "SELECT cdr.* FROM cdr LEFT JOIN leg ON leg.uid = cdr.uid"
        " WHERE leg.uid IS NULL AND cdr.started >= ? AND cdr.started < ? AND cdr.ended <= ?"
        " GROUP BY cdr.uid"
    )
    for row in spool.rows(query, max(since, known.file_from), until, known.settled):
        theirs = f"{row['place']}: a call from {iso(row['started'])}"
        yield _found(spool, Kind.CDR_UNKNOWN, row["uid"], "no leg in legs.csv", theirs)


def _billed(spool: Spool, leg: Leg, rows: Iterable[Any]) -> Iterator[Difference]:
    """Each row bills what lies of its time between the leg's ANSWER and its end."""
    assert leg.ended is not None
    for row in rows:
        if leg.answered is None:
            if row["answered"] is not None:
                theirs = f"{row['place']}: answered {iso(row['answered'])}"
                name = f"leg {leg.uid}: no ANSWER in legs.csv"
                yield _found(spool, Kind.ANSWER_MISSING, leg.uid, name, theirs)
                return
            expected = 0
        else:
            first, last = max(row["started"], leg.answered), min(row["ended"], leg.ended)
            expected = max(0, last - first)
        if row["ended"] < row["started"]:
            continue  # The clock was set back meanwhile: Asterisk counts below zero.
        if abs(row["billsec"] - expected) > BILLSEC_US:
            theirs = f"{row['place']}: billsec {_s(row['billsec'])}"
            ours = f"{_s(expected)} s between answer and end"
            yield _found(spool, Kind.BILLSEC, leg.uid, ours, theirs)


def _found(spool: Spool, kind: Kind, uid: str, ours: str, theirs: str) -> Difference:
    found = spool.all("SELECT contact_id, row FROM contact WHERE uid = ?", uid)
    return Difference(
        kind=kind,
        contact_id=found[0]["contact_id"] if found else None,
        uniqueid=uid,
        ours=ours,
        theirs=theirs,
    )


def _s(us: int) -> str:
    return f"{us / SECOND:.3f}"
