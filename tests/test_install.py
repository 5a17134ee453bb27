"""Which Asterisk is taken, which is refused and why, and what a broken-off fetch leaves."""

from __future__ import annotations

import asyncio
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from gkc_engine.cli._console import state_dir
from gkc_engine.pbx import debian, install
from gkc_engine.pbx.install import PbxInstallError, find_or_install

NEW = "Asterisk 22.10.1~dfsg+~cs6.15.60671435-1"


def ignore(_text: str) -> None:
    """Take the progress and say nothing."""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def host_asterisk(prefix: Path, banner: str = NEW, *, without: str = "") -> Path:
    """Lay out an Asterisk as a distribution does and return its program."""
    modules = prefix / "lib/x86_64-linux-gnu/asterisk/modules"
    modules.mkdir(parents=True)
    for name in install.MODULES:
        if name != without:
            (modules / f"{name}.so").touch()
    (prefix / "share/asterisk").mkdir(parents=True)
    return script(prefix / "sbin/asterisk", f"echo '{banner}'")


def unpacked_root(root: Path, banner: str = NEW) -> None:
    """Lay out Debian's unpacked packages, with a loader that only starts the program."""
    libraries = root / f"usr/lib/{platform.machine()}-linux-gnu"
    (libraries / "asterisk/modules").mkdir(parents=True)
    for name in install.MODULES:
        (libraries / f"asterisk/modules/{name}.so").touch()
    (root / "usr/share/asterisk").mkdir(parents=True)
    script(libraries / "ld-linux-test.so.2", '[ "$1" = --library-path ] && shift 2 && exec "$@"')
    script(root / "usr/sbin/asterisk", f"echo '{banner}'")


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what this machine has: no Asterisk on PATH, no way to fetch one."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("GKC_ASTERISK", raising=False)
    monkeypatch.setattr("shutil.which", lambda _name, **_kwargs: None)
    monkeypatch.setattr(debian, "WAYS", ())


def on_path(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _name, **_kwargs: str(program))


def fetch_by(
    monkeypatch: pytest.MonkeyPatch, *unpack: Callable[[Path, Callable[[str], None]], None]
) -> None:
    ways = tuple(debian.Way(f"way {number}", one) for number, one in enumerate(unpack, 1))
    monkeypatch.setattr(debian, "WAYS", ways)


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        (NEW, "22.10.1"),
        ("Asterisk 18.26.4", "18.26.4"),
        ("Asterisk certified/20.7-cert5", "20.7"),
        ("Asterisk GIT-21-7af3a2b", "21"),
    ],
)
def test_the_version_is_read_from_every_form_of_banner(
    tmp_path: Path, banner: str, version: str
) -> None:
    program = host_asterisk(tmp_path / "usr", banner)
    assert find_or_install(tmp_path, named=program, progress=ignore).version == version


def test_a_named_asterisk_is_taken_before_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, host_asterisk(tmp_path / "usr"))
    named = host_asterisk(tmp_path / "opt", "Asterisk 20.1.0")
    monkeypatch.setenv("GKC_ASTERISK", str(named))
    found = find_or_install(tmp_path, named=None, progress=ignore)
    assert found.command == (str(named),)
    assert found.modules == tmp_path / "opt/lib/x86_64-linux-gnu/asterisk/modules"


def test_a_named_asterisk_that_fails_is_refused_and_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, host_asterisk(tmp_path / "usr"))
    with pytest.raises(PbxInstallError, match="no-such-asterisk"):
        find_or_install(tmp_path, named=tmp_path / "no-such-asterisk", progress=ignore)


def test_an_old_asterisk_on_path_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, host_asterisk(tmp_path / "usr", "Asterisk 16.28.0~dfsg-0+deb11u4"))
    with pytest.raises(PbxInstallError, match=r"is Asterisk 16\.28\.0, expected 18 or later"):
        find_or_install(tmp_path, named=None, progress=ignore)


@pytest.mark.parametrize("module", install.MODULES)
def test_an_asterisk_without_a_needed_module_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    on_path(monkeypatch, host_asterisk(tmp_path / "usr", without=module))
    with pytest.raises(PbxInstallError, match=f"lacks {module}"):
        find_or_install(tmp_path, named=None, progress=ignore)


def test_an_asterisk_that_does_not_start_is_refused_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = host_asterisk(tmp_path / "usr")
    script(program, "echo 'libjansson.so.4: cannot open' >&2; exit 127")
    on_path(monkeypatch, program)
    with pytest.raises(PbxInstallError, match=r"exit 127, said 'libjansson\.so\.4: cannot open'"):
        find_or_install(tmp_path, named=None, progress=ignore)


def test_every_way_is_tried_and_every_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(_work: Path, _progress: Callable[[str], None]) -> None:
        raise debian.WayFailedError("could not resolve the mirror")

    def too_old(work: Path, _progress: Callable[[str], None]) -> None:
        unpacked_root(work / "root", "Asterisk 16.1")

    fetch_by(monkeypatch, no_network, too_old)
    with pytest.raises(PbxInstallError) as refused:
        find_or_install(tmp_path, named=None, progress=ignore)
    text = str(refused.value)
    assert "asterisk on PATH: there is none" in text
    assert "way 1: could not resolve the mirror" in text
    assert "way 2: " in text
    assert "is Asterisk 16.1" in text
    assert "GKC_ASTERISK=PATH" in text


def test_a_fetch_that_broke_off_leaves_nothing_that_could_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(work: Path, _progress: Callable[[str], None]) -> None:
        unpacked_root(work / "root")  # Looks whole, but the way itself says that it is not.
        raise debian.WayFailedError("disk full")

    fetch_by(monkeypatch, breaks_off)
    with pytest.raises(PbxInstallError, match="disk full"):
        find_or_install(tmp_path, named=None, progress=ignore)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asterisk.lock"]


def test_what_a_killed_fetch_left_is_swept_and_never_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked_root(tmp_path / "asterisk.new-killed" / "root", "Asterisk 20.0.0")
    fetch_by(monkeypatch, lambda work, _progress: unpacked_root(work / "root"))
    found = find_or_install(tmp_path, named=None, progress=ignore)
    assert found.version == "22.10.1"
    assert not (tmp_path / "asterisk.new-killed").exists()


def test_the_second_call_fetches_nothing_and_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches: list[Path] = []

    def fetch(work: Path, _progress: Callable[[str], None]) -> None:
        fetches.append(work)
        unpacked_root(work / "root")

    fetch_by(monkeypatch, fetch)
    first = find_or_install(tmp_path, named=None, progress=ignore)
    assert find_or_install(tmp_path, named=None, progress=ignore) == first
    (tmp_path / "asterisk.json").write_text("{half-writ", encoding="utf-8")
    again = find_or_install(tmp_path, named=None, progress=ignore)
    assert (again.command, again.modules) == (first.command, first.modules)
    assert len(fetches) == 1


def test_an_install_that_was_damaged_is_fetched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_by(monkeypatch, lambda work, _progress: unpacked_root(work / "root"))
    first = find_or_install(tmp_path, named=None, progress=ignore)
    (first.modules / "app_queue.so").unlink()
    assert find_or_install(tmp_path, named=None, progress=ignore) == first
    assert (first.modules / "app_queue.so").is_file()


# --- The machine's apt configuration ---

DEB822 = """\
    # Debian's own
    Types: deb deb-src
    URIs: http://third.example/debian
    Suites: thirdparty-bookworm
    Components: main

    Types: deb
    Enabled: no
    URIs: http://disabled.example/debian
    Suites: bookworm
    Components: main

    Types: deb
    # a comment within
    URIs: http://mirror.example/debian/
    Suites: bookworm-security bookworm
     bookworm-updates
    Components: main contrib
    Signed-By: {keyring}
    """
ONE_LINE = """\
    # deb http://commented.example/debian bookworm main
    deb-src http://source.example/debian bookworm main
    deb cdrom:[Debian 12]/ bookworm main
    deb http://third.example/debian cloud-bookworm main
    deb [arch=amd64 signed-by={keyring}] http://mirror.example/debian bookworm contrib main # here
    """


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list.d/debian.sources", DEB822),
        ("sources.list.d/debian.list", ONE_LINE),
        ("sources.list", ONE_LINE),
    ],
)
def test_the_mirror_is_debian_s_own_entry_in_either_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setattr(debian, "KEYRINGS", ())
    keyring = tmp_path / "archive.gpg"
    keyring.touch()
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(dedent(text).format(keyring=keyring), encoding="utf-8")
    source = debian.source_of_this_machine(tmp_path)
    assert source == debian.Source(
        uri="http://mirror.example/debian", suite="bookworm", keyrings=(keyring,)
    )
    assert source.line() == f"deb [signed-by={keyring}] http://mirror.example/debian bookworm main"


def test_without_a_keyring_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "KEYRINGS", (tmp_path / "absent.gpg",))
    (tmp_path / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    with pytest.raises(debian.WayFailedError, match="keyring"):
        debian.source_of_this_machine(tmp_path)


def test_a_machine_that_is_no_debian_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/ubuntu noble main universe\n")
    with pytest.raises(debian.WayFailedError, match="names no Debian archive"):
        debian.source_of_this_machine(tmp_path)


# --- The real thing ---

CONFIG = """\
[directories]
astetcdir => {here}
astmoddir => {modules}
astvarlibdir => {here}
astdbdir => {here}
astkeydir => {here}
astdatadir => {data}
astspooldir => {here}
astrundir => {here}
astlogdir => {here}
"""


@pytest.fixture
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Start the Asterisk that `gkc pbx install` took, all modules; yield its remote console."""
    monkeypatch.undo()  # This one test wants the machine as it is.
    found = find_or_install(state_dir(), named=None, progress=ignore)
    text = CONFIG.format(here=tmp_path, modules=found.modules, data=found.data)
    config = tmp_path / "asterisk.conf"
    config.write_text(text, encoding="utf-8")
    for name, content in (("modules", "[modules]\nautoload=yes\n"), ("pjsip", ""), ("queues", "")):
        (tmp_path / f"{name}.conf").write_text(content, encoding="utf-8")
    process = subprocess.Popen(
        [*found.command, "-f", "-C", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield [*found.command, "-C", str(config), "-rx"]
    finally:
        process.terminate()
        process.wait(30)


async def said(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.accept
async def test_the_asterisk_that_was_taken_boots_with_every_module_we_need(
    booted: list[str],
) -> None:
    async with asyncio.timeout(80):
        while "fully booted" not in await said(*booted, "core waitfullybooted"):
            pass  # Each question is a process of its own: slow enough to ask again at once.
    for module in install.MODULES:
        assert "Running" in await said(*booted, f"module show like {module}.so"), module
