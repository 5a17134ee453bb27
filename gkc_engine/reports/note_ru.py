"""The analytical note in Russian: a few sentences made of findings. Pure and deterministic."""

from __future__ import annotations

from math import log
from typing import Final

from gkc_engine.ivr.numerals import CONTACT, noun_form
from gkc_engine.reports.compare import Causes
from gkc_engine.reports.findings import Findings, Piece
from gkc_engine.reports.model import Language, Unit, Verdict
from gkc_engine.reports.periods import Base
from gkc_engine.reports.wording import NBSP, by_percent, count, day, difference, goal, share

RU: Final = Language.RU
STEP: Final = 0.05
"""A load, or a factor of it, that is off by less than 5 % has hardly changed."""
MAIN: Final = 0.5
"""A factor that made at least half of the change of the load is its main cause."""
NAMED: Final = 0.2
"""A factor that made so much is named among several."""


def sentences(f: Findings, service_title: str) -> tuple[str, ...]:
    """Return the note, a sentence each.

    Args:
        f: What was found.
        service_title: Name of ``f.service`` for people.
    """
    said: list[str | None] = []
    if not f.whole:
        said.append(f"Посчитано и сравнивается только то, что было до {f.until}.")
    said.append(_volume(f))
    if f.few:
        return tuple(s for s in said if s)
    said += [_level(f), _service(f, service_title), _hours(f), _day(f), _causes(f), _left(f)]
    said += [_unchanged(f), _failed(f), _refused(f)]
    return tuple(s for s in said if s)


def _contacts(n: int) -> str:
    return f"{count(n, RU)}{NBSP}{noun_form(n, CONTACT)}"


_BASES: Final = {
    Base.WEEK_BEFORE: "неделей раньше",
    Base.DAY_BEFORE: "накануне",
    Base.MONTH_BEFORE: "месяцем раньше",
    Base.BEFORE: "за такое же время раньше",
}


def _then(f: Findings) -> str:
    """Return «неделей раньше, 16 ноября»; the day only of what is compared by days."""
    said = _BASES[f.base]
    return said if f.base_day is None else f"{said}, {day(f.base_day, RU, year=False)}"


def _volume(f: Findings) -> str:
    n, m = f.new.offered, f.old.offered
    if n == 0:
        return "В очереди не поступило ни одного обращения."
    came = f"В очереди поступило {_contacts(n)}"
    if f.few:
        return f"{came}: этого мало для выводов."
    if not f.comparable:
        there = f"было {_contacts(m)}" if m else "обращений не было"
        comma = "" if f.base_day is None else ","
        return f"{came}. Сравнить не с чем: {_then(f)}{comma} {there}."
    match f.offered:
        case Verdict.MORE | Verdict.LESS:
            more = "больше" if n > m else "меньше"
            return f"{came} — на {by_percent(n / m, RU)} {more}, чем {_then(f)} ({count(m, RU)})."
        case _:
            return f"{came} — почти столько же, сколько {_then(f)} ({count(m, RU)})."


def _level(f: Findings) -> str | None:
    new, old = f.new.service_level, f.old.service_level
    if new is None:
        return None
    target = f"цель в {goal(f.goal, RU)} {'достигнута' if new >= f.goal else 'не достигнута'}"
    if old is None or not f.comparable:
        return f"В срок отвечено {share(new, RU)}; {target}."
    points = difference(new, old, Unit.SHARE, RU)
    match f.service_level:
        case Verdict.BETTER | Verdict.WORSE:
            way = "лучше" if f.service_level is Verdict.BETTER else "хуже"
            by = points.lstrip("+\u2212")
            against = f"{share(new, RU)} против {share(old, RU)}"
            return f"В срок отвечено {against}: на {by} {way}; {target}."
        case Verdict.TOO_FEW:
            return f"В срок отвечено {share(new, RU)}; {target}. Для сравнения данных мало."
        case _:
            return (
                f"В срок отвечено {share(new, RU)} против {share(old, RU)}: "
                f"заметной разницы нет; {target}."
            )


def _changed(f: Findings) -> bool:
    return f.comparable and f.service_level in (Verdict.BETTER, Verdict.WORSE)


def _piece(f: Findings, piece: Piece) -> str:
    """Return « (в срок 61,0 % против 83,5 %): отсюда 9,1 п.п. ухудшения»."""
    assert f.new.service_level is not None
    assert f.old.service_level is not None
    levels = ""
    if piece.new is not None and piece.old is not None:
        levels = f" (в срок {share(piece.new, RU)} против {share(piece.old, RU)})"
    better = f.service_level is Verdict.BETTER
    if abs(piece.points) >= abs(f.new.service_level - f.old.service_level):
        return f"{levels}: отсюда всё {'улучшение' if better else 'ухудшение'}"
    points = difference(abs(piece.points), 0.0, Unit.SHARE, RU).lstrip("+")
    return f"{levels}: отсюда {points} {'улучшения' if better else 'ухудшения'}"


def _service(f: Findings, title: str) -> str | None:
    if not _changed(f) or f.service is None:
        return None
    key, piece = f.service
    whose = f"повлияла услуга «{title}»" if key else "повлияли обращения без услуги"
    return f"Больше всего {whose}{_piece(f, piece)}."


def _hours(f: Findings) -> str | None:
    if not _changed(f) or f.hours is None:
        return None
    run = f.hours
    best = "Заметнее всего стало лучше" if f.service_level is Verdict.BETTER else "Хуже всего было"
    said = f"{best} {_clock(run.begin, run.end)}{_piece(f, run.piece)}."
    if run.causes is not None:
        said += f" В эти часы {_factors(run.causes, operators_known=run.staffed)}."
    return said


def _clock(begin: int, end: int) -> str:
    return f"с{NBSP}{begin}:00 до{NBSP}{end}:00"


def _day(f: Findings) -> str | None:
    if f.worst_day is None:
        return None
    when = day(f.worst_day.day, RU, year=False)
    return f"Худший день — {when}: в срок отвечено {share(f.worst_day.service_level, RU)}."


def _factors(c: Causes, *, operators_known: bool) -> str:
    said = []
    if abs(c.calls - 1) >= STEP:
        more = "больше" if c.calls > 1 else "меньше"
        said.append(f"обращений поступило на {by_percent(c.calls, RU)} {more}")
    else:
        said.append("обращений поступило почти столько же")
    if abs(c.talks - 1) >= STEP:
        longer = "дольше" if c.talks > 1 else "короче"
        said.append(f"каждое обслуживалось на {by_percent(c.talks, RU)} {longer}")
    else:
        said.append("каждое обслуживалось почти столько же времени")
    if operators_known:
        hours = 1 / c.operators
        if abs(hours - 1) >= STEP:
            more = "больше" if hours > 1 else "меньше"
            said.append(f"операторы были на линии на {by_percent(hours, RU)} {more}")
        else:
            said.append("операторы были на линии почти столько же")
    return ", ".join(said)


def _causes(f: Findings) -> str | None:
    c = f.causes
    if not _changed(f) or c is None:
        return None
    known = f.new.hours is not None
    whose = "Нагрузка на оператора" if known else "Объём работы"
    parts = _factors(c, operators_known=known)
    worse = f.service_level is Verdict.WORSE
    if abs(c.load - 1) < STEP:
        return (
            f"{whose} в целом почти не {'изменилась' if known else 'изменился'}: {parts}. "
            f"{'Ухудшение' if worse else 'Улучшение'} этим не объясняется."
        )
    grew = c.load > 1
    verb = ("выросла" if grew else "снизилась") if known else ("вырос" if grew else "снизился")
    said = f"{whose} в целом {verb} на {by_percent(c.load, RU)}: {parts}."
    if grew is not worse:
        return f"{said} {'Ухудшение' if worse else 'Улучшение'} этим не объясняется."
    said += f" {_main(c)}"
    return said if known else f"{said} Операторы у услуг общие и здесь не посчитаны."


def _main(c: Causes) -> str:
    whole = log(c.load)
    up = whole > 0
    names = {
        "calls": "рост числа обращений" if up else "обращений стало меньше",
        "talks": "более долгое обслуживание" if up else "обслуживание стало короче",
        "operators": "операторов на линии было меньше" if up else "операторов на линии было больше",
    }
    parts = {name: log(getattr(c, name)) / whole for name in names}
    name, part = max(parts.items(), key=lambda item: item[1])
    if part >= MAIN:
        return f"Главная причина: {names[name]}."
    both = [names[n] for n, p in sorted(parts.items(), key=lambda i: -i[1]) if p >= NAMED]
    return f"Причины вместе: {'; '.join(both)}."


def _left(f: Findings) -> str | None:
    new, old = f.new.abandon_rate, f.old.abandon_rate
    if f.abandon_rate not in (Verdict.BETTER, Verdict.WORSE) or new is None or old is None:
        return None
    return f"Не дождались ответа {share(new, RU)} против {share(old, RU)}."


def _failed(f: Findings) -> str | None:
    if not f.failed:
        return None
    return f"Из-за сбоев потеряно {_contacts(f.failed)}."


def _refused(f: Findings) -> str | None:
    if not f.refused:
        return None
    return (
        f"Не принято на входе (нет мест, закрыто, некому ответить, номер в чёрном списке): "
        f"{_contacts(f.refused)}."
    )


def _unchanged(f: Findings) -> str | None:
    same = (None, Verdict.SAME, Verdict.TOO_FEW)
    if not f.comparable or f.offered not in same or f.service_level not in same:
        return None
    return "Заметных изменений нет." if f.abandon_rate in same else None
