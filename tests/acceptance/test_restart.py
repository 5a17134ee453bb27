"""The engine comes back under its watchdog on a real Asterisk: soon, and everybody in his place."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from bench.restart import SAMPLE, WAITING, Trials, running
from gkc_engine.pbx.install import Install
from tests.acceptance.kill_trials import IN_COMPANY

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]

DECIDES_S = 2.0
"""From the start of the new worker to its first offer (issue, section 5), with the machine to
itself: ``bench.restart``. Here others are at work."""


def waited_longest(city: Trials) -> tuple[str, list[str]]:
    """Return who was offered first after the kill, and who had waited then, the oldest first."""
    with sqlite3.connect(f"file:{city.city.city.state / 'gkc.sqlite'}?mode=ro", uri=True) as store:
        (offered,) = store.execute(
            "SELECT contact_id FROM event WHERE kind = 'gkc.offer.created' AND ts_us > ?"
            " ORDER BY seq LIMIT 1",
            (city.killed,),
        ).fetchone()
        waiting = store.execute(
            "SELECT contact_id FROM event WHERE kind = 'gkc.contact.queued' AND ts_us < ?"
            " ORDER BY seq DESC LIMIT ?",
            (city.killed, WAITING),
        ).fetchall()
    store.close()
    return offered, [contact for (contact,) in reversed(waiting)]


async def test_killed_or_hung_it_decides_soon_and_for_the_right_one(
    tmp_path: Path, install: Install
) -> None:
    async with running(tmp_path, install, SAMPLE) as city:
        for how in (signal.SIGKILL, signal.SIGSTOP):
            await city.trial(how)
            offered, waiting = waited_longest(city)
            assert len(waiting) == WAITING
            assert offered == waiting[0]
        assert city.figures.warm == 2
        assert max(city.figures.decided) < DECIDES_S * IN_COMPANY, city.figures
