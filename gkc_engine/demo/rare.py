"""What happens rarely in a city, planned so that every run has all of it. Pure.

The demo's copy of a configuration gets a few numbers, queues and operators for it, and among the
citizens certain ones, chosen by their place and not by luck, meet what most never meet: a line
that is closed, full, or without anybody at work, an announcement in place of a person, a transfer,
a door that is shut to them. What the engine can do to a citizen only when it fails
(``failed_open``, ``system_failed``), or not at all yet (``misdirected``), is not among them.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gkc_engine.config.models import Config
from gkc_engine.demo.tree import Document
from gkc_engine.numbers import normalise
from gkc_engine.pbx.outside import CitizenCall, PhoneAct, PhoneDecision, Press


class Rare(StrEnum):
    """What a planned citizen meets; transfers first, for they take longest."""

    BLIND = "blind"
    """His operator sends him on to the expert, without a word before."""
    ASKED = "asked"
    """His operator asks the shift leader's deputy, and has him back."""
    ATTENDED = "attended"
    """His operator asks the shift leader, then leaves him with her."""
    BLIND_QUEUE = "blind_queue"
    """His operator sends him on to another queue."""
    BLIND_OUTSIDE = "blind_outside"
    """His operator sends him on to a number outside."""
    CALLED = "called"
    """His operator calls somebody outside on his behalf."""
    TIMEOUT = "timeout"
    LEFT = "left"
    """Waits for some time, then gives up."""
    LEFT_AT_ONCE = "left_at_once"
    LEFT_MENU = "left_menu"
    CLOSED = "closed"
    FULL = "full"
    NOBODY = "nobody"
    """Nobody at work: refused at the door."""
    NOBODY_LEFT = "nobody_left"
    """The same, once he is in the line."""
    TOLD = "told"
    """An announcement tells him what he wanted."""
    LISTENS = "listens"
    """Serves himself."""
    BLOCKED = "blocked"
    """Is on the block list (`BLOCKED_NUMBER`): refused at the door."""


SHIFT_LEADER: Final = "demo_lead"
"""On a break for everybody but colleagues who ask: nobody ever serves the queues of her skill."""
DEPUTY: Final = "demo_deputy"
"""The same."""
EXPERT: Final = "demo_expert"
"""Ready, and offered nobody but whom a colleague sends."""
CALLER: Final = "demo_caller"
"""Calls numbers outside all day."""
ON_BREAK: Final = (SHIFT_LEADER, DEPUTY, CALLER)

_PHONES: Final = {SHIFT_LEADER: "291", DEPUTY: "292", EXPERT: "293", CALLER: "294"}
_NAMES: Final = {
    SHIFT_LEADER: ("Громова Н. В.", "старшая смены"),
    DEPUTY: ("Гордеев А. С.", "заместитель старшей смены"),
    EXPERT: ("Чернов Л. А.", "дежурный эксперт"),
    CALLER: ("Власова И. К.", "обзвон"),
}
_LEADS, _SERVES = "demo_leads", "demo_serves"

PATIENCE_S: Final = 8.0
"""``maxwait`` of the shift leader's own line."""

_QUEUES: Final[Mapping[str, dict[str, Any]]] = {
    "demo_reception": {
        "title": "Приём у старшей смены",
        "require": {_LEADS: 1},
        "maxwait": f"{PATIENCE_S:g}s",
    },
    "demo_direct": {"title": "Прямая линия", "require": {_LEADS: 1}, "maxlen": 0},
    "demo_lawyer": {"title": "Юрист", "require": {_LEADS: 1}, "joinempty": "no"},
    "demo_notary": {"title": "Нотариус", "require": {_LEADS: 1}, "leavewhenempty": "yes"},
    "demo_census": {
        "title": "Перепись населения (закончилась)",
        "require": {_LEADS: 1},
        "hours": "demo_over",
    },
}
_NUMBERS: Final = {
    name: f"+7495000001{place}" for place, name in enumerate((*_QUEUES, "demo_news"), start=1)
}

DECISIONS: Final = {
    _PHONES[SHIFT_LEADER]: PhoneDecision(act=PhoneAct.ANSWER, ring_s=0.6, talk_s=5.0),
    _PHONES[DEPUTY]: PhoneDecision(act=PhoneAct.ANSWER, ring_s=0.6, talk_s=5.0),
    _PHONES[EXPERT]: PhoneDecision(act=PhoneAct.ANSWER, ring_s=0.6, talk_s=3.0),
}
"""What these phones always do; they must be there for those who are sent to them."""

BLOCKED_NUMBER: Final = "+79990000099"
"""Of the one citizen whom the demo blocks before anybody calls; no drawn citizen has it."""

CALLER_PHONE: Final = _PHONES[CALLER]

ONE_IN: Final = 120
"""Of so many citizens one meets each kind."""
LEAST: Final = 60
"""Fewer citizens than this meet nothing rare: too much of what they met would be."""
_LAST: Final = 0.85
"""The last of a round comes after this share of it, so that there is time for what follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOut:
    """A call that the caller makes, and when he gives up."""

    number: str
    ring_s: float = 20.0
    hold_s: float = 15.0
    """How long he stays on the line at most: longer than whom he calls."""


CALLS_OUT: Final = (
    CallOut(number="+79000000042"),  # answers
    CallOut(number="+79000000047"),  # busy
    CallOut(number="+79000000044"),  # declines
    CallOut(number="+79000000045"),  # no such number
    CallOut(number="+79000000043", ring_s=2.0),  # rings; he gives up
    CallOut(number="+12025550143"),  # not allowed
    CallOut(number="+79000000043"),  # rings to the end
)
"""The phones outside go by the last digit (``asterisk/templates/outside/extensions.conf.j2``)."""
ON_BEHALF: Final = "+79000000042"

CALLS_OUT_EVERY_S: Final = 60.0


def additions(config: Config) -> dict[str, dict[str, Any]]:
    """Return what the demo adds to a configuration, by section."""
    numbers = {number: {"queue": name} for name, number in _NUMBERS.items() if name in _QUEUES}
    menus: dict[str, Any] = {}
    if config.ivr:
        menus["demo_news"] = {
            "prompt": _something_to_say(config),
            "timeout": "250ms",
            "tries": 1,
            "choices": {"1": {"hangup": True}},
            "on_timeout": {"hangup": True},
        }
        numbers[_NUMBERS["demo_news"]] = {"ivr": "demo_news"}
    return {
        "calendars": {
            "demo_over": {
                "title": "Перепись 2021 года",
                "week": {},
                "dates": {"2021-10-15..2021-11-14": ["08:00-20:00"]},
            }
        },
        "ivr": menus,
        "numbers": numbers,
        "operators": {agent: _operator(agent) for agent in _PHONES},
        "queues": {name: dict(queue) for name, queue in _QUEUES.items()},
        "skills": {_LEADS: "Старшая смены", _SERVES: "Приём обращений"},
    }


def _operator(agent: str) -> dict[str, Any]:
    name, title = _NAMES[agent]
    skills = {_LEADS: 5} if agent in (SHIFT_LEADER, DEPUTY) else {}
    return {"name": name, "title": title, "interface": f"PJSIP/{_PHONES[agent]}", "skills": skills}


def _something_to_say(config: Config) -> str:
    for menu in config.ivr.values():
        for choice in menu.choices.values():
            if choice.article is not None:
                return choice.article
    return next(iter(config.ivr.values())).prompt


def widen(config: Config, document: Document) -> None:
    """Put `additions` into one file of the demo's copy, and allow the codes for transfers.

    Whoever could answer everything so far has a skill for that from now on: the new operators
    have it not, and so are rung by name only.
    """
    for queue in (document.get("queues") or {}).values():
        queue["transfer_codes"] = True
        for asked in (queue, *queue.get("relax", ())):
            if not asked.get("require"):
                asked["require"] = {_SERVES: 1}
    for operator in (document.get("operators") or {}).values():
        operator["skills"] = {**operator.get("skills", {}), _SERVES: 5}
    missing = "pbx" in document  # The one file that there always is takes what has no section.
    for section, entries in additions(config).items():
        if section in document:
            document[section].update(entries)
        elif missing and entries and not getattr(config, section):
            document[section] = entries


def places(count: int) -> dict[int, Rare]:
    """Return which of ``count`` citizens meet what: each kind once in each round of `ONE_IN`."""
    rounds = count // ONE_IN or int(count >= LEAST)
    found: dict[int, Rare] = {}
    for n in range(rounds):
        first, end = n * count // rounds, (n + 1) * count // rounds
        step = (end - first) * _LAST / len(Rare)
        found |= {first + round(at * step): kind for at, kind in enumerate(Rare, start=1)}
    return found


def place_of(n: int) -> Rare | None:
    """Return what the ``n``-th citizen of a run without an end meets, from 0."""
    return places(ONE_IN).get(n % ONE_IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The ways that planned citizens take; digits are pressed after the number."""

    anybody: tuple[str, str]
    """Number and digits to the queue that most operators may serve."""
    article: tuple[str, str, float] | None
    """Number and digits to what is read out, and how long that takes, in seconds."""
    menu: str | None
    """A number with a menu."""
    other_queue: str
    """A number by which an operator sends a citizen to another queue."""


def planned(kind: Rare, drawn: CitizenCall, ways: Ways, rng: random.Random) -> CitizenCall:
    """Return the call of a citizen who meets ``kind``.

    Its id is that of ``drawn``, and so is his number but for who is blocked.
    """
    errand = _errand(kind, ways.other_queue)
    if errand is not None:
        number, digits = ways.anybody
        return dataclasses.replace(
            drawn,
            number=number,
            presses=_presses(digits, rng),
            patience_s=24.0,
            talk_s=15.0,  # Longer than any errand; whom he is sent to may leave the end to him.
            after_s=12.0,
            ring_s=24.0,
            errand=errand,
        )
    stays = dataclasses.replace(drawn, presses=(), patience_s=20.0, ring_s=20.0, after_s=1.0)
    match kind:
        case Rare.LEFT_MENU if ways.menu is not None:
            return dataclasses.replace(stays, number=ways.menu, patience_s=1.5)
        case Rare.LISTENS if ways.article is not None:
            number, digits, article_s = ways.article
            patience = article_s + rng.uniform(1.5, 3.0)
            return dataclasses.replace(
                stays, number=number, presses=_presses(digits, rng), patience_s=patience
            )
        case Rare.TOLD if ways.menu is not None:
            press = (Press(after_s=rng.uniform(2.0, 3.0), digits="1"),)
            return dataclasses.replace(stays, number=_NUMBERS["demo_news"], presses=press)
        case Rare.BLOCKED:
            return dataclasses.replace(stays, number=ways.anybody[0], caller=BLOCKED_NUMBER)
        case Rare.LEFT_AT_ONCE:
            return dataclasses.replace(stays, number=_NUMBERS["demo_reception"], patience_s=1.5)
        case Rare.LEFT:
            return dataclasses.replace(stays, number=_NUMBERS["demo_reception"], patience_s=6.5)
        case Rare.TIMEOUT | Rare.CLOSED | Rare.FULL | Rare.NOBODY | Rare.NOBODY_LEFT:
            return dataclasses.replace(stays, number=_NUMBERS[_QUEUE_OF[kind]])
        case _:
            return drawn  # No menu in this configuration.


_QUEUE_OF: Final = {
    Rare.TIMEOUT: "demo_reception",
    Rare.CLOSED: "demo_census",
    Rare.FULL: "demo_direct",
    Rare.NOBODY: "demo_lawyer",
    Rare.NOBODY_LEFT: "demo_notary",
}


def _errand(kind: Rare, other_queue: str) -> PhoneDecision | None:
    acts = {
        Rare.BLIND: (PhoneAct.REFER, _PHONES[EXPERT]),
        Rare.BLIND_QUEUE: (PhoneAct.REFER, other_queue),
        Rare.BLIND_OUTSIDE: (PhoneAct.REFER, ON_BEHALF),
        Rare.ASKED: (PhoneAct.ASK_BACK, _PHONES[DEPUTY]),
        Rare.ATTENDED: (PhoneAct.ASK, _PHONES[SHIFT_LEADER]),
        Rare.CALLED: (PhoneAct.CALL_OUT, ON_BEHALF),
    }
    if kind not in acts:
        return None
    act, to = acts[kind]
    return PhoneDecision(act=act, ring_s=1.0, talk_s=2.0, to=to)


def _presses(digits: str, rng: random.Random) -> tuple[Press, ...]:
    return tuple(Press(after_s=rng.uniform(1.2, 2.0), digits=digit) for digit in digits)


def other_queue(config: Config, queue: str) -> str:
    """Return a number that leads an operator's citizen from ``queue`` to another one."""
    e164: Sequence[str] = [
        number.e164
        for number in (
            normalise(text) for text, n in config.numbers.items() if n.queue not in (None, queue)
        )
        if number.e164 is not None
    ]
    return e164[0] if e164 else normalise(next(iter(config.numbers))).e164 or ""
