"""`gkc simulate`: what is printed where, exit codes, same seed same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gkc_engine import __main__
from gkc_engine.cli import simulate as command
from gkc_engine.simulation import replications, runner
from gkc_engine.simulation.replications import Task, simulate
from gkc_engine.simulation.scenario import load_scenario

SCENARIO = """
config:
  skills: {x: X}
  queues:
    a: {require: {x: 1}}
    b: {}
pools:
  p: {count: 3, skills: {x: 1}}
traffic:
  a: {rate: 60/h, handle: {dist: exp, mean: 120s}, patience: {dist: exp, mean: 60s}}
  b: {rate: 20/h, handle: {dist: const, mean: 60s}}
contacts: 150
warmup: 10m
offer: {ring: 2s, miss: 0.1}
"""
HEADER = "contact,queue,arrived_s,handle_s,patience_s\n"
FIGURES = [
    "offered",
    "answered",
    "abandoned",
    "refused",
    "waiting",
    "asa_s",
    "wait_mean_s",
    "wait_p50_s",
    "wait_p90_s",
    "wait_p95_s",
    "wait_max_s",
    "sl",
]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    return file


def gkc(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["gkc", "simulate", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        __main__.main()
    return int(caught.value.code or 0)


def printed(
    capsys: pytest.CaptureFixture[str], scenario: Path, replications: int = 1
) -> dict[str, Any]:
    command.simulate_scenario(scenario, json=True, replications=replications)
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_the_object(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, scenario)
    assert list(found) == ["seed", "replications", "queues", "total", "occupancy", "ci95"]
    assert (found["seed"], found["replications"], found["ci95"]) == (1, 1, None)
    assert list(found["queues"]) == ["a", "b"]
    assert [list(one) for one in (*found["queues"].values(), found["total"])] == [FIGURES] * 3
    assert list(found["occupancy"]) == ["p"]
    assert 0.0 < found["occupancy"]["p"] < 1.0
    for one in (*found["queues"].values(), found["total"]):
        ends = sum(one[name] for name in ("answered", "abandoned", "refused", "waiting"))
        assert one["offered"] == ends
        assert all(isinstance(one[name], int) for name in FIGURES[:5])
    a, b, total = found["queues"]["a"], found["queues"]["b"], found["total"]
    assert all(a[name] + b[name] == total[name] for name in FIGURES[:5])
    assert 0 < total["offered"] < 150  # Ten minutes of warm-up are not counted.


def test_with_replications_each_figure_has_an_interval(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, scenario, replications=3)
    ranges = found["ci95"]
    assert list(ranges) == ["queues", "total", "occupancy"]
    assert list(ranges["queues"]["a"]) == FIGURES
    for name in FIGURES:
        low, high = ranges["total"][name]
        assert low <= found["total"][name] <= high
    low, high = ranges["occupancy"]["p"]
    assert low < found["occupancy"]["p"] < high
    runs = [
        simulate(Task(plan=load_scenario(scenario), seed=1), 3, jobs=1)[n].figures["a"]["asa_s"]
        for n in range(3)
    ]
    assert len(set(runs)) == 3
    assert found["queues"]["a"]["asa_s"] == pytest.approx(sum(r or 0.0 for r in runs) / 3, abs=1e-6)


def test_same_seed_same_bytes(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for seed in (5, 5, 6):
        command.simulate_scenario(scenario, seed=seed, replications=2, json=True)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0] != texts[2].replace('"seed": 6', '"seed": 5')


def test_the_result_does_not_depend_on_the_number_of_processes(
    scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(plan=load_scenario(scenario), seed=3)
    alone = simulate(task, 3, jobs=1)
    monkeypatch.setattr(replications, "SMALL", 0)
    told: list[tuple[int, int]] = []
    assert simulate(task, 3, jobs=2, progress=lambda done, of: told.append((done, of))) == alone
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_table_for_people(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.simulate_scenario(scenario)
    lines = capsys.readouterr().out.splitlines()
    heads = "Queue  Offered  C  A  Refused  W  ASA, s  Wait, s  P50  P90  P95  Max  SL"
    assert re.split(r"  +", lines[0]) == re.split(r"  +", heads)
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "(all)"]
    assert lines[5].split() == ["Operators", "Occupancy"]
    assert lines[6].startswith("p ")
    assert lines[6].endswith("%")
    command.simulate_scenario(scenario, replications=2)
    out = capsys.readouterr().out
    assert "±" in out.splitlines()[1]
    assert out.endswith("Means of 2 replications ± half of the 95 % interval.\n")


def test_a_warm_up_longer_than_the_run_leaves_nothing_to_count(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCENARIO.replace("contacts: 150\nwarmup: 10m", "contacts: 5\nwarmup: 9h")
    scenario.write_text(text, encoding="utf-8")
    found = printed(capsys, scenario)
    assert (found["total"]["offered"], found["total"]["sl"]) == (0, None)
    assert found["occupancy"] == {"p": None}
    command.simulate_scenario(scenario)
    assert "nobody came after the warm-up" in capsys.readouterr().out


def test_a_duration_ends_the_arrivals_and_everybody_is_still_served(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCENARIO.replace("contacts: 150\nwarmup: 10m", "duration: 2h")
    scenario.write_text(text, encoding="utf-8")
    total = printed(capsys, scenario)["total"]
    assert 100 < total["offered"] < 220
    assert total["waiting"] == 0


def test_progress_is_told_on_stderr_after_a_second(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(float(n) for n in range(1000))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    command.simulate_scenario(scenario, replications=9, json=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["replications"] == 9
    assert err == "gkc: 1 of 9 replications, 1 s\ngkc: 6 of 9 replications, 6 s\n"


# --- refusals ------------------------------------------------------------------------------------


def test_bad_input_is_exit_code_2_and_nothing_is_written(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, trace = scenario.with_name("in.csv"), scenario.with_name("out.csv")
    given.write_text(HEADER + "c1,a,5,1,\nc2,c,4,nan,\n", encoding="utf-8")
    assert gkc(monkeypatch, scenario, "--arrivals", given, "--trace", trace, "--json") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'{given}:3:4: queue: found "c", expected a name from queues:',
        (
            f'{given}:3:8: handle_s: found "nan", expected seconds from 0 on, such as 12.345678, '
            "at most 316224000"
        ),
        (
            f"{given}:3:6: arrived_s: found 4, expected at least the 5.000000 of the row before: "
            "rows in order of time"
        ),
        "3 problems",
    ]
    assert not trace.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["none.yaml"],
        ["s.yaml", "--seed", "-1"],
        ["s.yaml", "--replications", "0"],
        ["s.yaml", "--replications", "10001"],
        ["s.yaml", "--trace", "out.csv"],
        ["s.yaml", "--arrivals", "in.csv", "--trace", "out.csv", "--replications", "2"],
        ["s.yaml", "--arrivals", "in.csv", "--trace", "in.csv"],
        ["s.yaml", "--arrivals", "in.csv", "--trace", "no/out.csv"],
        ["s.yaml", "--arrivals", "in.csv", "--trace", "."],
        ["s.yaml", "--arrivals", "none.csv"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_code_2(
    words: list[str],
    scenario: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(scenario.parent)
    Path("in.csv").write_text(HEADER + "c1,a,5,1,\n", encoding="utf-8")
    before = sorted(Path().iterdir())
    assert gkc(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert "Traceback" not in err
    assert sorted(Path().iterdir()) == before
    assert Path("in.csv").read_text(encoding="utf-8") == HEADER + "c1,a,5,1,\n"


def test_with_arrivals_the_traffic_is_ignored(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, trace = scenario.with_name("in.csv"), scenario.with_name("out.csv")
    given.write_text(HEADER + "c1,a,5,1,\n", encoding="utf-8")
    scenario.write_text(SCENARIO.replace(", miss: 0.1", ""), encoding="utf-8")
    command.simulate_scenario(scenario, arrivals=given, trace=trace, json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["offered"] == 1  # Though it came in the first ten minutes.
    assert (
        trace.read_text(encoding="utf-8").splitlines()[1] == "c1,a,5.000000,answered,p/1,7.000000"
    )


def test_hours_without_a_start_are_told(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SCENARIO.replace("b: {}", "b: {hours: h}").replace(
        "config:\n", 'config:\n  calendars: {h: {week: {mon: ["09:00-18:00"]}}}\n'
    )
    scenario.write_text(text, encoding="utf-8")
    command.simulate_scenario(scenario, json=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["total"]["offered"]
    assert err == "hours of b: not applied, for the scenario has no start:\n"


def test_a_run_without_end_is_stopped(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "OFFERS_MAX", 20)
    text = SCENARIO.replace("miss: 0.1", "miss: 0.99").replace("mean: 60s}}", "mean: 9h}}")
    scenario.write_text(text, encoding="utf-8")
    assert gkc(monkeypatch, scenario) == 1
    assert "offered 20 times without an answer" in capsys.readouterr().err
