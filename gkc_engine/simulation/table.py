"""``--arrivals`` and ``--trace``: contacts that are given one by one, and what became of each."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Final

from gkc_engine.config.problems import InvalidConfigError, Place, Problem, closest, problem, shown
from gkc_engine.ids import SECOND, Instant, Micros, QueueId
from gkc_engine.simulation.plan import CONTACTS_MAX, Arrival
from gkc_engine.simulation.tally import Fate

COLUMNS: Final = ("contact", "queue", "arrived_s", "handle_s", "patience_s")
TRACE_COLUMNS: Final = ("contact", "queue", "arrived_s", "outcome", "operator", "answered_s")
PROBLEMS_MAX: Final = 100
"""More are not looked for: a file of another kind is wrong in each line."""
SECONDS_MAX: Final = 3660 * 86400
CONTACT_CHARS_MAX: Final = 200
_DECIMAL: Final = re.compile(r"[-+]?(\d{1,18}\.?\d{0,30}|\.\d{1,30})([eE][-+]?\d{1,2})?", re.ASCII)


class ArrivalsFile:
    """The rows of one file, in its order, with the contact's own name of each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.arrivals: list[Arrival] = []


def read_arrivals(file: FilePath, queues: Collection[str]) -> ArrivalsFile:
    """Return the contacts in ``file``, which come to ``queues``.

    Raises:
        InvalidConfigError: anything is wrong, each with its line, the first hundred of them.
    """
    reading = _Reading(str(file), queues)
    try:
        if not file.is_file():  # Asked first: opening a pipe would wait for its writer.
            raise InvalidConfigError([reading.whole("no file", "a readable CSV file")])
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reading.run(stream)
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise InvalidConfigError([reading.whole(found, "a readable CSV file")]) from error
    except UnicodeDecodeError as error:
        reading.problems.append(reading.whole("bytes that are no text", "text in UTF-8"))
        raise InvalidConfigError(reading.problems) from error
    except csv.Error as error:
        reading.problems.append(reading.at(1, "(row)", f"no CSV ({error})", "plain CSV"))
        raise InvalidConfigError(reading.problems) from error
    if reading.problems:
        raise InvalidConfigError(reading.problems)
    return reading.found


class _Reading:
    """One file on its way to arrivals; collects what is wrong."""

    def __init__(self, file: str, queues: Collection[str]) -> None:
        self.file = file
        self.queues = queues
        self.found = ArrivalsFile()
        self.problems: list[Problem] = []
        self.line = 1
        self._lines: dict[str, int] = {}
        """Contact → the line that it stands in."""
        self._last = Instant(0)

    def whole(self, found: str, wanted: str) -> Problem:
        """Return a problem of the file as a whole."""
        return problem(Place(self.file), (), found, wanted)

    def at(
        self, col: int, column: str, found: str, wanted: str, hint: str | None = None
    ) -> Problem:
        """Return a problem of the present line."""
        return Problem(self.file, self.line, col, column, found, wanted, hint)

    def run(self, stream: io.TextIOBase | Iterable[str]) -> None:
        """Read every row, until too many are wrong."""
        reader = csv.reader(stream, strict=True)
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            self.problems.append(self.at(1, "(header)", shown(",".join(header)), ",".join(COLUMNS)))
            return
        begun = reader.line_num
        for row in reader:
            self.line, begun = begun + 1, reader.line_num
            if row:  # A blank line holds no contact.
                self._row(row)
            if len(self.problems) >= PROBLEMS_MAX:
                return

    def _row(self, row: list[str]) -> None:
        before = len(self.problems)
        if len(row) != len(COLUMNS):
            wanted = f"{len(COLUMNS)} of them: {','.join(COLUMNS)}"
            self.problems.append(self.at(1, "(row)", f"{len(row)} fields", wanted))
            return
        contact, queue, arrived, handle, patience = row
        self._name(row, contact)
        if queue not in self.queues:
            self._add(row, 1, shown(queue), "a name from queues:", closest(queue, self.queues))
        at = self._micros(row, 2, arrived)
        handle_us = self._micros(row, 3, handle)
        patience_us = self._micros(row, 4, patience) if patience.strip() else None
        if at is not None and at < self._last:
            wanted = f"at least the {seconds(self._last)} of the row before: rows in order of time"
            self._add(row, 2, arrived, wanted)
        if at is not None:
            self._last = Instant(max(at, self._last))
        if len(self.found.names) >= CONTACTS_MAX:
            self._add(row, 0, "one contact more", f"at most {CONTACTS_MAX}")
        if len(self.problems) > before or at is None or handle_us is None:
            return
        self.found.names.append(contact)
        self.found.arrivals.append(Arrival(Instant(at), QueueId(queue), handle_us, patience_us))

    def _name(self, row: list[str], contact: str) -> None:
        if not 1 <= len(contact) <= CONTACT_CHARS_MAX or not contact.isprintable():
            wanted = f"a name of 1 to {CONTACT_CHARS_MAX} printable characters"
            self._add(row, 0, shown(contact), wanted)
        first = self._lines.setdefault(contact, self.line)
        if first != self.line:
            wanted = f"each contact once (the first stands at line {first})"
            self._add(row, 0, f"{shown(contact)} a second time", wanted)

    def _micros(self, row: list[str], index: int, text: str) -> Micros | None:
        """Return a time in whole microseconds; negative, NaN, infinite and finer are refused."""
        value = Decimal(text) if _DECIMAL.fullmatch(text) else None
        wanted = "seconds from 0 on, such as 12.345678"
        if value is None or value < 0 or value > SECONDS_MAX:
            self._add(row, index, shown(text), f"{wanted}, at most {SECONDS_MAX}")
            return None
        us = value * SECOND
        if us != int(us):
            self._add(row, index, shown(text), f"{wanted}: at most 6 decimals")
            return None
        return Micros(int(us))

    def _add(
        self, row: list[str], index: int, found: str, wanted: str, hint: str | None = None
    ) -> None:
        # Where the field begins, if no field before it is quoted.
        col = 1 + sum(len(field) + 1 for field in row[:index])
        self.problems.append(self.at(col, COLUMNS[index], found, wanted, hint))


def seconds(us: int) -> str:
    """Return microseconds as seconds with six decimals, exactly."""
    return f"{us // SECOND}.{us % SECOND:06d}"


def write_trace(file: FilePath, given: ArrivalsFile, fates: Sequence[Fate]) -> None:
    """Write what became of each contact, in the order of the arrivals; whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TRACE_COLUMNS)
    for name, arrival, fate in zip(given.names, given.arrivals, fates, strict=True):
        answered = "" if fate.answered is None else seconds(fate.answered)
        row = (name, arrival.queue, seconds(arrival.at), fate.outcome, fate.agent, answered)
        writer.writerow(row)
    file = file.resolve()
    if file.exists() and not file.is_file():
        file.write_text(text.getvalue(), encoding="utf-8")  # A pipe or a terminal.
        return
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text.getvalue(), encoding="utf-8")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
