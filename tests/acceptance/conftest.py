"""Fixtures of the acceptance runs."""

from __future__ import annotations

import pytest

from gkc_engine.cli._console import progress, state_dir
from gkc_engine.pbx.install import Install, find_or_install
from tests.acceptance.harness import NEEDS_SIPP


@pytest.fixture(scope="session")
def install() -> Install:
    return find_or_install(state_dir(), named=None, progress=progress)


@pytest.fixture
def sipp() -> None:
    if NEEDS_SIPP:
        pytest.skip(f"SIPp cannot be had: {NEEDS_SIPP}")
