"""The bench of shipping does not rot: a few contacts of it for real."""

from __future__ import annotations

from pathlib import Path

from bench.shipping import caught_up


async def test_a_small_center_catches_up(tmp_path: Path) -> None:
    figures = await caught_up(tmp_path, contacts=60, url=None)
    assert figures["rows"] == 60 * 17 + 1
    assert figures["shipped_rows_s"] > 0
    assert 0 < figures["message_bytes_a_row"] < 400
    assert figures["day_s"] > 0
