"""Numbers in words, as a citizen hears them: Russian with gender and case, and English.

Pure text, 0..999 for cardinals, 1..999 for ordinals; ``ValueError`` outside. In Russian
every word of a cardinal is declined, of an ordinal only the last, and the noun follows the last
word of the number (which in 11..14 is not "one".."four").
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

CARDINAL_MAX = 999
ORDINAL_MAX = 999


class Gender(StrEnum):
    """Of the counted noun, or of the person who is called the fifth."""

    MASCULINE = "m"
    FEMININE = "f"
    NEUTER = "n"


class Case(StrEnum):
    """The two cases that announcements need."""

    NOMINATIVE = "nominative"
    GENITIVE = "genitive"


class Noun(NamedTuple):
    """A counted noun: its gender and the forms that numbers ask for."""

    gender: Gender
    one: str
    """Nominative singular: 1 минута."""
    few: str
    """Genitive singular: 2 минуты; also «до одной минуты»."""
    many: str
    """Genitive plural: 5 минут."""


MINUTE = Noun(Gender.FEMININE, "минута", "минуты", "минут")
HOUR = Noun(Gender.MASCULINE, "час", "часа", "часов")
PERSON = Noun(Gender.MASCULINE, "человек", "человека", "человек")
CONTACT = Noun(Gender.NEUTER, "обращение", "обращения", "обращений")

_UNITS: dict[Case, tuple[str, ...]] = {
    Case.NOMINATIVE: (
        *("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"),
        *("десять", "одиннадцать", "двенадцать", "тринадцать", "четырнадцать", "пятнадцать"),
        *("шестнадцать", "семнадцать", "восемнадцать", "девятнадцать"),
    ),
    Case.GENITIVE: (
        *("ноля", "одного", "двух", "трёх", "четырёх", "пяти", "шести", "семи", "восьми"),
        *("девяти", "десяти", "одиннадцати", "двенадцати", "тринадцати", "четырнадцати"),
        *("пятнадцати", "шестнадцати", "семнадцати", "восемнадцати", "девятнадцати"),
    ),
}
_GENDERED: dict[tuple[Gender, Case], dict[int, str]] = {
    (Gender.FEMININE, Case.NOMINATIVE): {1: "одна", 2: "две"},
    (Gender.FEMININE, Case.GENITIVE): {1: "одной"},
    (Gender.NEUTER, Case.NOMINATIVE): {1: "одно"},
}
_TENS: dict[Case, tuple[str, ...]] = {
    Case.NOMINATIVE: (
        *("", "", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят"),
        *("восемьдесят", "девяносто"),
    ),
    Case.GENITIVE: (
        *("", "", "двадцати", "тридцати", "сорока", "пятидесяти", "шестидесяти", "семидесяти"),
        *("восьмидесяти", "девяноста"),
    ),
}
_HUNDREDS: dict[Case, tuple[str, ...]] = {
    Case.NOMINATIVE: (
        *("", "сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот"),
        *("восемьсот", "девятьсот"),
    ),
    Case.GENITIVE: (
        *("", "ста", "двухсот", "трёхсот", "четырёхсот", "пятисот", "шестисот", "семисот"),
        *("восьмисот", "девятисот"),
    ),
}
_ORDINAL_UNITS = (
    *("", "первый", "второй", "третий", "четвёртый", "пятый", "шестой", "седьмой", "восьмой"),
    *("девятый", "десятый", "одиннадцатый", "двенадцатый", "тринадцатый", "четырнадцатый"),
    *("пятнадцатый", "шестнадцатый", "семнадцатый", "восемнадцатый", "девятнадцатый"),
)
_ORDINAL_TENS = (
    *("", "", "двадцатый", "тридцатый", "сороковой", "пятидесятый", "шестидесятый"),
    *("семидесятый", "восьмидесятый", "девяностый"),
)
_ORDINAL_HUNDREDS = (
    *("", "сотый", "двухсотый", "трёхсотый", "четырёхсотый", "пятисотый", "шестисотый"),
    *("семисотый", "восьмисотый", "девятисотый"),
)
_ENGLISH_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_ENGLISH_TENS = (
    *("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
)


def cardinal(n: int, gender: Gender = Gender.MASCULINE, case: Case = Case.NOMINATIVE) -> str:
    """Return 0..999 in Russian words: «двадцать одна», «ста двух»."""
    _check(n, 0, CARDINAL_MAX)
    hundreds, rest = divmod(n, 100)
    tens, units = divmod(rest, 10) if rest >= 20 else (0, rest)
    words = [_HUNDREDS[case][hundreds], _TENS[case][tens]]
    if units or n == 0:
        words.append(_GENDERED.get((gender, case), {}).get(units, _UNITS[case][units]))
    return " ".join(filter(None, words))


def ordinal(n: int, gender: Gender = Gender.MASCULINE) -> str:
    """Return 1..999 as a Russian ordinal in the nominative: «сто двадцать пятый», «третья»."""
    _check(n, 1, ORDINAL_MAX)
    hundreds, rest = divmod(n, 100)
    if rest == 0:
        words = [_ORDINAL_HUNDREDS[hundreds]]
    else:
        tens, units = divmod(rest, 10) if rest >= 20 else (0, rest)
        words = [_HUNDREDS[Case.NOMINATIVE][hundreds]]
        if units:
            words += [_TENS[Case.NOMINATIVE][tens], _ORDINAL_UNITS[units]]
        else:
            words.append(_ORDINAL_TENS[tens])
    if gender is not Gender.MASCULINE:
        words[-1] = _declined_ordinal(words[-1], gender)
    return " ".join(filter(None, words))


def noun_form(n: int, noun: Noun, case: Case = Case.NOMINATIVE) -> str:
    """Return the form of ``noun`` after ``n``: 1 минута, 2 минуты, 5 минут, 21 минута."""
    if n < 0:
        raise ValueError(f"found {n}, expected a number from 0")
    ends_in_one = n % 10 == 1 and n % 100 != 11
    if case is Case.GENITIVE:
        return noun.few if ends_in_one else noun.many
    if ends_in_one:
        return noun.one
    if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14):
        return noun.few
    return noun.many


def counted(n: int, noun: Noun, case: Case = Case.NOMINATIVE) -> str:
    """Return the number with its noun: «двадцать одна минута», «ста одной минуты»."""
    return f"{cardinal(n, noun.gender, case)} {noun_form(n, noun, case)}"


def position_text(n: int, lang: str) -> str:
    """Return «Вы пятый в очереди» / "You are number five in line"; ``n`` from 1 to 999."""
    if lang == "en":
        _check(n, 1, ORDINAL_MAX)
        return f"You are number {english(n)} in line"
    return f"Вы {ordinal(n)} в очереди"


def wait_text(lo_min: int, hi_min: int, lang: str) -> str:
    """Return the range of the expected wait in whole minutes, 0 <= ``lo_min`` < ``hi_min``.

    0..1 is «менее одной минуты», 0..5 «до пяти минут», 1..2 «от одной до двух минут».
    """
    if not 0 <= lo_min < hi_min:
        raise ValueError(f"found a wait of {lo_min}..{hi_min} minutes, expected 0 <= low < high")
    if lang == "en":
        unit = "minute" if hi_min == 1 else "minutes"
        if lo_min > 0:
            return f"from {english(lo_min)} to {english(hi_min)} {unit}"
        return f"{'less than' if hi_min == 1 else 'up to'} {english(hi_min)} {unit}"
    upper = counted(hi_min, MINUTE, Case.GENITIVE)
    if lo_min > 0:
        return f"от {cardinal(lo_min, Gender.FEMININE, Case.GENITIVE)} до {upper}"
    return f"{'менее' if hi_min == 1 else 'до'} {upper}"


def english(n: int) -> str:
    """Return 0..999 in British English words: "one hundred and twenty-one"."""
    _check(n, 0, CARDINAL_MAX)
    hundreds, rest = divmod(n, 100)
    if hundreds:
        head = f"{_ENGLISH_UNITS[hundreds]} hundred"
        return f"{head} and {english(rest)}" if rest else head
    if rest < 20:
        return _ENGLISH_UNITS[rest]
    tens, units = divmod(rest, 10)
    return f"{_ENGLISH_TENS[tens]}-{_ENGLISH_UNITS[units]}" if units else _ENGLISH_TENS[tens]


def _declined_ordinal(word: str, gender: Gender) -> str:
    neuter = gender is Gender.NEUTER
    if word == "третий":
        return "третье" if neuter else "третья"
    return word[:-2] + ("ое" if neuter else "ая")


def _check(n: int, low: int, high: int) -> None:
    if not low <= n <= high:
        raise ValueError(f"found {n}, expected a whole number from {low} to {high}")
