"""Whether a number may be dialled now (allow list, night), and what a Dial's end means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from gkc_engine.acd import events as ev
from gkc_engine.acd.caps import CENTER_CAP, OPERATOR_CAP
from gkc_engine.acd.outbound import LOGGED_OUT
from gkc_engine.ids import SECOND, Instant

NO_NUMBER: Final = "no_number"
NOT_ALLOWED: Final = "not_allowed"
NIGHT: Final = "night"

_PROMPTS: Final = {
    NIGHT: "outbound-night",
    OPERATOR_CAP: "outbound-cap",
    CENTER_CAP: "outbound-cap",
    LOGGED_OUT: "outbound-logged-out",
}

_WORDS: Final = {
    NOT_ALLOWED: ("Номер не разрешён", "Number not allowed"),
    NIGHT: ("Ночью не соединяем", "Not at night"),
    OPERATOR_CAP: ("Лимит звонков исчерпан", "Too many calls"),
    CENTER_CAP: ("Все линии заняты", "All lines are busy"),
}

_CAUSES: Final = {
    17: ev.OutboundFailure.BUSY,
    18: ev.OutboundFailure.NO_ANSWER,
    19: ev.OutboundFailure.NO_ANSWER,
    21: ev.OutboundFailure.DECLINED,
}
"""Q.850: user busy, no user responding, no answer, call rejected."""

_STATUSES: Final = {
    "BUSY": ev.OutboundFailure.BUSY,
    "NOANSWER": ev.OutboundFailure.NO_ANSWER,
}


def prompt_for(reason: str) -> str:
    """Return the prompt that tells an operator why a number is not called."""
    return _PROMPTS.get(reason, "outbound-not-allowed")


def word_for(reason: str, language: str) -> str:
    """Return what a phone's display says of it, when the citizen comes back for it."""
    ru, en = _WORDS.get(reason, _WORDS[NOT_ALLOWED])
    return ru if language == "ru" else en


def failure_of(status: str, cause: int) -> ev.OutboundFailure:
    """Return why a Dial came to nothing, from DIALSTATUS and the Q.850 cause."""
    if status == "NOANSWER":  # the ring's time was over; the cause is our own cancelling
        return ev.OutboundFailure.NO_ANSWER
    unreachable = ev.OutboundFailure.UNREACHABLE
    return _CAUSES.get(cause) or _STATUSES.get(status, unreachable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """When citizens are not called: minutes of the local day; past midnight if ``from > to``."""

    from_min: int
    to_min: int
    allow: tuple[str, ...] = ()

    def covers(self, minute: int) -> bool:
        """Whether a minute of the local day lies in the night; its end does not."""
        if self.from_min < self.to_min:
            return self.from_min <= minute < self.to_min
        return minute >= self.from_min or minute < self.to_min


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRules:
    """What ``outbound:`` of the config says of calls out; prefixes are E.164."""

    allow: tuple[str, ...]
    deny: tuple[str, ...]
    dial: str
    caller_id: str
    ring_s: int
    max_s: int
    night: Night | None
    zone: ZoneInfo
    record: bool = False
    """Whether talks are recorded as sound."""

    def barred(self, number: str | None, now: Instant) -> str:
        """Return why ``number`` (E.164, ``None``: it has no such form) is barred; empty: it is not.

        The first that applies: no number, not allowed, night in the center's zone.
        """
        if number is None:
            return NO_NUMBER
        if not number.startswith(self.allow) or number.startswith(self.deny):
            return NOT_ALLOWED
        if self.night is None or number.startswith(self.night.allow):
            return ""
        local = datetime.fromtimestamp(now / SECOND, tz=UTC).astimezone(self.zone)
        return NIGHT if self.night.covers(local.hour * 60 + local.minute) else ""

    def dial_string(self, number: str) -> str:
        """Return what Dial is told for a number in E.164: digits and a plus, nothing else."""
        assert number[:1] == "+", number
        assert number[1:].isascii(), number
        assert number[1:].isdecimal(), number
        return self.dial.format(number=number, digits=number[1:])
