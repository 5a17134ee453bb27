"""A center's rows as messages, and back. Pure: no I/O, no clock.

A message is a header (JSON), a line feed, and a body: rows as JSON, compressed by zlib. It says
from which row on it goes (``after``, with that row's id, so that a history can be told from another
of the same length) and with which it ends. A row too large for a message goes in pieces.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gkc_engine.errors import GkcError
from gkc_engine.recorder.rows import Role, Row

VERSION: Final = 1
"""Of the message and of a row's columns; a collector takes its own and older ones."""

ROWS_MAX: Final = 500
"""Of one batch."""

RAW_MAX: Final = 2 * 1024 * 1024
"""Bytes of one batch before compression, if it has more than one row."""

BODY_MAX: Final = 384 * 1024
"""Bytes of one body: well below ``bus.config.PAYLOAD_MAX``."""

ROW_MAX: Final = 32 * 1024 * 1024
"""Bytes of one row before compression: a config of a hundred thousand operators."""

PIECES_MAX: Final = 128
"""Of one row; even what cannot be compressed fits."""

HEADER_MAX: Final = 2_048

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises of bytes that are no JSON of ours."""

_LEVEL: Final = 3
"""Of zlib: twice as fast as its default, a tenth larger."""

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Id = Annotated[str, Meta(max_length=64)]
Big = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, Meta(max_length=1_000)]


class BadMessageError(GkcError):
    """What came is no batch of ours: cut, damaged, too large, of a newer engine; says which."""


class NewerError(BadMessageError):
    """A newer engine wrote it; it is whole as far as can be told."""


class Header(Struct, kw_only=True, frozen=True):
    """What a batch says of itself."""

    v: int
    center: Name
    ledger: Annotated[str, Meta(min_length=1, max_length=64)]
    """Which ledger: the id of its first row."""
    after: Big
    """Number of the row before the first one, 0 at the beginning."""
    after_id: Id
    """Its id, empty at the beginning."""
    last: Big
    """Number of the last row."""
    last_id: Annotated[str, Meta(min_length=1, max_length=64)]
    told: Big
    """Number of the ledger's last row when this was sent: how far we are behind."""
    piece: Annotated[int, Meta(ge=0, lt=PIECES_MAX)] = 0
    pieces: Annotated[int, Meta(ge=1, le=PIECES_MAX)] = 1


Numbered: TypeAlias = tuple[int, Row]
"""A row with its number in the ledger."""

_Wire: TypeAlias = tuple[
    Annotated[int, Meta(ge=1, le=2**63 - 1)],
    Annotated[str, Meta(min_length=1, max_length=64)],
    Big,
    Name,
    Name,
    Text | None,
    Text | None,
    Text | None,
    Big | None,
    Text,
    Text,
    Text | None,
    Role,
    Annotated[int, Meta(ge=0, le=1_000_000)],
    str,
    Text | None,
]
"""``seq`` and the columns of ``Row``, in their order."""

_ENCODE: Final = msgspec.json.Encoder().encode
_HEADER: Final = msgspec.json.Decoder(Header)
_ROWS: Final = msgspec.json.Decoder(list[_Wire])


class TooLargeError(GkcError):
    """A row that no message can carry."""


def encoded(row: Numbered) -> bytes:
    """Return a row as it stands in a body."""
    return _ENCODE((row[0], *row[1]))


def messages(
    rows: Sequence[Numbered], *, ledger: str, after: int, after_id: str, told: int
) -> Iterator[tuple[Header, bytes]]:
    """Give the messages that carry ``rows``, in order: header and whole message.

    Args:
        rows: Of one center, at least one, in the order of their numbers.
        ledger: The id of the ledger's first row.
        after: Number of the row before the first of them.
        after_id: Its id.
        told: Number of the ledger's last row now.

    Raises:
        TooLargeError: One row is larger than ``ROW_MAX``.
    """
    for part in _parts([(row, encoded(row)) for row in rows]):
        (last, row), _ = part[-1]
        body = _packed(text for _, text in part)
        header = Header(
            v=VERSION,
            center=row.center,
            ledger=ledger,
            after=after,
            after_id=after_id,
            last=last,
            last_id=row.event_id,
            told=max(told, last),
            pieces=max(1, -(-len(body) // BODY_MAX)),
        )
        for n in range(header.pieces):
            one = msgspec.structs.replace(header, piece=n)
            yield one, _ENCODE(one) + b"\n" + body[n * BODY_MAX : (n + 1) * BODY_MAX]
        after, after_id = last, row.event_id


def _parts(rows: Sequence[tuple[Numbered, bytes]]) -> Iterator[Sequence[tuple[Numbered, bytes]]]:
    """Cut rows so that each part fits a message; a part of one row may not."""
    begin, size = 0, 0
    for at, ((seq, _), text) in enumerate(rows):
        if len(text) > ROW_MAX:
            raise TooLargeError(f"row {seq}: {len(text)} bytes, at most {ROW_MAX} can be sent")
        if at > begin and (at - begin >= ROWS_MAX or size + len(text) > RAW_MAX):
            yield from _halved(rows[begin:at])
            begin, size = at, 0
        size += len(text)
    yield from _halved(rows[begin:])


def _halved(
    rows: Sequence[tuple[Numbered, bytes]],
) -> Iterator[Sequence[tuple[Numbered, bytes]]]:
    """Halve a part until each, compressed, fits a message."""
    if len(rows) > 1 and len(_packed(text for _, text in rows)) > BODY_MAX:
        middle = len(rows) // 2
        yield from _halved(rows[:middle])
        yield from _halved(rows[middle:])
    else:
        yield rows


def _packed(rows: Iterable[bytes]) -> bytes:
    return zlib.compress(b"[" + b",".join(rows) + b"]", _LEVEL)


def opened(message: bytes) -> tuple[Header, bytes]:
    """Return the header and the body, still packed, of a message.

    Raises:
        BadMessageError: It is none of ours.
    """
    head, found, body = message[: HEADER_MAX + 1].partition(b"\n")
    if not found:
        raise BadMessageError("no header")
    try:
        version = msgspec.json.decode(head, type=dict[str, object]).get("v")
        if isinstance(version, int) and version > VERSION:
            raise NewerError(f"version {version}, this collector knows {VERSION}: update it")
        header = _HEADER.decode(head)
    except UNREADABLE as error:
        raise BadMessageError(f"header: {error}") from error
    if header.v != VERSION or header.after >= header.last or header.piece >= header.pieces:
        raise BadMessageError("header: numbers that cannot be")
    body = message[len(head) + 1 :]
    if len(body) > BODY_MAX:
        raise BadMessageError(f"{len(body)} bytes of body, at most {BODY_MAX}")
    return header, body


def rows_of(header: Header, body: bytes) -> list[Numbered]:
    """Return the rows of a whole body.

    Raises:
        BadMessageError: They are not what the header says.
    """
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(body, ROW_MAX + 2)
    except zlib.error as error:
        raise BadMessageError(f"rows: {error}") from error
    if not unpacking.eof or unpacking.unused_data:
        raise BadMessageError("rows: cut, or too large")
    try:
        found = _ROWS.decode(text)
    except UNREADABLE as error:
        raise BadMessageError(f"rows: {error}") from error
    if not 1 <= len(found) <= ROWS_MAX:
        raise BadMessageError(f"{len(found)} rows, expected 1 to {ROWS_MAX}")
    before, rows = header.after, []
    for wire in found:
        seq, row = wire[0], Row(*wire[1:])
        if seq <= before:
            raise BadMessageError(f"row {seq} after row {before}")
        if row.center != header.center:
            raise BadMessageError(f"row {seq} is of {row.center!r}, not {header.center!r}")
        before = seq
        rows.append((seq, row))
    if (before, rows[-1][1].event_id) != (header.last, header.last_id):
        raise BadMessageError(f"ends with row {before}, the header says {header.last}")
    return rows


class Pieces:
    """Puts together a row that came in pieces, one after the other."""

    def __init__(self) -> None:
        self._header: Header | None = None
        self._bodies: list[bytes] = []

    def add(self, header: Header, body: bytes) -> bytes | None:
        """Take a message; return the whole body once it is there, ``None`` before.

        Raises:
            BadMessageError: Pieces before it are missing; they are forgotten.
        """
        if header.pieces == 1:
            self.forget()
            return body
        if header.piece == 0:
            self._header, self._bodies = header, [body]
            return None
        first = self._header
        same = first is not None and msgspec.structs.replace(
            header, piece=0, told=0
        ) == msgspec.structs.replace(first, told=0)
        if not same or header.piece != len(self._bodies):
            self.forget()
            raise BadMessageError(f"piece {header.piece + 1} of {header.pieces} alone")
        self._bodies.append(body)
        if len(self._bodies) < header.pieces:
            return None
        whole = b"".join(self._bodies)
        self.forget()
        return whole

    def forget(self) -> None:
        """Forget what came so far."""
        self._header, self._bodies = None, []
