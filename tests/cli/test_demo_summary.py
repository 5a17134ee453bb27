"""What ``gkc demo`` prints of a run that has ended, for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gkc_engine.cli.demo import report_result
from gkc_engine.demo.account import compare
from gkc_engine.demo.setup import DemoOptions


def test_what_is_counted_by_kind_stands_below_its_sum(capsys: pytest.CaptureFixture[str]) -> None:
    account = compare((), (), {})
    account.outbound = Counter(answered=2, barred=1)
    options = DemoOptions(config=Path(), state=Path(), sockets=Path(), seconds=60)
    assert report_result(account, options, json=False) == 0
    told = capsys.readouterr().out.splitlines()
    at = told.index("outbound_by_disposition 3")
    assert [line.split() for line in told[at + 1 : at + 3]] == [["answered", "2"], ["barred", "1"]]
    assert "transfers               0" in told, "of what there was none no kind is listed"
