"""Messages of rows: whatever the rows are they come back whole; whatever else comes is refused."""

from __future__ import annotations

import os
import zlib
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.bus.config import PAYLOAD_MAX
from gkc_engine.recorder.rows import Row
from gkc_engine.shipping import batches
from gkc_engine.shipping.batches import (
    BadMessageError,
    Header,
    NewerError,
    Numbered,
    Pieces,
    TooLargeError,
    messages,
    opened,
    rows_of,
)


def row(seq: int, data: str = "{}", center: str = "sever") -> Numbered:
    made = Row(
        event_id=f"e{seq}",
        ts_us=seq,
        center=center,
        kind="gkc.engine.tick",
        contact_id=None,
        agent_id="анна",
        queue=None,
        offer_id=seq if seq % 2 else None,
        config_version="v1",
        source="ami",
        source_key=f"k{seq}",
        role="in",
        schema_version=1,
        data=data,
    )
    return seq, made


def sent(rows: list[Numbered]) -> list[tuple[Header, bytes]]:
    return list(messages(rows, ledger="e1", after=rows[0][0] - 1, after_id="e", told=0))


def back(made: list[tuple[Header, bytes]]) -> list[Numbered]:
    pieces, found = Pieces(), []
    for header, data in made:
        assert len(data) < PAYLOAD_MAX // 2
        read, body = opened(data)
        assert read == header
        whole = pieces.add(read, body)
        if whole is not None:
            found += rows_of(read, whole)
    return found


def noise(seed: int, size: int) -> str:
    return Random(seed).randbytes(size // 2).hex()


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([2, 300, 40_000, 900_000]), min_size=1, max_size=12),
    first=st.integers(min_value=1, max_value=2**60),
    step=st.sampled_from([1, 1, 3]),
)
def test_rows_come_back_whole_in_order_and_linked(sizes: list[int], first: int, step: int) -> None:
    rows = [row(first + n * step, noise(n, size)) for n, size in enumerate(sizes)]
    made = sent(rows)
    assert back(made) == rows
    after, after_id = first - 1, "e"
    for header, _ in made:
        if header.piece == 0:
            assert (header.after, header.after_id) == (after, after_id)
        if header.piece == header.pieces - 1:
            after, after_id = header.last, header.last_id
    assert after == rows[-1][0]


def test_many_small_rows_are_cut_into_batches() -> None:
    made = sent([row(n) for n in range(1, 1_301)])
    assert [header.last for header, _ in made] == [500, 1000, 1300]


def test_a_batch_is_no_larger_than_the_city_unpacks_at_once() -> None:
    """However well it can be compressed."""
    size = batches.RAW_MAX // 4
    made = sent([row(n, "x" * size) for n in range(1, 10)])
    assert [header.last for header, _ in made] == [3, 6, 9]
    assert all(header.pieces == 1 for header, _ in made)


def test_only_a_row_alone_goes_in_pieces() -> None:
    """What is several rows, and too large for a message, is halved."""
    rows = [row(n, noise(n, 150_000)) for n in range(1, 9)]
    made = sent(rows)
    assert len(made) > 1
    assert {header.pieces for header, _ in made} == {1}
    assert back(made) == rows


def test_a_row_that_nothing_can_carry_is_named() -> None:
    with pytest.raises(TooLargeError, match="row 7"):
        sent([row(7, "x" * (batches.ROW_MAX + 1))])


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_messages_are_refused_and_never_crash(data: st.DataObject) -> None:
    whole = sent([row(n, noise(n, 200)) for n in range(1, 6)])[0][1]
    at = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "insert", "noise"]))
    if kind == "cut":
        damaged = whole[:at]
    elif kind == "flip":
        bit = data.draw(st.integers(min_value=1, max_value=255))
        damaged = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
    elif kind == "insert":
        damaged = whole[:at] + data.draw(st.binary(min_size=1, max_size=9)) + whole[at:]
    else:
        damaged = data.draw(st.binary(max_size=300))
    try:
        header, body = opened(damaged)
        found = rows_of(header, body)
    except BadMessageError:
        return
    # A header that was changed into another sound one; the rows are those that were sent.
    assert found == [row(n, noise(n, 200)) for n in range(1, 6)]


def head(**changes: object) -> bytes:
    header = sent([row(1)])[0][0]
    told = msgspec.to_builtins(header) | changes
    return msgspec.json.encode(told) + b"\n"


BODY = sent([row(1)])[0][1].partition(b"\n")[2]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "no header"),
        (b"x" * 5_000, "no header"),
        (b"[" * 2_000 + b"\n", "header"),
        (b'{"v":"\xff"}\n', "header"),
        (head(last=0) + BODY, "numbers that cannot be"),
        (head(piece=3, pieces=2) + BODY, "numbers that cannot be"),
        (head(pieces=10_000) + BODY, "header"),
        (head(center="") + BODY, "header"),
        (head(last=2**64) + BODY, "header"),
        (head() + b"x" * (batches.BODY_MAX + 1), "bytes of body"),
    ],
)
def test_headers_that_cannot_be(message: bytes, said: str) -> None:
    with pytest.raises(BadMessageError, match=said):
        opened(message)


def test_a_newer_engines_message_is_told_apart() -> None:
    with pytest.raises(NewerError, match="version 2"):
        opened(head(v=2) + BODY)


def packed(*rows: Numbered) -> bytes:
    return zlib.compress(b"[" + b",".join(map(batches.encoded, rows)) + b"]")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "cut"),
        (BODY[:-3], "cut"),
        (BODY + b"x", "cut"),
        (zlib.compress(b"[" + b" " * (batches.ROW_MAX + 10)), "cut, or too large"),
        (zlib.compress(b"[]"), "0 rows"),
        (packed(row(1, center="yug")), "not 'sever'"),
        (packed(row(2)), "ends with row 2"),
        (packed(row(1), row(1)), "row 1 after row 1"),
        (packed((1, row(1)[1]._replace(event_id="other"))), "ends with row 1"),
        (packed((1, row(1)[1]._replace(ts_us=-1))), "rows"),
        (packed((1, row(1)[1]._replace(role="both"))), "rows"),  # type: ignore[arg-type]
    ],
)
def test_rows_that_are_not_what_the_header_says(body: bytes, said: str) -> None:
    header, _ = opened(head() + BODY)
    with pytest.raises(BadMessageError, match=said):
        rows_of(header, body)


def test_pieces_out_of_order_are_refused_and_the_next_whole_row_is_taken() -> None:
    made = sent([row(1, os.urandom(900_000).hex())])
    assert len(made) >= 3
    pieces = Pieces()
    parts = [opened(data) for _, data in made]
    with pytest.raises(BadMessageError, match="alone"):
        pieces.add(*parts[1])
    pieces.add(*parts[0])
    with pytest.raises(BadMessageError, match="alone"):
        pieces.add(msgspec.structs.replace(parts[1][0], last_id="other"), parts[1][1])
    pieces.add(*parts[0])
    whole, body = opened(sent([row(9)])[0][1])
    assert pieces.add(whole, body) == body
    with pytest.raises(BadMessageError, match="alone"):
        pieces.add(*parts[1])  # Of what came before the whole one nothing is left.
    for *fits, wrong in ((0, 2), (0, 1, 1)):  # One is left out; one comes twice.
        for n in fits:
            assert pieces.add(*parts[n]) is None
        with pytest.raises(BadMessageError, match="alone"):
            pieces.add(*parts[wrong])
    assert back(made)[0][0] == 1
