"""The prompts that the engine itself says, and how a number is put together from them.

Names with a slash (``numbers/…``) cannot collide with the config's prompts. A place up to 20 is
one recording, since a whole sentence sounds best; others are two or three, «Вы двадцать» +
«пятый в очереди»: all of them as whole sentences would be another 20 MB. A wait is «Примерное
время ожидания: от одной» + «до двух минут».
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gkc_engine.ivr.numerals import (
    MINUTE,
    PERSON,
    Case,
    Gender,
    cardinal,
    counted,
    english,
    ordinal,
    position_text,
)

LANGUAGES: Final = ("ru", "en")
POSITION_MAX: Final = 999
WAIT_LADDER_MIN: Final = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120)
"""The whole minutes in which waits are told; finer steps would promise what nobody knows."""

SYSTEM_PROMPTS: Final[Mapping[str, Mapping[str, str]]] = {
    "hold-please": {
        "ru": "Все операторы сейчас заняты. Пожалуйста, оставайтесь на линии, "
        "вам обязательно ответят.",
        "en": "All operators are busy now. Please hold the line, your call will be answered.",
    },
    "recording-notice": {
        "ru": "В целях повышения качества обслуживания разговор записывается.",
        "en": "This call is recorded to improve the quality of service.",
    },
    "closed": {
        "ru": "Здравствуйте! Вы позвонили в нерабочее время. "
        "Пожалуйста, перезвоните нам в рабочие часы.",
        "en": "Hello! Our office is closed now. Please call again during working hours.",
    },
    "full": {
        "ru": "К сожалению, сейчас слишком много звонков, и мы не можем принять ваш. "
        "Пожалуйста, перезвоните позже.",
        "en": "We are sorry, there are too many calls now and we cannot take yours. "
        "Please call again later.",
    },
    "timed-out": {
        "ru": "К сожалению, все операторы по-прежнему заняты. Пожалуйста, перезвоните позже.",
        "en": "We are sorry, all operators are still busy. Please call again later.",
    },
    "unstaffed": {
        "ru": "К сожалению, сейчас нет операторов, которые могли бы вам помочь. "
        "Пожалуйста, перезвоните позже.",
        "en": "We are sorry, there is no operator now who could help you. Please call again later.",
    },
    "blocked": {
        "ru": "Вызовы с этого номера временно не принимаются. Напишите нам или обратитесь лично.",
        "en": "Calls from this number are not taken for the time being. "
        "Please write to us or come in person.",
    },
    "emergency-closed": {
        "ru": "По техническим причинам приём звонков временно приостановлен. "
        "Приносим свои извинения.",
        "en": "For technical reasons we cannot take calls at the moment. We apologize.",
    },
    "emergency-moved": {
        "ru": "Приём звонков на этой линии временно приостановлен. Вам ответит другой оператор, "
        "пожалуйста, оставайтесь на линии, ваше место в очереди сохранено.",
        "en": "This line is closed for the moment. Another operator will answer you, "
        "please hold the line, you keep your place.",
    },
    "media-lost": {
        "ru": "Извините, связь с оператором прервалась. Вам ответит первый освободившийся "
        "оператор, пожалуйста, оставайтесь на линии.",
        "en": "We are sorry, the connection with the operator was lost. The next free operator "
        "will answer you, please hold the line.",
    },
    "place-changed": {
        "ru": "Приняты срочные вызовы, поэтому ваше место в очереди изменилось.",
        "en": "Urgent calls have come in, so your place in line has changed.",
    },
    "invalid-choice": {
        "ru": "Такого пункта нет.",
        "en": "There is no such option.",
    },
    "no-choice": {
        "ru": "Вы ничего не выбрали.",
        "en": "You have not made a choice.",
    },
    "goodbye": {
        "ru": "Спасибо за звонок. До свидания!",
        "en": "Thank you for your call. Goodbye!",
    },
    "agent-logged-in": {"ru": "Вы вошли в систему.", "en": "You are logged in."},
    "agent-logged-out": {"ru": "Вы вышли из системы.", "en": "You are logged out."},
    "agent-paused": {"ru": "Перерыв.", "en": "You are on a break."},
    "agent-ready": {"ru": "Вы готовы принимать звонки.", "en": "You are ready to take calls."},
    "agent-enter-number": {
        "ru": "Введите номер оператора и решётку.",
        "en": "Enter your operator number and the hash key.",
    },
    "agent-enter-pin": {
        "ru": "Введите пароль и решётку.",
        "en": "Enter your PIN and the hash key.",
    },
    "agent-enter-code": {
        "ru": "Введите код результата и решётку.",
        "en": "Enter the result code and the hash key.",
    },
    "agent-stored": {"ru": "Принято.", "en": "Stored."},
    "agent-refused": {"ru": "Отказано.", "en": "Refused."},
    "emergency-refused": {
        "ru": "С этого телефона вызвать экстренные службы нельзя. "
        "Наберите сто двенадцать с другого телефона.",
        "en": "Emergency services cannot be reached from this phone. "
        "Please dial one one two from another phone.",
    },
    "outbound-not-allowed": {
        "ru": "На этот номер звонить нельзя.",
        "en": "This number cannot be called.",
    },
    "outbound-night": {
        "ru": "Сейчас ночь. Звонить гражданам нельзя.",
        "en": "It is night. Citizens cannot be called.",
    },
    "outbound-cap": {
        "ru": "Слишком много исходящих звонков. Повторите позже.",
        "en": "Too many outgoing calls. Please try again later.",
    },
    "outbound-logged-out": {
        "ru": "Сначала войдите в систему.",
        "en": "Please log in first.",
    },
    "outbound-unavailable": {
        "ru": "Исходящие звонки сейчас невозможны.",
        "en": "Outgoing calls are not possible now.",
    },
    "waiting-nobody": {"ru": "В очереди никого нет.", "en": "Nobody is waiting."},
    "waiting-count": {"ru": "В очереди", "en": "Waiting in line:"},
}
"""Texts by name and language. An entry of the same name in the config takes its place."""

_TAILS: Final = (*range(1, 21), *range(30, 100, 10))
_TENS: Final = tuple(range(20, 100, 10))
_HUNDREDS: Final = tuple(range(100, 1000, 100))


def number_texts() -> dict[str, dict[str, str]]:
    """Return the text of every number fragment, by name and language."""
    texts = _position_texts() | _people_texts() | _wait_texts()
    return {f"numbers/{name}": by_lang for name, by_lang in texts.items()}


def builtin_texts() -> dict[str, dict[str, str]]:
    """Return every text that the engine may say of its own accord."""
    return {name: dict(by_lang) for name, by_lang in SYSTEM_PROMPTS.items()} | number_texts()


def position_prompts(n: int) -> list[str]:
    """Return the prompts of «Вы пятый в очереди»; none for places outside 1..999."""
    if not 1 <= n <= POSITION_MAX:
        return []
    if n in _TAILS or n % 100 == 0:
        return [f"numbers/position-{n}"]
    if n < 100:
        return [f"numbers/position-{n // 10 * 10}-and", f"numbers/in-line-{n % 10}"]
    return [f"numbers/position-{n // 100 * 100}-and", *_tail(n % 100, "ten", "in-line")]


def count_prompts(n: int) -> list[str]:
    """Return the prompts of «В очереди двадцать один человек», for the operators' ``*47``."""
    if n == 0:
        return ["waiting-nobody"]
    return ["waiting-count", *_number(n, "hundred", "ten", "people")]


def more_prompts(n: int) -> list[str]:
    """Return the prompts of «В очереди более двадцати пяти человек»."""
    return ["numbers/more", *_number(n, "of-hundred", "of-ten", "of-people")]


def wait_prompts(lo_min: int, hi_min: int) -> list[str]:
    """Return the prompts of «Примерное время ожидания: от одной до двух минут».

    Bounds that have no recording are widened to the next that has, so that what is said stays
    true. None for a range that is empty or too wide to mean anything.
    """
    if lo_min < 0 or hi_min <= lo_min:
        return []
    top = WAIT_LADDER_MIN[-1]
    if hi_min > top:
        return [f"numbers/wait-over-{120 if lo_min >= 120 else 60}"] if lo_min >= 60 else []
    hi = min(step for step in WAIT_LADDER_MIN if step >= hi_min)
    lo = max((step for step in WAIT_LADDER_MIN if step <= lo_min), default=0)
    if lo:
        return [f"numbers/wait-from-{lo}", f"numbers/wait-to-{hi}"]
    return ["numbers/wait-under-1"] if hi == 1 else [f"numbers/wait-up-to-{hi}"]


def _number(n: int, hundred: str, ten: str, tail: str) -> list[str]:
    """Return fragments of a counted number; 999 stands for everything above."""
    n = min(n, POSITION_MAX)
    if n <= 0:
        return []
    hundreds, rest = n // 100 * 100, n % 100
    if rest == 0:
        return [f"numbers/{tail}-{hundreds}"]
    parts = _tail(rest, ten, tail)
    if hundreds:
        parts.insert(0, f"numbers/{hundred}-{hundreds}")
    if len(parts) > 1 and parts[-1] == f"numbers/{tail}-1":
        parts[-1] += "-more"  # In English "one person" but "twenty-one people".
    return parts


def _tail(n: int, ten: str, tail: str) -> list[str]:
    if n in _TAILS:
        return [f"numbers/{tail}-{n}"]
    return [f"numbers/{ten}-{n // 10 * 10}", f"numbers/{tail}-{n % 10}"]


def _position_texts() -> dict[str, dict[str, str]]:
    texts = {
        f"position-{n}": {lang: position_text(n, lang) + "." for lang in LANGUAGES}
        for n in (*_TAILS, *_HUNDREDS)
    }
    for n in (*_TENS, *_HUNDREDS):
        texts[f"position-{n}-and"] = {
            "ru": f"Вы {cardinal(n)}",
            "en": f"You are number {english(n)}{' and' if n >= 100 else ''}",
        }
    for n in _TENS:
        texts[f"ten-{n}"] = {"ru": cardinal(n), "en": english(n)}
    for n in _TAILS:
        texts[f"in-line-{n}"] = {
            "ru": f"{ordinal(n)} в очереди.",
            "en": f"{english(n)} in line.",
        }
    return texts


def _people_texts() -> dict[str, dict[str, str]]:
    texts = {"more": {"ru": "В очереди более", "en": "There are more than"}}
    for case, prefix in ((Case.NOMINATIVE, ""), (Case.GENITIVE, "of-")):
        for n in (*_TAILS, *_HUNDREDS):
            texts[f"{prefix}people-{n}"] = {
                "ru": counted(n, PERSON, case) + ".",
                "en": f"{english(n)} {'person' if n == 1 else 'people'}"
                + (" in line." if prefix else "."),
            }
        texts[f"{prefix}people-1-more"] = {
            "ru": counted(1, PERSON, case) + ".",
            "en": "one people" + (" in line." if prefix else "."),
        }
        for n in _HUNDREDS:
            texts[f"{prefix}hundred-{n}"] = {
                "ru": cardinal(n, Gender.MASCULINE, case),
                "en": f"{english(n)} and",
            }
    for n in _TENS:
        texts[f"of-ten-{n}"] = {
            "ru": cardinal(n, Gender.MASCULINE, Case.GENITIVE),
            "en": english(n),
        }
    return texts


def _wait_texts() -> dict[str, dict[str, str]]:
    texts = {
        "wait-under-1": {
            "ru": "Примерное время ожидания: менее одной минуты.",
            "en": "The expected wait is less than one minute.",
        },
        "wait-over-60": {
            "ru": "Примерное время ожидания: более одного часа.",
            "en": "The expected wait is more than one hour.",
        },
        "wait-over-120": {
            "ru": "Примерное время ожидания: более двух часов.",
            "en": "The expected wait is more than two hours.",
        },
    }
    for n in WAIT_LADDER_MIN[:-1]:
        from_words = cardinal(n, Gender.FEMININE, Case.GENITIVE)
        texts[f"wait-from-{n}"] = {
            "ru": f"Примерное время ожидания: от {from_words},",
            "en": f"The expected wait is from {english(n)}",
        }
    for n in WAIT_LADDER_MIN[1:]:
        texts[f"wait-to-{n}"] = {
            "ru": f"до {counted(n, MINUTE, Case.GENITIVE)}.",
            "en": f"to {english(n)} minutes.",
        }
        texts[f"wait-up-to-{n}"] = {
            "ru": f"Примерное время ожидания: до {counted(n, MINUTE, Case.GENITIVE)}.",
            "en": f"The expected wait is up to {english(n)} minutes.",
        }
    return texts
