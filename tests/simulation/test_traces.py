"""Traces that were worked out with pencil and paper, through the command: rows in, rows out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.cli.simulate import simulate_scenario
from gkc_engine.simulation.table import COLUMNS, TRACE_COLUMNS

ONE = "config:\n  queues: {a: {}}\n  operators: {anna: {}}\n"


def traced(folder: Path, scenario: str, rows: str) -> list[str]:
    """Return ``outcome operator answered_s`` of each row; ``rows`` are blank-separated fields."""
    file, given, out = folder / "s.yaml", folder / "in.csv", folder / "out.csv"
    file.write_text(scenario, encoding="utf-8")
    lines = [row.split() for row in rows.strip().splitlines()]
    table = [",".join(COLUMNS)]
    for contact, queue, arrived, handle, *patience in lines:
        table.append(",".join((contact, queue, arrived, handle, *patience, *[""][len(patience) :])))
    given.write_text("\n".join(table) + "\n", encoding="utf-8")
    simulate_scenario(file, arrivals=given, trace=out)
    head, *found = out.read_text(encoding="utf-8").splitlines()
    assert head == ",".join(TRACE_COLUMNS)
    assert [row.split(",")[:2] for row in found] == [row[:2] for row in lines]
    return [" ".join(field for field in row.split(",")[3:] if field) for row in found]


def test_the_order_of_one_instant(tmp_path: Path) -> None:
    """Ends of talks, then leavings, then arrivals; an answer at the end of patience counts."""
    rows = """
        c1 a 0 10
        c2 a 1 5 9
        c3 a 2 5 8
        c4 a 10 1 0
        c5 a 15 1 0
        c6 a 15 0 0
        c7 a 16 0 0
        c8 a 16 0 0
    """
    assert traced(tmp_path, ONE, rows) == [
        "answered anna 0.000000",
        "answered anna 10.000000",  # Patience ends at 10, and so does c1's talk: kind 1 before 3.
        "abandoned",  # At 10 too, but c2 came first.
        "abandoned",  # Comes at 10, finds anna with c2, has no patience.
        "answered anna 15.000000",  # c2's talk ends at 15 before he comes.
        "abandoned",  # The row order decides between c5 and c6.
        "answered anna 16.000000",  # A talk of no length …
        "answered anna 16.000000",  # … is over before the next row of that instant.
    ]


def test_ringing_is_part_of_the_wait(tmp_path: Path) -> None:
    rows = """
        c1 a 0 10 3
        c2 a 1 4 14
        c3 a 20 1 2.999999
        c4 a 23 1 3.000001
    """
    assert traced(tmp_path, ONE + "offer: {ring: 3s}\n", rows) == [
        "answered anna 3.000000",  # To the microsecond at the end of patience.
        "abandoned",  # Rings from 13; leaves at 15.
        "abandoned",
        "answered anna 26.000000",
    ]


def test_longest_idle_and_the_order_of_the_file(tmp_path: Path) -> None:
    scenario = (
        "config:\n  queues: {a: {}}\n  operators: {zoya: {}, boris: {}}\n"
        "pools: {p: {count: 2}, b: {count: 1}}\n"
    )
    rows = """
        c1 a 0 5
        c2 a 0 4
        c3 a 0 4
        c4 a 0 9
        c5 a 0 20
        c6 a 1 1
        c7 a 4 9
        c8 a 5 1
        c9 a 5 1
    """
    assert traced(tmp_path, scenario, rows) == [
        "answered zoya 0.000000",  # All idle since 0: operators, then pools, as they stand.
        "answered boris 0.000000",
        "answered p/1 0.000000",
        "answered p/2 0.000000",
        "answered b/1 0.000000",
        "answered boris 4.000000",  # boris and p/1 end at 4: config order.
        "answered p/1 4.000000",
        "answered zoya 5.000000",  # zoya and boris end at 5: idle since the same instant.
        "answered boris 5.000000",
    ]


def test_wrap_up_follows_the_talk(tmp_path: Path) -> None:
    scenario = ONE.replace("{a: {}}", "{a: {wrapuptime: 2s}}")
    assert traced(tmp_path, scenario, "c1 a 0 3\nc2 a 1 0\nc3 a 1 1") == [
        "answered anna 0.000000",
        "answered anna 5.000000",
        "answered anna 7.000000",  # A talk of no length is wrapped up too.
    ]


def test_steps_count_from_the_enqueue_time(tmp_path: Path) -> None:
    scenario = (
        "config:\n  skills: {x: X}\n"
        "  queues: {a: {require: {x: 3}, relax: [{after: 10s, require: {x: 1}}]}}\n"
        "  operators: {anna: {skills: {x: 3}}, boris: {skills: {x: 1}}}\n"
    )
    rows = "c1 a 0 30\nc2 a 0.5 5\nc3 a 2 5 13.5\nc4 a 5.5 1 10"
    assert traced(tmp_path, scenario, rows) == [
        "answered anna 0.000000",
        "answered boris 10.500000",
        "answered boris 15.500000",  # His step was reached at 12, boris is free at 15.5.
        "abandoned",  # His step and the end of his patience fall on 15.5; boris took c3.
    ]


def test_classes_and_head_start(tmp_path: Path) -> None:
    queues = "low: {class: background}, norm: {}, late: {head_start: 30s}, duty: {class: emergency}"
    scenario = ONE.replace("{a: {}}", f"{{{queues}}}")
    rows = "c0 norm 0 10\nc1 low 1 1\nc2 norm 2 1\nc3 late 3 1\nc4 duty 4 1"
    assert [row.split()[-1] for row in traced(tmp_path, scenario, rows)] == [
        "0.000000",
        "13.000000",
        "12.000000",
        "11.000000",
        "10.000000",
    ]


def test_accumulating_priority(tmp_path: Path) -> None:
    """At 10: a has waited 9 s at slope 1, b 4 s at slope 2.5."""
    scenario = (
        "config:\n  center: {order: accumulating}\n"
        "  queues: {a: {}, b: {slope: 2.5}}\n  operators: {anna: {}}\n"
    )
    assert traced(tmp_path, scenario, "c0 a 0 10\nc1 a 1 1\nc2 b 6 1") == [
        "answered anna 0.000000",
        "answered anna 11.000000",
        "answered anna 10.000000",
    ]


@pytest.mark.parametrize(
    ("strategy", "takers"),
    [("best-match", ["dina", "anna", "boris"]), ("spare-specialists", ["boris", "anna", "dina"])],
)
def test_strategies(strategy: str, takers: list[str], tmp_path: Path) -> None:
    scenario = (
        "config:\n  skills: {x: X, y: Y, z: Z}\n  queues:\n"
        f"    a: {{require: {{x: 1}}, strategy: {strategy}}}\n"
        "    b: {require: {y: 1}}\n    c: {require: {z: 1}}\n"
        "  operators:\n"
        "    anna: {skills: {x: 2, y: 1}}\n"
        "    boris: {skills: {x: 1}}\n"
        "    dina: {skills: {x: 5, y: 1, z: 1}}\n"
    )
    found = traced(tmp_path, scenario, "c1 a 0 9\nc2 a 1 9\nc3 a 2 9")
    assert [row.split()[1] for row in found] == takers


def test_no_room(tmp_path: Path) -> None:
    scenario = ONE.replace("{a: {}}", "{a: {maxlen: 0}, b: {maxlen: 1}}")
    rows = "c1 a 0 5\nc2 a 1 5\nc3 b 1 1\nc4 b 2 1\nc5 a 5 1\nc6 a 6 1"
    assert traced(tmp_path, scenario, rows) == [
        "answered anna 0.000000",
        "refused",
        "answered anna 5.000000",
        "refused",
        "refused",  # At 5 anna takes c3 before he comes.
        "answered anna 6.000000",
    ]


@pytest.mark.parametrize("full", ["{then: queue b}", "{say: sorry, then: queue b}"])
def test_full_leads_to_another_queue(full: str, tmp_path: Path) -> None:
    """With an announcement or without: announcements take no time here."""
    scenario = (
        "config:\n  skills: {x: X, y: Y}\n"
        f"  queues:\n    a: {{require: {{x: 1}}, maxlen: 0, full: {full}}}\n"
        "    b: {require: {y: 1}}\n"
        "  operators: {anna: {skills: {x: 1}}, boris: {skills: {y: 1}}}\n"
    )
    rows = "c1 a 0 10\nc2 a 1 10\nc3 a 2 1 5\nc4 a 3 1\nc5 a 10 1"
    assert traced(tmp_path, scenario, rows) == [
        "answered anna 0.000000",
        "answered boris 1.000000",
        "abandoned",
        "answered boris 11.000000",
        "answered anna 10.000000",
    ]


def test_waiting_that_ends_by_config_and_waiting_without_end(tmp_path: Path) -> None:
    scenario = (
        "config:\n  skills: {x: X}\n  queues:\n"
        "    a: {maxwait: 5s}\n"
        "    b: {require: {x: 1}, maxwait_unstaffed: 4s}\n"
        "    c: {require: {x: 1}}\n"
        "  operators: {anna: {}}\n"
    )
    rows = "c1 a 0 6\nc2 a 1 1\nc3 a 1.000001 1\nc4 b 2 1\nc5 c 2 1\nc6 c 3 1 1"
    assert traced(tmp_path, scenario, rows) == [
        "answered anna 0.000000",
        "answered anna 6.000000",  # maxwait ends at 6 too: kind 1 comes before 3.
        "refused",
        "refused",
        "waiting",
        "abandoned",
    ]


def test_all_phones_ring(tmp_path: Path) -> None:
    """Who has been idle the longest is the first to lift the receiver; the others stay idle."""
    scenario = (
        "config:\n  queues: {a: {ring: all}}\n"
        "  operators: {anna: {}, boris: {}, dina: {}}\noffer: {ring: 3s}\n"
    )
    assert traced(tmp_path, scenario, "c1 a 0 5\nc2 a 1 4\nc3 a 10 1") == [
        "answered anna 3.000000",
        "answered boris 6.000000",  # Everybody rings for c1 until 3; then boris and dina.
        "answered dina 13.000000",
    ]


def test_calendars_turn_no_run_endless(tmp_path: Path) -> None:
    scenario = (
        "config:\n  skills: {x: X}\n"
        '  calendars: {mornings: {week: {mon-sun: ["09:00-10:00"]}}}\n'
        "  queues: {a: {hours: mornings, require: {x: 1}}}\n  operators: {anna: {}}\n"
        "start: 2026-11-23T09:00\n"
    )
    assert traced(tmp_path, scenario, "c1 a 0 1\nc2 a 86400 1 90000") == ["waiting", "abandoned"]


def test_hours(tmp_path: Path) -> None:
    scenario = (
        "config:\n"
        '  calendars: {mornings: {week: {mon-sun: ["09:00-10:00"]}}}\n'
        "  queues: {a: {hours: mornings}}\n  operators: {anna: {}}\n"
    )
    rows = "c1 a 0 120\nc2 a 59.999999 1\nc3 a 60 1\nc4 a 82860 1"
    found = traced(tmp_path, scenario + "start: 2026-11-23T09:59\n", rows)
    assert found == [
        "answered anna 0.000000",
        "answered anna 120.000000",  # Hours close the door only.
        "refused",
        "answered anna 82860.000000",  # The next day at nine.
    ]
    assert traced(tmp_path, scenario, rows)[2] == "answered anna 121.000000"  # No start: no hours.
