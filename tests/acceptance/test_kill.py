"""Nothing is lost when the engine dies or hangs: the short form of ``kill_trials``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance.kill_trials import FALLBACK_S, STOPPED_S, found_wrong, in_order, report, run

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]

FULL = {"waiting": 20, "ringing": 10, "talking": 10, "transfer": 10, "stopped": 10}


async def _trials(folder: Path, install: Install, counts: dict[str, int], seed: int) -> None:
    figures, verdict = await run(folder, install, counts, seed)
    assert not found_wrong(figures, verdict), json.dumps(report(figures, verdict), indent=1)
    for kind, made in figures.items():
        assert made.trials == counts[kind]
        assert made.calls >= 5 * made.trials, "each trial is to hold five calls"
        limit = STOPPED_S if kind == "stopped" else FALLBACK_S
        assert all(s <= limit for s in made.to_queue_s + made.invite_s), report(figures, verdict)


async def test_no_call_is_lost_when_the_engine_is_killed_or_stopped(
    tmp_path: Path, install: Install
) -> None:
    counts = {"waiting": 1, "ringing": 1, "talking": 1, "transfer": 1, "stopped": 1}
    await _trials(tmp_path, install, counts, seed=1)


async def test_thirty_fall_into_the_queue_in_their_order(tmp_path: Path, install: Install) -> None:
    dialled, standing = await in_order(tmp_path, install, 30)
    assert len(dialled) == 30
    assert standing == dialled


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_fifty_kills_and_ten_stops(tmp_path: Path, install: Install) -> None:
    await _trials(tmp_path, install, FULL, seed=2)
