"""Numbers put together from recordings say the same as the whole sentence."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.ivr import fragments
from gkc_engine.ivr.numerals import (
    PERSON,
    Case,
    counted,
    english,
    position_text,
    wait_text,
)

TEXTS = fragments.builtin_texts()


def spoken(names: list[str], lang: str) -> str:
    joined = " ".join(TEXTS[name][lang].rstrip(",") for name in names)
    return joined.rstrip(".").replace("-", " ")


@pytest.mark.parametrize("lang", fragments.LANGUAGES)
def test_every_place_is_said_as_the_sentence(lang: str) -> None:
    for n in range(1, 1000):
        assert spoken(fragments.position_prompts(n), lang) == position_text(n, lang).replace(
            "-", " "
        )


@pytest.mark.parametrize("n", [-1, 0, 1000, 10**9])
def test_a_place_without_words_is_not_said(n: int) -> None:
    assert fragments.position_prompts(n) == []


def test_the_number_of_people_is_said_as_the_sentence() -> None:
    for n in range(1, 1000):
        assert spoken(fragments.count_prompts(n), "ru") == f"В очереди {counted(n, PERSON)}"
        assert spoken(fragments.more_prompts(n), "ru") == (
            f"В очереди более {counted(n, PERSON, Case.GENITIVE)}"
        )
        people = f"{english(n)} {'person' if n == 1 else 'people'}".replace("-", " ")
        assert spoken(fragments.count_prompts(n), "en") == f"Waiting in line: {people}"
        assert spoken(fragments.more_prompts(n), "en") == f"There are more than {people} in line"


def test_nobody_and_too_many() -> None:
    assert spoken(fragments.count_prompts(0), "ru") == "В очереди никого нет"
    assert fragments.more_prompts(1000) == fragments.more_prompts(999)


@pytest.mark.parametrize(
    ("lo", "hi", "russian"),
    [
        (0, 1, "Примерное время ожидания: менее одной минуты"),
        (0, 2, "Примерное время ожидания: до двух минут"),
        (1, 2, "Примерное время ожидания: от одной до двух минут"),
        (2, 3, "Примерное время ожидания: от двух до трёх минут"),
        (10, 15, "Примерное время ожидания: от десяти до пятнадцати минут"),
        (60, 120, "Примерное время ожидания: от шестидесяти до ста двадцати минут"),
        (60, 121, "Примерное время ожидания: более одного часа"),
        (120, 500, "Примерное время ожидания: более двух часов"),
    ],
)
def test_the_wait_is_said(lo: int, hi: int, russian: str) -> None:
    assert spoken(fragments.wait_prompts(lo, hi), "ru") == russian


def test_the_wait_in_english() -> None:
    assert (
        spoken(fragments.wait_prompts(1, 2), "en") == "The expected wait is from one to two minutes"
    )
    assert spoken(fragments.wait_prompts(0, 1), "en") == "The expected wait is less than one minute"


@pytest.mark.parametrize(("lo", "hi"), [(2, 2), (3, 1), (-1, 4), (0, 0), (5, 500)])
def test_a_range_that_means_nothing_is_not_said(lo: int, hi: int) -> None:
    assert fragments.wait_prompts(lo, hi) == []


@settings(deadline=None)
@given(st.integers(0, 119), st.integers(1, 60))
def test_a_widened_range_is_still_true(lo: int, width: int) -> None:
    hi = min(lo + width, 120)
    words = spoken(fragments.wait_prompts(lo, hi), "ru")
    truths = {
        f"Примерное время ожидания: {wait_text(a, b, 'ru')}"
        for a in (0, *fragments.WAIT_LADDER_MIN)
        for b in fragments.WAIT_LADDER_MIN
        if a <= lo and hi <= b
    }
    assert words in truths


def test_every_text_stands_in_both_languages_and_is_used() -> None:
    used: set[str] = set(fragments.SYSTEM_PROMPTS)
    for n in range(1, 1000):
        used.update(
            fragments.position_prompts(n), fragments.count_prompts(n), fragments.more_prompts(n)
        )
    for lo in range(122):
        for hi in range(lo + 1, 140):
            used.update(fragments.wait_prompts(lo, hi))
    assert used == set(TEXTS)
    for by_language in TEXTS.values():
        assert set(by_language) == {"ru", "en"}
        assert re.search("[а-яё]", by_language["ru"])
        assert not re.search("[а-яё]", by_language["en"])
