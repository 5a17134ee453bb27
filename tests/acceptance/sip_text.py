"""SIP messages (RFC 3261) and their SDP (RFC 4566) as text: what a phone played by hand writes."""

from __future__ import annotations

import hashlib
import re

from tests.acceptance.stream import EVENTS, PCMA

Headers = dict[str, str]


def parse(data: bytes) -> tuple[str, Headers, str]:
    """Return first line, headers by lower-case name (all ``Via`` in one) and body."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    headers: Headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        both = key == "via" and key in headers
        headers[key] = f"{headers[key]}\r\nVia: {value.strip()}" if both else value.strip()
    return first, headers, body


def request(line: str, via: str, *headers: str, extra: str = "", body: str = "") -> str:
    """Return a request: ``METHOD URI``, ``HOST:PORT;branch=…``, headers, whole lines, SDP."""
    fields = (f"Via: SIP/2.0/UDP {via};rport", "Max-Forwards: 70", *headers)
    return _message(f"{line} SIP/2.0", *fields, extra=extra, body=body)


def response(
    to: Headers, status: str, tag: str, contact: str, *, extra: str = "", body: str = ""
) -> str:
    """Return the response ``CODE PHRASE`` to the request with the headers ``to``."""
    near = to["to"] if "tag=" in to["to"] else f"{to['to']};tag={tag}"
    fields = [f"Via: {to['via']}", f"From: {to['from']}", f"To: {near}"]
    fields += [f"Call-ID: {to['call-id']}", f"CSeq: {to['cseq']}"]
    fields += [] if "Contact:" in extra else [f"Contact: {contact}"]
    return _message(f"SIP/2.0 {status}", *fields, extra=extra, body=body)


def authorization(
    challenge: Headers, method: str, uri: str, user: str, password: str, cnonce: str
) -> str:
    """Return the header that answers a 401 or 407 (RFC 2617, MD5, ``qop=auth`` or none)."""
    proxy = "proxy-authenticate" in challenge
    asked = challenge["proxy-authenticate" if proxy else "www-authenticate"]
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', asked.partition(" ")[2]))
    key = _md5(f"{user}:{given['realm']}:{password}")
    parts = [given["nonce"], _md5(f"{method}:{uri}")]
    fields = f'username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{uri}"'
    if "qop" in given:
        parts[1:1] = ["00000001", cnonce, "auth"]
        fields += f', qop=auth, nc=00000001, cnonce="{cnonce}"'
    if "opaque" in given:
        fields += f', opaque="{given["opaque"]}"'
    name = "Proxy-Authorization" if proxy else "Authorization"
    answer = _md5(":".join([key, *parts]))
    return f'{name}: Digest {fields}, response="{answer}", algorithm=MD5\r\n'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _message(*lines: str, extra: str, body: str) -> str:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return "\r\n".join(lines) + f"\r\n{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}"


def sdp(host: str, port: int, version: int, mode: str) -> str:
    """Return an offer or answer of PCMA and telephone events; ``mode``: ``sendrecv`` and so on."""
    return (
        f"v=0\r\no=x 1 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {PCMA} {EVENTS}\r\na=rtpmap:{PCMA} PCMA/8000\r\n"
        f"a=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-16\r\na={mode}\r\n"
    )


def media_of(body: str) -> tuple[str, int] | None:
    """Return where an SDP wants its RTP."""
    host, port = re.search(r"c=IN IP4 (\S+)", body), re.search(r"m=audio (\d+)", body)
    return (host[1], int(port[1])) if host and port else None


def escaped(call_id: str, to_tag: str, from_tag: str) -> str:
    """Return a dialogue as the value of ``Replaces`` within a URI (RFC 3891)."""
    dialogue = f"{call_id};to-tag={to_tag};from-tag={from_tag}"
    return dialogue.replace("@", "%40").replace(";", "%3B").replace("=", "%3D")


def address(headers: Headers) -> str:
    """Return the URI of ``Contact``; empty when there is none."""
    found = re.search(r"<([^>]+)>", headers.get("contact", ""))
    return found[1] if found else ""


def tag_of(near_or_far: str) -> str:
    """Return the tag of a ``From`` or ``To``; empty when there is none."""
    found = re.search(r"tag=([^;\s]+)", near_or_far)
    return found[1] if found else ""
