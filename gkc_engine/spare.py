"""The spare worker: everything of an engine's start that needs no state is done before its turn.

It has loaded our code and the configuration, and waits; it has opened no file, socket or store.
Told to take over, it goes on as a worker, in the same process. Files that changed on disk
meanwhile are never run from its memory: then it begins anew, as a new process would (ADR 0019).
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import sys
from pathlib import Path
from typing import Final

import structlog

from gkc_engine.clock import SystemClock
from gkc_engine.errors import ConfigError
from gkc_engine.ids import SECOND, Instant
from gkc_engine.watchdog import ENV_SPARE, TAKE, sign_of_life

log = structlog.get_logger(__name__)

LOOK_AGAIN_S: Final = 30.0
"""How often changed configuration is read anew; what did not change is not parsed again."""

CLOCK_US: Final = SECOND
"""File systems stamp by a clock that ticks; a file changed within this before us may be newer."""

_Stamp = tuple[int, int, int]

_BEGUN: Final = SystemClock().now()


def stand_by(folder: Path, command: list[str]) -> None:
    """Return when it is this process's turn to be the worker; at once if it is no spare.

    Ends the process when the watchdog is gone. ``command`` begins anew when our files changed.
    """
    order = os.environ.pop(ENV_SPARE, None)
    if order is None:
        return
    # A terminal sends these to its whole group; it is the watchdog that ends us.
    ignored = [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGHUP)]
    code = _load(folder)
    log.info("spare_ready", rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    with contextlib.suppress(BrokenPipeError):  # what that means, we are about to see
        sign_of_life()
    _wait(int(order), folder)
    sign_of_life()
    for number, handler in zip((signal.SIGINT, signal.SIGHUP), ignored, strict=True):
        signal.signal(number, handler)
    if is_stale(code):
        log.info("spare_stale")
        os.execv(command[0], command)


def _load(folder: Path) -> dict[str, _Stamp | None]:
    """Load code and configuration; return the stamps of what was loaded."""
    import gkc_engine.app  # noqa: F401 - to have it

    _read_config(folder)
    gc.collect()
    gc.freeze()  # It stays to the end: no collection needs to walk it.
    return {path: _stamp(path) for path in _loaded()}


def _read_config(folder: Path) -> None:
    """Parse the configuration; the loader remembers what it parsed by its bytes."""
    from gkc_engine.config.loader import load_config

    try:
        config = load_config(folder)
    except ConfigError:
        return  # Somebody may be at it; the worker tells, if it is still so then.
    if config.store.url is not None:
        import psycopg  # noqa: F401 - 0.1 s that a take-over need not spend


def _wait(order: int, folder: Path) -> None:
    while not select.select([order], [], [], LOOK_AGAIN_S)[0]:
        _read_config(folder)
    told = os.read(order, 1)
    os.close(order)
    if told != TAKE:
        sys.exit(0)  # End of file: there is no watchdog any more.


def _loaded() -> set[str]:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {file for file in files if file}


def _stamp(path: str) -> _Stamp | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    # Not mtime: rsync, tar and pip set that to what they like.
    return found.st_ino, found.st_ctime_ns, found.st_size


def is_stale(code: dict[str, _Stamp | None], begun: Instant = _BEGUN) -> bool:
    """Whether a file changed since it was loaded, or while we were loading (since ``begun``)."""
    newest = (begun - CLOCK_US) * 1000
    return any(
        stamp is None or stamp[1] > newest or stamp != _stamp(path) for path, stamp in code.items()
    )
