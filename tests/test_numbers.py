from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkc_engine.numbers import EMERGENCY_NUMBERS, Number, NumberKind, normalise


@pytest.mark.parametrize(
    "raw",
    [
        "+74957777777",
        "84957777777",
        "74957777777",
        "4957777777",
        "+7 (495) 777-77-77",
        "8 (495) 777-77-77",
        "8-495-777-77-77",
        " 8.495.777.77.77 ",
        "+7\u00a0495\u00a0777\u00a077\u00a077",
    ],
)
def test_spellings_of_one_number(raw: str) -> None:
    number = normalise(raw)
    assert (number.e164, number.kind) == ("+74957777777", NumberKind.E164)
    assert number.raw == raw


@pytest.mark.parametrize(
    ("raw", "e164"),
    [
        ("+4930901820", "+4930901820"),
        ("8104930901820", "+4930901820"),
        ("88001002030", "+78001002030"),
        ("+79161234567", "+79161234567"),
        ("+375172000000", "+375172000000"),
    ],
)
def test_other_numbers(raw: str, e164: str) -> None:
    assert normalise(raw).e164 == e164


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (None, NumberKind.EMPTY),
        ("", NumberKind.EMPTY),
        ("  ", NumberKind.EMPTY),
        ("anonymous", NumberKind.ANONYMOUS),
        ("Anonymous@anonymous.invalid", NumberKind.ANONYMOUS),
        ("unknown", NumberKind.ANONYMOUS),
        ("112", NumberKind.SHORT),
        ("101", NumberKind.SHORT),
        ("104", NumberKind.SHORT),
        ("600", NumberKind.SHORT),
        ("7777777", NumberKind.JUNK),
        ("+112", NumberKind.JUNK),
        ("+7495777777777777", NumberKind.JUNK),
        ("+7495q777777", NumberKind.JUNK),
        ("8 800 PASSPORT", NumberKind.JUNK),
        ("٨٤٩٥٧٧٧٧٧٧٧", NumberKind.JUNK),
        ("84957777777\r\nAction: Originate", NumberKind.JUNK),
        ("${CHANNEL}", NumberKind.JUNK),
        ('"><script>', NumberKind.JUNK),
        ("8" * 1024, NumberKind.JUNK),
        ("\ud800", NumberKind.JUNK),
        ("0", NumberKind.JUNK),
    ],
)
def test_what_has_no_e164_form(raw: str | None, kind: NumberKind) -> None:
    number = normalise(raw)
    assert (number.e164, number.kind) == (None, kind)
    assert number.raw == (raw or "")


def test_zeros_behind_a_country_code_are_no_number() -> None:
    assert normalise("+43000000") == Number("+43000000", None, NumberKind.JUNK)


def test_emergency_numbers_are_short() -> None:
    assert {normalise(n).kind for n in EMERGENCY_NUMBERS} == {NumberKind.SHORT}


@given(st.one_of(st.text(max_size=80), st.from_regex(r"\A\+?[0-9 ()-]{0,20}\Z")))
def test_e164_is_well_formed_and_stays_itself(raw: str) -> None:
    number = normalise(raw)
    assert number.raw == raw
    assert (number.e164 is not None) == (number.kind is NumberKind.E164)
    if number.e164 is not None:
        assert number.e164[0] == "+"
        assert number.e164[1:].isascii()
        assert number.e164[1:].isdigit()
        assert len(number.e164) <= 18
        assert normalise(number.e164).e164 == number.e164
