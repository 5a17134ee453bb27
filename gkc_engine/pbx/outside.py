"""The demo's outside world, as AMI actions to its own Asterisk: citizens who call, phones that act.

Each function returns the headers of one action; sending them is the caller's affair. Everything
is decided by the caller beforehand, so that a seeded run repeats itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gkc_engine.errors import ConfigError
from gkc_engine.pbx.model import NAME, NUMBER, check

CALL_HEADER: Final = "X-GKC-Call"
"""The SIP header that carries the outside world's own id of a call."""

TICK_S: Final = 0.25
"""How often a citizen listens whether an operator is there."""

_DIGITS: Final = re.compile(r"[0-9*#]{1,20}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)

Headers = list[tuple[str, str]]
"""One AMI action: header and value, in order; ``Variable`` may come several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Digits, ``after_s`` seconds after the answer or the last digits."""

    after_s: float
    digits: str


class PhoneAct(StrEnum):
    """What an operator's phone does with a call."""

    ANSWER = "answer"
    DECLINE = "decline"
    BUSY = "busy"
    MISS = "miss"
    """Rings and rings."""
    REFER = "refer"
    """Answers, talks, then transfers blindly to ``to``."""
    REDIRECT = "redirect"
    """Forwards (302) to ``to``."""
    ASK = "ask"
    """Answers, talks, asks the colleague ``to`` by ``*2``, then leaves the citizen with him."""
    ASK_BACK = "askback"
    """The same, but has the citizen back (``*1``) and goes on with him."""
    CALL_OUT = "callout"
    """Answers, talks, and calls ``to`` on a second line meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneDecision:
    """How one call at an operator's phone goes."""

    act: PhoneAct
    ring_s: float = 1.0
    talk_s: float = 0
    """After that the operator hangs up; 0 = the citizen does."""
    to: str = ""

    def __str__(self) -> str:
        if self.to:
            check(NUMBER, self.to, "transfer target")
        return f"{self.act.value}/{self.ring_s:.3f}/{self.talk_s:.3f}/{self.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CitizenCall:
    """One call to the city number, with all that the citizen will do."""

    call_id: str
    """Unique; in the SIP header `CALL_HEADER` and in the CDR's userfield."""
    number: str
    """The number dialled."""
    caller: str
    """His own number; unique among calls at one time, for it tells the phones' calls apart."""
    presses: tuple[Press, ...] = ()
    patience_s: float = 60
    """He hangs up so long after his last digit, unless an operator is there."""
    talk_s: float = 0
    """He ends the talk after so long; 0 = the operator does."""
    after_s: float = 60
    """He stays so long when the operator is gone (survey, transfer)."""
    ring_s: float = 60
    """He hangs up so long after dialling, unless anybody (or a machine) answers."""
    errand: PhoneDecision | None = None
    """What the first phone that rings for him does, whatever was decided for the phone."""
    line: str = "city"
    """Which center he calls (``OutsideCenter.line``)."""


def originate_citizen(call: CitizenCall) -> Headers:
    """Return the Originate by which a citizen calls.

    The CDR (``AsteriskProcess.calls_csv``) holds one row for it: id, how far he came
    (``waiting left talked``; empty = never answered), numbers, times, disposition.

    Raises:
        ConfigError: a value cannot stand in a dialplan.
    """
    check(_ID, call.call_id, "call id")
    check(NUMBER, call.number, "number dialled")
    check(NUMBER, call.caller, "citizen's number")
    check(NAME, call.line, "center called")
    variables = {
        f"PJSIP_HEADER(add,{CALL_HEADER})": call.call_id,
        "CDR(userfield)": call.call_id,
        "CITIZEN": call.caller,
        "PRESS": _presses(call.presses),
        "TICKS": str(round(call.patience_s / TICK_S)),
        "TALK": str(round(call.talk_s / TICK_S)),
        "AFTER": str(round(call.after_s / TICK_S)),
    }
    if call.errand is not None:
        variables[f"GLOBAL(ERRAND_{call.caller[-10:]})"] = str(call.errand)
    return [
        ("Action", "Originate"),
        ("ActionID", call.call_id),
        ("ChannelId", call.call_id),
        ("Channel", f"PJSIP/{call.number}@{call.line}"),
        ("Context", "citizen"),
        ("Exten", "s"),
        ("Priority", "1"),
        ("CallerID", f"{call.caller} <{call.caller}>"),
        ("Timeout", str(round(call.ring_s * 1000))),
        ("Async", "true"),
        *(("Variable", f"{name}={value}") for name, value in variables.items()),
    ]


def set_phone(endpoint: str, decisions: Iterable[PhoneDecision]) -> Headers:
    """Return the Setvar of what a phone does with its next calls, one decision each.

    Later calls go by `set_phone_default`. It replaces what was set before.
    """
    check(NAME, endpoint, "phone")
    return _global(f"PHONE_{endpoint}", "-".join(str(d) for d in decisions))


def set_phone_default(decision: PhoneDecision, endpoint: str | None = None) -> Headers:
    """Return the Setvar of what one phone, or every phone, does when nothing else was decided."""
    if endpoint is None:
        return _global("PHONE_DEFAULT", str(decision))
    check(NAME, endpoint, "phone")
    return _global(f"PHONE_DEFAULT_{endpoint}", str(decision))


def dial_from_phone(
    endpoint: str,
    number: str,
    *,
    presses: Iterable[Press] = (),
    hold_s: float = 30,
    ring_s: float = 30,
) -> Headers:
    """Return the Originate by which an operator dials ``number`` (a feature code, a colleague).

    He gives up after ``ring_s`` without an answer, and hangs up ``hold_s`` after the digits.
    """
    check(NAME, endpoint, "phone")
    if re.fullmatch(r"[+*#0-9]{1,40}", number) is None:
        raise ConfigError(f"number dialled: found {number!r}, expected digits, * and #")
    return [
        ("Action", "Originate"),
        ("Channel", f"PJSIP/{number}@op-{endpoint}"),
        ("Context", "dialled"),
        ("Exten", "s"),
        ("Priority", "1"),
        ("Timeout", str(round(ring_s * 1000))),
        ("Async", "true"),
        ("Variable", f"PRESS={_presses(presses)}"),
        ("Variable", f"HOLD={hold_s:.3f}"),
    ]


def register_phone(endpoint: str) -> Headers:
    """Return the action that registers a phone again."""
    check(NAME, endpoint, "phone")
    return [("Action", "PJSIPRegister"), ("Registration", endpoint)]


def unregister_phone(endpoint: str) -> Headers:
    """Return the action by which a phone is gone from the center's registrar."""
    check(NAME, endpoint, "phone")
    return [("Action", "PJSIPUnregister"), ("Registration", endpoint)]


def _presses(presses: Iterable[Press]) -> str:
    items = []
    for press in presses:
        check(_DIGITS, press.digits, "digits")
        items.append(f"{press.after_s:.3f}/{press.digits}")
    return "-".join(items)


def _global(name: str, value: str) -> Headers:
    if len(value) > 900:
        raise ConfigError(f"{name}: {len(value)} characters; an AMI line holds 900 of a value")
    return [("Action", "Setvar"), ("Variable", name), ("Value", value)]
