from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.ivr.agi_protocol import (
    MAX_STRAY_LINES,
    AgiHangup,
    AgiMessage,
    AgiParser,
    AgiReply,
    AgiRequest,
    AgiSyntaxError,
)

STREAMS = Path(__file__).parent / "streams"
HEADER = b"agi_network_script: enter\nagi_uniqueid: 1.1\n\n"


def parse(data: bytes, *, value: bool = False, header: bool = True) -> list[AgiMessage]:
    parser = AgiParser()
    if header:
        parser.feed(HEADER)
    parser.expect_value = value
    return parser.feed(data)


def received(name: str) -> bytes:
    """What Asterisk sent in a recorded session."""
    lines = (STREAMS / name).read_bytes().split(b"\n")
    return b"".join(line[2:] + b"\n" for line in lines if line.startswith(b"< "))


def in_pieces(data: bytes, cuts: list[int]) -> list[AgiMessage]:
    parser = AgiParser()
    parser.expect_value = True
    found: list[AgiMessage] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        found += parser.feed(data[start:end])
    return found


def test_a_recorded_header_is_read() -> None:
    request = in_pieces(received("held_call.txt"), [])[0]
    assert isinstance(request, AgiRequest)
    assert request.path == "/enter"
    assert request.uniqueid == "1795477621.46"
    assert request.channel == "Local/citizen@lab-00000017;1"
    assert request.callerid_num == "+79000000001"
    assert request.callerid_name == "Иванов «Пётр»"
    assert request.dnid == ""
    assert (request.context, request.extension) == ("lab", "gkc")
    assert request.arguments == ()
    assert request.env["agi_version"].startswith("22.10.1")


def test_recorded_replies_are_read() -> None:
    replies = in_pieces(received("held_call.txt"), [])[1:]
    assert replies == [
        AgiReply(200, "0"),
        AgiReply(200, "0"),
        AgiReply(200, "1"),
        AgiReply(200, "1"),
        AgiReply(200, "0"),
        AgiReply(200, "1", "ANSWER"),
        AgiReply(200, "1"),
    ]
    assert in_pieces(received("digits.txt"), [])[-1] == AgiReply(200, "12")


def test_recorded_cuts_leave_only_these_replies() -> None:
    replies = in_pieces(received("cut_prompts.txt"), [])[1:]
    assert replies[:6] == [
        AgiReply(200, "0"),  # ANSWER
        AgiReply(200, "1"),  # SET VARIABLE; nothing of the prompt it cut
        AgiReply(200, "0", None, 4640),  # the second prompt; nothing of the first
        AgiReply(200, "1", "fence-1"),  # nothing of GET DATA
        AgiReply(200, "", "timeout"),
        AgiReply(200, "-1", None, 0),  # no such file
    ]
    assert [reply.code for reply in replies[6:] if isinstance(reply, AgiReply)] == [510, 520, 200]


def test_a_recorded_hangup_stands_between_replies() -> None:
    messages = in_pieces(received("hangup_in_prompt.txt"), [])[2:]
    assert messages[0] == AgiReply(200, "-1")
    assert messages[1] == AgiHangup()
    assert isinstance(messages[3], AgiReply)
    assert messages[3].code == 511
    assert not messages[3].ok
    assert in_pieces(received("lease_over.txt"), [])[-2:] == [AgiHangup(), AgiHangup()]


@given(
    st.sampled_from(["held_call.txt", "cut_prompts.txt", "hangup_in_prompt.txt"]),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_pieces_do_not_matter(name: str, cuts: list[int]) -> None:
    data = received(name)
    assert in_pieces(data, cuts) == in_pieces(data, [])


@pytest.mark.parametrize(
    ("script", "path"),
    [("enter", "/enter"), ("queue/passport", "/queue/passport"), ("", "/"), ("/a?b=1", "/a")],
)
def test_paths(script: str, path: str) -> None:
    (request,) = parse(f"agi_network_script: {script}\n\n".encode(), header=False)
    assert isinstance(request, AgiRequest)
    assert request.path == path


def test_header_values_may_be_any_bytes() -> None:
    (request,) = parse(
        b'agi_calleridname: \xd0\x98\xd0 "\\ ${x}: y\nX-Other: 1\nagi_arg_1: a\nagi_arg_2: b\n\n',
        header=False,
    )
    assert isinstance(request, AgiRequest)
    assert request.callerid_name == 'И\\xd0 "\\ ${x}: y'
    assert request.arguments == ("a", "b")
    assert "X-Other" not in request.env


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\n\n", b"a\n\n"])
def test_what_is_no_agi_is_refused_at_its_first_bytes(data: bytes) -> None:
    with pytest.raises(AgiSyntaxError, match="not a header"):
        AgiParser().feed(data)


@pytest.mark.parametrize(
    "forged",
    [
        b"agi_callerid: 7\nagi_uniqueid: X",  # stands before the real one, or
        b"agi_uniqueid: 1.1\nagi_callerid: 7\nagi_uniqueid: X",  # after it
        b"agi_callerid: 7\nagi_extension: 1\nagi_extension: 2",
        b"agi_calleridname: a\nagi_network_script: feature/login",
    ],
)
def test_a_header_that_the_caller_wrote_too_is_refused(forged: bytes) -> None:
    rest = b"agi_network_script: enter\n" + forged + b"\nagi_uniqueid: 1.1\n\n"
    with pytest.raises(AgiSyntaxError, match="twice"):
        AgiParser().feed(rest)


def test_a_caller_cannot_name_what_asterisk_does_not() -> None:
    forged = b"agi_network_script: enter\nagi_callerid: 7\nHANGUP\nUniqueid: X\nagi_uniqueid: 1.1"
    (request,) = AgiParser().feed(forged + b"\n\n")
    assert isinstance(request, AgiRequest)
    assert (request.uniqueid, request.callerid_num) == ("1.1", "7")


def test_a_header_is_bounded() -> None:
    with pytest.raises(AgiSyntaxError, match="16384"):
        AgiParser().feed(b"agi_" + b"x" * 16384)
    with pytest.raises(AgiSyntaxError, match="16384"):
        AgiParser().feed(b"agi_" + b"x" * 16384 + b"\n\n")


def test_replies_are_bounded() -> None:
    with pytest.raises(AgiSyntaxError, match="65536"):
        parse(b"200 result=1 (" + b"x" * 65536)
    with pytest.raises(AgiSyntaxError, match="65536"):
        parse(b"520-Usage\n" + b"x\n" * 65536)
    with pytest.raises(AgiSyntaxError, match="65536"):
        parse(b"200 result=1 (\n" + b"x\n" * 65536, value=True)


def test_stray_lines_are_left_out_but_not_for_ever() -> None:
    assert parse(b"what\n\n100 result=0 Trying\n200 result=0\n") == [AgiReply(200, "0")]
    with pytest.raises(AgiSyntaxError, match="neither"):
        parse(b"what\n" * (MAX_STRAY_LINES + 1))


def test_a_value_may_hold_line_feeds_and_parentheses() -> None:
    data = b"200 result=1 (a (b)\nHANGUP\n200 result=0 c)\n200 result=0 endpos=7\n"
    # The first line ends in ")": an inner one can not be told from the end.
    assert parse(b"200 result=1 (a (b) c)\n", value=True) == [AgiReply(200, "1", "a (b) c")]
    assert parse(data.replace(b"(b)", b"b"), value=True) == [
        AgiReply(200, "1", "a b\nHANGUP\n200 result=0 c"),
        AgiReply(200, "0", None, 7),
    ]


def test_usage_is_one_reply() -> None:
    (reply,) = parse(b"520-Invalid command syntax.\nUsage\nHANGUP\n520 End of proper usage.\n")
    assert isinstance(reply, AgiReply)
    assert (reply.code, reply.ok) == (520, False)


@given(st.binary(max_size=300))
def test_garbage_after_the_header_never_raises_anything_else(data: bytes) -> None:
    for value in (False, True):
        try:
            messages = parse(data, value=value)
        except AgiSyntaxError:
            continue
        assert all(isinstance(message, AgiReply | AgiHangup) for message in messages)
