"""Pictures for live views: shared, summed up right, and marked by the thresholds."""

from __future__ import annotations

from typing import Any

import pytest

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.views import Closing
from gkc_engine.config.thresholds_model import ThresholdsModel
from gkc_engine.control.measures import Band, Level, Thresholds, levels
from gkc_engine.control.pictures import Shared, total, wall
from gkc_engine.control.views import queue_rows
from gkc_engine.plans import thresholds_of
from tests.control.fake import HOUSING, PASSPORT, PETROV, FakeBackend


def test_many_who_look_cost_what_one_costs() -> None:
    now, made = 100.0, 0

    def make() -> dict[str, Any]:
        nonlocal made
        made += 1
        return {"n": made}

    shared = Shared(lambda: now)
    assert [shared.get("", make) for _ in range(32)] == [{"n": 1, "age_s": 0.0}] * 32
    now = 100.4
    assert shared.get("", make) == {"n": 1, "age_s": 0.4}
    assert shared.get("other", make) == {"n": 2, "age_s": 0.0}
    now = 100.5
    assert shared.get("", make) == {"n": 3, "age_s": 0.0}
    now = 200.0
    shared.get("", make)
    assert list(shared._made) == [""], "what nobody looks at is not kept"


def test_the_total_has_each_operator_once_and_shares_of_sums() -> None:
    """petrov serves both queues; each queue's contacts keep its own threshold."""
    passport = {
        **dict.fromkeys(("waiting", "ringing", "talking"), 2),
        **dict.fromkeys(("ready", "busy", "wrap_up", "not_ready", "offline"), 1),
        "longest_wait_s": 61.5,
        "offered": 100,
        "answered": 80,
        "answered_in_target": 60,
        "abandoned": 18,
        "abandoned_short": 8,
        "handled": 79,
        "aht_s": 100.0,
        "offered_30m": 10,
        "answered_30m": 8,
        "answered_in_target_30m": 2,
        "abandoned_30m": 2,
        "abandoned_short_30m": 0,
    }
    housing = passport | {
        "waiting": 0,
        "longest_wait_s": None,
        "offered": 10,
        "answered": 10,
        "answered_in_target": 3,
        "abandoned": 0,
        "abandoned_short": 0,
        "handled": 21,
        "aht_s": 200.0,
        "offered_30m": 0,
        "answered_30m": 0,
        "answered_in_target_30m": 0,
        "abandoned_30m": 0,
    }
    row = total(FakeBackend(), [passport, housing])
    assert (row["waiting"], row["longest_wait_s"], row["answered"]) == (2, 61.5, 90)
    assert (row["ready"], row["busy"], row["not_ready"]) == (1, 1, 0), "of the two operators"
    # (60 + 3) / (80 + 10 + 18 - 8); (18 - 8) / 110; the mean of 75 % and 30 % would be 52.5 %.
    assert (row["service_level"], row["abandon_rate"]) == (0.63, 0.0909)
    assert (row["service_level_30m"], row["abandon_rate_30m"]) == (0.2, 0.2)
    assert row["aht_s"] == 121.0, "(79 · 100 + 21 · 200) / 100"
    nothing = total(FakeBackend(), [])
    assert (nothing["aht_s"], nothing["service_level"], nothing["longest_wait_s"]) == (None,) * 3


def test_the_wall_has_the_rows_of_queue_show() -> None:
    backend = FakeBackend()
    picture = wall(backend)
    assert picture["queues"] == queue_rows(backend)
    assert picture["order"] == ["housing", "passport"]
    assert picture["total"]["talking"] == 1


@pytest.mark.parametrize(
    ("band", "value", "level"),
    [
        (Band(warn=60, bad=180), 60.0, Level.OK),
        (Band(warn=60, bad=180), 60.1, Level.WARN),
        (Band(warn=60, bad=180), 180, Level.WARN),
        (Band(warn=60, bad=180), 181, Level.BAD),
        (Band(warn=0.8, bad=0.6), 0.8, Level.OK),
        (Band(warn=0.8, bad=0.6), 0.79, Level.WARN),
        (Band(warn=0.8, bad=0.6), 0.6, Level.WARN),
        (Band(warn=0.8, bad=0.6), 0.0, Level.BAD),
    ],
)
def test_a_bound_is_on_the_better_side(band: Band, value: float, level: Level) -> None:
    assert band.level(value) is level


def test_a_row_is_marked_where_it_is_not_well() -> None:
    row = {
        "waiting": 4,
        "longest_wait_s": 200.0,
        "ready": 0,
        "busy": 1,
        "closed": None,
        "service_level": 0.7,
        "service_level_30m": 0.5,
        "abandon_rate": None,
        "abandon_rate_30m": 0.06,
    }
    thresholds = thresholds_of(ThresholdsModel().of("any"))
    assert levels(row, thresholds) == {
        "longest_wait_s": "bad",
        "service_level": "warn",
        "service_level_30m": "bad",
        "abandon_rate_30m": "warn",
    }
    assert levels(row, Thresholds()) == {}


def test_nobody_at_work_is_marked_while_the_queue_is_open() -> None:
    backend = FakeBackend()
    [housing] = queue_rows(backend, "housing")
    assert housing["levels"] == {}
    backend._agents[PETROV].state = AgentState.NOT_READY
    [housing] = queue_rows(backend, "housing")
    assert housing["levels"] == {"ready": "warn"}
    waits = next(c for c in backend.in_progress if c.state == "waiting")
    waits.queue = HOUSING
    [housing] = queue_rows(backend, "housing")
    assert housing["levels"] == {"ready": "bad"}
    backend.closed[HOUSING] = Closing(emergency=False, reason="")
    [housing] = queue_rows(backend, "housing")
    assert housing["levels"] == {}


def test_a_queue_s_own_thresholds_stand_before_the_center_s() -> None:
    model = ThresholdsModel.model_validate(
        {
            "longest_wait": {"warn": "2m", "bad": "4m"},
            "queues": {"passport": {"waiting": {"warn": 3, "bad": 5}}},
        }
    )
    own, other = thresholds_of(model.of("passport")), thresholds_of(model.of("housing"))
    assert own.longest_wait_s == other.longest_wait_s == Band(warn=120, bad=240)
    assert (own.waiting, other.waiting) == (Band(warn=3, bad=5), None)
    assert other.service_level == Band(warn=0.8, bad=0.6)


def test_an_answer_counts_now_while_its_talk_still_runs() -> None:
    backend = FakeBackend()
    [row] = queue_rows(backend, "passport")
    assert (row["answered_30m"], row["answered_in_target_30m"]) == (2, 1)
    talks = next(c for c in backend.in_progress if c.answered is not None)
    assert talks.queue == PASSPORT
    long_ago = type(talks.started)(backend.clock - 31 * 60 * 1_000_000)
    talks.first_queued = talks.answered = long_ago
    [row] = queue_rows(backend, "passport")
    assert (row["answered_30m"], row["answered"]) == (1, 2)
