"""Random histories of three centers, one of which is the second line of all."""

from __future__ import annotations

import pytest

from tests.federation.second_line import play
from tests.federation.test_histories import ALL, KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_of_fault(kind: str) -> None:
    city = play(len(kind), KINDS[kind], busy_s=300)
    assert city.broken == []
    for what in ("handed on", "put through", "handed_back", "media_lost"):
        assert city.did[what] >= 1, f"no {what}: it is no test ({city.did})"


def test_a_denial_of_an_older_asking_frees_nobody_of_a_newer_load() -> None:
    """A seed of the long runner: two were asked for where one was free."""
    assert play(31636, KINDS["garbled"]).broken == []


@pytest.mark.parametrize("seed", range(4))
def test_all_faults_at_once(seed: int) -> None:
    assert play(seed, ALL).broken == []
