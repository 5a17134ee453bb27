"""Whole notes, word for word, with the figures reckoned by hand beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
import sqlalchemy as sa

from gkc_engine.reports import note_en, note_ru
from gkc_engine.reports.compare import Causes
from gkc_engine.reports.findings import Day, Findings, Hours, Piece, Side
from gkc_engine.reports.kinds import build
from gkc_engine.reports.model import Language, Note, Verdict
from gkc_engine.reports.order import Order
from gkc_engine.reports.periods import Base, Length, period_of
from gkc_engine.reports.source import Asked
from tests.reports.support import MOSCOW, City, instant

LATER = instant("2026-12-01T09:00")
HARD, EASY = "2026-11-23", "2026-11-16"


def note_of(
    city: City | sa.Engine,
    *,
    day: str = HARD,
    service: str | None = None,
    language: Language = Language.RU,
) -> tuple[str, ...]:
    """The note of a day, in plain blanks."""
    order = Order(
        kind="day",
        asked=Asked(zone=MOSCOW, known=LATER, service=service),
        of=period_of(Length.DAY, instant(day), LATER, MOSCOW),
        length=Length.DAY,
        language=language,
    )
    engine = city.store() if isinstance(city, City) else city
    with engine.connect() as connection:
        report = build(connection, order, lambda _: None)
    if isinstance(city, City):
        engine.dispose()
    (note,) = (part for part in report.parts if isinstance(part, Note))
    return plain(note.sentences)


def plain(sentences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one.replace("\u00a0", " ") for one in sentences)


def city(*, calls: int = 200, late: int = 60, left: int = 40, hours: int = 10) -> City:
    """A week before: 300 answered at once by two operators in ten hours. Then a harder day."""
    made = City()
    made.many(100, f"{EASY}T10:00", "passport", "answered", wait_s=10)
    made.many(100, f"{EASY}T12:00", "housing", "answered", wait_s=10)
    made.many(100, f"{EASY}T14:00", "passport", "answered", wait_s=10)
    made.many(calls - late - left, f"{HARD}T10:00", "passport", "answered", wait_s=20)
    made.many(late, f"{HARD}T10:30", "passport", "answered", wait_s=21)
    made.many(left, f"{HARD}T10:59", "passport", "abandoned", wait_s=100)
    made.many(100, f"{HARD}T12:00", "housing", "answered", wait_s=10)
    made.many(100, f"{HARD}T14:00", "passport", "answered", wait_s=10)
    for agent in ("anna", "boris"):
        made.at_work(agent, f"{EASY}T08:00", f"{EASY}T18:00")
        made.at_work(agent, f"{HARD}T08:00", f"{HARD}T{8 + hours:02d}:00")
    return made


@pytest.fixture(scope="module")
def hard() -> Iterator[sa.Engine]:
    engine = city().store()
    yield engine
    engine.dispose()


def test_a_hard_day(hard: sa.Engine) -> None:
    # 300 of 400 in time; passports 200 of 300: (0.75 + 0.6667) / 2 · −0.3333 + (0.8333 − 0.875)
    # · 0.0833 = −0.2396. From 10 to 11: (0.5 + 0.3333) / 2 · −0.5 + (0.75 − 0.875) · 0.1667
    # = −0.2292. Gave up: 40 of 400.
    assert note_of(hard) == (
        "В очереди поступило 400 обращений — на 33 % больше, чем неделей раньше, 16 ноября (300).",
        "В срок отвечено 75,0 % против 100,0 %: на 25,0 п.п. хуже; цель в 80 % не достигнута.",
        (
            "Больше всего повлияла услуга «Паспорта» (в срок 66,6 % против 100,0 %): "
            "отсюда 23,9 п.п. ухудшения."
        ),
        (
            "Хуже всего было с 10:00 до 11:00 (в срок 50,0 % против 100,0 %): отсюда 22,9 п.п. "
            "ухудшения. В эти часы обращений поступило на 100 % больше, каждое обслуживалось почти "
            "столько же времени, операторы были на линии почти столько же."
        ),
        (
            "Нагрузка на оператора в целом выросла на 33 %: обращений поступило на 33 % больше, "
            "каждое обслуживалось почти столько же времени, операторы были на линии почти "
            "столько же. Главная причина: рост числа обращений."
        ),
        "Не дождались ответа 10,0 % против 0,0 %.",
    )


def test_the_same_day_in_english(hard: sa.Engine) -> None:
    assert note_of(hard, language=Language.EN) == (
        "400 contacts entered the queues, 33% more than a week before, on 16 November (300).",
        "75.0% were answered in time against 100.0%: 25.0 pp worse; the goal of 80% is missed.",
        (
            "Most is due to the service “Паспорта” (66.6% in time against 100.0%): "
            "23.9 pp of the loss."
        ),
        (
            "It was worst from 10:00 to 11:00 (50.0% in time against 100.0%): 22.9 pp of the loss. "
            "In these hours 100% more contacts came, each took about as long, "
            "operators were there about as much."
        ),
        (
            "The load of an operator over all of the time rose by 33%: 33% more contacts came, "
            "each took about as long, operators were there about as much. "
            "Main cause: more contacts."
        ),
        "10.0% gave up, against 0.0%.",
    )


def test_fewer_operators_are_the_cause() -> None:
    # 300 calls both days, 10 hours of operators instead of 20.
    said = note_of(city(calls=100, late=60, left=0, hours=5))
    assert said[0] == (
        "В очереди поступило 300 обращений — почти столько же, сколько неделей раньше, "
        "16 ноября (300)."
    )
    assert said[-1] == (
        "Нагрузка на оператора в целом выросла на 100 %: обращений поступило почти столько же, "
        "каждое обслуживалось почти столько же времени, операторы были на линии на 50 % меньше. "
        "Главная причина: операторов на линии было меньше."
    )


def test_of_one_service_operators_are_not_counted(hard: sa.Engine) -> None:
    said = note_of(hard, service="mvd")
    assert said[-2] == (
        "Объём работы в целом вырос на 50 %: обращений поступило на 50 % больше, каждое "
        "обслуживалось почти столько же времени. Главная причина: рост числа обращений. "
        "Операторы у услуг общие и здесь не посчитаны."
    )


def test_too_few_to_say_anything() -> None:
    made = City()
    made.many(21, f"{HARD}T10:00", "passport", "answered", wait_s=90)
    assert note_of(made) == ("В очереди поступило 21 обращение: этого мало для выводов.",)


def test_nothing_to_compare_with() -> None:
    made = City()
    made.many(2, f"{EASY}T10:00", "passport", "answered")
    made.many(100, f"{HARD}T10:00", "passport", "answered", wait_s=5)
    assert note_of(made) == (
        (
            "В очереди поступило 100 обращений. Сравнить не с чем: неделей раньше, 16 ноября, "
            "было 2 обращения."
        ),
        "В срок отвечено 100,0 %; цель в 80 % достигнута.",
    )


def test_no_contact_at_all() -> None:
    assert note_of(City()) == ("В очереди не поступило ни одного обращения.",)


def test_nothing_has_changed() -> None:
    made = City()
    for day in (HARD, EASY):
        made.many(95, f"{day}T10:00", "passport", "answered", wait_s=5)
        made.many(5, f"{day}T10:00", "passport", "answered", wait_s=50)
    made.many(40, f"{HARD}T10:00", None, "full")
    assert note_of(made) == (
        (
            "В очереди поступило 100 обращений — почти столько же, сколько неделей раньше, "
            "16 ноября (100)."
        ),
        "В срок отвечено 95,0 % против 95,0 %: заметной разницы нет; цель в 80 % достигнута.",
        "Заметных изменений нет.",
        (
            "Не принято на входе (нет мест, закрыто, некому ответить, номер в чёрном списке): "
            "40 обращений."
        ),
    )


# --- wording that those days do not show ----------------------------------------------------------


def side(level: float, hours: float | None = 20.0) -> Side:
    return Side(offered=1000, service_level=level, abandon_rate=0.05, aht_s=100.0, hours=hours)


BETTER = Findings(
    base=Base.WEEK_BEFORE,
    base_day=None,
    whole=True,
    until="14:30",
    new=side(0.9),
    old=side(0.8),
    goal=0.8,
    offered=Verdict.LESS,
    service_level=Verdict.BETTER,
    abandon_rate=Verdict.SAME,
    service=(None, Piece(points=0.06, new=0.95, old=None)),
    hours=Hours(begin=9, end=11, piece=Piece(points=0.12, new=0.9, old=0.7)),
    worst_day=Day(day=date(2026, 11, 24), service_level=0.521),
    causes=Causes(load=0.86, calls=0.9, talks=0.95, operators=1.0),
    failed=21,
    refused=0,
)


def test_a_better_week() -> None:
    found = replace(BETTER, new=replace(BETTER.new, offered=900))
    assert plain(note_ru.sentences(found, "")) == (
        "В очереди поступило 900 обращений — на 10 % меньше, чем неделей раньше (1 000).",
        "В срок отвечено 90,0 % против 80,0 %: на 10,0 п.п. лучше; цель в 80 % достигнута.",
        "Больше всего повлияли обращения без услуги: отсюда 6,0 п.п. улучшения.",
        (
            "Заметнее всего стало лучше с 9:00 до 11:00 (в срок 90,0 % против 70,0 %): "
            "отсюда всё улучшение."
        ),
        "Худший день — 24 ноября: в срок отвечено 52,1 %.",
        (
            "Нагрузка на оператора в целом снизилась на 14 %: обращений поступило на 10 % меньше, "
            "каждое обслуживалось на 5 % короче, операторы были на линии почти столько же. "
            "Главная причина: обращений стало меньше."
        ),
        "Из-за сбоев потеряно 21 обращение.",
    )


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ((2.0, 1.6, 1.25, 1.0), "Главная причина: рост числа обращений."),
        ((2.0, 1.0, 2.0, 1.0), "Главная причина: более долгое обслуживание."),
        ((2.0, 1.0, 1.0, 2.0), "Главная причина: операторов на линии было меньше."),
        # ln 1.2 / ln 2.16 = 0.24, ln 1.5 / … = 0.53; each a third: none is the main one.
        ((2.16, 1.2, 1.5, 1.2), "Главная причина: более долгое обслуживание."),
        (
            (1.728, 1.2, 1.2, 1.2),
            (
                "Причины вместе: рост числа обращений; более долгое обслуживание; "
                "операторов на линии было меньше."
            ),
        ),
        (
            (1.02, 1.02, 1.0, 1.0),
            (
                "почти не изменилась: обращений поступило почти столько же, каждое обслуживалось "
                "почти столько же времени, операторы были на линии почти столько же. "
                "Ухудшение этим не объясняется."
            ),
        ),
        # More calls, but far more operators: the load fell, and that is no cause of worse.
        ((0.8, 1.2, 1.0, 0.667), "Ухудшение этим не объясняется."),
    ],
)
def test_the_cause_is_that_which_made_most_of_the_load(
    factors: tuple[float, float, float, float], said: str
) -> None:
    load, calls, talks, operators = factors
    found = replace(
        BETTER,
        new=side(0.7),
        service_level=Verdict.WORSE,
        causes=Causes(load=load, calls=calls, talks=talks, operators=operators),
    )
    (sentence,) = (s for s in note_ru.sentences(found, "") if s.startswith("Нагрузка"))
    assert sentence.endswith(said)


def test_of_hours_in_which_operators_were_not_counted_nothing_is_said() -> None:
    run = Hours(
        begin=9,
        end=11,
        piece=Piece(points=0.12, new=0.9, old=0.7),
        causes=Causes(load=0.8, calls=0.8, talks=1.0, operators=1.0),
    )
    said = plain(note_ru.sentences(replace(BETTER, hours=run), ""))[3]
    assert said.endswith(
        "В эти часы обращений поступило на 20 % меньше, каждое обслуживалось почти столько же "
        "времени."
    )
    staffed = plain(note_ru.sentences(replace(BETTER, hours=replace(run, staffed=True)), ""))[3]
    assert staffed.endswith("операторы были на линии почти столько же.")


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (Base.MONTH_BEFORE, "месяцем раньше обращений не было"),
        (Base.BEFORE, "за такое же время раньше обращений не было"),
    ],
)
def test_what_it_is_compared_with_is_named(base: Base, said: str) -> None:
    found = replace(BETTER, base=base, old=replace(BETTER.old, offered=0))
    assert said in plain(note_ru.sentences(found, ""))[0]


def test_a_day_that_is_not_over_says_so() -> None:
    found = replace(BETTER, whole=False)
    assert note_ru.sentences(found, "")[0] == (
        "Посчитано и сравнивается только то, что было до 14:30."
    )
    assert note_en.sentences(found, "")[0] == (
        "Counted and compared is only what was before 14:30."
    )


def test_both_languages_say_as_much() -> None:
    for found in (BETTER, replace(BETTER, service_level=Verdict.SAME, refused=3, whole=False)):
        assert len(note_ru.sentences(found, "")) == len(note_en.sentences(found, ""))
