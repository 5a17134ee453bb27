"""Seeded histories of the whole engine against a fake Asterisk. More: ``GKC_SIM_SEEDS=1000``."""

from __future__ import annotations

import os

import pytest

from tests.simulation.run import run_seed
from tests.simulation.scenarios import CLEAN, SCENARIOS

SEEDS = int(os.environ.get("GKC_SIM_SEEDS", "2"))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_records_agree_with_what_really_happened(name: str) -> None:
    for seed in range(1, SEEDS + 1):
        result = run_seed(SCENARIOS[name], seed)
        assert not result.findings, "\n".join([result.command, *result.findings])


def test_the_same_seed_gives_the_same_bytes() -> None:
    first = run_seed(CLEAN, 7)
    assert first.steps > 200
    assert run_seed(CLEAN, 7).digest == first.digest
    assert run_seed(CLEAN, 8).digest != first.digest


def test_the_real_recorder_keeps_the_same_history() -> None:
    result = run_seed(CLEAN, 3, real=True)
    assert not result.findings, "\n".join(result.findings)
