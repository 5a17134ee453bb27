"""Numbers in other people's files: every spelling goes, nothing else moves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gkc_engine.ids import SECOND, Instant
from gkc_engine.retention import masking
from gkc_engine.retention.masking import mask_number

NUMBER = "+79000000001"
SPELLINGS = (
    "+79000000001",
    "79000000001",
    "89000000001",
    "9000000001",
    "0079000000001",
    "81079000000001",
    "+7 900 000-00-01",
    "8 (900) 000.00.01",
    "8\u00a0900\u00a0000\u00a000\u00a001",
)
OTHERS = ("+79000000002", "790000000010", "1790000000011", "1790000000.12", "900000001")


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_number_goes_and_the_line_keeps_its_length(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "legs.csv"
    before = f'"CHAN_START","1790000000.5","PJSIP/trunk-1","{text}","Иванов"\n'.encode()
    path.write_bytes(before)
    assert mask_number(path, NUMBER) == 1
    after = path.read_bytes()
    assert len(after) == len(before)
    assert not any(digit in text for digit in after.decode().split('"')[7] if digit.isdigit())
    assert after.startswith(b'"CHAN_START","1790000000.5","PJSIP/trunk-1","')
    assert after.endswith('","Иванов"\n'.encode())


def test_what_is_another_number_or_no_number_stays(tmp_path: Path) -> None:
    path = tmp_path / "legs.csv"
    text = "".join(f'"{other}"\n' for other in OTHERS)
    path.write_text(text)
    assert mask_number(path, NUMBER) == 0
    assert path.read_text() == text


def test_a_caller_without_a_number_is_found_as_he_came(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_text("from 101, from 1012, <ivan@x>, ivan@xy\n")
    assert mask_number(path, "101", raw="ivan@x") == 2
    assert path.read_text() == "from xxx, from 1012, <xxxxxx>, ivan@xy\n"


def test_over_the_edges_of_blocks_none_is_missed_and_none_is_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "_BLOCK", 256)
    rng = random.Random(5)
    path = tmp_path / "legs.csv"
    for _ in range(60):
        parts, wanted = [], 0
        for _ in range(rng.randrange(1, 60)):
            parts.append("." * rng.randrange(40))
            mine = rng.random() < 0.5
            parts.append(rng.choice(SPELLINGS if mine else OTHERS))
            wanted += mine
            parts.append("|")
        text = "".join(parts)
        path.write_text(text)
        assert mask_number(path, NUMBER) == wanted
        after = path.read_text()
        assert len(after) == len(text)
        left = after
        for other in OTHERS:
            left = left.replace(other, "")
        assert not any(c.isdigit() for c in left)


def mask_older(path: Path, before: Instant, begin: int = 0) -> tuple[int, int]:
    with path.open("r+b") as file:
        return masking.mask_older(file, before, begin)


# --- by age ---------------------------------------------------------------------------------------

LINES = [
    '"CHAN_START","1790000000.000001","PJSIP/trunk-00000001","1790000000.1","+79000000001","7495"',
    '"HANGUP","1790000100.000001","Local/89000000002@gkc-out-00000001;2","1790000000.1","101",""',
    "1790000200|1790000150.7|gkc-passport|NONE|ENTERQUEUE||+79000000003|1",
    '"CHAN_START","1790000300.000001","PJSIP/trunk-2","1790000300.9","+79000000004","74950000000"',
]


def test_lines_before_the_instant_lose_their_numbers_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "legs.csv"
    path.write_text("\n".join(LINES) + "\n")
    found, at = mask_older(path, Instant(1_790_000_300 * SECOND))
    assert found == 3
    first, second, third, last = path.read_text().splitlines()
    x11 = "x" * 11
    assert first == LINES[0].replace("79000000001", x11)
    assert second == LINES[1].replace("89000000002", x11)
    assert third == LINES[2].replace("79000000003", x11)
    assert last == LINES[3]
    assert at == path.read_text().index(last)


def test_the_next_night_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "legs.csv"
    path.write_text("\n".join(LINES) + "\n")
    _, at = mask_older(path, Instant(1_790_000_100 * SECOND))
    whole = path.read_text()
    # What stands before is not read again: a number put there by hand stays.
    path.write_text(whole.replace("xxxxxxxxxxx", "79000000009"))
    found, at = mask_older(path, Instant(1_790_001_000 * SECOND), at)
    assert found == 4
    assert "79000000009" in path.read_text()
    assert at == path.stat().st_size


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "legs.csv"
    path.write_text(LINES[0] + "\n" + LINES[1][:60])
    found, at = mask_older(path, Instant(1_790_001_000 * SECOND))
    assert (found, at) == (1, len(LINES[0]) + 1)
    path.write_text(path.read_text() + LINES[1][60:] + "\n")
    assert mask_older(path, Instant(1_790_001_000 * SECOND), at)[0] == 1


def test_a_file_that_was_rotated_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "legs.csv"
    path.write_text(LINES[0] + "\n")
    assert mask_older(path, Instant(1_790_001_000 * SECOND), 10_000)[0] == 1
