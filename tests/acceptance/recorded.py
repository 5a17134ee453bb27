"""What ``gkc replay`` and ``gkc plan`` must say of a run of the demo.

What they are held against is read from the store's tables, not from their own code.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from gkc_engine.demo.tree import Document, copy_tree
from tests.acceptance.home import Home

WHOLE: Final = ("1h", "0s")
QUEUE: Final = "passport"
"""Where a skill is missed."""


def asked(store: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def replays(home: Home) -> None:
    """Every recorded step is answered as it was, byte for byte."""
    report = home.object("replay", *WHOLE)
    assert (report["differences"], report["first_difference"]) == (0, None)
    roles = dict(asked(home.store, "SELECT role, count(*) FROM event GROUP BY role"))
    assert (report["steps"], report["commands"]) == (roles["in"], roles["out"])
    assert report["steps"] > 100


def plans(home: Home) -> None:
    """Today's config predicts what it does; with one able operator alone the service is worse."""
    same = home.object("plan", str(home.config), "--from", "1h")
    came = dict(
        asked(
            home.store,
            "SELECT queue, count(*) FROM contact WHERE first_queued IS NOT NULL GROUP BY queue",
        )
    )
    assert same["contacts"] == sum(came.values())
    assert (same["worse"], same["guardrails_broken"]) == ([], [])
    assert any("decides nothing otherwise" in note for note in same["notes"])
    for name, queue in same["queues"].items():
        assert queue["then"] == queue["now"], name
        assert queue["really"]["offered"] == queue["now"]["offered"] == came.get(name, 0), name

    def without(_name: str, document: Document) -> None:
        """Leave the skill to one operator alone: the busiest of many is hardly missed by few."""
        able = [o for o in document.get("operators", {}).values() if QUEUE in o.get("skills", {})]
        for operator in able[1:]:
            del operator["skills"][QUEUE]

    less = copy_tree(home.config, home.folder / "less", without)
    run = home.object("plan", str(less), "--from", "1h")
    now, then = run["queues"][QUEUE]["now"], run["queues"][QUEUE]["then"]
    assert now == same["queues"][QUEUE]["now"]
    assert then["sl"] < now["sl"], (now, then)
    # The mean wait is of those who were answered: who gave up after long is no longer in it.
    assert then["answered"] < now["answered"] or then["asa_s"] > now["asa_s"], (now, then)
    assert run["worse"]
