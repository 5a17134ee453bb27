"""How far a center's ledger is in the city, beside what a batch says of itself: each case alone."""

from __future__ import annotations

import pytest

from gkc_engine.recorder.rows import Row
from gkc_engine.shipping.batches import Header, Numbered
from gkc_engine.shipping.position import Position, Verdict, after, judge, rest

HERE = Position(ledger="e1", seq=10, event_id="e10")


def header(begin: int, last: int, *, ledger: str = "e1", other: str = "") -> Header:
    """Return the header of a batch of rows ``begin`` to ``last``; ``other``: of ids elsewhere."""
    return Header(
        v=1,
        center="sever",
        ledger=ledger,
        after=begin - 1,
        after_id=f"{other}e{begin - 1}" if begin > 1 else "",
        last=last,
        last_id=f"{other}e{last}",
        told=last,
    )


def rows(begin: int, last: int, *, other: str = "", leap: int = 0) -> list[Numbered]:
    """Return them; ``leap`` is a number that the ledger never gave."""
    blank = Row(*[None] * len(Row._fields))  # type: ignore[arg-type]
    numbers = [n for n in range(begin, last + 1) if n != leap]
    return [(n, blank._replace(event_id=f"{other}e{n}")) for n in numbers]


@pytest.mark.parametrize(
    ("batch", "verdict"),
    [
        (header(11, 12), Verdict.TAKE),
        (header(11, 11), Verdict.TAKE),
        (header(1, 11), Verdict.TAKE),
        (header(10, 11), Verdict.TAKE),
        (header(12, 13), Verdict.GAP),
        (header(10, 10), Verdict.REPEATED),
        (header(1, 10), Verdict.REPEATED),
        (header(1, 9), Verdict.REPEATED),
        (header(11, 12, other="x"), Verdict.DIVERGED),
        (header(3, 10, other="x"), Verdict.DIVERGED),
        (header(3, 9, other="x"), Verdict.REPEATED),  # What the store must tell.
        (header(11, 12, ledger="f1"), Verdict.FOREIGN),
        (header(1, 12, ledger="f1"), Verdict.FOREIGN),
        (header(1, 3, ledger="f1"), Verdict.FOREIGN),
    ],
)
def test_what_a_batch_is_by_its_header(batch: Header, verdict: Verdict) -> None:
    assert judge(HERE, batch) is verdict


def test_where_nothing_is_known_a_ledger_begins_at_its_beginning() -> None:
    assert judge(Position(), header(1, 5, ledger="f1")) is Verdict.TAKE
    assert judge(Position(), header(2, 5, ledger="f1")) is Verdict.GAP


@pytest.mark.parametrize(
    ("batch", "new"),
    [
        (rows(11, 13), [11, 12, 13]),
        (rows(12, 13), [12, 13]),  # A ledger may leave numbers out.
        (rows(8, 13), [11, 12, 13]),
        (rows(10, 11), [11]),
        (rows(8, 13, other="x"), None),
        (rows(8, 13, leap=10), None),
    ],
)
def test_what_of_it_is_new(batch: list[Numbered], new: list[int] | None) -> None:
    found = rest(HERE, batch)
    assert (None if found is None else [seq for seq, _ in found]) == new


def test_afterwards_the_city_is_at_the_last_row() -> None:
    assert after(header(11, 14)) == Position(ledger="e1", seq=14, event_id="e14")
