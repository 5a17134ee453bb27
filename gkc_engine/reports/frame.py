"""What every report has around its tables: title, stretch of time, what it was made from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gkc_engine.ids import Instant
from gkc_engine.recorder.queries import iso
from gkc_engine.reports import periods, wording
from gkc_engine.reports.model import Part, Report
from gkc_engine.reports.order import Made, Order
from gkc_engine.reports.periods import Length, Stretch
from gkc_engine.reports.words import text
from gkc_engine.statistics.intervals import at


def framed(
    made: Made, parts: Sequence[Part], *, compared: bool = True, empty: bool | None = None
) -> Report:
    """Return the report.

    Args:
        made: What it is made of.
        parts: Of it.
        compared: Whether it has been counted beside another stretch of time.
        empty: Whether nothing happened at all; without it, by the contacts counted.
    """
    order, language, facts = made.order, made.order.language, made.facts
    zone = order.asked.zone
    nothing = None
    if empty if empty is not None else not (made.now.contacts or made.now.outgoing):
        nothing = text("nobody" if order.kind == "operators" else "nothing", language)
    return Report(
        kind=order.kind,
        title=text(order.kind, language),
        subtitle=", ".join([subtitle(order), *_chosen(made)]),
        center=facts.title or facts.center,
        language=language,
        zone=zone,
        since=order.of.since,
        until=order.of.until,
        made=order.of.seen,
        parts=tuple(parts),
        made_from=tuple(_made_from(made, compared=compared)),
        nothing=nothing,
    )


def subtitle(order: Order) -> str:
    """Return the stretch of time in words."""
    language, zone, of = order.language, order.asked.zone, order.of
    first = periods.day_of(of.since, zone)
    said = wording.stretch(of.since, of.until, language, zone)
    match order.length:
        case Length.DAY:
            said = f"{wording.weekday(first, language)}, {wording.day(first, language)}"
        case Length.WEEK:
            last = periods.day_of(Instant(of.until - 1), zone)
            said = wording.days(first, last, language)
        case Length.MONTH:
            said = wording.month(first, language)
        case None:
            pass
    if of.whole:
        return said
    return f"{said} ({text('till', language)} {seen_until(order)})"


def seen_until(order: Order) -> str:
    """Return until when was counted what is not over: of a day the time alone."""
    asked, of = order.asked, order.of
    if order.length is Length.DAY:
        return f"{at(of.seen).astimezone(asked.zone):%H:%M}"
    return wording.moment(of.seen, order.language, asked.zone)


def _made_from(made: Made, *, compared: bool) -> list[tuple[str, str]]:
    order, language, facts = made.order, made.order.language, made.facts
    zone = order.asked.zone
    said = [
        (text("center", language), " · ".join(filter(None, (facts.center, facts.title)))),
        (text("time", language), f"{iso(order.of.since)[:19]}Z – {iso(order.of.seen)[:19]}Z"),
        (text("zone", language), zone.key),
        (text("config", language), facts.version[:12]),
    ]
    if compared:
        said.insert(3, (text("counted", language), wording.count(made.now.contacts, language)))
        said += [
            (text("compared", language), f"{text(base, language)}: {_of_base(made, one)}")
            for base, (one, _) in made.bases.items()
        ]
    if order.asked.narrowed:
        said.append((text("only", language), ", ".join(_chosen(made))))
    return [(label, value) for label, value in said if value]


def _of_base(made: Made, of: Stretch) -> str:
    order = made.order
    return wording.stretch(of.since, of.seen, order.language, order.asked.zone)


def _chosen(made: Made) -> list[str]:
    """Name the queue and the service that are asked for alone: a report of a part must say so."""
    asked, facts, language = made.order.asked, made.facts, made.order.language
    said = []
    if asked.queue is not None:
        said.append(
            text("of_queue", language).format(facts.queue(asked.queue, text("no_queue", language)))
        )
    if asked.service is not None:
        said.append(
            text("of_service", language).format(
                facts.service(asked.service, text("none", language))
            )
        )
    if asked.body is not None:
        said.append(text("of_body", language).format(asked.body))
    return said
