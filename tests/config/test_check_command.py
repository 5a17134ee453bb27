"""`gkc check`: what is printed where, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from gkc_engine.cli.check import check
from tests.config.cities import SAMPLE, tiny_city

BAD = ("timeout: 15s", "timeout: 15 sec")


def test_a_good_folder_gives_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    check(SAMPLE)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    assert "12 queues, 26 operators" in out


def test_problems_go_to_stderr_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught:
        check(tiny_city(tmp_path, BAD))
    assert caught.value.exit_code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f'{tmp_path}/city.yaml:18:14: queues.passport.timeout: found "15 sec", '
        "expected a duration such as 20s or 2m; did you mean 15s?\n1 problems\n"
    )


def test_json_is_a_list_of_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        check(tiny_city(tmp_path, BAD), as_json=True)
    assert caught.value.exit_code == 2
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": f"{tmp_path}/city.yaml",
            "line": 18,
            "col": 14,
            "path": "queues.passport.timeout",
            "found": '"15 sec"',
            "expected": "a duration such as 20s or 2m",
            "hint": "15s",
        }
    ]
    check(SAMPLE, as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_warnings_do_not_change_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(tiny_city(tmp_path, ("    maxlen: 20", "    record: always")))
    out, err = capsys.readouterr()
    assert "ok" in out
    assert err == (
        f"{tmp_path}/city.yaml:3:1: pbx: found no emergency_context, so operators' phones refuse "
        "112 and 101-104, expected emergency_context: CONTEXT, where Asterisk has a way out for "
        "them (warning)\n"
        f"{tmp_path}/city.yaml:20:5: queues.passport.record: found no record_notice, "
        "expected a prompt that tells of the recording (warning)\n"
    )


def test_an_operator_with_the_fire_brigades_number_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    way_out = ("  fastagi:", "  emergency_context: out\n  fastagi:")
    check(tiny_city(tmp_path, way_out, ("interface: PJSIP/201", "interface: PJSIP/101")))
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "found PJSIP/101, an emergency service's number, expected another" in err


def test_problems_alone_stand_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_city(tmp_path, BAD, ("---\ncenter", "center"), ("\n...\n", "\n"))
    with pytest.raises(typer.Exit):
        check(folder)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    check(schema=True)
    assert json.loads(capsys.readouterr().out)["title"] == "Configuration of a GKC center"
