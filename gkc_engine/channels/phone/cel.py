"""What happened while we were away, from Asterisk's own list of legs (CEL, ``legs.csv``).

AMI tells nothing about the past, and who was served by the native queue meanwhile may be gone. The
file is written by Asterisk as it happens (``asterisk/templates/standalone/cel_custom.conf.j2``):
one line for each CHAN_START, ANSWER and HANGUP, with microseconds. Only its end is read.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant

log = structlog.get_logger(__name__)

TAIL_MAX: Final = 64 * 1024 * 1024
"""Bytes read at most: about 300 000 lines, an hour of a busy city."""

BLOCK: Final = 256 * 1024

SLACK_US: Final = 5 * SECOND
"""CEL's thread may write a line a little after its time."""

CITIZENS_CONTEXTS: Final = frozenset({"gkc", "gkc-queue"})
"""Where citizens enter our dialplan."""

_OURS: Final = "gkc"
"""What the names of our contexts begin with: a leg that began in one is what that says."""

_NO_NUMBER: Final = frozenset({"", "T", "h", "i", "s", "failed"})
"""Extensions that are no dialled number."""

_COLUMNS: Final = 8

OLDER_MAX: Final = 20
"""Lines in a row that are too old before no more are read: one broken stamp ends nothing."""

TimeOf = Callable[[Instant], Instant | None]
"""The engine's time of a stamp; ``None`` when no clock that the engine has seen explains it."""

_Row = tuple[Instant, list[str]]
"""One line: its instant, its columns."""


class CelError(GkcError):
    """The file cannot be read; without it the instants of resync are recorded."""


@dataclass(slots=True, kw_only=True)
class PastLeg:
    """One channel as CEL knows it."""

    leg: str
    linked: str
    """The citizen's Uniqueid, when this leg was dialled for him."""
    endpoint: str | None
    channel: str = ""
    """Asterisk's name of it."""
    number: str = ""
    """Caller's number at its start: foreign text."""
    exten: str = ""
    context: str = ""
    started: Instant | None = None
    answered: Instant | None = None
    ended: Instant | None = None
    cause: int = 0
    ended_by: str = ""
    """Name of the channel whose far end hung up, empty when Asterisk did."""

    @property
    def of_citizen(self) -> bool:
        """Whether it came in by our entry, so that it is somebody's contact."""
        return self.leg == self.linked and self.context in CITIZENS_CONTEXTS


class History:
    """The legs of a stretch of time."""

    def __init__(self, legs: Iterable[PastLeg] = ()) -> None:
        self.legs = {leg.leg: leg for leg in legs}
        self._dialled: dict[str, list[PastLeg]] = {}
        for leg in self.legs.values():
            if leg.leg != leg.linked:
                self._dialled.setdefault(leg.linked, []).append(leg)

    def dialled_for(self, citizen: str) -> list[PastLeg]:
        """Return the legs that were made for a citizen's line, in order of their start."""
        return sorted(self._dialled.get(citizen, ()), key=lambda leg: leg.started or Instant(0))

    def citizens(self, since: Instant) -> list[PastLeg]:
        """Return the citizens' lines that began at ``since`` or later, in their order."""
        found = [
            (leg.started, leg.leg, leg)
            for leg in self.legs.values()
            if leg.of_citizen and leg.started is not None and leg.started >= since
        ]
        return [leg for _, _, leg in sorted(found, key=lambda item: item[:2])]


def as_written(stamp: Instant) -> Instant | None:
    """Take a stamp for the engine's time: the wall clock was never stepped."""
    return stamp


def read_history(path: Path, since: Instant, time_of: TimeOf = as_written) -> History:
    """Return what the file says of ``since`` and later. Blocks: call it in a thread.

    Args:
        path: Asterisk's list of legs.
        since: In the engine's time.
        time_of: Makes the engine's time of a stamp (``wall.WallSteps``).

    Raises:
        CelError: no such file, or no right to read it.
    """
    try:
        rows = list(_rows(_backwards(path), since, time_of))
    except OSError as error:
        raise CelError(f"{path}: {_why(path, error)}") from error
    return _legs(reversed(rows))


def _why(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return "there is no such folder, and Asterisk makes none: mkdir, and let it be Asterisk's"
    if isinstance(error, FileNotFoundError):
        return "not there yet: Asterisk makes it with its first call; else set pbx.cel to its list"
    return f"{error.strerror}; set pbx.cel to Asterisk's legs.csv"


def history(lines: Iterable[str]) -> History:
    """Return the legs that ``lines`` tell of; what cannot be read is passed over."""
    return _legs(reversed(list(_rows(reversed(list(lines)), Instant(0), as_written))))


def _legs(rows: Iterable[_Row]) -> History:
    legs: dict[str, PastLeg] = {}
    for at, row in rows:
        take(legs, row, at)
    return History(legs.values())


def take(legs: dict[str, PastLeg], row: list[str], at: Instant) -> PastLeg:
    """Put what a line tells into its leg, which is made if it is the first; return the leg."""
    leg = legs.get(row[3])
    if leg is None:
        endpoint = endpoint_of(row[2])
        leg = legs[row[3]] = PastLeg(
            leg=row[3], linked=row[4] or row[3], endpoint=endpoint, channel=row[2]
        )
    _take(leg, row, at)
    return leg


def _take(leg: PastLeg, row: list[str], at: Instant) -> None:
    match row[0]:
        case "CHAN_START" if leg.started is None:
            leg.started, leg.number, leg.exten, leg.context = at, row[5], row[6], row[7]
            leg.linked = row[4] or leg.linked
            return
        case "ANSWER" if leg.answered is None:
            leg.answered = at
        case "HANGUP" if leg.ended is None:
            leg.ended = at
            leg.cause, leg.ended_by = _extra(row[8] if len(row) > _COLUMNS else "")
        case _:
            return  # told twice, or an event that the administrator added
    if row[7] in CITIZENS_CONTEXTS and not leg.context.startswith(_OURS):
        # He came by a context of the administrator's, which sent him on to ours.
        leg.context = row[7]
        leg.exten = leg.exten if row[6] in _NO_NUMBER else row[6]


def columns(line: str) -> list[str]:
    """Return the columns of a line; none of one that is torn, or is no line of the list."""
    try:
        row = next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []
    return row if len(row) >= _COLUMNS else []


def instant(text: str) -> Instant | None:
    """Return the instant of a stamp such as ``1795942017.719349``; ``None``: it is none."""
    seconds, _, fraction = text.partition(".")
    if not seconds.isdecimal() or not (fraction or "0").isdecimal():
        return None
    return Instant(int(seconds) * SECOND + int(f"{fraction:0<6.6}"))


def _extra(text: str) -> tuple[int, str]:
    try:
        told = msgspec.json.decode(text.encode(), type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError):
        return 0, ""
    cause, source = told.get("hangupcause"), told.get("hangupsource")
    return cause if isinstance(cause, int) else 0, source if isinstance(source, str) else ""


def _rows(backwards: Iterable[str], since: Instant, time_of: TimeOf) -> Iterator[_Row]:
    """Yield the rows at ``since`` or later, the last one first; unreadable ones are passed over."""
    clock = _Backwards(time_of)
    older = 0
    for line in backwards:
        row = columns(line)
        stamp = instant(row[1]) if row else None
        if stamp is None or not row[3]:
            continue
        at = clock.place(stamp)
        if at >= since - SLACK_US:
            older = 0
            yield at, row
        else:
            older += 1
            if older > OLDER_MAX:
                return


class _Backwards:
    """The time of lines that are read from the end of the file.

    A stamp that no stretch of this engine's own time explains was written before the wall clock
    was stepped back while no engine was there: its line is placed at the one that follows.
    """

    def __init__(self, time_of: TimeOf) -> None:
        self._time_of = time_of
        self._shift: int | None = None
        """Of the lines before such a step."""
        self._next: Instant | None = None

    def place(self, stamp: Instant) -> Instant:
        """Return the engine's time of the line before the one asked last."""
        at = self._time_of(stamp) if self._shift is None else Instant(stamp + self._shift)
        after = self._next
        if at is None or (self._shift is not None and after is not None and at > after + SLACK_US):
            at = stamp if after is None else after
            self._shift = at - stamp
        self._next = at
        return at


def _backwards(path: Path) -> Iterator[str]:
    """Yield the whole lines from the end of the file on, at most `TAIL_MAX` bytes of them."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        floor = max(0, at - TAIL_MAX)
        rest = b""
        while at > floor:
            step = min(BLOCK, at - floor)
            at -= step
            file.seek(at)
            first, *lines = (file.read(step) + rest).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in reversed(lines))
            rest = first
        if floor == 0:
            yield rest.decode("utf-8", "replace")
        else:
            log.warning("cel_tail_cut", bytes=TAIL_MAX)
