"""The bench of a cut line does not rot: a little of it for real."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bench.centers_cut import SLOWER_MAX, cuts, routing, tell

OFFERS = "SELECT count(*) FROM event WHERE kind = 'gkc.offer.created'"


async def test_both_engines_route_and_a_cut_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in SLOWER_MAX:
        await routing(tmp_path / where, where, blocks=1, rounds=5)
    await cuts(tmp_path / "cuts", 1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    told = [json.loads(line) for line in lines]
    assert [(one["what"], one.get("written"), one.get("phase")) for one in told] == [
        ("routing", "ledger", "joined"),
        ("routing", "ledger", "cut"),
        ("routing", "nowhere", "joined"),
        ("routing", "nowhere", "cut"),
        ("cut", None, None),
        ("resumed", None, None),
    ]
    for name in ("alone", "centr"):
        store = tmp_path / "ledger" / "stores" / name / "ledger.db"
        with closing(sqlite3.connect(store)) as ledger:
            (offers,) = ledger.execute(OFFERS).fetchone()
        assert offers >= 20 + 2 * 5, "what is measured with a ledger is written there"
    # Three seconds after its last word, which may have come a while before the cut.
    assert 0.2 < told[4]["max_s"] < 15


def test_a_slower_engine_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell("nowhere", "cut", {"alone": [1.0] * 9, "linked": [1.1] * 9})
    assert not tell("ledger", "cut", {"alone": [1.0] * 9, "linked": [1.1] * 9})
    assert not tell("nowhere", "cut", {"alone": [1.0] * 9, "linked": [1.2] * 9})
    assert json.loads(capsys.readouterr().out.splitlines()[2])["ratio_p50"] == 1.2
