"""From files to an exit code: what a planted loss and a planted double do to it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition
from gkc_engine.cli.demo import report_result
from gkc_engine.demo.books import Books, hands_of
from gkc_engine.demo.setup import DemoOptions
from gkc_engine.ids import SECOND, Instant, Micros, QueueId
from gkc_engine.recorder import schema

START = Instant(1_790_000_000_000_000)
TARGETS = {QueueId("tax"): Micros(20 * SECOND)}


def cdr(path: Path, calls: Iterable[tuple[str, str, str]]) -> Path:
    """Write a CDR of (id, caller, uniqueid), one row each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for call_id, caller, uniqueid in calls:
            middle = ["", "", "", "1.0", "1.0", "ANSWERED"]
            writer.writerow([call_id, "talked", caller, "+74957777777", *middle, uniqueid])
    return path


def contact_row(leg: str, disposition: Disposition, contact_id: str = "") -> dict[str, Any]:
    kept: dict[str, Any] = {
        column.name: ""
        for column in schema.contact.columns
        if not column.nullable and isinstance(column.type, sa.Text)
    }
    kept |= {
        column.name: 0
        for column in schema.contact.columns
        if not column.nullable and not isinstance(column.type, sa.Text)
    }
    times = {"started": START + 1, "first_queued": START + 2, "ended": START + 9, "wait_us": SECOND}
    return {
        **kept,
        **times,
        "contact_id": contact_id or f"c-{leg}",
        "linkedid": leg,
        "queue": "tax",
        "disposition": disposition.value,
    }


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Three calls, each on record once; a visitor's beside them, and one of another run."""
    store = tmp_path / "gkc.sqlite"
    engine = schema.make_engine(schema.sqlite_url(str(store)))
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            schema.contact.insert(),
            [
                contact_row("centr-1", Disposition.ANSWERED),
                contact_row("centr-2", Disposition.ABANDONED),
                contact_row("centr-3", Disposition.ANSWERED),
                contact_row("centr-4", Disposition.ANSWERED),
                {**contact_row("centr-0", Disposition.ANSWERED), "started": START - 1},
            ],
        )
        connection.execute(
            schema.offer.insert(),
            [
                {
                    "offer_id": 1,
                    "agent_id": "a",
                    "contact_id": "c-centr-3",
                    "queue": "tax",
                    "created": START,
                    "outcome": "no_answer",
                }
            ],
        )
    engine.dispose()
    calls = [("r-1", "+79000000001"), ("r-2", "+79000000002"), ("r-3", "+79000000003")]
    outside = [(i, n, f"outside-{i}") for i, n in [*calls, ("old-1", "+7900"), ("", "101")]]
    center = [(i, n, f"centr-{i[-1]}") for i, n in calls] + [("", "+79990000000", "centr-4")]
    return Books(
        run="r",
        since=START,
        outside_csv=cdr(tmp_path / "outside.csv", outside),
        # One call makes several rows when several phones were tried.
        center_csv=cdr(tmp_path / "center.csv", [*center, center[0]]),
        store=schema.sqlite_url(str(store)),
        visitor="+79990000000",
    )


def exit_code(books: Books) -> int:
    options = DemoOptions(config=Path(), state=Path(), sockets=Path(), seconds=60, rate=2)
    return report_result(books.balance(["r-1", "r-2"], TARGETS), options, json=True)


def execute(books: Books, statement: sa.Executable) -> None:
    engine = schema.make_engine(books.store)
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


def test_both_lists_agree(books: Books) -> None:
    account = books.balance([], TARGETS)
    assert (account.offered, account.groups["answered"], account.groups["abandoned"]) == (3, 2, 1)
    assert account.missed_then_answered == 1
    assert exit_code(books) == 0


def test_a_planted_loss_turns_the_exit_code(books: Books) -> None:
    execute(books, sa.delete(schema.contact).where(schema.contact.c.linkedid == "centr-2"))
    assert books.balance([], TARGETS).lost == ["r-2"]
    assert exit_code(books) == 1


def test_a_planted_double_turns_the_exit_code(books: Books) -> None:
    double = contact_row("centr-1", Disposition.ANSWERED, "c-double")
    execute(books, schema.contact.insert().values(double))
    assert books.balance([], TARGETS).doubled == ["r-1"]
    assert exit_code(books) == 1


def test_a_record_of_a_leg_that_nobody_dialled_turns_it_too(books: Books) -> None:
    ghost = contact_row("centr-77", Disposition.ANSWERED)
    execute(books, schema.contact.insert().values(ghost))
    assert books.balance([], TARGETS).doubled == ["c-centr-77"]
    assert exit_code(books) == 1


def test_a_call_that_only_the_driver_knows_of_is_lost(books: Books) -> None:
    assert books.balance(["r-9"], TARGETS).lost == ["r-9"]


def test_stdout_carries_one_object_only(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    execute(books, sa.delete(schema.contact).where(schema.contact.c.linkedid == "centr-2"))
    exit_code(books)
    out, err = capsys.readouterr()
    assert out.startswith('{"seconds": 60, "rate": 2, "seed": 1, "offered": 3,')
    assert out.count("\n") == 1
    assert "lost: r-2" in err


def test_the_phones_tell_whose_hands_a_citizen_went_through(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    anna, boris = "+79000000001", "+79000000002"
    rows = [
        # id, account, from, answered, billsec
        ("r-1", "talked", anna, "10.0", "20.5"),
        ("", "203/ask/291/SUCCESS", anna, "11.0", "6.5"),
        ("", "291/answer/", "203", "16.0", "5.0"),
        ("r-2", "talked", boris, "10.0", "20.5"),
        ("", "293/answer/", boris, "15.0", "3.0"),
        ("", "204/refer/293/SUCCESS", boris, "12.0", "2.5"),
        ("", "205/askback/292/SUCCESS", "+79000000003", "12.0", "9.0"),
        ("", "", boris, "", "0.0"),
        # The same number once more: nobody answered the third call, the fourth has its own phone.
        ("r-3", "talked", anna, "40.0", "9.0"),
        ("r-4", "talked", anna, "50.0", "9.0"),
        ("", "206/answer/", anna, "51.0", "5.0"),
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for n, (call_id, account, caller, answered, billsec) in enumerate(rows):
            begun = float(answered or 1.0) - 0.5
            ended = begun + 0.5 + float(billsec)
            times = [str(begun), answered, str(ended), "1.0", billsec, "ANSWERED"]
            writer.writerow([call_id, account, caller, "s", *times, f"outside-{n}"])
    assert {
        call_id: [(hand.phone, hand.talk_us / SECOND) for hand in hands]
        for call_id, hands in hands_of(path).items()
    } == {
        "r-1": [("203", 6.5), ("291", 6.5)],
        "r-2": [("204", 2.5), ("293", 3.0)],
        "r-4": [("206", 5.0)],
    }


def test_a_phone_that_was_answered_for_nobody_has_no_talk(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    rows = [
        ("r-1", "talked", "10.0", "20.0"),
        ("", "1205/answer/", "11.0", "4.0"),
        ("", "202/answer/", "16.0", "5.0"),
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for n, (call_id, account, answered, billsec) in enumerate(rows):
            ended = float(answered) + float(billsec)
            times = ["9.5", answered, str(ended), "1.0", billsec, "ANSWERED"]
            writer.writerow([call_id, account, "+79010000001", "s", *times, f"outside-{n}"])
    hands = hands_of(path, lambda hand: hand.begun_s == 11.0)["r-1"]
    assert [(hand.phone, hand.talk_us / SECOND) for hand in hands] == [("1205", 0), ("202", 5)]


def talk(segment_id: str, n: int, agent: str) -> dict[str, Any]:
    kept: dict[str, Any] = {
        column.name: "" if isinstance(column.type, sa.Text) else 0
        for column in schema.segment.columns
        if not column.nullable
    }
    own = {"segment_id": segment_id, "contact_id": "c-centr-1", "n": n, "agent_id": agent}
    return {**kept, **own, "kind": "talk", "start": START + n, "end": START + n + SECOND}


@pytest.mark.parametrize(
    ("agents", "by", "here"),
    [
        (["anna"], {}, 2),
        (["sever:anna"], {"sever": 1}, 1),
        (["sever:anna", "boris"], {"sever": 1}, 1),
        (["boris", "sever:anna"], {}, 2),  # he was here first, and then handed on
    ],
)
def test_who_was_answered_elsewhere_is_known_by_the_first_talk(
    books: Books, agents: list[str], by: dict[str, int], here: int
) -> None:
    rows = [talk(f"s-{n}", n, agent) for n, agent in enumerate(agents)]
    execute(books, schema.segment.insert().values(rows))
    account = books.balance([], TARGETS)
    assert account.answered_by == by
    assert (len(account.waits_us), len(account.waits_here_us)) == (2, here)
