"""What a phone played by hand computes. No Asterisk here."""

from __future__ import annotations

from tests.acceptance import sip_text as sip


def test_a_challenge_is_answered_as_in_rfc_2617_section_3_5() -> None:
    challenge = {
        "www-authenticate": (
            'Digest realm="testrealm@host.com", qop="auth,auth-int", '
            'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
        )
    }
    header = sip.authorization(
        challenge, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", "0a4f113b"
    )
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    assert header.startswith('Authorization: Digest username="Mufasa", realm="testrealm@host.com"')
