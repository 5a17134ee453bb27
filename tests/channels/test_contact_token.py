"""The contact token: what it says comes back, and nothing that nobody signed does."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gkc_engine.channels.phone.contact_token import ContactToken, TokenError, TokenSigner
from gkc_engine.ids import ContactId, Micros

SIGNER = TokenSigner("the-key-of-a-city")
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)
IDS = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
TOKENS = st.builds(
    ContactToken,
    reservation_id=IDS.map(ContactId),
    owner=NAMES,
    donor=NAMES,
    left_us=st.integers(0, 999_999).map(lambda ms: Micros(ms * 1000)),
)


@given(TOKENS)
def test_it_comes_back_as_it_was_and_fits_into_a_header(token: ContactToken) -> None:
    text = SIGNER.sign(token)
    assert SIGNER.read(text) == token
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text)


@given(TOKENS, st.data())
def test_nobody_changes_a_word_of_it(token: ContactToken, data: st.DataObject) -> None:
    text = SIGNER.sign(token)
    said = text.rpartition(".")[0]
    at = data.draw(st.integers(0, len(said) - 1))
    other = data.draw(st.sampled_from("abcXYZ019._-").filter(lambda c: c != text[at]))
    with pytest.raises(TokenError):
        SIGNER.read(text[:at] + other + text[at + 1 :])


@given(st.text(max_size=300))
@example("r1.centr.sever.5.\udcff")  # A byte of no encoding, as the socket hands it on.
def test_whatever_comes_is_refused_in_one_of_a_few_words(text: str) -> None:
    with pytest.raises(TokenError) as refused:
        SIGNER.read(text)
    assert refused.value.reason in ("missing", "malformed", "forged")


def test_another_citys_key_opens_nothing() -> None:
    token = ContactToken(
        reservation_id=ContactId("r1"), owner="centr", donor="sever", left_us=Micros(5)
    )
    with pytest.raises(TokenError, match="forged"):
        TokenSigner("the-key-of-another-city").read(SIGNER.sign(token))
    assert "r1" not in str(TokenError("forged"))
