"""The queue_log file against the ledger, line by line.

The ledger's steps give the lines once more (``recorder.queue_log``); compared are second, call,
queue, operator and event, each as often as it comes. Positions and durations are not: an engine
that came back counts its line anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Settings
from gkc_engine.ids import SECOND, Instant
from gkc_engine.reconcile.files import Line
from gkc_engine.reconcile.ledger import MARGIN_US
from gkc_engine.reconcile.model import Count, Difference, Kind
from gkc_engine.reconcile.spool import Spool
from gkc_engine.recorder import history, schema
from gkc_engine.recorder.codec import KINDS, decode
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.rows import Step

_PARTS: Final = 5
"""Epoch, call, queue, operator, event."""

NO_CALL: Final = "NONE"
"""Of lines that tell of an operator alone: those of the period are compared."""


def tell(
    connection: sa.Connection,
    spool: Spool,
    counts: Counter[Count],
    since: Instant,
    until: Instant,
) -> None:
    """Count the lines that the ledger gives of the period.

    A call's lines all belong to the day on which it came. One that was in progress at ``since``
    is compared with that day.

    Raises:
        HistoryError: the ledger cannot be read.
    """
    span = history.span(connection)
    after = history.seq_before(connection, span, since)
    last = history.seq_before(connection, span, Instant(until + MARGIN_US))
    lines = QueueLog()
    lines.begin(connection, since, _settings(connection, after))
    calls: set[str] = set()
    """Open ones that came in the period: those of ten minutes, not of a day."""
    for recorded in history.steps(connection, after):
        if recorded.seq > last or (recorded.now >= until and not calls):
            break
        step = Step(
            now=recorded.now,
            event=recorded.event,
            source=recorded.source,
            source_key=None,
            commands=recorded.commands(),
        )
        if isinstance(step.event, ev.ContactStarted) and recorded.now < until:
            calls.add(step.event.contact_id)
        for text in lines.lines([step]):
            _count(spool, counts, text, since, until, file=False)
        calls -= {c.contact_id for c in step.commands if isinstance(c, cm.ContactEnded)}


def _settings(connection: sa.Connection, after: int) -> Settings | None:
    e = schema.event.c
    query = (
        sa.select(e.data)
        .where(e.kind == KINDS[ev.SettingsApplied], e.seq <= after)
        .order_by(e.seq.desc())
        .limit(1)
    )
    data = connection.scalar(query)
    if data is None:
        return None
    fact = decode(KINDS[ev.SettingsApplied], data)
    assert isinstance(fact, ev.SettingsApplied)
    return fact.settings


def read(
    lines: Iterator[Line], spool: Spool, counts: Counter[Count], since: Instant, until: Instant
) -> Iterator[Difference]:
    """Count the lines of the file; yield those that cannot be read."""
    for line in lines:
        if not _count(spool, counts, line.text, since, until, file=True):
            yield Difference(
                kind=Kind.TORN, ours="lines of queue_log", theirs=f"{line}: {line.text[:60]!r}"
            )


def _count(
    spool: Spool,
    counts: Counter[Count],
    text: str,
    since: Instant,
    until: Instant,
    *,
    file: bool,
) -> bool:
    parts = text.split("|")
    if len(parts) < _PARTS or not parts[0].isdecimal():
        return False
    at, callid = int(parts[0]) * SECOND, parts[1]
    # Whole seconds: of the edges nothing can be said.
    inside = since <= at and at + SECOND <= until
    if callid != NO_CALL:
        inside = since - MARGIN_US <= at < until + MARGIN_US
    if inside:
        counts[Count.QUEUE_LOG_LINES] += file and since <= at < until
        spool.count_line(callid, "|".join([parts[0], *parts[2:_PARTS]]), file=file)
    return True


_UNEQUAL: Final = """
SELECT line.*, contact.contact_id, contact.row FROM line LEFT JOIN contact ON contact.uid = callid
WHERE ledger <> file
AND (callid = 'NONE' OR callid NOT IN (SELECT uid FROM contact WHERE started < ? OR started >= ?))
ORDER BY key
"""


def differences(
    spool: Spool, since: Instant, until: Instant, settled: Instant
) -> Iterator[Difference]:
    """Yield the lines that one side has more often than the other."""
    for row in spool.rows(_UNEQUAL, since, until):
        epoch, queue, agent, name = row["key"].split("|")
        at = int(epoch) * SECOND
        # What bears no call that we know belongs to the day of its own second.
        elsewhere = row["contact_id"] is None and not since <= at <= until - SECOND
        if at > settled or elsewhere:
            continue
        what = f"{name} of {agent} in {queue} at {epoch}"
        missing = row["ledger"] > row["file"]
        yield Difference(
            kind=Kind.QUEUE_LOG_MISSING if missing else Kind.QUEUE_LOG_UNKNOWN,
            contact_id=row["contact_id"],
            uniqueid=None if row["callid"] == NO_CALL else row["callid"],
            ours=f"{what}: {row['ledger']}",
            theirs=f"{row['file']} in queue_log",
        )
