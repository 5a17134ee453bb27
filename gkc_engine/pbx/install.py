"""Which Asterisk this machine runs: one that is named, one that is there, or one fetched for us.

Nothing outside the state folder is changed. Debian's packages are only unpacked, never installed:
their programs run through their own loader and libraries, so that any glibc host will do.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gkc_engine.errors import GkcError
from gkc_engine.pbx import debian

MAJOR_MIN = 18
"""The oldest Asterisk that has every application and AMI action the engine names."""

MODULES = (
    "app_chanspy",
    "app_dial",
    "app_mixmonitor",
    "app_queue",
    "cdr_custom",
    "cel_custom",
    "chan_pjsip",
    "res_agi",
    "res_musiconhold",
    "res_pjsip",
)
"""Without one of these an Asterisk is of no use to us; distributions split them off at will."""

_VERSION_TIMEOUT_S = 20


class PbxInstallError(GkcError):
    """No usable Asterisk: every way that was tried, why it failed, and what would mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """An Asterisk that was started once (``-V``) and has the modules we need."""

    how: str
    """One line for people: where it came from."""
    version: str
    """Its number alone, as ``22.10.1``."""
    command: tuple[str, ...]
    """What to put before Asterisk's own arguments: the program, or loader, libraries, program."""
    modules: Path
    """For ``astmoddir`` in asterisk.conf."""
    data: Path
    """For ``astdatadir`` in asterisk.conf; sounds are in ``data / "sounds"``."""


class _UnusableError(Exception):
    """One found Asterisk will not do; the text says why."""


def find_or_install(
    state_dir: Path, *, named: Path | None, progress: Callable[[str], None]
) -> Install:
    """Return the first Asterisk that works: ``named``, on PATH, or Debian testing's packages.

    ``named`` (else the environment's ``GKC_ASTERISK``) is a program or an unpacked root; what the
    administrator named is taken or refused, never replaced by another. What was fetched is kept in
    ``state_dir / "asterisk"``, and the choice in ``asterisk.json`` beside it: the next call needs
    no network and well under a second. ``progress`` is told of every step longer than a second.

    Raises:
        PbxInstallError: nothing worked.
    """
    if named is None and os.environ.get("GKC_ASTERISK"):
        named = Path(os.environ["GKC_ASTERISK"])
    if named is not None:
        return _named(named.absolute())
    state_dir = state_dir.absolute()
    state_dir.mkdir(parents=True, exist_ok=True)
    memory = state_dir / "asterisk.json"
    with _locked(state_dir / "asterisk.lock", progress):
        found = _recall(memory) or _search(state_dir, progress)
        _remember(memory, found)
    return found


def _named(path: Path) -> Install:
    try:
        if path.is_dir():
            return _unpacked(path, f"unpacked in {path}, as named")
        return _on_this_host(path, f"{path}, as named")
    except _UnusableError as error:
        raise PbxInstallError(
            f"the Asterisk named by --asterisk, GKC_ASTERISK or the config is of no use: {error}"
        ) from error


def _search(state_dir: Path, progress: Callable[[str], None]) -> Install:
    failures: list[str] = []
    on_path = shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if on_path is None:
        failures.append("asterisk on PATH: there is none")
    else:
        try:
            return _on_this_host(Path(on_path), f"{on_path}, found on PATH")
        except _UnusableError as error:
            failures.append(f"asterisk on PATH: {error}")
    root = state_dir / "asterisk"
    if root.is_dir():
        # Only a finished tree ever gets this name, so it may be taken without its memory.
        try:
            return _unpacked(root, f"Debian's packages unpacked in {root}, run by their own loader")
        except _UnusableError as error:
            failures.append(f"{root}: {error}")
    for way in debian.WAYS:
        try:
            return _fetched(way, root, progress)
        except (debian.WayFailedError, _UnusableError) as error:
            failures.append(f"{way.name}: {error}")
    raise PbxInstallError(_explained(failures))


def _explained(failures: list[str]) -> str:
    return "\n".join(
        [
            f"no Asterisk >= {MAJOR_MIN} on this machine, and none could be fetched:",
            *(f"  {failure}" for failure in failures),
            "mend it with one of:",
            "  a network (or proxy) by which apt-get reaches its mirror; then the same again",
            f"  GKC_ASTERISK=PATH (or gkc pbx install --asterisk PATH), an Asterisk >= {MAJOR_MIN}",
        ]
    )


def _fetched(way: debian.Way, root: Path, progress: Callable[[str], None]) -> Install:
    """Unpack beside ``root``, look whether it runs, and only then give it its name."""
    for left_over in root.parent.glob("asterisk.new-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="asterisk.new-", dir=root.parent))
    try:
        way.unpack(work, progress)
        _unpacked(work / "root", way.name)
        if root.exists():
            root.rename(work / "old")
        (work / "root").rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _unpacked(root, f"Debian testing's packages, by {way.name}, run by their own loader")


def _unpacked(root: Path, how: str) -> Install:
    """Return the Asterisk in an unpacked Debian ``root``, run by the loader that came with it."""
    machine = platform.machine()
    libraries = next(iter(sorted(root.glob(f"usr/lib/{machine}-linux-gnu*"))), None)
    if libraries is None:
        raise _UnusableError(f"{root} has no usr/lib/{machine}-linux-gnu")
    loader = next(iter(sorted(libraries.glob("ld-linux*.so.*"))), None)
    if loader is None:
        raise _UnusableError(f"{libraries} has no ld-linux*.so")
    command = (
        str(loader),
        "--library-path",
        f"{libraries}:{libraries / 'asterisk'}",
        str(root / "usr/sbin/asterisk"),
    )
    modules = libraries / "asterisk" / "modules"
    return _checked(how, command, [modules], [root / "usr/share/asterisk"])


def _on_this_host(program: Path, how: str) -> Install:
    prefix = program.resolve().parent.parent
    modules = [*sorted(prefix.glob("lib/*/asterisk/modules"))]
    modules += [prefix / lib / "asterisk/modules" for lib in ("lib", "lib64")]
    data = [prefix / "share/asterisk", Path("/var/lib/asterisk")]
    return _checked(how, (str(program),), modules, data)


def _checked(how: str, command: tuple[str, ...], modules: list[Path], data: list[Path]) -> Install:
    version = _version(command)
    if int(version.split(".")[0]) < MAJOR_MIN:
        raise _UnusableError(f"{command[-1]} is Asterisk {version}, expected {MAJOR_MIN} or later")
    modules_dir = next((path for path in modules if path.is_dir()), None)
    data_dir = next((path for path in data if path.is_dir()), None)
    if modules_dir is None or data_dir is None:
        places = ", ".join(map(str, modules if modules_dir is None else data))
        raise _UnusableError(f"{command[-1]}: looked in vain for {places}")
    missing = [name for name in MODULES if not (modules_dir / f"{name}.so").is_file()]
    if missing:
        raise _UnusableError(f"{modules_dir} lacks {', '.join(missing)}")
    return Install(how=how, version=version, command=command, modules=modules_dir, data=data_dir)


def _version(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            [*command, "-V"],
            capture_output=True,
            check=False,
            errors="replace",
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _UnusableError(f"{command[-1]} -V: {error}") from error
    # Also "Asterisk certified/18.9-cert5" and "Asterisk 22.10.1~dfsg+~cs6.15-1".
    found = re.match(r"Asterisk \D*(\d+(?:\.\d+)*)", done.stdout)
    if done.returncode != 0 or found is None:
        said = (done.stderr or done.stdout).strip()[:300]
        raise _UnusableError(f"{command[-1]} -V: exit {done.returncode}, said {said!r}")
    return found[1]


def _recall(memory: Path) -> Install | None:
    """Return what was found last time if it still runs; anything amiss means: look again."""
    try:
        saved: dict[str, Any] = json.loads(memory.read_text(encoding="utf-8"))
        command = tuple(saved["command"])
        return _checked(saved["how"], command, [Path(saved["modules"])], [Path(saved["data"])])
    except (OSError, ValueError, KeyError, TypeError, _UnusableError):
        return None


def _remember(memory: Path, found: Install) -> None:
    text = json.dumps(asdict(found), default=str, ensure_ascii=False, indent=2)
    if memory.is_file() and memory.read_text(encoding="utf-8") == text:
        return
    new = memory.with_suffix(".json.new")
    new.write_text(text, encoding="utf-8")
    new.rename(memory)


@contextmanager
def _locked(path: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Keep two installs apart; the kernel frees the lock of one that was killed."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another start that is fetching Asterisk")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
