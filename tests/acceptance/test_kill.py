"""Nothing is lost when the engine dies or hangs: the short form of ``kill_trials``."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance.kill_trials import in_order, trials_as_promised

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300), pytest.mark.usefixtures("sipp")]

FULL = {"waiting": 20, "ringing": 10, "talking": 10, "transfer": 10, "stopped": 10}


async def test_no_call_is_lost_when_the_engine_is_killed_or_stopped(
    tmp_path: Path, install: Install
) -> None:
    counts = {"waiting": 1, "ringing": 1, "talking": 1, "stopped": 1}
    await trials_as_promised(tmp_path, install, counts, seed=1)


async def test_thirty_fall_into_the_queue_in_their_order(tmp_path: Path, install: Install) -> None:
    dialled, standing = await in_order(tmp_path, install, 30)
    assert len(dialled) == 30
    assert standing == dialled
