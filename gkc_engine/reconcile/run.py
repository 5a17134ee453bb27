"""One comparison from its beginning to its end. Blocks, and only reads."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gkc_engine.channels.phone import cel
from gkc_engine.ids import FOREVER, SECOND, Instant, Micros
from gkc_engine.reconcile import cdr, lines, roll_ups, sums
from gkc_engine.reconcile.calls import Judge
from gkc_engine.reconcile.files import Line, SourceError, generations
from gkc_engine.reconcile.files import lines as lines_of
from gkc_engine.reconcile.ledger import MARGIN_US, Told, load
from gkc_engine.reconcile.model import STAMP_US, Count, Difference, Kind, Outcome
from gkc_engine.reconcile.sides import Known, clock_steps
from gkc_engine.reconcile.spool import Spool, spool
from gkc_engine.reconcile.strays import doubled, strays
from gkc_engine.recorder.queries import iso

KEPT_MAX: Final = 1_000
"""Differences that are kept to be shown; all of them are counted."""

SETTLED_US: Final = 5 * SECOND
"""What is newer may still be on its way into either list, beside a running engine."""

_SAY_EVERY: Final = 200_000
_RESTART_SLACK: Final = 50
"""Channels made at one time may be listed out of their order by so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be compared."""

    since: Instant
    until: Instant
    cel: Path
    cdr: Path | None
    queue_log: Path | None
    now: Instant
    running: bool
    """Whether an engine writes to the store."""


def compare(
    connection: sa.Connection, asked: Asked, say: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Compare the records with Asterisk's lists and the queue_log file.

    Args:
        connection: To the store, in one transaction that only reads.
        asked: The period and the files.
        say: Is told how far it is.

    Raises:
        SourceError: a file cannot be read, or the disk has no room for the temporary one.
        HistoryError: the store holds no ledger.
    """
    outcome = Outcome(since=asked.since, until=asked.until)
    try:
        with spool() as into:
            for one in _Comparison(connection, asked, into, outcome, say).run():
                outcome.found += 1
                if len(outcome.differences) < KEPT_MAX:
                    outcome.differences.append(one)
    except (sqlite3.Error, OSError) as error:
        raise SourceError(
            f"the temporary file in {tempfile.gettempdir()}: {error}; it takes 400 MB for a "
            "million lines of CEL, and TMPDIR names another folder"
        ) from error
    return outcome


class _Comparison:
    def __init__(
        self,
        connection: sa.Connection,
        asked: Asked,
        into: Spool,
        outcome: Outcome,
        say: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._asked = asked
        self._spool = into
        self._outcome = outcome
        self._say = say
        self._first: Instant = FOREVER

    @property
    def _counts(self) -> Counter[Count]:
        return self._outcome.counts

    def run(self) -> Iterator[Difference]:
        asked, into = self._asked, self._spool
        yield from self._read_cel()
        yield from self._read_cdr()
        self._say("reading the records")
        told = load(self._connection, into, asked.since, asked.until)
        into.index()
        known = self._known(told)
        self._there(known)
        yield from self._late(known, told)
        self._say("comparing the calls")
        yield from doubled(into, asked.since, asked.until)
        judge = Judge(into, known, self._counts)
        query = "SELECT * FROM contact WHERE started >= ? AND started < ? AND uid <> ''"
        for row in into.rows(query, asked.since, asked.until):
            call = judge.call(row)
            yield from judge.differences(call)
            if call.contact["ended"] is not None:
                yield from sums.of_call(call)
        yield from strays(
            into, known, told, self._counts, asked.since, asked.until, running=asked.running
        )
        if asked.cdr is not None:
            yield from cdr.differences(into, known, asked.since, asked.until)
        yield from sums.identity(self._connection, asked.since, asked.until)
        yield from roll_ups.differences(
            self._connection, self._counts, asked.since, asked.until, self._say
        )
        yield from self._queue_log(known)

    # --- Asterisk's files ------------------------------------------------------------------------

    def _read_cel(self) -> Iterator[Difference]:
        low, high = self._asked.since - MARGIN_US, self._asked.until + MARGIN_US
        for line in self._lines(self._asked.cel):
            row = cel.columns(line.text)
            at = cel.instant(row[1]) if row else None
            if at is None or not row[3]:
                yield _torn("lines of legs.csv", line)
                continue
            self._first = min(self._first, at)
            if low <= at < high:
                self._spool.take_row(at, row)
        self._spool.legs_read()

    def _read_cdr(self) -> Iterator[Difference]:
        asked = self._asked
        if asked.cdr is None:
            self._outcome.notes.append("CDR was not compared: pbx.cdr is not set")
            return
        torn: list[Line] = []

        def rows() -> Iterator[cdr.CdrRow]:
            assert asked.cdr is not None
            for line in self._lines(asked.cdr):
                row = cdr.row_of(line)
                if row is None:
                    torn.append(line)
                elif asked.since - MARGIN_US <= row[1] < asked.until + MARGIN_US:
                    self._counts[Count.CDR_ROWS] += asked.since <= row[1] < asked.until
                    yield row

        self._spool.put("cdr", rows())
        for line in torn:
            yield _torn("lines of calls.csv as gkc pbx config has them written", line)

    def _there(self, known: Known) -> None:
        """Refuse a list that does not exist although calls have ended that must stand in it.

        Raises:
            SourceError: it is missing.
        """
        ended = self._spool.value(
            "SELECT count(*) FROM contact WHERE started >= ? AND ended <= ? AND uid <> ''",
            self._asked.since,
            known.settled,
        )
        for name, path in (("pbx.cel", self._asked.cel), ("pbx.cdr", self._asked.cdr)):
            if ended and path is not None and not generations(path, Instant(0)):
                raise SourceError(
                    f"{path}: there is no such file, and {ended} calls should stand in it; does "
                    f"{name} name the file that Asterisk writes?"
                )

    def _lines(self, path: Path) -> Iterator[Line]:
        for read, line in enumerate(lines_of(path, self._asked.since), 1):
            yield line
            if read % _SAY_EVERY == 0:
                self._say(f"{path.name}: {read} lines read")

    def _queue_log(self, known: Known) -> Iterator[Difference]:
        asked = self._asked
        if asked.queue_log is None:
            self._outcome.notes.append("queue_log was not compared: there is no such file")
            return
        self._say("comparing queue_log")
        lines.tell(self._connection, self._spool, self._counts, asked.since, asked.until)
        yield from lines.read(
            self._lines(asked.queue_log), self._spool, self._counts, asked.since, asked.until
        )
        yield from lines.differences(self._spool, asked.since, asked.until, known.settled)

    # --- what is known of the whole --------------------------------------------------------------

    def _known(self, told: Told) -> Known:
        asked = self._asked
        settled = Instant(asked.now - SETTLED_US) if asked.running else told.last
        known = Known(
            file_from=self._first,
            settled=settled,
            phones=told.phones,
            away=told.away,
            restarts=self._restarts(),
        )
        self._outcome.steps = clock_steps(self._apart())
        known.steps = [apart for _, apart in self._outcome.steps]
        return known

    def _apart(self) -> Iterator[tuple[Instant, Micros]]:
        """Yield how far apart the two sides put the ends of calls, in order of time."""
        query = """
            SELECT contact.ended AS ours, leg.ended AS theirs FROM contact JOIN leg USING (uid)
            WHERE contact.ended IS NOT NULL AND leg.ended IS NOT NULL
            ORDER BY ours
        """
        for row in self._spool.rows(query):
            yield Instant(row["ours"]), Micros(row["ours"] - row["theirs"])

    def _restarts(self) -> list[Instant]:
        """Return when Asterisk began to count its channels anew."""
        restarts: list[Instant] = []
        highest = -1
        query = "SELECT uid, started FROM leg WHERE started IS NOT NULL ORDER BY started"
        for row in self._spool.rows(query):
            count = row["uid"].rpartition(".")[2]
            number = int(count) if count.isdecimal() else highest
            if number < highest - _RESTART_SLACK or (number == 0 and highest > 0):
                restarts.append(Instant(row["started"]))
                highest = number
            highest = max(highest, number)
        return restarts

    def _late(self, known: Known, told: Told) -> Iterator[Difference]:
        """The file lacks a beginning that the records have: said once, for all of these calls."""
        since = max(self._asked.since, told.first)
        count = self._spool.value(
            "SELECT count(*) FROM contact WHERE started >= ? AND started < ? AND uid <> ''",
            since,
            min(known.file_from - STAMP_US, self._asked.until),
        )
        if count:
            begin = "is empty" if known.file_from == FOREVER else f"begins {iso(known.file_from)}"
            yield Difference(
                kind=Kind.CEL_BEGINS_LATE,
                ours=f"{count} calls from {iso(since)} on",
                theirs=f"{self._asked.cel} {begin}",
            )


def _torn(what: str, line: Line) -> Difference:
    return Difference(kind=Kind.TORN, ours=what, theirs=f"{line}: {line.text[:80]!r}")


__all__ = ["Asked", "SourceError", "compare"]
