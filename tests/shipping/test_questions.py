"""What the city asks a center and what that says: bounded, versioned, told apart."""

from __future__ import annotations

import msgspec
import pytest

from gkc_engine.errors import PeerError
from gkc_engine.shipping import questions
from gkc_engine.shipping.counts import Counts
from gkc_engine.shipping.position import Position
from gkc_engine.shipping.questions import Answer, AskAgain, AskCounts

COUNTS = AskCounts(since=1, until=2, event_id="e9")
AGAIN = AskAgain(ledger="e1", seq=9, event_id="e9")
ANSWER = Answer(
    center="sever",
    ledger="e1",
    last=9,
    last_us=8,
    counts=Counts(rows=3, begun={"in": 2}, ended={"in answered": 1}),
    unknown=True,
    problem="none",
)


@pytest.mark.parametrize("asked", [COUNTS, AGAIN, AskAgain(ledger=None, seq=0, event_id="")])
def test_a_question_comes_as_it_was_asked(asked: questions.Question) -> None:
    assert questions.question(questions.encode(asked)) == asked


def test_an_answer_comes_as_it_was_given() -> None:
    assert questions.answer(questions.encode(ANSWER)) == ANSWER
    assert AGAIN.position == Position(ledger="e1", seq=9, event_id="e9")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "truncated"),
        (b"{}", "type"),
        (b'{"type":"counts","since":-1,"until":2,"event_id":""}', "since"),
        (b'{"type":"counts","since":1,"until":9223372036854775808,"event_id":""}', "until"),
        (b'{"type":"again","ledger":"","seq":1,"event_id":""}', "ledger"),
        (b'{"type":"again","ledger":"e","seq":1,"event_id":"' + b"x" * 65 + b'"}', "event_id"),
        (b"[" * 60_000, "."),
        (questions.encode(msgspec.structs.replace(COUNTS, v=2)), "version 2, this engine speaks 1"),
    ],
)
def test_what_is_no_question_of_ours_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(PeerError, match=said):
        questions.question(data)


def test_what_is_too_long_is_not_read() -> None:
    data = questions.encode(ANSWER)
    fits = data + b" " * (questions.BYTES_MAX - len(data))
    assert questions.answer(fits) == ANSWER
    with pytest.raises(PeerError, match="65537 bytes, at most 65536"):
        questions.answer(fits + b" ")


def test_an_answer_of_another_version_is_none() -> None:
    with pytest.raises(PeerError, match="version 3"):
        questions.answer(questions.encode(msgspec.structs.replace(ANSWER, v=3)))
