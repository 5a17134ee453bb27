"""Fixtures of the acceptance runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.cli._console import progress, state_dir
from gkc_engine.pbx.install import Install, find_or_install
from tests.acceptance.harness import NEEDS_SIPP
from tests.acceptance.second_line import Two, okrug_and_city


@pytest.fixture(scope="session")
def install() -> Install:
    return find_or_install(state_dir(), named=None, progress=progress)


@pytest.fixture(scope="session")
def sipp() -> None:
    """Skip when there is no SIPp, before a city of narrower scope is built with it."""
    if NEEDS_SIPP:
        pytest.skip(f"SIPp cannot be had: {NEEDS_SIPP}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _two(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    async with okrug_and_city(tmp_path_factory.mktemp("second"), install) as two:
        yield two


@pytest_asyncio.fixture(loop_scope="module")
async def two(_two: Two) -> AsyncIterator[Two]:
    """An okrug and its city. Nobody is at work; every case leaves the two as it found them."""
    for center in (_two.home, _two.donor):
        center.channel.agi.failed_total = 0
    yield _two
    await _two.all_go()
