from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gkc_engine.recorder.rebuild import dump, rebuild
from tests.recorder.crash_writer import writer_of

pytestmark = pytest.mark.accept
"""Real processes that write to a real disk."""

TRIALS = int(os.environ.get("GKC_CRASH_TRIALS", "12"))
"""Kills of each kind; the release target of reliability row 4 is 500."""


def killed_at_random(folder: Path, run: str, chance: random.Random, *trouble: str) -> str | None:
    """Let a writer live for a while and kill it; return the last key that it acknowledged."""
    command = [sys.executable, "-m", "tests.recorder.crash_writer", str(folder), run, *trouble]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        last = None
        for _ in range(chance.randrange(1, 30)):  # Then somewhere within the next commit.
            last = process.stdout.readline().strip() or last
        process.kill()
        rest = process.stdout.read().splitlines()
    whole = [line for line in rest if line.count("-") == 1]
    return whole[-1] if whole else last


@pytest.mark.parametrize("trouble", [(), ("trouble",)], ids=["ledger", "journal"])
@pytest.mark.timeout(60 + 4 * TRIALS)
async def test_what_was_acknowledged_survives_a_kill(
    tmp_path: Path, trouble: tuple[str, ...]
) -> None:
    chance = random.Random(TRIALS)
    promised: dict[str, int] = {}
    for trial in range(TRIALS):
        run = f"r{trial}"
        key = killed_at_random(tmp_path, run, chance, *trouble)
        assert key is not None
        promised[run] = int(key.split("-")[1])
    writer = writer_of(tmp_path)
    await writer.open()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = connection.execute(
            "SELECT source_key FROM event WHERE source_key LIKE 'r%' ORDER BY seq"
        ).fetchall()
    keys: dict[str, list[int]] = {}
    for (key,) in found:
        run, _, n = key.partition("-")
        keys.setdefault(run, []).append(int(n))
    for run, last in promised.items():
        # In order, none left out, none doubled, nothing of a group without the rest of it.
        assert keys[run] == list(range(len(keys[run])))
        assert len(keys[run]) > last
        assert len(keys[run]) % 3 == 0

    def grown_and_rebuilt() -> tuple[list[str], list[str]]:
        writer.ledger.store.settle()
        with writer.ledger.store.transaction() as connection:
            grown = list(dump(connection))
        rebuild(writer.ledger.store)
        with writer.ledger.store.transaction() as connection:
            return grown, list(dump(connection))

    grown, rebuilt = await writer.ledger.call(grown_and_rebuilt)
    assert grown == rebuilt
    await writer.close()
