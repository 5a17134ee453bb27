"""``gkc records verify --city``: the city's store against each center's own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import Found, city_note, found, missing
from gkc_engine.control.protocol import ControlError

if TYPE_CHECKING:
    from gkc_engine.shipping.verify import Outcome

DIFFERS: Final = 1
"""Exit code: a center has other counts, or does not answer."""


def verify_city(day: str | None, config: Path | None, *, json: bool) -> None:
    """Ask each center for its counts of a day, and print them beside the city's."""
    from gkc_engine.errors import GkcError

    note = city_note(config)
    with found(config) as at, missing():
        at.settle()
        since, until = _day(at, day)
        with at.store.opened() as engine:
            from gkc_engine.shipping.verify import compare

            try:
                outcomes = asyncio.run(compare(engine, _buses(note), since, until))
            except GkcError as error:
                raise ControlError("refused", str(error)) from error
        zone = at.store.zone
    from gkc_engine.statistics.intervals import clock_time

    named = clock_time(since, zone)[:10]
    if json:
        print_json([_row(one, named) for one in outcomes])
    else:
        _print(outcomes, named)
    bad = any(not one.left and (one.here is None or one.problem) for one in outcomes)
    raise typer.Exit(DIFFERS if bad or any(one.differences for one in outcomes) else 0)


def _day(at: Found, day: str | None) -> tuple[Any, Any]:
    from gkc_engine.statistics.intervals import local_midnight, next_midnight

    zone = at.store.zone
    since = local_midnight(at.now if day is None else at.instant("--day", day), zone)
    return since, next_midnight(since, zone)


def _buses(note: dict[str, Any]) -> dict[str, Any]:
    from gkc_engine.config.federation import collector_settings
    from gkc_engine.config.loader import load_config

    folder = Path(note["config"])
    return dict(collector_settings(load_config(folder), folder, Path(note["state"])).buses)


def _row(one: Outcome, day: str) -> dict[str, Any]:
    from gkc_engine.recorder.queries import iso

    return {
        "center": one.center,
        "day": day,
        "differences": {
            name: {"center": theirs, "city": ours}
            for name, (theirs, ours) in one.differences.items()
        },
        "answered": one.here is not None,
        "left": one.left,
        "problem": one.problem or one.feed.problem,
        "counts": one.city.lines(),
        "center_counts": None if one.here is None else one.here.lines(),
        "records_until": iso(one.feed.ts_us) if one.feed.ts_us else None,
        "behind_rows": one.behind,
        "behind_s": _behind_s(one),
        "refused": one.feed.refused,
    }


def _behind_s(one: Outcome) -> float | None:
    """Return how much later the center's last row is than the city's, by the center's clock.

    None: nobody can tell: it did not answer, or the city has no row of it yet.
    """
    if one.here is None:
        return None
    if not one.behind:
        return 0.0
    return max(0, one.last_us - one.feed.ts_us) / 1e6 if one.feed.ts_us else None


def _print(outcomes: list[Outcome], day: str) -> None:
    from gkc_engine.recorder.queries import iso

    found = 0
    print(f"{day}  center / rows / begun / ended / behind")
    for one in outcomes:
        until = iso(one.feed.ts_us) if one.feed.ts_us else "never"
        counts = one.city
        late = _behind_s(one)
        behind = f"{one.behind} rows behind" + ("" if late is None else f" ({late:.0f} s)")
        stands = behind if one.behind else "left" if one.left else "up to date"
        print(
            f"{one.center}: {counts.rows} rows, {sum(counts.begun.values())} begun, "
            f"{sum(counts.ended.values())} ended; {stands}"
        )
        if one.left:
            print(f"  {one.problem}; its records are here until {until}")
        elif one.here is None:
            print(f"  does not answer ({one.problem}); its records are here until {until}")
        elif one.problem:
            print(f"  {one.problem}")
        if one.feed.refused:
            print(f"  {one.feed.refused} messages of it were refused (gkc city show)")
        for name, (theirs, ours) in one.differences.items():
            found += 1
            print(f"  {name}: {theirs} at the center, {ours} in the city")
    silent = sum(1 for one in outcomes if one.here is None and not one.left)
    if silent:
        progress(f"{silent} of {len(outcomes)} centers did not answer")
    print("1 difference" if found == 1 else f"{found} differences")
