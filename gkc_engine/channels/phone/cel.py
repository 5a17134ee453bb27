"""What happened while we were away, from Asterisk's own list of legs (CEL, ``legs.csv``).

AMI tells nothing about the past, and who was served by the native queue meanwhile may be gone. The
file is written by Asterisk as it happens (``asterisk/templates/standalone/cel_custom.conf.j2``):
one line for each CHAN_START, ANSWER and HANGUP, with microseconds. Only its end is read.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
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

_COLUMNS: Final = 8


class CelError(GkcError):
    """The file cannot be read; without it the instants of resync are recorded."""


@dataclass(slots=True, kw_only=True)
class PastLeg:
    """One channel as CEL knows it."""

    leg: str
    linked: str
    """The citizen's Uniqueid, when this leg was dialled for him."""
    endpoint: str | None
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


def read_history(path: Path, since: Instant) -> History:
    """Return what the file says of ``since`` and later. Blocks: call it in a thread.

    Raises:
        CelError: no such file, or no right to read it.
    """
    try:
        lines = list(_tail(path, Instant(since - SLACK_US)))
    except OSError as error:
        raise CelError(f"{path}: {error.strerror}; set pbx.cel to Asterisk's legs.csv") from error
    return history(lines)


def history(lines: Iterable[str]) -> History:
    """Return the legs that ``lines`` tell of; what cannot be read is passed over."""
    legs: dict[str, PastLeg] = {}
    for line in lines:
        row = _columns(line)
        at = _instant(row[1]) if row else None
        if not row or at is None or not row[3]:
            continue
        leg = legs.get(row[3])
        if leg is None:
            endpoint = endpoint_of(row[2])
            leg = legs[row[3]] = PastLeg(leg=row[3], linked=row[4] or row[3], endpoint=endpoint)
        _take(leg, row, at)
    return History(legs.values())


def _take(leg: PastLeg, row: list[str], at: Instant) -> None:
    match row[0]:
        case "CHAN_START" if leg.started is None:
            leg.started, leg.number, leg.exten, leg.context = at, row[5], row[6], row[7]
            leg.linked = row[4] or leg.linked
        case "ANSWER" if leg.answered is None:
            leg.answered = at
        case "HANGUP" if leg.ended is None:
            leg.ended = at
            leg.cause, leg.ended_by = _extra(row[8] if len(row) > _COLUMNS else "")
        case _:
            pass  # told twice, or an event that the administrator added


def _columns(line: str) -> list[str]:
    try:
        row = next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []
    return row if len(row) >= _COLUMNS else []


def _instant(text: str) -> Instant | None:
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


def _tail(path: Path, since: Instant) -> Iterator[str]:
    """Yield the lines from the first one at ``since`` on, found from the end of the file."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        floor = max(0, end - TAIL_MAX)
        at, data = end, b""
        while at > floor:
            step = min(BLOCK, at - floor)
            at -= step
            file.seek(at)
            data = file.read(step) + data
            if _begins_before(data, since, whole=at == 0):
                break
        else:
            if floor > 0:
                log.warning("cel_tail_cut", bytes=TAIL_MAX)
        whole = data if at == 0 else data.partition(b"\n")[2]
    for line in whole.decode("utf-8", "replace").splitlines():
        row = _columns(line)
        told = _instant(row[1]) if row else None
        if told is not None and told >= since:
            yield line


def _begins_before(data: bytes, since: Instant, *, whole: bool) -> bool:
    """Whether the first line of ``data`` that can be read is older than ``since``."""
    for line in data.splitlines()[0 if whole else 1 : 20]:
        row = _columns(line.decode("utf-8", "replace"))
        told = _instant(row[1]) if row else None
        if told is not None:
            return told < since
    return False
