"""``gkc records verify`` of a city that has been stopped: its records against its Asterisk."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from gkc_engine.clock import SystemClock
from gkc_engine.demo.city import City
from gkc_engine.ids import SECOND, Instant
from gkc_engine.reconcile.model import Kind, Outcome
from gkc_engine.reconcile.run import Asked, compare
from gkc_engine.recorder import schema
from gkc_engine.recorder.rebuild import settle_left
from tests.acceptance.home import Home

DAY_US = 86_400 * SECOND


def reconciled(city: City) -> Outcome:
    """Compare all that the city has on record."""
    return verified(
        city.state / "gkc.sqlite",
        cel=city.asterisk.legs_csv,
        cdr=city.asterisk.calls_csv,
        queue_log=city.state / "queue_log",
    )


def verified(store: Path, *, cel: Path, cdr: Path, queue_log: Path) -> Outcome:
    """Compare a store that no engine writes to with Asterisk's lists."""
    url = schema.sqlite_url(str(store))
    settle_left(url)
    now = SystemClock().now()
    asked = Asked(
        since=Instant(now - DAY_US),
        until=Instant(now + DAY_US),
        cel=cel,
        cdr=cdr,
        queue_log=queue_log if queue_log.exists() else None,
        now=now,
        running=False,
    )
    engine = schema.make_engine(url, read_only=True)
    try:
        with engine.connect() as connection:
            return compare(connection, asked)
    finally:
        engine.dispose()


def told(outcome: Outcome) -> str:
    """Return what was found, for a person to read."""
    return "\n".join(
        f"{one.kind} {one.contact_id} {one.uniqueid}: {one.ours} | {one.theirs}"
        for one in outcome.differences
    )


def names_what_is_planted(home: Home) -> None:
    """Of a demo that has ended: one thing wrong on either side is named with its call."""
    demo, folder = home.state / "demo", home.folder / "planted"
    log = demo / "asterisk" / "log"
    folder.mkdir()
    sides = {
        "store": home.store,
        "cel": log / "cel-custom" / "legs.csv",
        "cdr": log / "cdr-custom" / "calls.csv",
        "queue_log": demo / "queue_log",
    }
    assert verified(**sides).found == 0, told(verified(**sides))
    talk = _talk(home.store)
    plants: tuple[tuple[str, Callable[[Path], None], Kind], ...] = (
        ("cel", lambda path: _drop(path, '"HANGUP"', talk["leg"]), Kind.END_MISSING),
        ("cel", lambda path: _drop(path, '"ANSWER"', talk["leg"]), Kind.ANSWER_MISSING),
        ("cel", lambda path: _drop(path, '"CHAN_START"', talk["leg"]), Kind.START_MISSING),
        ("store", lambda path: _move_segment(path, talk["segment_id"]), Kind.SEGMENT_LEG),
        ("cdr", lambda path: _bill(path, talk["linkedid"]), Kind.BILLSEC),
        (
            "queue_log",
            lambda path: _drop(path, "|CONNECT|", talk["linkedid"]),
            Kind.QUEUE_LOG_MISSING,
        ),
    )
    for name, plant, kind in plants:
        copy = folder / f"{kind}-{sides[name].name}"
        shutil.copy(sides[name], copy)
        plant(copy)
        outcome = verified(**{**sides, name: copy})
        found = {(one.kind, one.contact_id) for one in outcome.differences}
        assert (kind, talk["contact_id"]) in found, (name, told(outcome))
        assert len(found) <= 2, told(outcome)


def _talk(store: Path) -> dict[str, str]:
    """Return one talk that the citizen's only operator had with him."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    row = connection.execute(
        "SELECT segment_id, contact_id, channel_uniqueid AS leg, linkedid FROM segment"
        " JOIN contact USING (contact_id) WHERE kind = 'talk' AND channel_uniqueid IS NOT NULL"
        " GROUP BY contact_id HAVING count(*) = 1 AND offers = 1 ORDER BY started LIMIT 1"
    ).fetchone()
    connection.close()
    return dict(row)


def _drop(path: Path, *words: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not all(word in line for word in words)]
    assert len(kept) == len(lines) - 1
    path.write_text("".join(kept), encoding="utf-8")


def _move_segment(path: Path, segment_id: str) -> None:
    connection = sqlite3.connect(path)
    changed = connection.execute(
        "UPDATE segment SET channel_uniqueid = (SELECT channel_uniqueid FROM segment AS other"
        " JOIN contact USING (contact_id) WHERE direction = 'in'"
        " AND other.contact_id <> segment.contact_id AND channel_uniqueid IS NOT NULL LIMIT 1)"
        " WHERE segment_id = ?",
        (segment_id,),
    )
    assert changed.rowcount == 1
    connection.commit()
    connection.close()


def _bill(path: Path, uid: str) -> None:
    """Bill two seconds more on the call's last row."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    row = [row for row in rows if row[10] == uid][-1]
    row[8] = f"{float(row[8]) + 2:.6f}"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
