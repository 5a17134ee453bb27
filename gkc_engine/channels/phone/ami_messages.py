"""What goes over AMI, as values: events, replies, errors, header lines, rights. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gkc_engine.errors import PeerError
from gkc_engine.escape import AMI_LINE_BYTES, clean_ami, printable, unescape_c
from gkc_engine.ids import SECOND, Instant

MAX_HEADERS: Final = 100
"""Lines of one action; Asterisk takes 128 (manager.h, ``AST_MAX_MANHEADERS``)."""

BROAD_RIGHTS: Final = frozenset({"command", "system", "config", "all"})
"""Write rights that make an AMI user the owner of the machine (reliability.md, 4)."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_STAMP: Final = re.compile(r"(\d{1,12})\.(\d{1,6})\Z")
_RIGHTS: Final = re.compile(r"\(Priv: ([a-z,]+)\)\s*\Z")
_ESCAPED: Final = ("calleridname", "connectedlinename")

_EVENT: Final = "Event: "
_EOL: Final = "\r\n"

_IDENTIFYING: Final = tuple(
    f"{_EOL}{key}: " for key in ("Uniqueid", "Linkedid", "Channel", "DestUniqueid", "DestChannel")
)
"""What an event tells whose it is by; Asterisk writes each of them once at most."""

Headers = Mapping[str, str | list[str]]
"""Lower-case name to value; a list when a header came several times."""

FieldValue = str | int | Sequence[str] | None
"""A list makes one header line each, ``None`` makes none."""


class AmiDown(PeerError):  # noqa: N818 - a state, not an error
    """There is no usable link now. The action was not sent and will not be."""


class AmiTimeout(PeerError):  # noqa: N818 - named as TimeoutError's like in the field
    """No reply in time. Whether Asterisk did it is not known."""


class AmiRefused(PeerError):  # noqa: N818 - Asterisk's answer, named as it is spoken of
    """Asterisk understood and said no; the text is its ``Message``."""


class AmiTooBroad(PeerError):  # noqa: N818 - as above
    """The AMI user may do more than an engine should be able to."""


class ForgedEvent(ValueError):  # noqa: N818 - what it is, not what went wrong
    """A caller's number or name with line breaks has made headers of its own."""


class AmiEvent:
    """One event or one row of a list, as Asterisk sent it.

    Made of headers, or of the text of a frame (``cut``): then a header is looked for in it when
    it is asked for. Of the 20 to 40 of an event we read five, and most of what an event costs
    was to make a dict of all.
    """

    __slots__ = ("_headers", "_text", "name")

    def __init__(self, headers: Headers, *, cut: str = "") -> None:
        self._headers: Headers | None = None if cut else headers
        self._text = cut
        self.name = cut.partition(_EOL)[0].removeprefix(_EVENT) if cut else self.get("event")
        """The ``Event`` header."""

    def __repr__(self) -> str:
        return f"AmiEvent({self.headers!r})"

    @property
    def headers(self) -> Headers:
        """All of them, in the order of the wire."""
        if self._headers is None:
            self._headers = _cut(self._text)
        return self._headers

    @classmethod
    def of(cls, name: str, **headers: str | list[str]) -> AmiEvent:
        """Build one by hand (tests, simulation)."""
        lowered = {key.lower(): value for key, value in headers.items()}
        return cls({"event": name, **lowered})

    def get(self, key: str) -> str:
        """Return a header, ``""`` when it is missing, the first when it came several times.

        Names of persons arrive C-escaped from Asterisk and are returned un-escaped.
        """
        lowered = key.lower()
        text = self._text
        if text and self._headers is None:
            # As Asterisk writes it; in another case, or not there: looked up among all.
            at = text.find(f"{_EOL}{key}: ")
            if at >= 0:
                begin = at + len(key) + 4
                end = text.find(_EOL, begin)
                found = text[begin:] if end < 0 else text[begin:end]
                return unescape_c(found) if lowered.endswith(_ESCAPED) else found
        value = self.headers.get(lowered, "")
        if not isinstance(value, str):
            value = value[0]
        return unescape_c(value) if lowered.endswith(_ESCAPED) else value

    def bears(self, key: str) -> bool:
        """Whether a header is there, be it empty, in the spelling of Asterisk."""
        if self._text:
            return f"{_EOL}{key}: " in self._text
        return key.lower() in self.headers

    def values(self, key: str) -> list[str]:
        """Return every line of a header, in order."""
        value = self.headers.get(key.lower(), [])
        return [value] if isinstance(value, str) else list(value)

    def variable(self, name: str, prefix: str = "") -> str:
        """Return a variable that ``channelvars`` in manager.conf puts into events.

        ``prefix`` is that of the channel in events of two: ``Dest`` in ``DialBegin``.
        """
        for line in self.values(f"{prefix}ChanVariable"):
            key, _, value = line.partition("=")
            if key == name:
                return value
        return ""

    @property
    def at(self) -> Instant | None:
        """When it happened by Asterisk's clock; ``None`` without ``timestampevents=yes``."""
        found = _STAMP.match(self.get("Timestamp"))
        if found is None:
            return None
        return Instant(int(found[1]) * SECOND + int(found[2].ljust(6, "0")))


def event_of(frame: str) -> AmiEvent | None:
    """Return an event, be it one of a list that was asked for; ``None`` for any other frame.

    Nine of ten frames are such, and what panoramisk makes of a frame (a case-blind dict, a look
    for every quoted key) is most of what an event would cost.

    Raises:
        TypeError: It has two names.
        ForgedEvent: It names twice whose it is: manager events carry a caller's number raw.
    """
    if not frame.startswith(_EVENT):
        return None
    if f"{_EOL}{_EVENT}" in frame:
        raise TypeError("an event with two names")
    for key in _IDENTIFYING:
        if frame.count(key) > 1:
            raise ForgedEvent(f"{frame.partition(_EOL)[0]}: {key.strip()} twice")
    return AmiEvent({}, cut=frame)


def _cut(frame: str) -> dict[str, str | list[str]]:
    headers: dict[str, str | list[str]] = {}
    for line in frame.split(_EOL):
        name, colon, value = line.partition(": ")
        if not colon:
            continue
        key = name.lower()
        known = headers.get(key)
        if known is None:
            headers[key] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            headers[key] = [known, value]
    return headers


@dataclass(frozen=True, slots=True)
class AmiReply:
    """The ``Response`` to one action."""

    headers: Headers

    @property
    def ok(self) -> bool:
        """Whether Asterisk said ``Success`` (``Goodbye`` for Logoff)."""
        return self.get("response") in {"Success", "Goodbye"}

    @property
    def message(self) -> str:
        """What Asterisk says about it, fit for a log line."""
        return printable(self.get("message"))

    def get(self, key: str) -> str:
        """Return a header, ``""`` when it is missing."""
        value = self.headers.get(key.lower(), "")
        return value if isinstance(value, str) else value[0]


def action_fields(name: str, fields: Mapping[str, FieldValue]) -> dict[str, str | list[str]]:
    """Return the header lines of an action, every value cleaned.

    ``Originate`` always gets ``Async: true``: without it Asterisk serves nothing else on the link
    until the phone is answered.

    Raises:
        PeerError: a line is longer than Asterisk reads, or there are too many.
        ValueError: a name of ours is no header name.
    """
    lines: dict[str, str | list[str]] = {"Action": clean_ami(name)}
    for key, value in fields.items():
        if not _NAME.match(key):
            raise ValueError(f"not an AMI header name: {key!r}")
        if value is None:
            continue
        if isinstance(value, str | int):
            lines[key] = clean_ami(value)
        else:
            lines[key] = [clean_ami(item) for item in value]
    if name.lower() == "originate":
        lines = {key: value for key, value in lines.items() if key.lower() != "async"}
        lines["Async"] = "true"
    _check_lengths(name, lines)
    return lines


def _check_lengths(name: str, lines: Mapping[str, str | list[str]]) -> None:
    flat = [
        f"{key}: {item}"
        for key, value in lines.items()
        for item in ([value] if isinstance(value, str) else value)
    ]
    if len(flat) > MAX_HEADERS:
        raise PeerError(f"AMI {name}: {len(flat)} lines, Asterisk takes {MAX_HEADERS}")
    for line in flat:
        size = len(line.encode())
        if size > AMI_LINE_BYTES:
            raise PeerError(f"AMI {name}: a line of {size} bytes: {printable(line, 60)}")


def broad_rights(descriptions: Iterable[str]) -> set[str]:
    """Return which of `BROAD_RIGHTS` an AMI user has, from the reply to ``ListCommands``.

    Asterisk lists a command when the user has *one* of the rights behind ``Priv:``
    (manager.c, ``action_listcommands``; seen on 22.10.1: ``Command: … (Priv: command,all)`` only
    with ``write=command``). So a command all of whose rights are broad proves a broad right; of
    several possible ones all are named, but ``all`` only when nothing else can be meant.
    """
    found: set[str] = set()
    for text in descriptions:
        match = _RIGHTS.search(text)
        rights = set(match[1].split(",")) if match else set()
        if rights and rights <= BROAD_RIGHTS:
            found |= rights - {"all"} or rights
    return found
