"""``gkc demo --centers 3`` as a user runs it: overflow, a line that is cut and healed, kills."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError
from gkc_engine.pbx.install import Install
from tests.acceptance.home import Home, until

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]

NAMES = ("centr", "sever", "yug")
OWNER = "sever"
"""Has half of the calls, and few operators."""

NOTICED_S = 3.0
RESUMED_S = 10.0
LOOK_S = 0.3
BUSY_S = 1.0
"""What a word of another takes, on a machine with other tests."""


@pytest.fixture
def home(tmp_path: Path, install: Install) -> Iterator[Home]:
    home = Home(tmp_path, install)
    yield home
    home.leave()


class Running:
    """A demo of three centers that runs to its end."""

    def __init__(self, home: Home, *, seconds: int, rate: float, seed: int = 1) -> None:
        self.home = home
        calls = ("--seconds", str(seconds), "--rate", str(rate), "--seed", str(seed))
        self.process = home.start("--centers", "3", "--free-ports", *calls, "--json")
        until(lambda: home.note.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()[1]

    @property
    def note(self) -> dict[str, Any]:
        """What it says of itself."""
        found: dict[str, Any] = json.loads(self.home.note.read_text())
        return found

    def ask(self, center: str, method: str) -> list[dict[str, Any]]:
        """Ask an engine; nothing while it is away."""
        try:
            with ControlClient(Path(self.note["centers"][center]["socket"])) as client:
                rows: list[dict[str, Any]] = client.call(method)
        except (ControlError, OSError):
            return []
        return rows

    def center(self, seen: str, by: str) -> dict[str, Any]:
        """Return what one center shows of another."""
        for row in self.ask(by, "center.show"):
            if row["center"] == seen:
                return row
        return {"state": None, "out": {}, "in": {}}

    def sent(self) -> int:
        """How many the owner has sent to others, since its engine's start."""
        row: dict[str, Any] = {}

        def answers() -> bool:
            row.update(self.center(OWNER, by=OWNER))
            return "center" in row

        until(answers)
        return int(row["out"].get("sent", 0))

    def abroad(self, state: str) -> str:
        """Wait for a citizen of the owner's whom another center's operator has; return which."""
        found: list[str] = []

        def look() -> bool:
            rows = self.ask(OWNER, "queue.waiting")
            found[:] = [
                row["agent_id"].partition(":")[0]
                for row in rows
                if row["state"] == state and ":" in (row["agent_id"] or "")
            ]
            return bool(found)

        until(look, 60)
        return found[0]

    def kill(self, what: str) -> None:
        """Kill a process with SIGKILL, and wait until another one is in its place."""
        killed = self.note["pids"][what]
        os.kill(killed, signal.SIGKILL)
        until(lambda: self.note["pids"][what] not in (killed, None), 30)

    def line(self, method: str, center: str) -> float:
        """Cut or heal a line, as the commands do; return when, by the monotonic clock."""
        with ControlClient(Path(self.note["lines"])) as client:
            began = time.monotonic()
            assert client.call(method, {"center": center})["changed"]
        return began

    def ends(self) -> dict[str, Any]:
        """Wait for its end; return what it printed, which accounts for every call."""
        out, err = self.process.communicate()
        assert self.process.returncode == 0, err
        assert "Traceback" not in err, err
        assert out.count("\n") == 1
        row: dict[str, Any] = json.loads(out)
        assert not self.home.note.exists()
        assert self.home.processes() == {}
        _adds_up(row)
        return row


def _adds_up(row: dict[str, Any]) -> None:
    assert (row["lost"], row["doubled"], row["other_hands"]) == (0, 0, 0)
    assert tuple(row["centers"]) == NAMES
    parts = ("answered", "abandoned", "self_served", "refused", "failed_open", "lost")
    for of in (row, *row["centers"].values()):
        assert of["offered"] == sum(of[part] for part in parts)
        waits = of["waits"]
        assert waits["with_overflow"]["answered"] == of["answered"]
        here = waits["without_overflow"]["answered"]
        assert here == of["answered"] - of["overflow_answered"]
    for part in (*parts, "overflow_answered", "outbound"):
        assert row[part] == sum(center[part] for center in row["centers"].values()), part
    guests = sum(center["guests_answered"] for center in row["centers"].values())
    assert guests == row["overflow_answered"]


def _cut_and_heal(running: Running, cut_s: float) -> dict[str, float]:
    """Cut the owner's line under load, heal it; return until when that was not noticed, in s."""
    until(lambda: running.center(OWNER, by=OWNER)["out"].get("answered", 0) >= 2, 60)
    cut = running.line("demo.cut", OWNER)
    others = [name for name in NAMES if name != OWNER]
    there, here = _not_until(
        cut,
        lambda: running.center(OWNER, by="centr")["state"] == "down",
        lambda: all(running.center(o, by=OWNER)["state"] == "down" for o in others),
    )
    before = running.sent()
    _asleep(cut + cut_s)
    assert running.sent() == before, "nobody is sent into a line that is cut"
    healed = running.line("demo.heal", OWNER)
    up = ("normal", "overloaded")
    heard, resumed = _not_until(
        healed,
        lambda: running.center(OWNER, by="centr")["state"] in up,
        lambda: running.sent() > before,
    )
    return {"noticed": there, "noticed_by_itself": here, "heard": heard, "resumed": resumed}


def _not_until(since: float, *facts: Callable[[], bool]) -> list[float]:
    """Wait for all; return for each how long after ``since`` the last look that missed it began.

    Where the machine stood still between two looks, nobody can say more.
    """
    last = [since] * len(facts)
    missed = set(range(len(facts)))

    def look() -> bool:
        for n in sorted(missed):
            began = time.monotonic()
            if facts[n]():
                missed.remove(n)
            else:
                last[n] = began
        return not missed

    until(look)
    return [began - since for began in last]


def _lines(home: Home) -> list[str]:
    """Cut and heal a line by the commands, and one that is not there; return what is said."""
    said = []
    for command, center, code in (("cut", "yug", 0), ("heal", "yug", 0), ("cut", "zapad", 1)):
        done = subprocess.run(
            home.command("demo", command, center),
            env=home.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        said.append(done.stderr.strip().replace("; ", ", ").rpartition(", ")[2])
    return said


def _asleep(end: float) -> None:
    until(lambda: time.monotonic() >= end, 120)


def _told(capsys: pytest.CaptureFixture[str], *said: object) -> None:
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(json.dumps(one) for one in said) + "\n")


def test_overflow_is_seen_a_line_is_cut_and_healed_and_nobody_is_lost(home: Home) -> None:
    running = Running(home, seconds=35, rate=1.4)
    for name in NAMES:
        config = running.note["centers"][name]["config"]
        tree = home.gkc("center", "show", "--config", config)
        assert [row["center"] for row in tree] == list(NAMES)
        assert [row["own"] for row in tree] == [row["center"] == name for row in tree]
    measured = _cut_and_heal(running, cut_s=7)
    assert _lines(home) == ["cut off now: yug", "cut off now: none", "yug"]
    assert measured["noticed"] < NOTICED_S + BUSY_S
    assert measured["noticed_by_itself"] < NOTICED_S + BUSY_S
    assert measured["resumed"] < RESUMED_S
    row = running.ends()
    assert row["offered"] == 12 + 24 + 12
    assert row["overflow_answered"] >= 4
    assert row["centers"]["centr"]["overflow_answered"] == 0, "no rule is of the city"


def test_what_a_killed_one_leaves_is_ended_by_the_next_and_ctrl_c_ends_that_within_5_s(
    home: Home,
) -> None:
    killed = _dialling(home)
    killed.kill()
    killed.communicate()
    left = home.processes()
    assert len(left) > 10
    demo = _dialling(home)
    assert not left.keys() & home.processes().keys()
    began = time.monotonic()
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert (demo.returncode, out) == (0, ""), err
    assert "Traceback" not in err
    assert home.processes() == {}
    assert not home.note.exists()
    assert not list((home.state / "run").glob("*.sock"))


def _dialling(home: Home) -> subprocess.Popen[str]:
    """Start a demo without an end; return when citizens call."""
    demo = home.start("--centers", "3", "--free-ports")
    assert demo.stderr is not None
    for line in itertools.takewhile(lambda text: "dialled" not in text, demo.stderr):
        assert "Traceback" not in line
    assert demo.poll() is None
    return demo


@pytest.mark.long
def test_three_minutes_unattended(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    row = Running(home, seconds=180, rate=1.0).ends()
    assert row["offered"] == 180
    assert row["overflow_answered"] >= 20
    _told(capsys, row)


@pytest.mark.long
def test_a_minute_without_the_line_under_load(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(home, seconds=120, rate=1.2, seed=2)
    measured = _cut_and_heal(running, cut_s=60)
    row = running.ends()
    _told(capsys, measured, row)
    assert measured["noticed"] < NOTICED_S + LOOK_S
    assert measured["noticed_by_itself"] < NOTICED_S + LOOK_S
    assert measured["resumed"] < RESUMED_S
    assert row["overflow_answered"] >= 10


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_lose_nobody(home: Home, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the donor's engine while its operator rings, the owner's during a talk there, the hub.

    And of the collector of the city's records.
    """
    running = Running(home, seconds=110, rate=1.2, seed=seed)
    running.kill("collector")
    running.kill(f"{running.abroad('offered')} engine")
    running.abroad("talk")
    running.kill(f"{OWNER} engine")
    until(lambda: running.sent() > 0, 60)  # It is back, and sends citizens as before.
    running.kill("hub")
    before = running.sent()
    until(lambda: running.sent() > before, 60)
    row = running.ends()
    _told(capsys, row)
    assert row["overflow_answered"] >= 5


def test_commands_without_such_a_demo_say_so(home: Home) -> None:
    for command in ("cut", "heal"):
        done = subprocess.run(
            home.command("demo", command, "sever"),
            env=home.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "--centers 3" in done.stderr
        assert "Traceback" not in done.stderr
