r"""The emergency journal: where steps are kept while the ledger cannot take them.

One preallocated file, so that a full disk cannot stop it. First a header of 64 bytes with the
generation, then one line a group commit::

    CRC32 GENERATION N PAYLOAD\n

Emptying it only raises the generation: lines of an older one are not seen any more. A line whose
checksum does not fit was torn by a crash, was never acknowledged, and is passed over.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from gkc_engine.errors import GkcError
from gkc_engine.recorder.rows import Row

SIZE: Final = 64 * 1024 * 1024
"""Bytes: about 150 000 rows, five minutes of 500 rows a second."""

HEADER: Final = 64
_NOTHING: Final = bytes(64 * 1024)
_MAGIC: Final = b"GKCJ1"
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(list[Row])


class JournalError(GkcError):
    """The journal did not take it."""


class JournalFullError(JournalError):
    """No room left: no new contact may be taken until the ledger is back."""


class Journal:
    """Appends groups of rows durably and gives them back in order. Synchronous.

    ``append`` and ``reset`` belong to one thread, ``groups`` may run in another: it reads up to
    an ``end`` that was acknowledged.
    """

    def __init__(self, path: Path, *, size: int = SIZE) -> None:
        self._path = path
        self._size = size
        self._fd = -1
        self._generation = 0
        self._n = 0
        self.end = HEADER
        """Offset after the last line that is on disk."""
        self.passed_over = 0
        """Lines found damaged at ``open``; more than one is a broken disk, not a crash."""
        self._broken = False

    @property
    def free(self) -> int:
        """Bytes left."""
        return 0 if self._broken else self._size - self.end

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def open(self) -> None:
        """Take the file for this process alone, allocate it, find the end of what it holds.

        Raises:
            JournalError: Another engine has it, or the disk cannot hold it.
        """
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._fd, 0, self._size)
        except BlockingIOError as error:
            self.close()
            raise JournalError(
                f"journal {self._path}: another engine runs on this store; end it first"
            ) from error
        except OSError as error:
            self.close()
            raise JournalError(
                f"journal {self._path}: {error.strerror}; it needs {self._size >> 20} MiB"
            ) from error
        self._scan()

    def close(self) -> None:
        """Let the file go; what it holds is drained at the next start."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def append(self, rows: Sequence[Row]) -> int:
        """Write one group; on disk when it returns. Return the new ``end``.

        Raises:
            JournalFullError: No room for it.
            JournalError: The disk failed; the journal takes nothing more until ``reset``.
        """
        if self._broken:
            raise JournalError(f"journal {self._path}: its disk failed before")
        line = _line(self._generation, self._n, _ENCODER.encode(rows))
        if self.end + len(line) > self._size:
            raise JournalFullError(f"journal {self._path}: full; the ledger must come back first")
        try:
            _write_all(self._fd, line, self.end)
            os.fdatasync(self._fd)
        except OSError as error:
            # After a failed fsync nobody knows what is on disk: never write behind it.
            self._broken = True
            raise JournalError(f"journal {self._path}: {error.strerror}") from error
        self._n += 1
        self.end += len(line)
        return self.end

    def groups(
        self, start: int = HEADER, end: int | None = None
    ) -> Iterator[tuple[int, list[Row]]]:
        """Return each group from offset ``start`` on with the offset after it."""
        for after, generation, _n, payload in self._lines(start, self.end if end is None else end):
            if generation == self._generation:
                yield after, _DECODER.decode(payload)

    def reset(self) -> None:
        """Empty the journal: everything in it is in the ledger.

        Raises:
            JournalError: The disk failed; the old groups would be drained again, harmlessly.
        """
        self._generation += 1
        self._n = 0
        self.end = HEADER
        self._write_header()

    def _write_header(self) -> None:
        text = b"%s %020d" % (_MAGIC, self._generation)
        header = (b"%s %08x" % (text, zlib.crc32(text))).ljust(HEADER - 1) + b"\n"
        try:
            _write_all(self._fd, header, 0)
            os.fdatasync(self._fd)
        except OSError as error:
            self._broken = True
            raise JournalError(f"journal {self._path}: {error.strerror}") from error
        self._broken = False

    def _scan(self) -> None:
        generation = self._header()
        if generation is None:
            # New file, or a header torn while it was being emptied.
            self._generation = max((g for _, g, _, _ in self._lines(HEADER, self._size)), default=0)
            self.reset()
            return
        self._generation, self._n, self.end, self.passed_over = generation, 0, HEADER, 0
        for after, found, n, _ in self._lines(HEADER, self._size):
            if found == generation and n >= self._n:
                self.passed_over += n - self._n
                self._n = n + 1
                self.end = after

    def _header(self) -> int | None:
        text, _, check = os.pread(self._fd, HEADER, 0).rstrip().rpartition(b" ")
        magic, _, generation = text.partition(b" ")
        if magic != _MAGIC or check != b"%08x" % zlib.crc32(text):
            return None
        return int(generation)

    def _lines(self, start: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Return offset after, generation, n and payload of every whole line."""
        at = start
        with self._path.open("rb") as file:
            while (at := self._written(at, end)) < end:
                file.seek(at)
                line = _read_line(file, end)
                if not line:
                    return  # somebody cut the file short
                at += len(line)
                whole = _parse(line)
                if whole is not None:
                    yield at, *whole

    def _written(self, at: int, end: int) -> int:
        """Return where, from ``at`` on, something was ever written: the rest is NUL.

        To read 64 MiB of nothing takes 0.2 s of every start, so holes are passed by.
        """
        while at < end and os.pread(self._fd, 1, at) in _NOTHING:
            block = os.pread(self._fd, len(_NOTHING), at)
            if block != _NOTHING:
                return min(end, at + len(block) - len(block.lstrip(b"\0")))
            try:
                at = os.lseek(self._fd, at + len(block), os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return end
        return min(end, at)


def _read_line(file: BinaryIO, end: int) -> bytes:
    return file.readline(end - file.tell())


def _line(generation: int, n: int, payload: bytes) -> bytes:
    body = b"%d %d %s" % (generation, n, payload)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> tuple[int, int, bytes] | None:
    check, _, body = line[:-1].partition(b" ")
    if len(check) != 8 or not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(body):
        return None
    generation, n, payload = body.split(b" ", 2)
    return int(generation), int(n), payload


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
