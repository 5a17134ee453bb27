"""How values and stretches of time read, letter by letter."""

from __future__ import annotations

from datetime import date

import pytest

from gkc_engine.reports.model import Language, Unit
from gkc_engine.reports.wording import by_percent, difference, goal, month, shown, stretch
from tests.reports.support import MOSCOW, instant

RU, EN = Language.RU, Language.EN


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u2212", "-")


@pytest.mark.parametrize(
    ("value", "unit", "russian", "english"),
    [
        (1234567, Unit.COUNT, "1 234 567", "1,234,567"),
        (0.7999, Unit.SHARE, "79,9 %", "79.9%"),  # Cut off: the goal of 80 % is missed.
        (1.0, Unit.SHARE, "100,0 %", "100.0%"),
        (59.99, Unit.SECONDS, "0:59", "0:59"),
        (3661, Unit.SECONDS, "1:01:01", "1:01:01"),
        (1234.5, Unit.HOURS, "1 234 ч", "1,234 h"),
        (None, Unit.SHARE, "–", "–"),
        ("2026-11-23T07:00:00.000000Z", Unit.MOMENT, "2026-11-23 10:00:00", "2026-11-23 10:00:00"),
    ],
)
def test_values(value: object, unit: Unit, russian: str, english: str) -> None:
    assert plain(shown(value, unit, RU, MOSCOW)) == russian
    assert plain(shown(value, unit, EN, MOSCOW)) == english


@pytest.mark.parametrize(
    ("new", "old", "unit", "said"),
    [
        (0.8425, 0.7139, Unit.SHARE, "+12,9 п.п."),  # 84,2 less 71,3
        (0.7139, 0.8425, Unit.SHARE, "-12,9 п.п."),
        (7.9, 9.1, Unit.SECONDS, "-0:02"),  # 0:07 less 0:09
        (2412, 1044, Unit.COUNT, "+1 368"),
        (5, 5, Unit.COUNT, "0"),
        (None, 5, Unit.COUNT, "–"),
    ],
)
def test_a_difference_is_that_of_what_is_shown(
    new: float | None, old: float, unit: Unit, said: str
) -> None:
    assert plain(difference(new, old, unit, RU)) == said


@pytest.mark.parametrize(
    ("since", "until", "russian", "english"),
    [
        ("2026-11-23", "2026-11-24", "23 ноября 2026 г.", "23 November 2026"),
        ("2026-11-16", "2026-11-23", "16–22 ноября 2026 г.", "16–22 November 2026"),
        (
            "2026-11-30",
            "2026-12-07",
            "30 ноября – 6 декабря 2026 г.",
            "30 November – 6 December 2026",
        ),
        (
            "2026-12-31T10:00",
            "2026-12-31T12:30",
            "31 декабря 2026 г., 10:00–12:30",
            "31 December 2026, 10:00–12:30",
        ),
    ],
)
def test_stretches_of_time(since: str, until: str, russian: str, english: str) -> None:
    for language, said in ((RU, russian), (EN, english)):
        assert plain(stretch(instant(since), instant(until), language, MOSCOW)) == said


def test_goals_months_and_ratios() -> None:
    assert [plain(goal(of, RU)) for of in (0.8, 0.855)] == ["80 %", "85,5 %"]
    assert plain(month(date(2026, 5, 1), RU)) == "май 2026 г."
    assert [plain(by_percent(ratio, RU)) for ratio in (1.18, 0.82, 2.0)] == [
        "18 %",
        "18 %",
        "100 %",
    ]
