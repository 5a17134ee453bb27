"""The bench of the link does not rot: a second of it for real."""

from __future__ import annotations

from pathlib import Path

from bench.centers_link import cost, look_ms


async def test_some_peers_are_all_heard_and_cost_something(tmp_path: Path) -> None:
    share = await cost(tmp_path, peers=5, playing=True, queues=2, for_s=1.0)
    assert 0 <= share < 0.5


def test_a_look_takes_some_milliseconds() -> None:
    assert 0 < look_ms(50, queues=5, agents=20) < 100
