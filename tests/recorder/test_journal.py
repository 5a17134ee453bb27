from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from gkc_engine.recorder import journal as journal_module
from gkc_engine.recorder.journal import HEADER, Journal, JournalError, JournalFullError
from gkc_engine.recorder.rows import Row, rows_of
from tests.recorder.support import History

SIZE = 64 * 1024


def rows(n: int) -> list[Row]:
    history = History()
    for _ in range(n):
        history.configured()
    return rows_of(history.steps, "centr")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", size=SIZE)
    journal.open()
    yield journal
    journal.close()


def reopened(journal: Journal) -> list[list[Row]]:
    journal.close()
    journal.open()
    return [group for _, group in journal.groups()]


def test_groups_come_back_in_order_after_a_crash(journal: Journal) -> None:
    groups = [rows(1), rows(3), rows(2)]
    for group in groups:
        journal.append(group)
    assert reopened(journal) == groups
    journal.append(rows(1))
    assert len(reopened(journal)) == 4


def test_a_torn_last_line_is_dropped_and_written_over(journal: Journal) -> None:
    whole = rows(2)
    kept = journal.append(whole)
    end = journal.append(rows(2))
    for torn in range(kept, end):
        with journal._path.open("r+b") as file:
            file.seek(torn)
            saved = file.read(end - torn)
            file.seek(torn)
            file.write(bytes(end - torn))
        assert reopened(journal) == [whole]
        assert journal.end == kept
        with journal._path.open("r+b") as file:
            file.seek(torn)
            file.write(saved)
    assert len(reopened(journal)) == 2


def test_a_damaged_line_in_the_middle_costs_only_itself(journal: Journal) -> None:
    first, third = rows(1), rows(2)
    at = journal.append(first)
    journal.append(rows(1))
    journal.append(third)
    with journal._path.open("r+b") as file:
        file.seek(at + 40)
        file.write(b"#")
    assert reopened(journal) == [first, third]
    assert journal.passed_over == 1


def test_emptied_it_shows_nothing_old(journal: Journal) -> None:
    old = rows(1)
    first_end = journal.append(old)
    for _ in range(20):
        journal.append(old)
    journal.reset()
    assert reopened(journal) == []
    new = rows(1)
    end = journal.append(new)
    assert reopened(journal) == [new]
    # Old lines follow at once, whole: they are not taken for ours.
    assert journal.end == end == first_end


def test_a_header_torn_while_emptying_loses_no_new_line(journal: Journal) -> None:
    journal.append(rows(1))
    with journal._path.open("r+b") as file:
        file.write(b"\0" * HEADER)
    assert reopened(journal) == []
    new = rows(1)
    journal.append(new)
    assert reopened(journal) == [new]


def test_full_it_says_so_and_keeps_what_it_has(journal: Journal) -> None:
    group = rows(2)
    each = journal.append(group) - HEADER
    written = 1
    while journal.free >= each + 1:
        journal.append(group)
        written += 1
    with pytest.raises(JournalFullError, match="full"):
        journal.append(group)
    assert written >= (SIZE - HEADER) // (each + 1)
    assert reopened(journal) == [group] * written


def test_what_was_never_written_is_not_read(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    read_line = journal_module._read_line

    def measured(file: BinaryIO, end: int) -> bytes:
        nonlocal longest
        line = read_line(file, end)
        longest = max(longest, len(line))
        return line

    monkeypatch.setattr(journal_module, "_read_line", measured)
    written = journal.append(rows(2)) - HEADER
    assert len(reopened(journal)) == 1
    assert longest == written


def test_a_line_behind_a_lost_block_is_found(journal: Journal) -> None:
    first, second = rows(1), rows(2)
    end = journal.append(first)
    journal.append(second)
    with journal._path.open("r+b") as file:
        file.seek(HEADER)
        file.write(bytes(end - HEADER))
    assert reopened(journal) == [second]


def test_it_is_preallocated(journal: Journal) -> None:
    assert journal._path.stat().st_blocks * 512 >= SIZE


def test_a_second_engine_is_refused(journal: Journal) -> None:
    with pytest.raises(JournalError, match="another engine"):
        Journal(journal._path, size=SIZE).open()


def test_after_a_failed_fsync_it_takes_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    journal.append(rows(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(JournalError, match="Input/output"):
            journal.append(rows(1))
    with pytest.raises(JournalError, match="failed before"):
        journal.append(rows(1))
    assert journal.free == 0
    journal.reset()
    journal.append(rows(1))
