"""Who listens at a control socket, however deep its directory lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.control.listener import listening_pid
from gkc_engine.control.protocol import SUN_PATH_MAX


@pytest.mark.parametrize("length", [1, SUN_PATH_MAX])
def test_before_the_first_start_nobody_listens_however_long_the_path(
    tmp_path: Path, length: int
) -> None:
    assert listening_pid(tmp_path / ("d" * length) / "run" / "engine.sock") is None
