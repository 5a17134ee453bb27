from __future__ import annotations

import pytest

from gkc_engine.control.told_waits import (
    ToldWaits,
    accuracy_rows,
    bias,
    mean_wait_s,
    relative_rmse,
    within_range,
)

# Told 60, 60, 90 s; true 50, 80, 70 s.
THREE = ToldWaits(n=3, waited_s=200.0, error_s=10.0 - 20.0 + 20.0, square_s2=900.0, within=1)


def test_the_figures_are_those_of_the_definition() -> None:
    assert mean_wait_s(THREE) == pytest.approx(200 / 3)
    assert bias(THREE) == pytest.approx(10 / 200)
    assert relative_rmse(THREE) == pytest.approx((900 / 3) ** 0.5 / (200 / 3))
    assert within_range(THREE) == pytest.approx(1 / 3)


def test_of_nothing_nothing_is_said() -> None:
    figures = (mean_wait_s, bias, relative_rmse, within_range)
    assert [one(ToldWaits()) for one in figures] == [None] * 4
    at_once = ToldWaits(n=2, waited_s=0.0, error_s=3.0, square_s2=5.0)
    assert (bias(at_once), relative_rmse(at_once)) == (None, None)


def test_several_queues_have_a_row_together() -> None:
    sums = {"n": 3, "waited_s": 200.0, "error_s": 10.0, "square_s2": 900.0, "within": 1}
    other = {"n": 1, "waited_s": 100.0, "error_s": -100.0, "square_s2": 10_000.0, "within": 0}
    rows = accuracy_rows([{"queue": "housing", **sums}, {"queue": "passport", **other}])
    assert [row["queue"] for row in rows] == ["housing", "passport", None]
    assert rows[2] == {
        "queue": None,
        "n": 4,
        "mean_wait_s": 75.0,
        "bias": -0.3,
        "rmse": round((10_900 / 4) ** 0.5 / 75, 4),
        "within_range": 0.25,
    }
    assert len(accuracy_rows([{"queue": "housing", **sums}])) == 1
    assert accuracy_rows([]) == []
