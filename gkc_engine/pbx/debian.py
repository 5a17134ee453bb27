"""Fetch Debian testing's Asterisk into a folder, from the mirror this machine's own apt uses.

Three ways with one outcome: ``WORK/root`` holds the unpacked packages. Signatures are always
checked; only the expiry date of the Release file is not, because frozen mirrors are older than it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

RELEASE = "forky"
"""The oldest Debian release that carries Asterisk 22 (12 and 13 have no Asterisk at all)."""

PACKAGES = ("asterisk", "asterisk-core-sounds-en-gsm", "asterisk-core-sounds-ru-gsm")

APT_DIR = Path("/etc/apt")
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
_STEP_TIMEOUT_S = 900
_UNSIGNED = (
    "NO_PUBKEY",
    "not signed",
    "verification failed",
    "couldn't be verified",
    "unknown key",
)
_USELESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache", "var/lib/apt")


class WayFailedError(Exception):
    """One way to fetch does not work here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One entry of this machine's apt configuration that names a Debian archive."""

    uri: str
    suite: str
    keyrings: tuple[Path, ...]

    def line(self) -> str:
        """Return it in apt's one-line form, bound to its keyrings."""
        keys = ",".join(map(str, self.keyrings))
        return f"deb [signed-by={keys}] {self.uri} {self.suite} main"


@dataclass(frozen=True, slots=True)
class Way:
    """How to fetch: its name for people, and the function that fills ``WORK/root`` or refuses."""

    name: str
    unpack: Callable[[Path, Callable[[str], None]], None]


# --- The machine's own apt configuration ---


def source_of_this_machine(apt_dir: Path = APT_DIR) -> Source:
    """Return the Debian archive that this machine installs from, with the keyrings it trusts.

    Raises:
        WayFailedError: apt names no Debian archive (Ubuntu, or not a Debian at all).
    """
    extra = [*KEYRINGS, *sorted((apt_dir / "trusted.gpg.d").glob("debian-archive-*"))]
    for uri, suite, keyring in _entries(apt_dir):
        # Third parties call their suites as they like; Debian's own are these words alone.
        if not re.fullmatch(_SUITES, suite) or not re.match(r"https?:|file:|mirror\+", uri):
            continue
        keys = [Path(keyring)] if keyring.startswith("/") else []
        known = tuple(dict.fromkeys(key for key in [*keys, *extra] if key.is_file()))
        if not known:
            raise WayFailedError("no keyring of Debian's archive; install debian-archive-keyring")
        return Source(uri=uri.rstrip("/"), suite=suite, keyrings=known)
    raise WayFailedError(f"{apt_dir} names no Debian archive to fetch from")


_SUITES = r"stable|testing|unstable|sid|bullseye|bookworm|trixie|forky|duke"


def _entries(apt_dir: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (URI, suite, keyring or "") of every enabled binary entry, both formats."""
    for path in [apt_dir / "sources.list", *sorted((apt_dir / "sources.list.d").glob("*"))]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".sources":
            yield from _deb822(text)
        elif path.suffix == ".list":
            yield from _one_line(text)


def _one_line(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        entry = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s+[^#]*\bmain\b", line)
        if entry is not None:
            keyring = re.search(r"(?i)signed-by=(/[^\s,]+)", entry[1] or "")
            yield entry[2], entry[3], keyring[1] if keyring else ""


def _deb822(text: str) -> Iterator[tuple[str, str, str]]:
    without_comments = "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("#")
    )
    for stanza in re.split(r"\n\s*\n", without_comments):
        pairs = re.findall(r"(?m)^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza)
        field = {name.lower(): value.split() for name, value in pairs}
        enabled = field.get("enabled", ["yes"])[:1] not in (["no"], ["false"])
        if not enabled or "deb" not in field.get("types", []):
            continue
        if "main" not in field.get("components", []):
            continue
        keyring = next((word for word in field.get("signed-by", []) if word.startswith("/")), "")
        for uri in field.get("uris", []):
            for suite in field.get("suites", []):
                yield uri, suite, keyring


# --- apt-get with its own folders, and dpkg-deb: needs neither root nor mmdebstrap ---


@dataclass(frozen=True, slots=True)
class _Apt:
    """An apt that shares nothing with the machine's own but proxies and credentials."""

    folder: Path
    source: Source

    def fetch(self, packages: tuple[str, ...]) -> list[Path]:
        """Download ``packages`` and all they depend on, signatures checked."""
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "state/status").touch()
        (self.folder / "sources.list").write_text(self.source.line() + "\n", encoding="utf-8")
        self._run("update")
        self._run("install", "--yes", "--download-only", *packages)
        return sorted((self.folder / "cache/archives").glob("*.deb"))

    def _run(self, *arguments: str) -> None:
        own = {
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "state/status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::SourceList": self.folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Default-Release": self.source.suite,
            "APT::Install-Recommends": "false",
            # Root would else hand the download to _apt, who may not enter our folder.
            "APT::Sandbox::User": "",
            # A list that cannot be had must fail at once, not be taken from an older try.
            "APT::Update::Error-Mode": "any",
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
        run(["apt-get", "-qq", *options, *arguments])


def _unpack_with_apt(work: Path, progress: Callable[[str], None]) -> None:
    _need("apt-get", "dpkg-deb")
    with_newer_keys(work, lambda source: _apt_and_dpkg(work, source, progress))


def _apt_and_dpkg(work: Path, source: Source, progress: Callable[[str], None]) -> None:
    progress(f"fetching Asterisk from Debian {RELEASE} with apt-get (80 MB, about 10 s)")
    files = _Apt(work / "apt", source).fetch(PACKAGES)
    progress(f"unpacking {len(files)} packages")
    for file in files:
        run(["dpkg-deb", "--extract", str(file), str(work / "root")])


# --- mmdebstrap and debootstrap ---


def _unpack_with_mmdebstrap(work: Path, progress: Callable[[str], None]) -> None:
    _need("mmdebstrap", "tar")
    with_newer_keys(work, lambda source: _mmdebstrap(work, source, progress))


def _mmdebstrap(work: Path, source: Source, progress: Callable[[str], None]) -> None:
    progress(f"fetching Asterisk from Debian {RELEASE} with mmdebstrap (80 MB, about 15 s)")
    # Into a tar: a tree made in a user namespace would belong to ids that we cannot delete.
    tar = work / "root.tar"
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            '--aptopt=Acquire::Check-Valid-Until "false"',
            f"--include={','.join(PACKAGES)}",
            RELEASE,
            str(tar),
            source.line(),
        ]
    )
    (work / "root").mkdir()
    run(["tar", "-xf", str(tar), "-C", str(work / "root"), "--no-same-owner", "--exclude=./dev"])
    tar.unlink()


def _unpack_with_debootstrap(work: Path, progress: Callable[[str], None]) -> None:
    _need("debootstrap")
    if os.geteuid() != 0:
        raise WayFailedError("debootstrap needs root")
    with_newer_keys(work, lambda source: _debootstrap(work, source, progress))


def _debootstrap(work: Path, source: Source, progress: Callable[[str], None]) -> None:
    progress(f"fetching Asterisk from Debian {RELEASE} with debootstrap (about a minute)")
    # debootstrap takes one keyring; several in gpg's binary form may simply stand in one file.
    keyring = work / "keyring.gpg"
    binary = [key for key in source.keyrings if key.suffix != ".asc"]
    keyring.write_bytes(b"".join(key.read_bytes() for key in binary))
    shutil.rmtree(work / "root", ignore_errors=True)
    # An older debootstrap has no script for this release; every release since uses sid's.
    run(
        [
            "debootstrap",
            "--variant=minbase",
            f"--keyring={keyring}",
            f"--include={','.join(PACKAGES)}",
            RELEASE,
            str(work / "root"),
            source.uri,
            "sid",
        ]
    )


# --- What they share ---


def with_newer_keys(work: Path, fetch: Callable[[Source], None]) -> None:
    """Call ``fetch`` for the release; once more with newer keys when ours do not verify it.

    A long unattended machine does not know the keys that sign testing. Its own release carries
    them in debian-archive-keyring, which the keys it has do verify: an unbroken chain of trust.
    """
    own = source_of_this_machine()
    source = replace(own, suite=RELEASE)
    try:
        fetch(source)
    except WayFailedError as error:
        if not any(sign in str(error) for sign in _UNSIGNED):
            raise
        _need("apt-get", "dpkg-deb")
        for file in _Apt(work / "keys-apt", own).fetch(("debian-archive-keyring",)):
            if file.name.startswith("debian-archive-keyring_"):
                run(["dpkg-deb", "--extract", str(file), str(work / "keys")])
        newer = tuple(sorted((work / "keys/usr/share/keyrings").glob("debian-archive-keyring.*")))
        if not newer:
            raise
        fetch(replace(source, keyrings=newer))
    for useless in _USELESS:
        shutil.rmtree(work / "root" / useless, ignore_errors=True)


def _need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise WayFailedError(f"{' and '.join(missing)} not installed")


def run(command: list[str]) -> None:
    """Run one step; its last words are the reason when it fails.

    Raises:
        WayFailedError: it failed, took longer than 15 minutes, or could not be started.
    """
    quiet = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=quiet,
            errors="replace",
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=_STEP_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WayFailedError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        last = " / ".join(done.stdout.strip().splitlines()[-4:])
        raise WayFailedError(f"{command[0]}: exit {done.returncode}: {last}")


WAYS = (
    Way("mmdebstrap", _unpack_with_mmdebstrap),
    Way("apt-get and dpkg-deb", _unpack_with_apt),
    Way("debootstrap", _unpack_with_debootstrap),
)
"""In the order they are tried."""
