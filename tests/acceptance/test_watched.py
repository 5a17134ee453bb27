"""Nothing is lost when the engine dies or hangs under its real watchdog, which brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance.kill_trials import trials_as_promised

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300), pytest.mark.usefixtures("sipp")]


async def test_the_watchdog_brings_a_killed_and_a_stopped_engine_back(
    tmp_path: Path, install: Install
) -> None:
    await trials_as_promised(tmp_path, install, {"watched": 1, "hung": 1}, seed=1)
