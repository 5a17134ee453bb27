"""Telephone numbers made unreadable in files that others write, without disturbing the writer.

Asterisk appends to its lists of legs and calls while we work. So nothing is moved or cut: each
digit of a number is overwritten where it stands, and every line keeps its place and its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import phonenumbers

from gkc_engine.ids import SECOND, Instant

MASK: Final = b"x"

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
_STAMP: Final = re.compile(rb'(?:"[A-Z_]{1,40}",)?"?(\d{9,11})(?:\.\d{1,6})?"?[,|]')
"""How a line of legs.csv begins, or one of a queue_log: its second since 1970."""


def mask_number(path: Path, number: str, raw: str | None = None) -> int:
    """Overwrite every occurrence of a citizen's number in a file; return how many there were.

    Args:
        path: Any file; what is appended meanwhile is left alone.
        number: E.164 (``+79000000001``); also found as ``89000000001``, ``9000000001`` and with
            blanks, hyphens, dots and parentheses. Another text is looked for as it is.
        raw: The number as the network sent it, if that is something else.

    Raises:
        OSError: The file cannot be read or written.
    """
    found = 0
    with path.open("r+b") as file:
        for pattern in _spellings(number, raw):
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
    if raw:
        spellings.append(_literal(raw))
    return spellings


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


def mask_older(path: Path, before: Instant, begin: int = 0) -> tuple[int, int]:
    """Overwrite every telephone number in the lines that were written before an instant.

    Args:
        path: Asterisk's ``legs.csv`` or ``calls.csv``: a line begins with its second (see
            ``_STAMP``), or belongs to the last one that did.
        before: Lines with a stamp from then on are left, and with them all that follow.
        begin: Where the last run ended, so that a month of lines is not read each night.

    Returns:
        How many numbers, and where the next run is to begin.

    Raises:
        OSError: The file cannot be read or written.
    """
    found, at = 0, begin
    with path.open("r+b") as file:
        if begin > file.seek(0, 2):
            at = 0  # Another file has come in its place.
        file.seek(at)
        while line := file.readline(_LINE_MAX):
            if not line.endswith(b"\n") and len(line) < _LINE_MAX:
                break  # Asterisk is still at it.
            stamp = _STAMP.match(line)
            if stamp is not None and int(stamp[1]) * SECOND >= before:
                break
            head = 0 if stamp is None else stamp.end()
            masked, count = _ANY_NUMBER.subn(lambda m: _DIGIT.sub(MASK, m[0]), line[head:])
            if count:
                _overwrite(file, at + head, masked)
                found += count
            at += len(line)
            file.seek(at)
    return found, at


def _overwrite(file: BinaryIO, at: int, text: bytes) -> None:
    file.seek(at)
    file.write(text)
    file.flush()
