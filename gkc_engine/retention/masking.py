"""Telephone numbers made unreadable in files that others write, without disturbing the writer.

Asterisk appends to its lists of legs and calls while we work. So nothing is moved or cut: each
digit of a number is overwritten where it stands, and every line keeps its place and its length.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import phonenumbers

from gkc_engine.ids import SECOND, Instant

MASK: Final = b"x"

COMPRESSED: Final = ".gz"
"""How the name of a file ends that a rotation has compressed."""

_BLOCK: Final = 1 << 20
_OVERLAP: Final = 96
"""Bytes at the end of a block that are looked at with the next: longer than any spelling."""

_LINE_MAX: Final = 64 * 1024
"""Bytes of one line that are looked at; longer ones are passed in pieces of this size."""

_SEPARATORS: Final = rb"(?:[ \-().]|\xc2\xa0){0,2}"

_ANY_NUMBER: Final = re.compile(rb"(?<![\d.:-])\+?\d{7,18}(?![\d.:])")
"""A telephone number in a line of Asterisk's: seven digits or more, and no part of a stamp or of
a Uniqueid (``1732872137.12``)."""

_DIGIT: Final = re.compile(rb"\d")
_STAMP: Final = re.compile(
    rb'(?P<head>(?:"[A-Z_]{1,40}","(?P<second>\d{9,11})(?:\.\d{1,6})?",|(?P<first>\d{9,11})\|))'
)
"""How a line of legs.csv begins, or one of a queue_log: its second since 1970."""

_CALL: Final = re.compile(
    rb'(?P<head>"(?:[^"]|"")*",)(?:"(?:[^"]|"")*",){5}"(?P<second>\d{9,11})\.\d{1,6}",'
)
"""One of calls.csv: somebody else's id of the call, and in the seventh column when it ended."""

_NOT_LISTED: Final = re.compile(r"[^A-Za-z0-9+*#_.-]")
_LISTED_MIN: Final = 5
"""Characters: what is shorter may be any word of a line, an operator's number too."""


def mask_number(path: Path, number: str, raw: str | None = None) -> int:
    """Overwrite every occurrence of a citizen's number in a file; return how many there were.

    Args:
        path: Any file; what is appended meanwhile is left alone. A rotated one that is compressed
            (``.gz``) is replaced as a whole, for nobody appends to it.
        number: E.164 (``+79000000001``); also found as ``89000000001``, ``9000000001`` and with
            blanks, hyphens, dots and parentheses. Another text is looked for as it is, and as
            Asterisk's lists have it.
        raw: The number as the network sent it, if that is something else.

    Raises:
        OSError: The file cannot be read or written.
    """
    return changed(path, lambda file: _mask(file, _spellings(number, raw)))


def changed(path: Path, work: Callable[[BinaryIO], int]) -> int:
    """Let ``work`` overwrite bytes of a file, in place or, if it is compressed, in its copy.

    The copy has no name: whatever happens, no readable one is left.

    Returns:
        What ``work`` returns: how much it changed.

    Raises:
        OSError: The file cannot be read or written.
    """
    if path.suffix != COMPRESSED:
        with path.open("r+b") as file:
            return work(file)
    with tempfile.TemporaryFile(dir=path.parent) as copy:
        try:
            with gzip.open(path, "rb") as packed:
                shutil.copyfileobj(packed, copy, _BLOCK)
        except (EOFError, zlib.error) as error:
            raise OSError(0, f"not a whole .gz file: {error}", str(path)) from error
        if found := work(copy):
            copy.seek(0)
            _replace(path, copy)
        return found


def _replace(path: Path, text: BinaryIO) -> None:
    """Put compressed ``text`` in the place of ``path``, with its owner, rights and times."""
    draft, known = path.with_name(f".{path.name}.masked"), path.stat()
    try:
        with draft.open("wb") as raw:
            os.fchmod(raw.fileno(), known.st_mode & 0o777)
            os.fchown(raw.fileno(), known.st_uid, known.st_gid)
            with gzip.open(raw, "wb") as packed:
                shutil.copyfileobj(text, packed, _BLOCK)
            raw.flush()
            os.fsync(raw.fileno())
        os.utime(draft, ns=(known.st_atime_ns, known.st_mtime_ns))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _mask(file: BinaryIO, spellings: Iterable[_Spelling]) -> int:
    found = 0
    for pattern in spellings:
        for at, text in _occurrences(file, pattern):
            _overwrite(file, at, _DIGIT.sub(MASK, text) if pattern.digits else MASK * len(text))
            found += 1
    return found


class _Spelling:
    def __init__(self, pattern: bytes, *, digits: bool) -> None:
        self.compiled = re.compile(pattern)
        self.digits = digits


def _spellings(number: str, raw: str | None) -> list[_Spelling]:
    spellings = []
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        spellings.append(_literal(number))
    else:
        national = phonenumbers.national_significant_number(parsed)
        digits = _SEPARATORS.join(digit.encode() for digit in national)
        code = str(parsed.country_code).encode()
        before = rb"(?<!\d)(?:(?:\+|00|810)?" + code + _SEPARATORS + rb"|8" + _SEPARATORS + rb")?"
        spellings.append(_Spelling(before + digits + rb"(?!\d)", digits=True))
    texts = {text for text in (raw, _listed(number), _listed(raw or "")) if text}
    return [*spellings, *(_literal(text) for text in sorted(texts - {number}))]


def _listed(text: str) -> str:
    """Return what FILTER() of our lists leaves of a text; nothing if that may be any word."""
    kept = _NOT_LISTED.sub("", text)
    return kept if len(kept) >= _LISTED_MIN else ""


def _literal(text: str) -> _Spelling:
    return _Spelling(rb"(?<!\w)" + re.escape(text.encode()) + rb"(?!\w)", digits=False)


def _occurrences(file: BinaryIO, spelling: _Spelling) -> Iterator[tuple[int, bytes]]:
    """Yield the place and the text of each occurrence, from the beginning on."""
    base, kept, begin = 0, b"", 0
    while True:
        file.seek(base + len(kept))
        block = file.read(_BLOCK)
        whole = kept + block
        last = len(block) < _BLOCK
        # What begins at the end may go on in the next block.
        sure = len(whole) if last else len(whole) - _OVERLAP
        done = begin
        for match in spelling.compiled.finditer(whole, begin):
            if match.start() >= sure:
                break
            yield base + match.start(), match[0]
            done = match.end()
        if last:
            return
        # One byte of what is done stays: the look behind needs it.
        cut = max(done, sure) - 1
        base, kept, begin = base + cut, whole[cut:], 1


def mask_older(file: BinaryIO, before: Instant, begin: int = 0) -> tuple[int, int]:
    """Overwrite every telephone number in the lines that were written before an instant.

    Args:
        file: Asterisk's ``legs.csv`` or ``calls.csv``, open for reading and writing: a line says
            its second (see ``_STAMP``, ``_CALL``), or belongs to the last one that did.
        before: Lines with a stamp from then on are left, and with them all that follow.
        begin: Where the last run ended, so that a month of lines is not read each night.

    Returns:
        How many numbers, and where the next run is to begin.

    Raises:
        OSError: The file cannot be read or written.
    """
    found, at = 0, begin
    if begin > file.seek(0, os.SEEK_END):
        at = 0  # It was cut.
    file.seek(at)
    while line := file.readline(_LINE_MAX):
        if not line.endswith(b"\n") and len(line) < _LINE_MAX:
            break  # Asterisk is still at it.
        stamp = _STAMP.match(line) or _CALL.match(line)
        if stamp is not None and int(stamp["second"] or stamp["first"]) * SECOND >= before:
            break
        head = 0 if stamp is None else stamp.end("head")
        masked, count = _masked(line[head:])
        if count:
            _overwrite(file, at + head, masked)
            found += count
        at += len(line)
        file.seek(at)
    return found, at


def fingerprint(path: Path) -> str | None:
    """Return what a list is known by under any name: a hash of its first line without numbers.

    ``None``: it has no whole line yet. Masking does not change it, nor does a rotation, whether
    by renaming, by copying or by compressing.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == COMPRESSED else path.open("rb") as file:
            line = file.readline(_LINE_MAX)
    except (EOFError, zlib.error) as error:
        raise OSError(0, f"not a whole .gz file: {error}", str(path)) from error
    return hashlib.sha256(_masked(line)[0]).hexdigest() if line.endswith(b"\n") else None


def _masked(text: bytes) -> tuple[bytes, int]:
    return _ANY_NUMBER.subn(lambda m: _DIGIT.sub(MASK, m[0]), text)


def _overwrite(file: BinaryIO, at: int, text: bytes) -> None:
    file.seek(at)
    file.write(text)
    file.flush()
