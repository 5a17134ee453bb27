"""The head of a day's, week's or month's report: the first glance, the note, the comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from gkc_engine.ids import SECOND, Instant
from gkc_engine.reports import findings as found
from gkc_engine.reports import note_en, note_ru, periods, source, wording
from gkc_engine.reports.compare import (
    BY_KEY,
    FEW,
    SUMMARY,
    below,
    denominator,
    hours_at_work,
    late,
    verdict,
)
from gkc_engine.reports.frame import seen_until
from gkc_engine.reports.listed import OVERFLOW
from gkc_engine.reports.model import (
    Column,
    Headline,
    Language,
    Note,
    Row,
    Table,
    Tile,
    Unit,
    Verdict,
)
from gkc_engine.reports.order import Made
from gkc_engine.reports.periods import Base, Length, Stretch
from gkc_engine.reports.tables import change_of
from gkc_engine.reports.words import head, text
from gkc_engine.statistics import figures
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.intervals import at, interval_bounds
from gkc_engine.statistics.rollups import Line

_TILES = ("offered", "service_level", "abandon_rate", "asa_s")
_REFUSED = ("full", "closed", "no_agent", "blocked")
"""At the door: of contacts that never entered a queue."""
_PLACES = 3
"""Services, and hours, that the head names at most."""


# --- the first glance -----------------------------------------------------------------------------


def headline(made: Made) -> Headline:
    """Return whether it was good, where not, and the figures that say so."""
    language, line = made.order.language, made.now.of_all
    level = figures.service_level(line.counts)
    enough = denominator(line.counts) >= FEW
    good = None if level is None or not enough else level >= source.GOAL
    return Headline(
        good=good,
        verdict=_verdict(level, good, line, language),
        where=tuple(_where(made)) if enough else (),
        tiles=tuple(_tile(key, made) for key in _TILES),
    )


def _verdict(level: float | None, good: bool | None, line: Line, language: Language) -> str:
    goal = wording.goal(source.GOAL, language)
    if good is None:
        n = wording.count(figures.offered(line.counts), language)
        few = "Мало данных для вывода: обращений" if language is Language.RU else "Too few contacts"
        return f"{few}: {n}" if language is Language.EN else f"{few} {n}"
    assert level is not None
    share = wording.share(level, language)
    if language is Language.EN:
        return f"{'Good' if good else 'Not good'}: {share} answered in time, goal {goal}"
    return f"{'Хорошо' if good else 'Плохо'}: в срок отвечено {share}, цель {goal}"


def _where(made: Made) -> Iterable[str]:
    """Name the services and hours below the goal, those with most contacts not in time."""
    language = made.order.language
    for key, line in _below(made.now.by_service):
        title = made.facts.service(key, text("none", language))
        yield _place(title, line, language)
    hours = sorted(_below(made.now.by_hour), key=lambda one: one[0])
    for begin, end in _runs([hour for hour, _ in hours]):
        line = source.total(made.now.by_hour, range(begin, end))
        span = text("from_to", language).format(f"{begin}:00", f"{end}:00")
        yield _place(span, line, language)


def _below(lines: dict[Any, Line]) -> list[tuple[Any, Line]]:
    missed = [(key, line) for key, line in lines.items() if below(line.counts, source.GOAL)]
    return sorted(missed, key=lambda one: (-late(one[1].counts), str(one[0])))[:_PLACES]


def _runs(hours: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for hour in hours:
        if runs and runs[-1][1] == hour:
            runs[-1] = (runs[-1][0], hour + 1)
        else:
            runs.append((hour, hour + 1))
    return runs


def _place(title: str, line: Line, language: Language) -> str:
    level = figures.service_level(line.counts)
    assert level is not None
    return (
        f"{title}: {text('in_time', language)} {wording.share(level, language)}, "
        f"{text('not_in_time', language)} {wording.count(late(line.counts), language)}"
    )


def _tile(key: str, made: Made) -> Tile:
    figure, language = BY_KEY[key], made.order.language
    new, old = figure.of(made.now.of_all), figure.of(made.before.of_all)
    meant = verdict(figure, made.now.of_all, made.before.of_all)
    change = ""
    if meant is not None and made.before.contacts:
        gap = wording.difference(new, old, figure.unit, language)
        base = text(made.base, language).lower()
        then = wording.shown(old, figure.unit, language, made.order.asked.zone)
        change = f"{gap}, {wording.verdict_word(meant, language)} ({base} {then})"
    return Tile(
        label=head(key, language),
        value=wording.shown(new, figure.unit, language, made.order.asked.zone),
        change=change,
        verdict=meant or Verdict.TOO_FEW,
    )


# --- the note -------------------------------------------------------------------------------------


def note(connection: sa.Connection, made: Made) -> Note:
    """Return the analytical note."""
    f = find(connection, made)
    language = made.order.language
    title = made.facts.service(f.service[0] if f.service else None, "")
    say = note_ru.sentences if language is Language.RU else note_en.sentences
    return Note(title=text("note", language), sentences=say(f, title))


def find(connection: sa.Connection, made: Made) -> found.Findings:
    """Return what there is to say; operators in a run of hours are asked for here."""
    order, now, before = made.order, made.now, made.before
    new, old = found.side(now), found.side(before)
    change = (new.service_level or 0.0) - (old.service_level or 0.0)
    run = found.leading_hours(now, before, change)
    if run is not None:
        staff = None if order.asked.narrowed else _staff_in(connection, made, run)
        causes = found.hours_causes(now, before, run, staff)
        run = replace(run, causes=causes, staffed=staff is not None)
    base = made.bases[made.base][0]
    daily = order.length in (Length.WEEK, Length.MONTH)
    zone = order.asked.zone
    days = {periods.day_of(b, zone): one for b, one in now.by_interval.items()}
    return found.Findings(
        base=made.base,
        base_day=None if order.length is not Length.DAY else periods.day_of(base.since, zone),
        whole=order.of.whole,
        until=seen_until(order),
        new=new,
        old=old,
        goal=source.GOAL,
        offered=found.judged("offered", now, before),
        service_level=found.judged("service_level", now, before),
        abandon_rate=found.judged("abandon_rate", now, before),
        service=found.leading_service(now, before, change),
        hours=run,
        worst_day=found.worst_day(days) if daily else None,
        causes=found.all_causes(now, before),
        failed=now.of_all.counts.failed,
        refused=sum(now.outside[key] for key in _REFUSED),
    )


def _staff_in(
    connection: sa.Connection, made: Made, run: found.Hours
) -> tuple[Handling, Handling] | None:
    """Return what operators did in a run of hours of a day, and of the day it is compared with."""
    if made.order.length is not Length.DAY:
        return None

    def staff(of: Stretch) -> Handling:
        bounds = interval_bounds(of.since, of.until, 60, zone)[:-1]
        inside = [b for b in bounds if run.begin <= at(b).astimezone(zone).hour < run.end]
        begin, end = inside[0], Instant(inside[-1] + 3600 * SECOND)
        return source.staff(connection, begin, min(end, of.seen), made.order.asked.known)

    zone = made.order.asked.zone
    return staff(made.order.of), staff(made.bases[made.base][0])


# --- the comparison -------------------------------------------------------------------------------


def summary_table(made: Made) -> Table:
    """Return the figures of all together beside those of each base, with the differences."""
    language = made.order.language
    columns = [
        Column(key="figure_title", head=head("figure_title", language), wide=True),
        Column(key="figure", head="figure", brief=False),
        Column(key="value", head=_own_head(made), unit=Unit.BY_ROW),
    ]
    for base, (one, _) in made.bases.items():
        columns += [
            Column(key=base, head=_base_head(made, base, one), unit=Unit.BY_ROW),
            Column(key="value", head=text("change", language), unit=Unit.BY_ROW, minus=base),
        ]
    return Table(
        name="summary",
        title=text("summary", language),
        columns=tuple(columns),
        rows=_summary_rows(made) if made.now.contacts else [],
        nothing=text("nothing", language),
    )


def _own_head(made: Made) -> str:
    order = made.order
    if order.length is Length.DAY:
        first = periods.day_of(order.of.since, order.asked.zone)
        return wording.day(first, order.language, year=False)
    return head("value", order.language)


def _base_head(made: Made, base: Base, of: Stretch) -> str:
    said = text(base, made.order.language)
    if made.order.length is Length.DAY:
        day = periods.day_of(of.since, made.order.asked.zone)
        return f"{said}, {wording.day(day, made.order.language, year=False)}"
    return said


def _summary_rows(made: Made) -> list[Row]:
    language = made.order.language
    rows: list[Row] = []
    lines = [made.now.of_all, *(counted.of_all for _, counted in made.bases.values())]
    for figure in SUMMARY:
        if figure.key in OVERFLOW and not any(figure.of(line) for line in lines):
            continue  # A center alone has nothing to do with others.
        row: dict[str, Any] = {
            "figure_title": head(figure.key, language),
            "figure": figure.key,
            "unit": figure.unit,
            "value": _rounded(figure.of(made.now.of_all)),
        }
        for base, (_, counted) in made.bases.items():
            old = figure.of(counted.of_all)
            row[base] = _rounded(old)
            row |= change_of(base, row["value"], row[base])
            row[f"{base}_verdict"] = verdict(figure, made.now.of_all, counted.of_all)
        rows.append(row)
        if figure.key == "offered" and made.order.length in (Length.WEEK, Length.MONTH):
            rows.append(_per_day(made))
    if made.now.staff is not None:
        rows += _staff_rows(made)
    return rows


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if isinstance(value, float) else value


def _per_day(made: Made) -> Row:
    """Return the row of contacts a day: months have 28 to 31 of them."""
    zone = made.order.asked.zone

    def per_day(of: Stretch, counted: source.Counted) -> int:
        first, last = periods.day_of(of.since, zone), periods.day_of(Instant(of.seen - 1), zone)
        return round(figures.offered(counted.of_all.counts) / ((last - first).days + 1))

    row: dict[str, Any] = {
        "figure_title": head("offered_per_day", made.order.language),
        "figure": "offered_per_day",
        "unit": Unit.COUNT,
        "value": per_day(made.order.of, made.now),
    }
    for base, (one, counted) in made.bases.items():
        row[base] = per_day(one, counted)
        row |= change_of(base, row["value"], row[base])
        row[f"{base}_verdict"] = verdict(BY_KEY["offered"], made.now.of_all, counted.of_all)
    return row


def _staff_rows(made: Made) -> list[Row]:
    def hours(handling: Handling | None) -> float | None:
        found_hours = hours_at_work(handling)
        return None if found_hours is None else round(found_hours, 2)

    def occupancy(handling: Handling | None) -> float | None:
        return None if handling is None else _rounded(figures.occupancy(handling))

    rows: list[Row] = []
    for key, unit, of in (
        ("operators_h", Unit.HOURS, hours),
        ("occupancy", Unit.SHARE, occupancy),
    ):
        value = of(made.now.staff)
        row: dict[str, Any] = {
            "figure_title": head(key, made.order.language),
            "figure": key,
            "unit": unit,
            "value": value,
        }
        for base, (_, counted) in made.bases.items():
            old = of(counted.staff)
            row[base] = old
            row |= change_of(base, value, old)
            row[f"{base}_verdict"] = _staff_verdict(value, old)
        rows.append(row)
    return rows


def _staff_verdict(new: float | None, old: float | None) -> Verdict | None:
    """Return which is more: what operators did is measured, not drawn, so 5 % is enough."""
    if not new or not old:
        return None
    if abs(new / old - 1) < 0.05:
        return Verdict.SAME
    return Verdict.MORE if new > old else Verdict.LESS
