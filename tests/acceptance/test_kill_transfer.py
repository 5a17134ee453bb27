"""Nothing is lost when the engine dies with a transfer in flight.

A file of its own, so that it may run beside the other trials.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance.kill_trials import trials_as_promised

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300), pytest.mark.usefixtures("sipp")]


async def test_no_call_is_lost_when_the_engine_is_killed_in_a_transfer(
    tmp_path: Path, install: Install
) -> None:
    await trials_as_promised(tmp_path, install, {"transfer": 1}, seed=1)
