from __future__ import annotations

import pytest

from gkc_engine.cli._console import state_dir
from gkc_engine.pbx.install import Install, find_or_install


@pytest.fixture(scope="session")
def install() -> Install:
    return find_or_install(state_dir(), named=None, progress=print)
