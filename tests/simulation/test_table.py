"""The CSV of arrivals: what is read, and every mistake with its line; the trace, whole or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gkc_engine.config.problems import InvalidConfigError
from gkc_engine.simulation.plan import Arrival
from gkc_engine.simulation.table import (
    ArrivalsFile,
    read_arrivals,
    seconds,
    write_trace,
)
from gkc_engine.simulation.tally import WAITING, Fate

HEADER = "contact,queue,arrived_s,handle_s,patience_s\n"
GOOD = "c1,a,0.000000,12.500000,\n"
QUEUES = ["a", "b"]


def given(folder: Path, text: str | bytes) -> ArrivalsFile:
    file = folder / "in.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_arrivals(file, QUEUES)


def refused(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        given(folder, text)
    return [str(p).replace(f"{folder}/", "") for p in caught.value.problems]


CASES = [
    (
        "unknown queue",
        "c2,aa,1,1,",
        '3:4: queue: found "aa", expected a name from queues:; did you mean a?',
    ),
    ("negative arrival", "c2,a,-1,1,", '3:6: arrived_s: found "-1", expected {time}'),
    ("negative handle", "c2,a,1,-0.000001,", '3:8: handle_s: found "-0.000001", expected {time}'),
    ("negative patience", "c2,a,1,1,-5", '3:10: patience_s: found "-5", expected {time}'),
    ("NaN", "c2,a,nan,1,", '3:6: arrived_s: found "nan", expected {time}'),
    ("NaN handle", "c2,a,1,NaN,", '3:8: handle_s: found "NaN", expected {time}'),
    ("infinite", "c2,a,1,inf,", '3:8: handle_s: found "inf", expected {time}'),
    ("infinite patience", "c2,a,1,1,inf", '3:10: patience_s: found "inf", expected {time}'),
    ("absurdly late", "c2,a,1e12,1,", '3:6: arrived_s: found "1e12", expected {time}'),
    ("no handle", "c2,a,1,,", '3:8: handle_s: found "", expected {time}'),
    ("a word", "c2,a,soon,1,", '3:6: arrived_s: found "soon", expected {time}'),
    ("a unit", "c2,a,1,20s,", '3:8: handle_s: found "20s", expected {time}'),
    (
        "finer than microseconds",
        "c2,a,1.0000001,1,",
        (
            '3:6: arrived_s: found "1.0000001", expected seconds from 0 on, such as 12.345678: '
            "at most 6 decimals"
        ),
    ),
    (
        "duplicate contact",
        "c1,a,1,1,",
        (
            '3:1: contact: found "c1" a second time, expected each contact once '
            "(the first stands at line 2)"
        ),
    ),
    (
        "no contact",
        ",a,1,1,",
        '3:1: contact: found "", expected a name of 1 to 200 printable characters',
    ),
    (
        "a field less",
        "c2,a,1,1",
        (
            "3:1: (row): found 4 fields, expected 5 of them: "
            "contact,queue,arrived_s,handle_s,patience_s"
        ),
    ),
    (
        "a field more",
        "c2,a,1,1,2,3",
        (
            "3:1: (row): found 6 fields, expected 5 of them: "
            "contact,queue,arrived_s,handle_s,patience_s"
        ),
    ),
    (
        "unsorted",
        "c2,a,5,1,\nc3,a,4.999999,1,",
        (
            "4:6: arrived_s: found 4.999999, expected at least the 5.000000 of the row before: "
            "rows in order of time"
        ),
    ),
]
TIME = "seconds from 0 on, such as 12.345678, at most 316224000"


@pytest.mark.parametrize(("row", "told"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_mistake_is_refused_with_its_line_and_reason(row: str, told: str, tmp_path: Path) -> None:
    assert refused(tmp_path, f"{HEADER}{GOOD}{row}\n") == [f"in.csv:{told.format(time=TIME)}"]


def test_all_mistakes_are_told_at_once_but_not_without_end(tmp_path: Path) -> None:
    rows = "".join(f"c{n},x,1,1,\n" for n in range(500))
    found = refused(tmp_path, HEADER + rows)
    assert len(found) == 100
    assert found[99].startswith("in.csv:101:")
    assert len(refused(tmp_path, f"{HEADER}{GOOD}c1,x,-1,nan,soon\n")) == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", '1:1: (header): found "", expected contact,queue,arrived_s,handle_s,patience_s'),
        (
            "contact,queue,arrived\n",
            (
                '1:1: (header): found "contact,queue,arrived", '
                "expected contact,queue,arrived_s,handle_s,patience_s"
            ),
        ),
        (b"\xff\xfe", "1:1: (file): found bytes that are no text, expected text in UTF-8"),
        (
            HEADER + 'c1,a,"1"2,1,\n',
            "1:1: (row): found no CSV (',' expected after '\"'), expected plain CSV",
        ),
    ],
    ids=["empty", "another header", "no text", "no CSV"],
)
def test_a_file_of_another_kind_is_refused(text: str | bytes, told: str, tmp_path: Path) -> None:
    assert refused(tmp_path, text) == [f"in.csv:{told}"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidConfigError, match="found no file, expected a readable CSV file"):
            read_arrivals(file, QUEUES)


def test_what_is_taken(tmp_path: Path) -> None:
    text = (
        "\ufeff" + HEADER.replace("\n", "\r\n") + "c1,a,0.000000,12.500000,\r\n"
        '"c, ""2""",b,0,1e-05,0.1\r\n\r\nконтакт 3,b,316224000.000000,.5,1.\r\n'
    )
    found = given(tmp_path, text)
    assert found.names == ["c1", 'c, "2"', "контакт 3"]
    assert found.arrivals == [
        Arrival(0, "a", 12_500_000, None),  # type: ignore[arg-type]
        Arrival(0, "b", 10, 100_000),  # type: ignore[arg-type]
        Arrival(316_224_000_000_000, "b", 500_000, 1_000_000),  # type: ignore[arg-type]
    ]


def test_no_contacts_are_no_mistake(tmp_path: Path) -> None:
    assert given(tmp_path, HEADER).arrivals == []


def test_seconds_are_exact() -> None:
    assert seconds(0) == "0.000000"
    assert seconds(1) == "0.000001"
    assert seconds(9_007_199_254_740_993) == "9007199254.740993"  # No float could.


def test_the_trace_has_a_row_for_each_row_in_its_order(tmp_path: Path) -> None:
    found = given(tmp_path, HEADER + GOOD + '"c,2",b,1,1,\nc3,a,1.5,1,\n')
    fates = [Fate("answered", "p0/1", found.arrivals[0].at), WAITING, Fate("refused")]
    out = tmp_path / "out.csv"
    out.write_text("old")
    write_trace(out, found, fates)
    assert out.read_text(encoding="utf-8") == (
        "contact,queue,arrived_s,outcome,operator,answered_s\n"
        "c1,a,0.000000,answered,p0/1,0.000000\n"
        '"c,2",b,1.000000,waiting,,\n'
        "c3,a,1.500000,refused,,\n"
    )
    assert sorted(f.name for f in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_trace_may_go_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_trace(pipe, given(tmp_path, HEADER + GOOD), [WAITING])
    assert os.read(reading, 1000).decode().splitlines()[1] == "c1,a,0.000000,waiting,,"
    os.close(reading)
    assert pipe.is_fifo()


def test_a_trace_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    found = given(tmp_path, HEADER + GOOD)
    with pytest.raises(OSError, match="No such file"):
        write_trace(tmp_path / "no" / "out.csv", found, [WAITING])
    assert [f.name for f in tmp_path.iterdir()] == ["in.csv"]
