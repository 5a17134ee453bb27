"""``gkc run`` as a process: what it refuses and how it says so, that it lives without Asterisk,
reloads and ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML

from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, socket_path
from gkc_engine.demo.tree import Document, copy_tree
from tests.ports import free_port

pytestmark = pytest.mark.accept
"""Real processes, each with a start of its own: a minute of both cores in the hermetic run."""

CITY = Path(__file__).parents[1] / "acceptance" / "city"
SECRET = "GKC_TEST_SECRET"
BOOT_S = 45.0
"""How long we wait for what a process does; a machine at work may take that long."""
STOP_S = 3.0


class Ground:
    """A city's folder of configuration, with free ports, and a place for its state."""

    def __init__(self, folder: Path) -> None:
        self.agi, self.ami, self.metrics = (free_port() for _ in range(3))
        self.config = copy_tree(CITY, folder / "config", self._ports)
        self.state = folder / "state"
        self.log = folder / "log"
        self.env = {k: v for k, v in os.environ.items() if k != "GKC_RUN_DIR"} | {SECRET: "x"}

    def _ports(self, name: str, document: Document) -> None:
        document.pop("pbx", None)
        if name == "pbx.yaml":
            ami = {"host": "127.0.0.1", "port": self.ami, "user": "gkc", "secret": f"env:{SECRET}"}
            document["pbx"] = {"ami": ami, "fastagi": {"host": "127.0.0.1", "port": self.agi}}
            document["metrics"] = {"host": "127.0.0.1", "port": self.metrics}
            # Without one, the metrics of alerts have no series.
            document["alerts"] = [{"name": "asterisk", "when": "ami_down", "for": "1h"}]

    def argv(self, *more: str) -> list[str]:
        argv = [sys.executable, "-m", "gkc_engine", "run", "--config", str(self.config)]
        return [*argv, "--state", str(self.state), *more]

    def refused(self, *more: str) -> tuple[int, str]:
        """Run it; return its exit code and stderr."""
        done = subprocess.run(
            self.argv(*more), env=self.env, capture_output=True, text=True, timeout=30, check=False
        )
        assert not done.stdout
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    @contextmanager
    def running(self, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run it until the end of the block; it answers on its socket."""
        with self.log.open("wb") as output:
            process = subprocess.Popen(
                self.argv(*more), env=self.env, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_for(lambda: process.poll() is not None or self.engine(), BOOT_S)
            assert process.poll() is None, self.said()
            yield process
        finally:
            with_group_gone(process)

    def engine(self) -> dict[str, Any] | None:
        """Return the engine's word about itself; ``None`` when none answers."""
        try:
            with ControlClient(socket_path(self.state / "run")) as client:
                (row,) = client.call("engine.show")
        except ControlError:
            return None
        assert isinstance(row, dict)
        return row

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def tune(self, old: str, new: str) -> None:
        """Change the first ``old`` of the city's file."""
        path = self.config / "city.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def pids(self) -> tuple[int, int]:
        """Wait until a spare stands by; return the worker's pid and its own."""
        started = re.compile(r'"pid": (\d+), "event": "spare_started"')  # of the watchdog
        wait_for(lambda: '"spare_ready"' in self.said() and started.search(self.said()), BOOT_S)
        (spare,) = started.findall(self.said())
        return (self.engine() or {})["pid"], int(spare)

    def gkc(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run another command against it."""
        return subprocess.run(
            [sys.executable, "-m", "gkc_engine", *argv],
            env=self.env | {"GKC_RUN_DIR": str(self.state / "run")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


def with_group_gone(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def wait_for(look: Callable[[], object], timeout_s: float) -> None:
    """Wait until ``look`` returns something true."""
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.05)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.mark.parametrize("watchdog", ["--watchdog", "--no-watchdog"])
def test_a_held_port_is_refused_and_its_holder_named(ground: Ground, watchdog: str) -> None:
    with socket.create_server(("127.0.0.1", ground.agi)), socket.socket() as bound:
        bound.bind(("127.0.0.1", ground.metrics))
        code, said = ground.refused(watchdog)
    assert code == 1
    fastagi, metrics = said.splitlines()
    assert f"127.0.0.1:{ground.agi} for FastAGI is held by " in fastagi
    assert f"(pid {os.getpid()})" in fastagi
    assert "pbx.fastagi.port" in fastagi
    assert f"127.0.0.1:{ground.metrics} for Prometheus metrics is held by" in metrics
    assert not (ground.state / "run" / "engine.pid").exists()


def test_a_wrong_config_is_refused_as_by_check(ground: Ground) -> None:
    ground.tune("timeout: 5s", "timeout: abc")
    code, said = ground.refused()
    checked = ground.gkc("check", str(ground.config))
    assert code == checked.returncode == 2
    assert said == checked.stderr
    assert re.search(r'city\.yaml:\d+:\d+: queues\.passport\.timeout: found "?abc"?, ', said)


def test_a_missing_secret_is_named_and_never_shown(ground: Ground) -> None:
    del ground.env[SECRET]
    code, said = ground.refused()
    assert code == 2
    assert said == f"env:{SECRET}: the environment variable {SECRET} is not set\n"


def test_a_second_engine_is_refused_and_told_the_pid_of_the_first(ground: Ground) -> None:
    with ground.running() as first:
        running = ground.engine()
        assert running is not None
        pid_file = ground.state / "run" / "engine.pid"
        assert pid_file.read_text() == f"{first.pid}\n"
        code, said = ground.refused()
        assert pid_file.read_text() == f"{first.pid}\n", "the refused one took the file"
    assert code == 1
    assert f"process {running['pid']}" in said


def test_it_runs_on_without_asterisk_and_says_so(ground: Ground) -> None:
    with ground.running():
        wait_for(
            lambda: (ground.engine() or {}).get("ami_problem") not in (None, "not started"), BOOT_S
        )
        row = ground.engine()
        shown = ground.gkc("queue", "show")
        as_json = ground.gkc("queue", "show", "--json")
        assert row is not None
        assert (row["ami_up"], row["accepting"]) == (False, True)
        assert str(ground.ami) in row["ami_problem"]
        assert shown.returncode == as_json.returncode == 0
        assert shown.stderr == f"no link to Asterisk's manager: {row['ami_problem']}\n"
        assert as_json.stderr == ""
        assert f"127.0.0.1:{ground.ami}" in ground.said()


def test_its_ledger_replays_while_it_runs(ground: Ground) -> None:
    with ground.running():
        shown = ground.gkc("replay", "1h", "0s")
        row = ground.engine()
    assert row is not None
    assert row["store"] == str(ground.state / "gkc.sqlite")
    assert "0 steps differ" in shown.stdout, shown.stderr
    assert shown.returncode == 0


@pytest.mark.parametrize("watchdog", ["--watchdog", "--no-watchdog"])
def test_sigterm_ends_it_soon_and_leaves_no_file(ground: Ground, watchdog: str) -> None:
    with ground.running(watchdog) as process:
        begun = time.monotonic()
        process.terminate()
        code = process.wait(10)
        took = time.monotonic() - begun
    assert code == 0, ground.said()
    assert took < STOP_S
    assert {p.suffix for p in (ground.state / "run").iterdir()} <= {".lock"}


def test_sighup_takes_good_files_and_tells_why_it_refuses_bad_ones(ground: Ground) -> None:
    path = ground.config / "city.yaml"
    yaml = YAML()
    good = path.read_text(encoding="utf-8")
    assert yaml.load(good)["queues"]["passport"]["timeout"] == "5s"
    with ground.running() as process:
        before = (ground.engine() or {})["config_version"]
        path.write_text(good.replace("timeout: 5s", "timeout: abc", 1), encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "queues.passport.timeout" in ground.said(), BOOT_S)
        assert (ground.engine() or {})["config_version"] == before
        path.write_text(good.replace("timeout: 5s", "timeout: 7s", 1), encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: (ground.engine() or {}).get("config_version") not in (None, before), BOOT_S
        )
        after = (ground.engine() or {})["config_version"]
    with sqlite3.connect(ground.state / "gkc.sqlite") as store:
        query = "SELECT data FROM event WHERE kind = 'gkc.config.applied' ORDER BY seq"
        trees = [json.loads(data)["tree"] for (data,) in store.execute(query)]
    # Both configs themselves are on record, that of the start and that of the reload.
    assert [sha256(tree.encode()).hexdigest()[:16] for tree in trees] == [before, after]


def test_a_reload_brings_to_work_whom_it_makes_always_at_work(ground: Ground) -> None:
    """Added so, or changed to it; who had logged himself out before stays so."""
    ground.tune("PJSIP/104, skills: {housing: 3}", "PJSIP/104, login: always")
    with ground.running():
        assert ground.gkc("agent", "logout", "gleb").returncode == 0
        ground.tune("PJSIP/101, ", "PJSIP/101, login: always, ")
        ground.tune("  anna:", "  zoya: {name: Зоя, interface: PJSIP/107, login: always}\n  anna:")
        done = ground.gkc("reload")
        assert done.returncode == 0, done.stderr
        assert {"operator zoya added", "anna.login phone→always"} <= set(done.stdout.splitlines())

        def away() -> set[str]:
            with ControlClient(socket_path(ground.state / "run")) as client:
                rows = client.call("agent.show")
            return {row["agent_id"] for row in rows if row["state"] == "offline"}

        wait_for(lambda: not away() & {"anna", "zoya"}, BOOT_S)
        assert {"boris", "gleb"} <= away()


def test_every_metric_of_the_reference_has_a_sample(ground: Ground) -> None:
    """Of an engine that has served nobody yet."""
    reference = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
    names = re.findall(r"^\| `(gkc_\w+)` \|", reference.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 15

    def missing() -> set[str]:
        with urlopen(f"http://127.0.0.1:{ground.metrics}/metrics", timeout=5) as page:
            text = page.read().decode()
        samples = set(re.findall(r"^(gkc_\w+?)(?:_count)?(?:\{.*\})? [-0-9N]", text, re.MULTILINE))
        decided = re.search(r"^gkc_decision_seconds_count (\S+)", text, re.MULTILINE)
        assert decided
        assert float(decided[1]) > 0
        version = (ground.engine() or {})["version"]
        assert f'gkc_info{{center="testcity",version="{version}"}} 1.0' in text
        return set(names) - samples

    with ground.running():
        # The lag of the loop is shown after a second, the gauges each second.
        wait_for(lambda: not missing(), BOOT_S)


SPEAKS = """
import sys, wave
with wave.open(sys.argv[1], "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(8000)
    out.writeframesraw(bytes(range(1, 200)) * 80)
"""


def test_new_prompts_are_spoken_after_a_start_and_after_a_reload(ground: Ground) -> None:
    program = ground.config / "speaks.py"
    program.write_text(SPEAKS, encoding="utf-8")
    command = [sys.executable, str(program), "{file}"]

    def prompts(*names: str) -> None:
        document = {"tts": {"command": command}, "prompts": {n: {"ru": n, "en": n} for n in names}}
        (ground.config / "more.yaml").write_text(json.dumps(document), encoding="utf-8")

    def spoken() -> int:
        return len(list((ground.state / "prompts").glob("*/*.alaw")))

    prompts("first")
    with ground.running():
        wait_for(lambda: spoken() == 2, BOOT_S)
        prompts("first", "second")
        done = ground.gkc("reload")
        assert done.returncode == 0, done.stderr
        wait_for(lambda: spoken() == 4, BOOT_S)


def test_a_killed_worker_is_started_again(ground: Ground) -> None:
    with ground.running() as process:
        first = (ground.engine() or {})["pid"]
        assert first != process.pid
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: (ground.engine() or {}).get("pid") not in (None, first), BOOT_S)
        assert process.poll() is None


# --- the spare worker ------------------------------------------------------------------------


def is_gone(pid: int) -> bool:
    """Whether it has ended, if perhaps nobody has asked how."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def open_files(pid: int) -> list[str]:
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


def read_to_end(sock: socket.socket) -> None:
    """Return when the other side has let go."""
    with suppress(ConnectionResetError):
        while sock.recv(4096):
            pass


def test_the_spare_holds_nothing_of_a_dead_worker_and_takes_its_place(ground: Ground) -> None:
    """Sockets are leases: one that outlived the worker would hold a citizen where nobody is."""
    with socket.create_server(("127.0.0.1", ground.ami)) as manager, ground.running() as dog:
        manager.settimeout(BOOT_S)
        ami, _ = manager.accept()
        version = (ground.engine() or {})["config_version"]
        worker, spare = ground.pids()
        files = open_files(spare)
        assert not [file for file in files if file.startswith("socket:")]
        assert not [file for file in files if file.startswith(str(ground.state))]
        ground.tune("timeout: 5s", "timeout: 7s")
        with ami, socket.create_connection(("127.0.0.1", ground.agi)) as agi:
            for sock in (ami, agi):
                sock.settimeout(BOOT_S)
            os.kill(worker, signal.SIGKILL)
            for sock in (ami, agi):
                read_to_end(sock)
        wait_for(lambda: (ground.engine() or {}).get("pid") == spare, BOOT_S)
        assert "spare_stale" not in ground.said()
        assert (ground.engine() or {})["config_version"] != version
        dog.kill()
        wait_for(lambda: is_gone(spare), BOOT_S)


def test_a_spare_whose_code_changed_on_disk_begins_anew(ground: Ground, tmp_path: Path) -> None:
    module = tmp_path / "path" / "sitecustomize.py"
    module.parent.mkdir()
    module.write_text("", encoding="utf-8")
    os.utime(module, (0, 0))
    ground.env["PYTHONPATH"] = f"{module.parent}:{ground.env.get('PYTHONPATH', '')}"
    with ground.running():
        worker, spare = ground.pids()
        loaded = f"/{spare}-anew"
        module.write_text(
            f"import os; open({str(tmp_path)!r} + f'/{{os.getpid()}}-anew', 'w').close()",
            encoding="utf-8",
        )
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: (ground.engine() or {}).get("pid") == spare, BOOT_S)
        assert "spare_stale" in ground.said()
        assert Path(f"{tmp_path}{loaded}").exists()
