from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gkc_engine.demo import note
from gkc_engine.errors import GkcError

SLEEP = "import sys; print(flush=True); sys.stdin.read()"


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-c", SLEEP, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdout.readline()  # Between its exec and its first step it has no command line.
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def test_what_a_killed_demo_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run" / "demo.json"
    folder = tmp_path / "demo"
    with process(f"{folder.resolve()}/asterisk/etc") as ours, process("of somebody else") as other:
        pids = {"asterisk": ours.pid, "engine": other.pid, "watchdog": None, "demo": 2**22 + 1}
        note.write(path, {note.PIDS: pids})
        assert note.end_left_over(path, folder) == [ours.pid]
        assert ours.wait(5) == -9
        assert other.poll() is None
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pids": 3}', '{"ports": {}}'])
def test_a_note_that_cannot_be_read_ends_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "demo.json"
    path.write_text(text)
    assert note.end_left_over(path, tmp_path) == []


def test_the_note_is_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "run" / "demo.json"
    note.write(path, {"operator": {"password": "x"}})
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"operator": {"password": "x"}}
    note.remove(path)
    note.remove(path)
    assert list(path.parent.iterdir()) == []


def test_a_second_demo_is_refused_and_the_first_one_let_go(tmp_path: Path) -> None:
    with (
        note.alone(tmp_path),
        pytest.raises(GkcError, match="already running"),
        note.alone(tmp_path),
    ):
        pass
    with note.alone(tmp_path):
        (tmp_path / "gkc.sqlite").write_text("old")
        (tmp_path / "config").mkdir()
        outside = tmp_path.parent / "prompts"
        outside.mkdir()
        (outside / "kept").write_text("")
        (tmp_path / "config" / "prompts").symlink_to(outside)
        note.empty(tmp_path)
        assert [entry.name for entry in tmp_path.iterdir()] == [note.LOCK]
        assert (outside / "kept").exists()
