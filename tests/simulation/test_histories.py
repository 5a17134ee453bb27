"""Seeded histories of the whole engine against a fake Asterisk. More: ``GKC_SIM_SEEDS=1000``."""

from __future__ import annotations

import os

import pytest

from tests.simulation.run import run_seed
from tests.simulation.scenarios import CLEAN, SCENARIOS

SEEDS = int(os.environ.get("GKC_SIM_SEEDS", "0"))

SHORT: dict[str, tuple[int, ...]] = {
    # Each of these seeds found a bug once, named in docs/discussions/simulation.md.
    "clean": (1, 2),
    "busy": (1,),
    "doubled": (2, 3),
    "late": (3, 226),
    "lost": (2, 4),
    "ami-cut": (1, 2),
    "ami-half-open": (1, 2, 3, 62, 75),
    "agi-cut": (3, 4, 36),
    "kill": (1, 3, 35, 218),
    "pause": (2, 4, 5, 158),
    "slow-disk": (1,),
    "clock": (1, 3, 11),
    "clock-kill": (1, 25, 257),
    "storm": (1, 190, 268, 276),
}


@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("name", SCENARIOS)
def test_records_agree_with_what_really_happened(name: str) -> None:
    for seed in range(1, SEEDS + 1) if SEEDS else SHORT[name]:
        result = run_seed(SCENARIOS[name], seed)
        assert not result.findings, "\n".join([result.command, *result.findings])


def test_the_same_seed_gives_the_same_bytes() -> None:
    first = run_seed(CLEAN, 7)
    assert first.steps > 200
    assert run_seed(CLEAN, 7).digest == first.digest
    assert run_seed(CLEAN, 8).digest != first.digest


def test_the_same_faults_give_the_same_bytes() -> None:
    storm = SCENARIOS["storm"]
    first = run_seed(storm, 5)
    assert first.troubles["kill"] > 0
    assert run_seed(storm, 5).digest == first.digest


@pytest.mark.parametrize(
    ("name", "seed"), [("clean", 3), ("kill", 1), ("pause", 1), ("slow-disk", 1)]
)
def test_the_real_recorder_keeps_the_same_truth(name: str, seed: int) -> None:
    result = run_seed(SCENARIOS[name], seed, real=True)
    assert not result.findings, "\n".join(result.findings)
