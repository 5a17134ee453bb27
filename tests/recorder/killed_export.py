"""An export that is killed half-way: ``python -m tests.recorder.killed_export STORE OUT WHERE``.

``STORE`` is a URL. ``WHERE``: a table, which is being written then; or ``renamed``: the former one
has made way.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.export import Day, Format, export


def die() -> None:
    """End as with ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(store: str, out: str, where: str) -> None:
    """Export 21 September 2026 in Moscow."""
    rename = Path.rename

    def renamed(path: Path, target: str | Path) -> Path:
        done = rename(path, target)
        if where == "renamed":
            die()
        return done

    Path.rename = renamed  # type: ignore[assignment, method-assign]
    day = Day(
        center="centr",
        name="2026-09-21",
        timezone="Europe/Moscow",
        since=Instant(1_789_938_000 * SECOND),
        until=Instant(1_790_024_400 * SECOND),
        over=True,
    )
    engine = schema.make_engine(store, read_only=True)
    with engine.connect() as connection:
        export(
            connection, day, Format.CSV, Path(out), lambda table: die() if table == where else None
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
