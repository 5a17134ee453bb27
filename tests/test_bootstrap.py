"""The script `gkc` in front of everything, run with a stand-in for Python that only keeps a log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis.configuration import storage_directory

from gkc_engine import __main__ as command
from gkc_engine.cli.test import _static_checks
from gkc_engine.errors import ConfigError, GkcError, PeerError

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("cat", "dirname", "flock", "mkdir", "mkfifo", "readlink", "rm", "sh", "sha256sum")

PYTHON = """\
#!/bin/sh
# Logs what it is asked for. Its venv holds itself; its pip "installs" a gkc that echoes.
case "$*" in
*'import sys; sys.exit'*) exit ${STUB_TOO_OLD:-0} ;;
*'import ensurepip'*) exit ${STUB_NO_ENSUREPIP:-0} ;;
*'import pip'*) exit ${STUB_NO_PIP:-0} ;;
--version) echo 'Python 3.11.2' ;;
'-m venv '*)
    echo venv >>"$STUB_LOG"
    mkdir -p "$3/bin" && cat "$0" >"$3/bin/python" && chmod +x "$3/bin/python" ;;
*'--require-hashes -r'*)
    echo locked >>"$STUB_LOG"
    [ -z "${STUB_GATE-}" ] || cat "$STUB_GATE" >/dev/null  # Go on when somebody writes to the gate.
    exit ${STUB_PIP_EXIT:-0} ;;
*'--no-deps --no-build-isolation -e'*)
    echo editable >>"$STUB_LOG"
    venv=${0%/python}
    printf '#!/bin/sh\\necho "home=$GKC_HOME" "$@"\\n' >"$venv/gkc" && chmod +x "$venv/gkc" ;;
*) echo "unexpected: $*" >>"$STUB_LOG"; exit 99 ;;
esac
"""


class Machine:
    """A clone with the real script, and a PATH with nothing but a few tools and the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        self.bin = folder / "bin"
        self.log = folder / "log"
        for path in (self.clone, self.bin):
            path.mkdir()
        self.log.touch()
        for name in ("gkc", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.clone / name)
        for name in (*TOOLS, "chmod"):
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)
        self.tool("python3", PYTHON)
        self.tool("id", "#!/bin/sh\necho 1000\n")

    def tool(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def environment(self, **extra: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "STUB_LOG": str(self.log), **extra}

    def gkc(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.clone / "gkc"), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            env=self.environment(**extra),
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=30,
        )

    def did(self) -> list[str]:
        """Return what the stand-in was asked for since the last call."""
        words = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        self.log.write_text("", encoding="utf-8")
        return words


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


SET_UP = ["venv", "locked", "editable"]


def test_the_first_start_sets_up_and_the_second_hands_over_at_once(machine: Machine) -> None:
    first = machine.gkc("queue", "show", "a b")
    assert (first.returncode, first.stdout) == (0, f"home={machine.clone} queue show a b\n")
    assert "making .venv with Python 3.11.2" in first.stderr
    assert machine.did() == SET_UP
    second = machine.gkc("demo")
    assert (second.stdout, second.stderr) == (f"home={machine.clone} demo\n", "")
    assert machine.did() == []


def test_it_may_be_called_through_a_link(machine: Machine) -> None:
    (machine.bin / "gkc").symlink_to(machine.clone / "gkc")
    called = subprocess.run(
        ["gkc", "x"], capture_output=True, check=True, env=machine.environment(), text=True
    )
    assert called.stdout == f"home={machine.clone} x\n"


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_changed_packages_are_installed_over_the_old_ones(machine: Machine, changed: str) -> None:
    machine.gkc()
    machine.did()
    with (machine.clone / changed).open("a") as file:
        file.write("# changed\n")
    assert machine.gkc().returncode == 0
    assert machine.did() == ["locked", "editable"]


def test_an_install_that_broke_off_is_made_anew_by_the_next_start(machine: Machine) -> None:
    broken = machine.gkc("demo", STUB_PIP_EXIT="1")
    assert broken.returncode == 1
    assert "repeat the command" in broken.stderr
    assert broken.stdout == ""
    machine.did()
    assert machine.gkc("demo").returncode == 0
    assert machine.did() == SET_UP


def test_a_venv_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.gkc()
    machine.did()
    (machine.clone / ".venv/bin/python").unlink()
    assert machine.gkc().returncode == 0
    assert machine.did() == SET_UP


def test_a_moved_clone_makes_its_venv_anew_because_scripts_name_their_python(
    machine: Machine,
) -> None:
    machine.gkc()
    machine.did()
    machine.clone = machine.clone.rename(machine.clone.with_name("moved"))
    assert machine.gkc("x").stdout == f"home={machine.clone} x\n"
    assert machine.did() == SET_UP


def test_two_starts_at_once_set_up_once(machine: Machine, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    start = [str(machine.clone / "gkc"), "x"]
    environment = machine.environment(STUB_GATE=str(gate))
    with (
        subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, text=True) as first,
        gate.open("w") as opened,  # Returns when the first start's pip reads: it holds the lock.
        subprocess.Popen(
            start, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as second,
    ):
        assert second.stderr is not None
        assert "waiting for another start" in second.stderr.readline()
        opened.close()
        assert first.communicate(timeout=20)[0] == f"home={machine.clone} x\n"
        assert second.communicate(timeout=20)[0] == f"home={machine.clone} x\n"
    assert machine.did() == SET_UP


@pytest.mark.parametrize("why", ["none", "too old"])
def test_without_a_fit_python_the_apt_line_is_said(machine: Machine, why: str) -> None:
    if why == "none":
        (machine.bin / "python3").unlink()
    refused = machine.gkc("demo", STUB_TOO_OLD="1")
    assert refused.returncode == 1
    assert "sudo apt-get install python3 python3-venv" in refused.stderr
    assert machine.did() == []


def test_without_ensurepip_an_ordinary_user_is_told_the_apt_line(machine: Machine) -> None:
    refused = machine.gkc("demo", STUB_NO_ENSUREPIP="1")
    assert refused.returncode == 1
    assert "sudo apt-get install python3-venv" in refused.stderr
    assert machine.did() == []


def test_without_ensurepip_root_on_debian_gets_it_installed(machine: Machine) -> None:
    machine.tool("id", "#!/bin/sh\necho 0\n")
    machine.tool("apt-get", '#!/bin/sh\necho "apt $*" >>"$STUB_LOG"\n')
    assert machine.gkc("demo", STUB_NO_ENSUREPIP="1").returncode == 0
    assert machine.did() == ["apt -qq update", "apt -qq -y install python3-venv", *SET_UP]


def test_a_newer_python_is_preferred_and_a_dead_shim_passed_over(machine: Machine) -> None:
    machine.tool("python3.13", "#!/bin/sh\necho 'version not installed' >&2; exit 127\n")
    machine.tool("python3.12", PYTHON.replace("3.11.2", "3.12.9"))
    assert "Python 3.12.9" in machine.gkc().stderr


def test_clean_installs_nothing_and_removes_what_a_broken_start_left(machine: Machine) -> None:
    machine.gkc("demo", STUB_PIP_EXIT="1")
    machine.did()
    assert machine.gkc("clean").returncode == 0
    assert machine.did() == []
    left = sorted(path.name for path in machine.clone.iterdir())
    assert left == ["gkc", "pyproject.toml", "requirements.lock"]


def test_the_lock_has_a_hash_for_every_package_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    options = [line for line in text.splitlines() if line.startswith("-")]
    assert options == []
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(entries) > 40
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:60]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").split("\n")
    assert "exec ./gkc test" in lines


# --- The command that the script hands over to ---


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys; from gkc_engine.__main__ import app, COMMANDS\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded', sorted(m for m in sys.modules if m.startswith('gkc_engine.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    for name, (_, line) in command.COMMANDS.items():
        assert re.search(rf"{name} +{re.escape(line)}", done.stdout), name
    assert "loaded ['gkc_engine.__main__', 'gkc_engine.errors']" in done.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("queues.yaml:1:1: wrong"), 2),
        (PeerError("no answer"), 1),
        (GkcError("no"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_a_person_can_mend_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr("gkc_engine.cli.clean.clean", fails)
    monkeypatch.setattr(sys, "argv", ["gkc", "clean"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.strip()) == ("", str(error))


def test_clean_refuses_while_something_runs_and_removes_all_when_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GKC_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["gkc", "clean"])
    (tmp_path / ".gkc/run").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    for name in ("gkc", "requirements.lock"):
        (tmp_path / name).touch()
    (tmp_path / "tests/acd/__pycache__").mkdir(parents=True)
    (tmp_path / "tests/acd/__pycache__/test_core.pyc").touch()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdin is not None
        assert living.stdout is not None
        living.stdin.write(b"there\n")
        living.stdin.flush()
        living.stdout.readline()  # from here on it is cat, and no longer a copy of us
        (tmp_path / ".gkc/run/demo.json").write_text(f'{{"pids": {{"engine": [{living.pid}]}}}}')
        with pytest.raises(SystemExit, match="1"):
            command.main()
        assert f"pid {living.pid}: cat" in capsys.readouterr().err
        assert (tmp_path / ".venv").is_dir()
        living.stdin.close()
        living.wait(10)
    with pytest.raises(SystemExit, match="0"):
        command.main()
    assert not list(tmp_path.rglob("__pycache__"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gkc", "requirements.lock", "tests"]


# --- gkc test ---


def test_what_the_tools_remember_lies_where_clean_removes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GKC_HOME", str(ROOT))
    steps: list[tuple[str, ...]] = []
    monkeypatch.setattr("gkc_engine.cli.test._tool", lambda name: name)
    monkeypatch.setattr("gkc_engine.cli.test._step", lambda *words: steps.append(words))
    monkeypatch.setattr("gkc_engine.cli.test._compiling", nullcontext)
    _static_checks()
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (linter,) = (words for words in steps if words[0] == "lint-imports")
    caches = {
        "ruff": tools["ruff"]["cache-dir"],
        "mypy": tools["mypy"]["cache_dir"],
        "pytest": tools["pytest"]["ini_options"]["cache_dir"],
        "import-linter": linter[linter.index("--cache-dir") + 1],
        "hypothesis": str(storage_directory().path),
    }
    assert {words[0] for words in steps} < caches.keys() | {"lint-imports"}
    for tool, folder in caches.items():
        assert ROOT / folder == ROOT / ".gkc" / "cache" / tool


PASSES = "def test_it():\n    pass\n"
ACCEPT = "import pytest\n\n@pytest.mark.accept\ndef test_real():\n    {}\n"
PYTEST_INI = "[pytest]\nmarkers =\n    accept: a\n    long: l\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a checkout of two small suites; the static checks and Asterisk have their own."""
    monkeypatch.setenv("GKC_HOME", str(tmp_path))
    monkeypatch.setattr("gkc_engine.cli.test._static_checks", lambda: None)
    monkeypatch.setattr("gkc_engine.cli.test._install_peers", lambda: None)
    # Workers for two small tests are worth nothing and cost seconds; the real suites have them.
    monkeypatch.setattr("gkc_engine.cli.test.HOW", dict.fromkeys(("fast", "accept", "long"), ()))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:asyncio -p no:xdist")
    (tmp_path / "pytest.ini").write_text(PYTEST_INI)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_fast.py").write_text(PASSES)
    (tmp_path / "tests/test_accept.py").write_text(ACCEPT.format("pass"))
    return tmp_path


def gkc_test(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gkc", "test", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.usefixtures("checkout")
def test_both_suites_close_with_one_total_and_one_suite_with_pytest_s_own_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert gkc_test(monkeypatch) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "total: 2 passed, 0 failed, 0 skipped"
    assert gkc_test(monkeypatch, "fast") == 0
    assert re.fullmatch(r"=+ 1 passed, .* in .*", capfd.readouterr().out.splitlines()[-1])


def test_a_skipped_test_is_in_the_total(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkout / "tests/test_accept.py").write_text(ACCEPT.format("pytest.skip('no sipp')"))
    assert gkc_test(monkeypatch) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "total: 1 passed, 0 failed, 1 skipped"


@pytest.mark.parametrize("body", ["assert False", None])
def test_a_failure_and_a_suite_without_tests_both_fail_and_say_how_to_repeat(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    body: str | None,
) -> None:
    if body is None:
        (checkout / "tests/test_accept.py").unlink()
    else:
        (checkout / "tests/test_accept.py").write_text(ACCEPT.format(body))
    assert gkc_test(monkeypatch) == 1
    printed = capfd.readouterr()
    assert "total:" not in printed.out
    assert f"repeat it: cd {checkout} && " in printed.err
    assert "-m 'accept and not long'" in printed.err


def test_the_tests_may_keep_what_they_compiled(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert gkc_test(monkeypatch, "fast") == 0
    assert list((checkout / "tests").rglob("test_fast*.pyc"))


@pytest.mark.usefixtures("checkout")
def test_words_after_two_dashes_go_to_pytest_and_a_misspelt_suite_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert gkc_test(monkeypatch, "fast", "--", "-k", "nothing_is_called_so") == 1
    assert "2 deselected in" in capfd.readouterr().out
    assert gkc_test(monkeypatch, "fsat") == 2
    assert "expected one of fast, accept, long" in capfd.readouterr().err
