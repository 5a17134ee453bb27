"""The analytical note in English: the same sentences as `note_ru`. Pure and deterministic."""

from __future__ import annotations

from math import log
from typing import Final

from gkc_engine.reports.compare import Causes
from gkc_engine.reports.findings import Findings, Piece
from gkc_engine.reports.model import Language, Unit, Verdict
from gkc_engine.reports.note_ru import MAIN, NAMED, STEP
from gkc_engine.reports.periods import Base
from gkc_engine.reports.wording import by_percent, count, day, difference, goal, share

EN: Final = Language.EN


def sentences(f: Findings, service_title: str) -> tuple[str, ...]:
    """Return the note, a sentence each; arguments as of ``note_ru.sentences``."""
    said: list[str | None] = []
    if not f.whole:
        said.append(f"Counted and compared is only what was before {f.until}.")
    said.append(_volume(f))
    if f.few:
        return tuple(s for s in said if s)
    said += [_level(f), _service(f, service_title), _hours(f), _day(f), _causes(f), _left(f)]
    said += [_unchanged(f), _failed(f), _refused(f)]
    return tuple(s for s in said if s)


def _contacts(n: int) -> str:
    return f"{count(n, EN)} contact{'' if n == 1 else 's'}"


_BASES: Final = {
    Base.WEEK_BEFORE: "a week before",
    Base.DAY_BEFORE: "the day before",
    Base.MONTH_BEFORE: "a month before",
    Base.BEFORE: "in as long a time before",
}


def _then(f: Findings) -> str:
    said = _BASES[f.base]
    return said if f.base_day is None else f"{said}, on {day(f.base_day, EN, year=False)}"


def _volume(f: Findings) -> str:
    n, m = f.new.offered, f.old.offered
    if n == 0:
        return "No contact entered a queue."
    came = f"{_contacts(n)} entered the queues"
    if f.few:
        return f"{came}: too few for any conclusion."
    if not f.comparable:
        there = f"there were {_contacts(m)}" if m else "there was none"
        return f"{came}. There is nothing to compare with: {_then(f)}, {there}."
    if f.offered in (Verdict.MORE, Verdict.LESS):
        more = "more" if n > m else "fewer"
        return f"{came}, {by_percent(n / m, EN)} {more} than {_then(f)} ({count(m, EN)})."
    return f"{came}, about as many as {_then(f)} ({count(m, EN)})."


def _level(f: Findings) -> str | None:
    new, old = f.new.service_level, f.old.service_level
    if new is None:
        return None
    target = f"the goal of {goal(f.goal, EN)} is {'met' if new >= f.goal else 'missed'}"
    said = f"{share(new, EN)} were answered in time"
    if old is None or not f.comparable:
        return f"{said}; {target}."
    if f.service_level is Verdict.TOO_FEW:
        return f"{said}; {target}. There is too little to compare."
    if not _changed(f):
        return f"{said} against {share(old, EN)}: no notable difference; {target}."
    by = difference(new, old, Unit.SHARE, EN).lstrip("+\u2212")
    way = "better" if f.service_level is Verdict.BETTER else "worse"
    return f"{said} against {share(old, EN)}: {by} {way}; {target}."


def _changed(f: Findings) -> bool:
    return f.comparable and f.service_level in (Verdict.BETTER, Verdict.WORSE)


def _piece(f: Findings, piece: Piece) -> str:
    assert f.new.service_level is not None
    assert f.old.service_level is not None
    levels = ""
    if piece.new is not None and piece.old is not None:
        levels = f" ({share(piece.new, EN)} in time against {share(piece.old, EN)})"
    what = "gain" if f.service_level is Verdict.BETTER else "loss"
    if abs(piece.points) >= abs(f.new.service_level - f.old.service_level):
        return f"{levels}: all of the {what}"
    points = difference(abs(piece.points), 0.0, Unit.SHARE, EN).lstrip("+")
    return f"{levels}: {points} of the {what}"


def _service(f: Findings, title: str) -> str | None:
    if not _changed(f) or f.service is None:
        return None
    key, piece = f.service
    whose = f"the service “{title}”" if key else "contacts without a service"
    return f"Most is due to {whose}{_piece(f, piece)}."


def _hours(f: Findings) -> str | None:
    if not _changed(f) or f.hours is None:
        return None
    run = f.hours
    best = "It improved most" if f.service_level is Verdict.BETTER else "It was worst"
    said = f"{best} from {run.begin}:00 to {run.end}:00{_piece(f, run.piece)}."
    if run.causes is not None:
        said += f" In these hours {_factors(run.causes, known=run.staffed)}."
    return said


def _day(f: Findings) -> str | None:
    if f.worst_day is None:
        return None
    when = day(f.worst_day.day, EN, year=False)
    return f"The worst day was {when}: {share(f.worst_day.service_level, EN)} in time."


def _factors(c: Causes, *, known: bool) -> str:
    said = []
    if abs(c.calls - 1) >= STEP:
        said.append(f"{by_percent(c.calls, EN)} {'more' if c.calls > 1 else 'fewer'} contacts came")
    else:
        said.append("about as many contacts came")
    if abs(c.talks - 1) >= STEP:
        longer = "longer" if c.talks > 1 else "shorter"
        said.append(f"each took {by_percent(c.talks, EN)} {longer}")
    else:
        said.append("each took about as long")
    if known:
        hours = 1 / c.operators
        if abs(hours - 1) >= STEP:
            more = "more" if hours > 1 else "less"
            said.append(f"operators were there {by_percent(hours, EN)} {more}")
        else:
            said.append("operators were there about as much")
    return ", ".join(said)


def _causes(f: Findings) -> str | None:
    c = f.causes
    if not _changed(f) or c is None:
        return None
    known = f.new.hours is not None
    whose = "The load of an operator" if known else "The work"
    parts = _factors(c, known=known)
    worse = f.service_level is Verdict.WORSE
    unexplained = f"This does not explain the {'loss' if worse else 'gain'}."
    if abs(c.load - 1) < STEP:
        return f"{whose} over all of the time hardly changed: {parts}. {unexplained}"
    grew = c.load > 1
    verb = "rose" if grew else "fell"
    said = f"{whose} over all of the time {verb} by {by_percent(c.load, EN)}: {parts}."
    if grew is not worse:
        return f"{said} {unexplained}"
    said += f" {_main(c)}"
    return said if known else f"{said} Services share their operators, who are not counted here."


def _main(c: Causes) -> str:
    whole = log(c.load)
    up = whole > 0
    names = {
        "calls": "more contacts" if up else "fewer contacts",
        "talks": "longer handling" if up else "shorter handling",
        "operators": "fewer operators" if up else "more operators",
    }
    parts = {name: log(getattr(c, name)) / whole for name in names}
    name, part = max(parts.items(), key=lambda item: item[1])
    if part >= MAIN:
        return f"Main cause: {names[name]}."
    several = [names[n] for n, p in sorted(parts.items(), key=lambda i: -i[1]) if p >= NAMED]
    return f"Causes together: {', '.join(several)}."


def _left(f: Findings) -> str | None:
    new, old = f.new.abandon_rate, f.old.abandon_rate
    if f.abandon_rate not in (Verdict.BETTER, Verdict.WORSE) or new is None or old is None:
        return None
    return f"{share(new, EN)} gave up, against {share(old, EN)}."


def _unchanged(f: Findings) -> str | None:
    same = (None, Verdict.SAME, Verdict.TOO_FEW)
    if not f.comparable or f.offered not in same or f.service_level not in same:
        return None
    return "Nothing notable changed." if f.abandon_rate in same else None


def _failed(f: Findings) -> str | None:
    return f"{_contacts(f.failed)} lost to faults." if f.failed else None


def _refused(f: Findings) -> str | None:
    if not f.refused:
        return None
    return f"{_contacts(f.refused)} refused at the door (full, closed, nobody at work, blocked)."
