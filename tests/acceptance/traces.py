"""What SIPp's message traces say: each dialogue as the outside world saw it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.acceptance.sipp import Sipp

_HEAD = re.compile(
    r"^-{20,} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)\nUDP message (sent|received)[^\n]*\n\n",
    re.MULTILINE,
)


@dataclass(slots=True, kw_only=True)
class Dialogue:
    """One INVITE and what became of it; instants in seconds since the epoch."""

    caller: str
    """User part of From."""
    called: str
    """User part of the request URI."""
    external: str
    """``X-GKC-Call``, empty on an operator's leg."""
    invited: float
    answered: float | None = None
    ended: float | None = None
    """The first BYE or CANCEL of either side, or the refusal."""
    cancelled: bool = False
    by_called: bool = False
    """Whether the BYE came from who was called."""
    via: str = ""
    """Of the INVITE: the address of who called."""


def _messages(text: str) -> Iterator[tuple[float, str]]:
    heads = list(_HEAD.finditer(text))
    for i, head in enumerate(heads):
        end = heads[i + 1].start() if i + 1 < len(heads) else len(text)
        at = datetime.strptime(head[1], "%Y-%m-%d %H:%M:%S.%f").astimezone().timestamp()
        yield at, text[head.end() : end]


def _header(message: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*([^\r\n]*)", message, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _sent_by(message: str) -> str:
    return _header(message, "Via").partition(";")[0]


def _user(address: str) -> str:
    found = re.search(r"sips?:([^@;>]+)@", address)
    return found[1] if found else ""


def dialogues(phones: Iterable[Sipp]) -> list[Dialogue]:
    """Return every dialogue that these processes had, in order of their INVITEs."""
    return sorted(
        (d for sipp in phones for d in dialogues_in(_messages(sipp.messages()))),
        key=lambda d: d.invited,
    )


def dialogues_in(messages: Iterable[tuple[float, str]]) -> list[Dialogue]:
    """Return the dialogues of one phone's messages (epoch seconds, text), the oldest first."""
    known: dict[str, Dialogue] = {}
    for at, message in messages:
        _take(known, at, message)
    return list(known.values())


def _take(known: dict[str, Dialogue], at: float, message: str) -> None:
    call_id = _header(message, "Call-ID")
    first = message.split("\n", 1)[0]
    if first.startswith("INVITE "):
        if call_id not in known:
            known[call_id] = Dialogue(
                caller=_user(_header(message, "From")),
                called=_user(first),
                external=_header(message, "X-GKC-Call"),
                invited=at,
                via=_sent_by(message),
            )
        return
    dialogue = known.get(call_id)
    if dialogue is None:
        return
    status = int(first.split(" ")[1]) if first.startswith("SIP/2.0 ") else 0
    if status and _header(message, "CSeq").endswith("INVITE"):
        if 200 <= status < 300 and dialogue.answered is None:
            dialogue.answered = at
        elif status >= 300 and dialogue.ended is None:
            dialogue.ended = at
    elif first.startswith(("BYE ", "CANCEL ")):
        if dialogue.ended is None:
            dialogue.by_called = _sent_by(message) != dialogue.via
        dialogue.ended = at if dialogue.ended is None else dialogue.ended
        dialogue.cancelled = dialogue.cancelled or first.startswith("CANCEL ")


def uniqueids(calls_csv: Path) -> dict[str, set[str]]:
    """Return Asterisk's Uniqueids of each call of ours, from its CDR (userfield = our id)."""
    found: dict[str, set[str]] = {}
    if calls_csv.exists():
        with calls_csv.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file):
                if len(row) >= 11 and row[0]:
                    found.setdefault(row[0], set()).add(row[10])
    return found


def callers_of(legs_csv: Path) -> dict[str, str]:
    """Return each channel's caller number at its start, from the CEL."""
    found: dict[str, str] = {}
    if legs_csv.exists():
        with legs_csv.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file):
                if len(row) >= 6 and row[0] == "CHAN_START":
                    found[row[2]] = row[5]
    return found
