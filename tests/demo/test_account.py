"""The account, against lists written by hand."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.acd.commands import Disposition
from gkc_engine.demo.account import GROUPS, Hand, Record, compare, report
from gkc_engine.ids import SECOND, Instant, Micros, QueueId
from gkc_engine.statistics.counting import OUTBOUND_ONLY

TAX, TRANSPORT = QueueId("tax"), QueueId("transport")
TARGETS = {TAX: Micros(20 * SECOND), TRANSPORT: Micros(5 * SECOND)}
KEYS = [
    *("seconds", "rate", "seed", "offered", "answered", "abandoned", "self_served", "refused"),
    *("failed_open", "missed_then_answered", "lost", "doubled"),
    *("wait_p50_s", "wait_p90_s", "wait_max_s", "service_level", "outbound"),
    *("outbound_answered", "outbound_by_disposition", "transfers", "consultations"),
    *("other_hands", "by_disposition"),
]
"""As the issue gives them, and what came later."""


def record(
    call_id: str | None,
    disposition: Disposition | None,
    wait_s: float = 0,
    queue: QueueId | None = TAX,
    *,
    missed: bool = False,
) -> Record:
    return Record(
        contact_id=f"contact of {call_id}",
        call_id=call_id,
        disposition=disposition,
        queue=queue,
        first_queued=None if queue is None else Instant(0),
        wait_us=round(wait_s * SECOND),
        missed=missed,
    )


D = Disposition


def test_every_call_is_counted_once_by_how_it_ended() -> None:
    account = compare(
        ["1", "2", "3", "4", "5", "6", "7"],
        [
            record("1", D.ANSWERED, 3),
            record("2", D.ANSWERED, 30, missed=True),
            record("3", D.ABANDONED_MENU, queue=None),
            record("4", D.ABANDONED_SHORT, 2),
            record("5", D.SELF_SERVED, queue=None),
            record("6", D.TIMEOUT, 60),
            record("7", D.SYSTEM_FAILED, 1),
        ],
        TARGETS,
    )
    row = report(account, seconds=60.0, rate=2.0, seed=7)
    assert list(row) == KEYS
    assert row == {
        "seconds": 60,
        "rate": 2,
        "seed": 7,
        "offered": 7,
        "answered": 2,
        "abandoned": 2,
        "self_served": 1,
        "refused": 1,
        "failed_open": 1,
        "missed_then_answered": 1,
        "lost": 0,
        "doubled": 0,
        "wait_p50_s": 3.0,
        "wait_p90_s": 30.0,
        "wait_max_s": 30.0,
        # One in time of two answered; who left at once, in the menu or refused does not count.
        "service_level": 0.5,
        "outbound": 0,
        "outbound_answered": 0,
        "outbound_by_disposition": {},
        "transfers": {"blind": 0, "attended": 0},
        "consultations": 0,
        "other_hands": 0,
        "by_disposition": {
            **dict.fromkeys([d.value for d in GROUPS], 0),
            "answered": 2,
            "abandoned_menu": 1,
            "abandoned_short": 1,
            "self_served": 1,
            "timeout": 1,
            "system_failed": 1,
        },
    }
    assert account.balanced


def test_each_queue_has_its_own_threshold() -> None:
    account = compare(
        ["1", "2"],
        [record("1", D.ANSWERED, 6, TAX), record("2", D.ANSWERED, 6, TRANSPORT)],
        TARGETS,
    )
    assert account.service_level == 0.5


def test_a_call_without_a_record_is_lost() -> None:
    account = compare(["1", "2"], [record("1", D.ANSWERED)], TARGETS)
    assert account.lost == ["2"]
    assert not account.balanced


def test_a_record_that_never_ended_is_lost() -> None:
    account = compare(["1"], [record("1", None)], TARGETS)
    assert account.lost == ["1"]
    assert not account.balanced


def test_a_call_with_two_records_is_doubled_and_counted_once() -> None:
    account = compare(["1"], [record("1", D.ANSWERED), record("1", D.ABANDONED)], TARGETS)
    assert account.doubled == ["1"]
    assert account.groups == {"answered": 1}
    assert not account.balanced


def test_a_record_that_nobody_dialled_is_one_too_many() -> None:
    account = compare(["1"], [record("1", D.ANSWERED), record(None, D.ANSWERED)], TARGETS)
    assert account.doubled == ["contact of None"]
    assert not account.balanced


def hands(*talks: tuple[str, float]) -> tuple[Hand, ...]:
    return tuple(Hand(phone=phone, talk_us=Micros(round(s * SECOND))) for phone, s in talks)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (hands(("201", 3)), hands(("201", 3)), True),
        (hands(("201", 3), ("202", 4)), hands(("201", 3), ("202", 4)), True),
        (hands(("201", 3)), hands(("202", 3)), False),
        (hands(("202", 3), ("201", 3)), hands(("201", 3), ("202", 3)), False),
        (hands(("201", 3)), hands(("201", 3), ("202", 3)), False),
        (hands(("201", 3), ("202", 3)), hands(("201", 3)), False),
        (hands(("201", 3)), (), False),
        # He answered as the citizen hung up: one side may not have seen it.
        (hands(("201", 3)), hands(("201", 3), ("202", 0.2)), True),
        (hands(("201", 3), ("202", 0.2)), hands(("201", 3)), True),
        # One who sent him on and had him again at once: the record has it as one talk, or as two.
        (hands(("201", 9)), hands(("201", 3), ("201", 6)), True),
        (hands(("201", 3), ("201", 6)), hands(("201", 9)), True),
        (None, hands(("201", 3)), True),
    ],
)
def test_who_talked_with_him_is_known_to_the_phones(
    ours: tuple[Hand, ...] | None, theirs: tuple[Hand, ...], same: bool
) -> None:
    one = dataclasses.replace(record("1", D.ANSWERED), hands=ours)
    account = compare(["1"], [one], TARGETS, {"1": theirs})
    assert account.other_hands == ([] if same else ["1"])
    assert account.balanced is same
    assert compare(["1"], [one], TARGETS).other_hands == [], "nobody tells"


def test_transfers_and_advice_are_counted() -> None:
    moved = dataclasses.replace(
        record("1", D.ANSWERED), transfers=("blind", "attended"), consultations=2
    )
    row = report(
        compare(["1", "2"], [moved, record("2", D.ANSWERED)], TARGETS), seconds=1, rate=2, seed=1
    )
    assert row["transfers"] == {"blind": 1, "attended": 1}
    assert row["consultations"] == 2


def test_nobody_called() -> None:
    row = report(compare([], [], TARGETS), seconds=1, rate=0.5, seed=1)
    assert row["offered"] == 0
    assert row["wait_p50_s"] is row["service_level"] is None


def test_every_disposition_belongs_to_a_group() -> None:
    assert set(GROUPS) == set(D) - set(OUTBOUND_ONLY) - {D.RETURNED}


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 12).map(str)),
            st.one_of(st.none(), *map(st.just, GROUPS)),
        )
    ),
    st.sets(st.integers(0, 12).map(str)),
)
def test_the_parts_always_add_up_to_offered(
    rows: list[tuple[str | None, Disposition | None]], dialled: set[str]
) -> None:
    account = compare(dialled, [record(*row) for row in rows], TARGETS)
    row = report(account, seconds=1, rate=1, seed=1)
    parts = ("answered", "abandoned", "self_served", "refused", "failed_open", "lost")
    assert row["offered"] == len(dialled) == sum(row[part] for part in parts)
    assert sum(row["by_disposition"].values()) == row["offered"] - row["lost"]
