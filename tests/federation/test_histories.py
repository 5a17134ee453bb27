"""Random histories of three centers: whatever fails, one owner, one answer, nobody forgotten.

The long runner takes thousands of seeds: ``python -m tests.federation.run 2000``.
"""

from __future__ import annotations

import pytest

from tests.federation.center import Faults
from tests.federation.world import play

KINDS = {
    "none": Faults(),
    "lost": Faults(lost=0.2),
    "doubled": Faults(doubled=0.5),
    "late": Faults(late=0.2),
    "garbled": Faults(garbled=0.1),
    "replayed": Faults(replayed=0.3),
    "cut": Faults(cut=0.05),
    "crash": Faults(crash=0.02),
    "dead_trunk": Faults(dead_trunk=0.3),
    "skew": Faults(skew_s=3600),
}
ALL = Faults(
    lost=0.05,
    doubled=0.1,
    late=0.05,
    garbled=0.02,
    replayed=0.05,
    cut=0.02,
    crash=0.01,
    dead_trunk=0.05,
    skew_s=30,
)


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_of_fault(kind: str) -> None:
    city = play(len(kind), KINDS[kind])
    assert city.broken == []
    assert len(city.sent) >= 5, "hardly anybody was sent on: it is no test"


@pytest.mark.parametrize("seed", range(6))
def test_all_faults_at_once(seed: int) -> None:
    assert play(seed, ALL).broken == []
