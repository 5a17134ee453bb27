"""``gkc test``: everything the tests need is installed, then every check runs, cheapest first."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as ET

import typer

from gkc_engine.cli._console import home, progress, state_dir
from gkc_engine.cli._peers import unpacked
from gkc_engine.errors import GkcError

SUITES = ("fast", "accept", "long")
MARKS = {"fast": "not accept and not long", "accept": "accept and not long", "long": "long"}

HOW = {
    # The hermetic tests need no port and no order, so both cores share them.
    "fast": ("-n", "2", "--dist", "worksteal"),
    # Calls are waited for most of the time. The cases of one file share a city; the files go in
    # their order, so that the long ones do not come last.
    "accept": ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
    # One after another on a calm machine: these give figures.
    "long": ("-s",),
}
"""How pytest runs each suite."""

PEERS = {"sipp": "sip-tester", "tcpdump": "tcpdump", "postgres": "postgresql"}
"""Programs that tests play with, and Debian's packages of them."""

POSTGRES = Path("/usr/lib/postgresql")
"""Where Debian puts its programs; they are not on the PATH."""

NO_SIPP = "GKC_NO_SIPP"
"""Set in the tests' environment when SIPp is missing: the reason, for ``pytest.skip``."""

PROMETHEUS, NO_PROMETHEUS = "GKC_PROMETHEUS", "GKC_NO_PROMETHEUS"
"""Set in the tests' environment: where prometheus and promtool lie, or why they do not."""


class ChecksFailedError(GkcError):
    """A step failed; the text is the command that repeats it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What pytest counted; an error in a fixture counts as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_checks(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[fast|accept|long] [-- PYTEST_ARGUMENTS]", show_default=False),
    ] = None,
) -> None:
    """Run the checks: fast (hermetic), accept (a real Asterisk), long; no word: fast, accept."""
    suites, extra = _parsed(words or [])
    if not (home() / "tests").is_dir():
        raise GkcError(f"gkc test needs a checkout with its tests; {home()} has none")
    (state_dir() / "test").mkdir(parents=True, exist_ok=True)
    total = Totals()
    for suite in suites:
        if suite == "fast":
            _static_checks()
        else:
            _install_peers()
        total += _pytest(suite, extra)
    if len(suites) > 1:
        # One closing line for both runs, in the plain form that test collectors know.
        print(f"total: {total}", flush=True)


def _parsed(words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    if words and words[0] in SUITES:
        return (words[0],), words[1:]
    if words and not words[0].startswith("-") and not Path(words[0].split("::")[0]).exists():
        raise typer.BadParameter(f"found {words[0]!r}, expected one of {', '.join(SUITES)}")
    return ("fast", "accept"), words


def _static_checks() -> None:
    # mypy has one core; on the other the tests are compiled, once for both of their processes.
    with _compiling():
        _step(_tool("ruff"), "format", "--check", ".")
        _step(_tool("ruff"), "check", ".")
        _step(_tool("mypy"))
        _step(_tool("lint-imports"), "--cache-dir", str(state_dir() / "cache" / "import-linter"))


def _compiling() -> AbstractContextManager[object]:
    """Begin to compile the tests; leaving the context waits for its end."""
    return subprocess.Popen(
        (_tool("pytest"), "--collect-only", "-qq", "-m", MARKS["fast"]),
        cwd=home(),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _install_peers() -> None:
    from gkc_engine.pbx.install import find_or_install

    found = find_or_install(state_dir(), named=None, progress=progress)
    print(f"== Asterisk {found.version}: {found.how}", flush=True)
    _unpack_prometheus()
    packages = [package for name, package in PEERS.items() if not _is_there(name)]
    if not packages:
        return
    how = shlex.join(["apt-get", "install", *packages])
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        progress(f"installing {', '.join(packages)}")
        _step("apt-get", "-qq", "update")
        _step("apt-get", "-qq", "-y", "install", *packages)
    elif PEERS["sipp"] in packages:
        os.environ[NO_SIPP] = f"no sipp here and no right to install it: sudo {how}"
        progress(f"SIPp's tests are skipped: {os.environ[NO_SIPP]}")


def _is_there(name: str) -> bool:
    return shutil.which(name) is not None or any(POSTGRES.glob(f"*/bin/{name}"))


def _unpack_prometheus() -> None:
    try:
        programs = unpacked("prometheus", "promtool", state_dir() / "peers")
    except GkcError as error:
        os.environ[NO_PROMETHEUS] = str(error)
        progress(f"Prometheus' tests are skipped: {error}")
    else:
        os.environ[PROMETHEUS] = str(programs)


def _tool(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise GkcError(f"{path} is missing; start the tests by ./gkc test, which installs it")
    return str(path)


def _step(*command: str) -> None:
    """Run one check and print how long it took; stop everything when it fails."""
    shown = shlex.join([Path(command[0]).name, *command[1:]])
    print(f"== {shown}", flush=True)
    code, seconds = _run(command)
    if code != 0:
        _fail(shown, seconds, command)
    print(f"== {shown}: ok in {seconds:.1f} s", flush=True)


def _pytest(suite: str, extra: list[str]) -> Totals:
    """Run one suite. Nothing is printed after it: its own closing line stays the last."""
    report = state_dir() / "test" / f"{suite}.xml"
    report.unlink(missing_ok=True)
    command = (_tool("pytest"), "-m", MARKS[suite], *HOW[suite], *extra)
    print(f"== pytest, {suite}", flush=True)
    code, seconds = _run((*command, f"--junitxml={report}"))
    totals = _counted(report)
    # Also pytest's 5, "no tests": a suite that runs nothing has shown nothing.
    if code != 0 or totals.failed or not totals.passed + totals.skipped:
        _fail(f"pytest, {suite} ({totals})", seconds, command)
    return totals


def _run(command: tuple[str, ...]) -> tuple[int, float]:
    begun = time.monotonic()
    done = subprocess.run(
        command, check=False, cwd=home(), env=_environment(), stdin=subprocess.DEVNULL
    )
    return done.returncode, time.monotonic() - begun


def _environment() -> dict[str, str]:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Some images forbid it, and then every process of the tests compiles everything anew: 4 s of
    # each worker. `gkc clean` removes it.
    quiet.pop("PYTHONDONTWRITEBYTECODE", None)
    return quiet


def _counted(report: Path) -> Totals:
    if not report.is_file():
        return Totals()
    totals = Totals()
    for suite in ET.parse(report).getroot().iter("testsuite"):
        count = {
            key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")
        }
        failed = count["failures"] + count["errors"]
        totals += Totals(
            # A test that passes and whose fixture then fails is listed once and counts as failed.
            passed=max(0, count["tests"] - failed - count["skipped"]),
            failed=failed,
            skipped=count["skipped"],
        )
    return totals


def _fail(what: str, seconds: float, command: tuple[str, ...]) -> None:
    repeat = f"cd {shlex.quote(str(home()))} && {shlex.join(command)}"
    raise ChecksFailedError(f"gkc test: FAILED after {seconds:.1f} s: {what}\nrepeat it: {repeat}")
