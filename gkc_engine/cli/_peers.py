"""Programs that tests play with and that need no installation: unpacked from Debian's packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gkc_engine.errors import GkcError


def unpacked(package: str, program: str, folder: Path) -> Path:
    """Return the folder of ``program``, from Debian's ``package`` unpacked below ``folder``.

    Nothing is installed, so no service of it is started and no right is needed.

    Raises:
        GkcError: why it cannot be had.
    """
    programs = folder / package / "usr" / "bin"
    if (programs / program).is_file():
        return programs
    into = folder / package
    into.mkdir(parents=True, exist_ok=True)
    # As ourselves: apt's own user may not write here.
    download = ("apt-get", "-qq", "-o", "APT::Sandbox::User=", "download", package)
    if _failure(download, into) is not None:
        _failure(("apt-get", "-qq", "update"), into)  # the lists may be missing, or old
        why = _failure(download, into)
        if why is not None:
            raise GkcError(f"{package} cannot be had: {why}")
    for file in into.glob("*.deb"):
        why = _failure(("dpkg-deb", "-x", file.name, "."), into)
        file.unlink()
        if why is not None:
            raise GkcError(f"{package} cannot be unpacked: {why}")
    return programs


def _failure(command: tuple[str, ...], folder: Path) -> str | None:
    """Run ``command`` in ``folder``; return the last line of what it said when it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=False, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit {done.returncode}")
