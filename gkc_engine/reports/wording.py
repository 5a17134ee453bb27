"""How values read in Russian and in English: numbers, shares, times, dates, differences. Pure.

Shares and times are cut off, never rounded up: 79.96 % of a goal of 80 % is not 80 %. A difference
is that of the two values as they are shown, so that whoever checks it by hand finds the same.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from math import floor
from typing import Any, Final
from zoneinfo import ZoneInfo

from gkc_engine.ids import Instant
from gkc_engine.reports.model import Language, Unit, Verdict
from gkc_engine.reports.periods import day_of
from gkc_engine.statistics.intervals import at, span

NBSP: Final = "\u00a0"
MINUS: Final = "\u2212"
FEW_MARK: Final = "°"
NOTHING: Final = "–"

_MONTHS = (
    *("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября"),
    *("октября", "ноября", "декабря"),
)
_MONTHS_ALONE = (
    *("январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь"),
    *("октябрь", "ноябрь", "декабрь"),
)
_WEEKDAYS = (*("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"),)
_MONTHS_EN = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_WEEKDAYS_EN = (*("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),)

_VERDICTS = {
    Language.RU: {
        Verdict.BETTER: "лучше",
        Verdict.WORSE: "хуже",
        Verdict.MORE: "больше",
        Verdict.LESS: "меньше",
        Verdict.SAME: "так же",
        Verdict.TOO_FEW: "мало данных",
    },
    Language.EN: {
        Verdict.BETTER: "better",
        Verdict.WORSE: "worse",
        Verdict.MORE: "more",
        Verdict.LESS: "less",
        Verdict.SAME: "the same",
        Verdict.TOO_FEW: "too few",
    },
}


def verdict_word(verdict: Verdict, language: Language) -> str:
    """Return the word for what a difference means."""
    return _VERDICTS[language][verdict]


# --- values ---------------------------------------------------------------------------------------


def count(n: int, language: Language) -> str:
    """Return ``12 345`` / ``12,345``."""
    text = f"{abs(n):,}"
    text = text.replace(",", NBSP) if language is Language.RU else text
    return f"{MINUS}{text}" if n < 0 else text


def tenths(n: int, language: Language) -> str:
    """Return ``n`` tenths as ``12,3`` / ``12.3``."""
    whole, rest = divmod(abs(n), 10)
    mark = "," if language is Language.RU else "."
    return f"{MINUS if n < 0 else ''}{count(whole, language)}{mark}{rest}"


def permille(value: float) -> int:
    """Return a share in tenths of a per cent, cut off."""
    return floor(value * 1000 + 1e-9)


def share(value: float, language: Language) -> str:
    """Return ``84,2 %`` / ``84.2%``."""
    return f"{tenths(permille(value), language)}{_percent(language)}"


def _percent(language: Language) -> str:
    return f"{NBSP}%" if language is Language.RU else "%"


def _hours(language: Language) -> str:
    return f"{NBSP}ч" if language is Language.RU else f"{NBSP}h"


def goal(value: float, language: Language) -> str:
    """Return a goal: a whole per cent without its tenths."""
    n = permille(value)
    if n % 10:
        return share(value, language)
    return f"{n // 10}{_percent(language)}"


def duration(seconds: float) -> str:
    """Return ``0:07``, ``12:03``, ``1:00:03``: as every command shows it, whole seconds cut off."""
    text = span(abs(seconds))
    return f"{MINUS}{text}" if seconds <= -1 else text


def shown(value: Any, unit: Unit, language: Language, zone: ZoneInfo) -> str:  # noqa: ANN401
    """Return a value for people."""
    if value is None or value == "":
        return NOTHING
    match unit:
        case Unit.COUNT:
            return count(int(value), language)
        case Unit.SHARE:
            return share(value, language)
        case Unit.SECONDS:
            return duration(value)
        case Unit.HOURS:
            return f"{count(round(value), language)}{_hours(language)}"
        case Unit.MOMENT:
            return datetime.fromisoformat(value).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
        case Unit.TEXT | Unit.BY_ROW:
            if isinstance(value, list):
                return ", ".join(str(one) for one in value) or NOTHING
            return str(value)


def difference(new: float | None, old: float | None, unit: Unit, language: Language) -> str:
    """Return ``+12``, ``−8,4 п.п.``, ``+0:07``: the difference of the values as they are shown."""
    if new is None or old is None:
        return NOTHING
    match unit:
        case Unit.SHARE:
            gap = permille(new) - permille(old)
            points = f"{NBSP}п.п." if language is Language.RU else f"{NBSP}pp"
            text = f"{tenths(gap, language)}{points}"
        case Unit.SECONDS:
            gap = int(new) - int(old)
            text = duration(gap)
        case Unit.HOURS:
            gap = round(new) - round(old)
            text = f"{count(gap, language)}{_hours(language)}"
        case _:
            gap = int(new) - int(old)
            text = count(gap, language)
    return f"+{text}" if gap > 0 else text


def by_percent(ratio: float, language: Language) -> str:
    """Return ``18 %``: by how much a ratio is off 1, to the nearest whole per cent."""
    return f"{round(abs(ratio - 1) * 100)}{_percent(language)}"


# --- dates ----------------------------------------------------------------------------------------


def day(of: date, language: Language, *, year: bool = True) -> str:
    """Return «23 ноября 2026 г.» / ``23 November 2026``."""
    if language is Language.EN:
        return f"{of.day} {_MONTHS_EN[of.month - 1]}{f' {of.year}' if year else ''}"
    text = f"{of.day}{NBSP}{_MONTHS[of.month - 1]}"
    return f"{text} {of.year}{NBSP}г." if year else text


def weekday(of: date, language: Language) -> str:
    """Return the name of the day."""
    return (_WEEKDAYS if language is Language.RU else _WEEKDAYS_EN)[of.weekday()]


def days(first: date, last: date, language: Language) -> str:
    """Return «16–22 ноября 2026 г.», across a month «30 ноября – 6 декабря 2026 г.»."""
    if first == last:
        return day(first, language)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(last, language)}"
    return f"{day(first, language, year=first.year != last.year)} – {day(last, language)}"


def month(first: date, language: Language) -> str:
    """Return «ноябрь 2026 г.» / ``November 2026``."""
    if language is Language.EN:
        return f"{_MONTHS_EN[first.month - 1]} {first.year}"
    return f"{_MONTHS_ALONE[first.month - 1]} {first.year}{NBSP}г."


def moment(of: Instant, language: Language, zone: ZoneInfo) -> str:
    """Return «23 ноября 2026 г., 14:30»."""
    return f"{day(day_of(of, zone), language)}, {at(of).astimezone(zone):%H:%M}"


def stretch(since: Instant, until: Instant, language: Language, zone: ZoneInfo) -> str:
    """Return any stretch of time in words; whole days by their dates."""
    first, last = at(since).astimezone(zone), at(until).astimezone(zone)
    if first.time() == last.time() == time.min:
        return days(first.date(), last.date() - timedelta(days=1), language)
    if first.date() == last.date():
        return f"{day(first.date(), language)}, {first:%H:%M}–{last:%H:%M}"
    return f"{moment(since, language, zone)} – {moment(until, language, zone)}"
