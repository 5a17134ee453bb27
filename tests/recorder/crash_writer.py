"""A process that writes until it is killed; says on stdout what was acknowledged.

    python -m tests.recorder.crash_writer FOLDER RUN [trouble]

``trouble``: every third commit is refused, so that the kill also meets journal and drain.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import sqlalchemy as sa
import structlog

from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId
from gkc_engine.recorder import schema
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.writer import DurableWriter
from tests.recorder.support import History

JOURNAL = 256 * 1024


def writer_of(folder: Path) -> DurableWriter:
    engine = schema.make_engine(schema.sqlite_url(str(folder / "ledger.db")))
    return DurableWriter(
        Ledger("", "centr", engine=engine), Journal(folder / "journal", size=JOURNAL)
    )


def in_trouble(engine: sa.Engine) -> None:
    """Refuse every third commit from now on: the store is open by then."""
    commits = 0

    def refuse(_connection: sa.Connection) -> None:
        nonlocal commits
        commits += 1
        if commits % 3 == 0:
            raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError("disk is full"))

    sa.event.listen(engine, "commit", refuse)


async def main(folder: Path, run: str, *, trouble: bool) -> None:
    writer = writer_of(folder)
    await writer.open()
    if trouble:
        in_trouble(writer.ledger.store.engine)
    n = 0
    while True:
        history = History()
        history.configured()
        keys = [f"{run}-{n + i}" for i in range(3)]
        for key in keys:
            history.step(ev.AgentLoggedIn(agent_id=AgentId("anna")), key=key)
        history.talk(f"{run}-{n}", "anna")
        await writer.write(history.steps)
        sys.stdout.write(f"{keys[-1]}\n")
        sys.stdout.flush()
        n += 3


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], trouble=len(sys.argv) > 3))
