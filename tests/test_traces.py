"""Who ended a call, as the trials read it from a phone's own trace."""

from __future__ import annotations

import pytest

from tests.acceptance.traces import dialogues_in

ASTERISK, PHONE = "127.0.0.1:5060", "127.0.0.1:6060"


def message(first: str, via: str) -> str:
    lines = (first, f"Via: SIP/2.0/UDP {via};branch=z9hG4bK1", "From: <sip:+7900@x>", "Call-ID: a")
    return "\r\n".join((*lines, f"CSeq: 1 {first.split()[0]}", "", ""))


@pytest.mark.parametrize(("bye_from", "by_called"), [(ASTERISK, False), (PHONE, True)])
def test_the_first_bye_tells_who_hung_up(bye_from: str, by_called: bool) -> None:
    other = PHONE if bye_from == ASTERISK else ASTERISK
    (found,) = dialogues_in(
        [
            (1.0, message("INVITE sip:101@x SIP/2.0", ASTERISK)),
            (2.0, message(f"BYE sip:{bye_from} SIP/2.0", bye_from)),
            (2.1, message(f"BYE sip:{other} SIP/2.0", other)),
        ]
    )
    assert (found.ended, found.by_called) == (2.0, by_called)
