"""Numbers as they are spoken. The tables were written by hand, not by the code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.ivr.numerals import (
    CONTACT,
    HOUR,
    MINUTE,
    PERSON,
    Case,
    Gender,
    cardinal,
    counted,
    english,
    noun_form,
    ordinal,
    position_text,
    wait_text,
)

MASCULINE_ORDINALS = {
    1: "первый",
    2: "второй",
    3: "третий",
    4: "четвёртый",
    5: "пятый",
    7: "седьмой",
    8: "восьмой",
    10: "десятый",
    11: "одиннадцатый",
    12: "двенадцатый",
    19: "девятнадцатый",
    20: "двадцатый",
    21: "двадцать первый",
    30: "тридцатый",
    40: "сороковой",
    43: "сорок третий",
    50: "пятидесятый",
    90: "девяностый",
    99: "девяносто девятый",
    100: "сотый",
    101: "сто первый",
    111: "сто одиннадцатый",
    120: "сто двадцатый",
    121: "сто двадцать первый",
    200: "двухсотый",
    340: "триста сороковой",
    500: "пятисотый",
    999: "девятьсот девяносто девятый",
}
FEMININE_ORDINALS = {
    1: "первая",
    2: "вторая",
    3: "третья",
    5: "пятая",
    6: "шестая",
    11: "одиннадцатая",
    21: "двадцать первая",
    23: "двадцать третья",
    40: "сороковая",
    100: "сотая",
    101: "сто первая",
    111: "сто одиннадцатая",
    121: "сто двадцать первая",
}
MINUTES = {
    0: "ноль минут",
    1: "одна минута",
    2: "две минуты",
    3: "три минуты",
    4: "четыре минуты",
    5: "пять минут",
    10: "десять минут",
    11: "одиннадцать минут",
    12: "двенадцать минут",
    14: "четырнадцать минут",
    20: "двадцать минут",
    21: "двадцать одна минута",
    22: "двадцать две минуты",
    25: "двадцать пять минут",
    101: "сто одна минута",
    102: "сто две минуты",
    111: "сто одиннадцать минут",
    112: "сто двенадцать минут",
    121: "сто двадцать одна минута",
}
MINUTES_GENITIVE = {
    1: "одной минуты",
    2: "двух минут",
    3: "трёх минут",
    4: "четырёх минут",
    5: "пяти минут",
    8: "восьми минут",
    11: "одиннадцати минут",
    21: "двадцати одной минуты",
    40: "сорока минут",
    50: "пятидесяти минут",
    90: "девяноста минут",
    101: "ста одной минуты",
    111: "ста одиннадцати минут",
    121: "ста двадцати одной минуты",
    200: "двухсот минут",
}
PEOPLE_GENITIVE = {
    1: "одного человека",
    2: "двух человек",
    5: "пяти человек",
    11: "одиннадцати человек",
    21: "двадцати одного человека",
    101: "ста одного человека",
}


@pytest.mark.parametrize(("n", "words"), MASCULINE_ORDINALS.items())
def test_ordinals_of_a_person(n: int, words: str) -> None:
    assert ordinal(n) == words


@pytest.mark.parametrize(("n", "words"), FEMININE_ORDINALS.items())
def test_feminine_ordinals(n: int, words: str) -> None:
    assert ordinal(n, Gender.FEMININE) == words


@pytest.mark.parametrize(("n", "words"), MINUTES.items())
def test_minutes(n: int, words: str) -> None:
    assert counted(n, MINUTE) == words


@pytest.mark.parametrize(("n", "words"), MINUTES_GENITIVE.items())
def test_minutes_in_the_genitive(n: int, words: str) -> None:
    assert counted(n, MINUTE, Case.GENITIVE) == words


@pytest.mark.parametrize(("n", "words"), PEOPLE_GENITIVE.items())
def test_people_in_the_genitive(n: int, words: str) -> None:
    assert counted(n, PERSON, Case.GENITIVE) == words


def test_hours_are_masculine() -> None:
    assert [counted(n, HOUR) for n in (1, 2, 5, 21)] == [
        "один час",
        "два часа",
        "пять часов",
        "двадцать один час",
    ]


@pytest.mark.parametrize(
    ("n", "russian", "spoken_english"),
    [
        (1, "Вы первый в очереди", "You are number one in line"),
        (5, "Вы пятый в очереди", "You are number five in line"),
        (21, "Вы двадцать первый в очереди", "You are number twenty-one in line"),
        (
            121,
            "Вы сто двадцать первый в очереди",
            "You are number one hundred and twenty-one in line",
        ),
    ],
)
def test_the_place_in_the_line(n: int, russian: str, spoken_english: str) -> None:
    assert position_text(n, "ru") == russian
    assert position_text(n, "en") == spoken_english


@pytest.mark.parametrize(
    ("lo", "hi", "russian", "spoken_english"),
    [
        (0, 1, "менее одной минуты", "less than one minute"),
        (0, 2, "до двух минут", "up to two minutes"),
        (1, 2, "от одной до двух минут", "from one to two minutes"),
        (2, 5, "от двух до пяти минут", "from two to five minutes"),
        (5, 11, "от пяти до одиннадцати минут", "from five to eleven minutes"),
        (20, 21, "от двадцати до двадцати одной минуты", "from twenty to twenty-one minutes"),
        (
            21,
            25,
            "от двадцати одной до двадцати пяти минут",
            "from twenty-one to twenty-five minutes",
        ),
        (100, 101, "от ста до ста одной минуты", "from one hundred to one hundred and one minutes"),
    ],
)
def test_the_expected_wait(lo: int, hi: int, russian: str, spoken_english: str) -> None:
    assert wait_text(lo, hi, "ru") == russian
    assert wait_text(lo, hi, "en") == spoken_english


@pytest.mark.parametrize(("lo", "hi"), [(2, 2), (3, 2), (-1, 2), (0, 0), (5, 1000)])
def test_an_impossible_range_is_refused(lo: int, hi: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        wait_text(lo, hi, "ru")


@pytest.mark.parametrize("n", [0, -1, 1000])
def test_an_ordinal_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 999"):
        ordinal(n)


@settings(deadline=None)
@given(st.integers(0, 999))
def test_the_noun_agrees_with_the_last_spoken_word(n: int) -> None:
    last = cardinal(n, Gender.FEMININE).split()[-1]
    expected = {"одна": "минута", "две": "минуты", "три": "минуты", "четыре": "минуты"}
    assert noun_form(n, MINUTE) == expected.get(last, "минут")


def test_every_number_has_words_of_its_own() -> None:
    for gender in Gender:
        assert len({ordinal(n, gender) for n in range(1, 1000)}) == 999
        assert len({cardinal(n, gender, Case.GENITIVE) for n in range(1000)}) == 1000


@settings(deadline=None)
@given(st.integers(1, 999), st.sampled_from(list(Gender)))
def test_only_the_last_word_of_an_ordinal_is_one(n: int, gender: Gender) -> None:
    *head, last = ordinal(n, gender).split()
    ending = {
        Gender.MASCULINE: r"(ый|ой|третий)$",
        Gender.FEMININE: r"(ая|третья)$",
        Gender.NEUTER: r"(ое|третье)$",
    }[gender]
    assert re.search(ending, last)
    assert not any(re.search(r"(ый|ой|ая|ое)$", word) for word in head)


def test_contacts_are_neuter() -> None:
    assert [counted(n, CONTACT) for n in (1, 2, 5, 21, 111)] == [
        "одно обращение",
        "два обращения",
        "пять обращений",
        "двадцать одно обращение",
        "сто одиннадцать обращений",
    ]
    assert [ordinal(n, Gender.NEUTER) for n in (1, 3, 40)] == ["первое", "третье", "сороковое"]


def test_english_numbers() -> None:
    assert [english(n) for n in (0, 1, 11, 20, 21, 99, 100, 101, 999)] == [
        "zero",
        "one",
        "eleven",
        "twenty",
        "twenty-one",
        "ninety-nine",
        "one hundred",
        "one hundred and one",
        "nine hundred and ninety-nine",
    ]
