"""How a wallboard looks: lines of text for a screen of any size. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from gkc_engine.cli._feed import Seen
from gkc_engine.cli._tables import Column, cells, fit, percent
from gkc_engine.cli._wall_words import Words
from gkc_engine.control.measures import ORDER, Level, worst
from gkc_engine.control.protocol import Json
from gkc_engine.control.views import iso
from gkc_engine.control.when import from_iso, local_time, span
from gkc_engine.ids import SECOND, Instant

if TYPE_CHECKING:
    from rich.text import Text

Order = Literal["worst", "config"]
Row = Mapping[str, Json]
Layout = tuple[list[tuple[Column, int]], int]
"""Columns with their widths, and the gap between them."""

SIGNS: Final = {Level.OK: "", Level.WARN: "!", Level.BAD: "!!"}
_STYLES: Final = {Level.OK: "", Level.WARN: "bold yellow", Level.BAD: "bold reverse red"}
"""Bold and reverse stay where there is no colour."""

_SIGN_WIDTH: Final = 3
"""Before each row: its sign and a blank."""

WIDTH_MIN, HEIGHT_MIN = 36, 6

_DROPS: Final = {
    "title": 0,
    "waiting": 0,
    "longest_wait_s": 0,
    "ready": 0,
    "service_level_30m": 0,
    "in_contact": 1,
    "abandon_rate": 2,
    "service_level": 3,
    "wrap_up": 4,
    "not_ready": 5,
    "answered": 6,
    "aht_s": 7,
}
"""Which columns a narrow screen goes without: the highest first, 0 never."""

_ORDER: Final = (
    *("title", "waiting", "longest_wait_s", "ready", "in_contact", "wrap_up", "not_ready"),
    *("answered", "abandon_rate", "service_level_30m", "service_level", "aht_s"),
)
_WAYS: Final = (("long", 6), ("long", 3), ("long", 2), ("short", 2), ("short", 1))
"""Heads and gap, the roomiest first."""

_TITLE_MIN: Final = 24
"""A roomier way is not taken when it cuts titles shorter than this."""


def lines(seen: Seen, width: int, height: int, words: Words, order: Order = "worst") -> list[Text]:
    """Return the lines of a wallboard: at most ``height``, none wider than ``width``.

    Too many queues: the last in the order are summed up in a line. Too narrow: columns go by
    `_DROPS`. The legend goes first; blank lines stand between rows while there is room.
    """
    from rich.text import Text

    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return [_line(words.too_small.format(width=WIDTH_MIN, height=HEIGHT_MIN), width)]
    picture = seen.picture
    zone = ZoneInfo(picture["timezone"])
    said = [_line(text, width, style) for text, style in _said(seen, zone, words)]
    said = said[: height - HEIGHT_MIN + 1]
    rows = _ordered(picture, order)
    room = height - len(said) - 3  # the head of all, the heads of the columns, the row of all
    shown = rows if len(rows) <= room else rows[: room - 1]
    of_all = picture["total"] | {"title": words.total}
    # Hidden queues have their say in the widths: columns stay where they are as the order changes.
    fitted = _fitted([_texts(row, words) for row in (*rows, of_all)], width - _SIGN_WIDTH, words)
    table = _table([*shown, of_all], fitted, words)
    spaced = room >= 2 * len(rows)
    body: list[Text] = []
    for line in table[1:-1]:
        body += [line, Text()] if spaced else [line]
    if len(shown) < len(rows):
        body.append(_line(_rest(rows[len(shown) :], words), width, "bold"))
    found = [_header(seen, zone, width, words), *said, table[0], *body, table[-1]]
    if len(found) < height:
        found.append(_line(words.legend, width, "dim"))
    return found


# --- above the table ------------------------------------------------------------------------------


def _header(seen: Seen, zone: ZoneInfo, width: int, words: Words) -> Text:
    """Return the center's name, its clock and how old the data is; the name gives way."""
    from rich.text import Text

    age = f"{seen.age_s:.1f}".replace(".", words.decimal)
    old = words.stale if seen.stale else words.data
    right = f"{_clock(seen, zone)}  {old.format(age=age)}"
    name = _line(str(seen.picture["title"]), max(0, width - len(right) - 2), "bold")
    style = _STYLES[Level.BAD] if seen.stale else ""
    return Text.assemble(name, " " * (width - len(right) - name.cell_len), (right, style))


def _clock(seen: Seen, zone: ZoneInfo) -> str:
    """Return the center's time: the engine's, and what has gone by since."""
    now = Instant(from_iso(seen.picture["now"]) + round(seen.age_s * SECOND))
    return local_time(iso(now), zone, with_date=False)


def _said(seen: Seen, zone: ZoneInfo, words: Words) -> list[tuple[str, str]]:
    """Return what is to be said above the table, and its style."""
    picture, found = seen.picture, []
    if seen.problem is not None:
        why = words.problems.get(seen.problem.error_id, str(seen.problem))
        at = local_time(picture["now"], zone, with_date=False)
        found.append(words.gone.format(why=why, at=at))
    health = picture["health"]
    if not health["ami_up"]:
        found.append(words.no_asterisk.format(why=health["ami_problem"] or words.no_asterisk_yet))
    if not health["accepting"]:
        found.append(words.not_accepting)
    elif health["record_mode"] != "ledger":
        found.append(words.journal)
    if not health.get("figures_complete", True):
        found.append(words.recalling)
    found += [
        words.emergency.format(title=row["title"])
        + (f" ({row['closed_reason']})" if row["closed_reason"] else "")
        for row in picture["queues"]
        if row["closed"] == "emergency"
    ]
    return [
        (text, _STYLES[Level.BAD if text.startswith(SIGNS[Level.BAD]) else Level.WARN])
        for text in found
    ]


# --- the table ------------------------------------------------------------------------------------


def _ordered(picture: Row, order: Order) -> list[Row]:
    """Return the queues: as in the config, or the worst first, then who waits longest."""
    places = {queue: place for place, queue in enumerate(picture["order"])}
    rows = sorted(picture["queues"], key=lambda row: places[row["queue"]])
    if order == "worst":
        rows.sort(
            key=lambda row: (
                -ORDER.index(worst(row["levels"])),
                -(row["longest_wait_s"] or 0.0),
                -row["waiting"],
            )
        )
    return rows


def _rest(rows: Sequence[Row], words: Words) -> str:
    """Return what is to be known of the queues that do not fit."""
    waits = [row["longest_wait_s"] for row in rows if row["longest_wait_s"] is not None]
    waiting = sum(row["waiting"] for row in rows)
    bad = sum(bool(row["levels"]) for row in rows)
    text = words.more(len(rows))
    if waiting:
        longest = span(max(waits, default=None))
        text += ": " + words.more_waiting.format(waiting=waiting, longest=longest)
    return text + ("; " + words.more_bad.format(n=bad) if bad else "")


def _texts(row: Row, words: Words) -> dict[str, str]:
    """Return the cells of a row, signs before what is not well."""
    values = {
        "title": row["title"] + (f" ({words.closed})" if row.get("closed") == "hours" else ""),
        "longest_wait_s": span(row["longest_wait_s"]),
        "in_contact": str(row["busy"] - row["wrap_up"]),
        "aht_s": span(row["aht_s"]),
        **{key: str(row[key]) for key in ("waiting", "ready", "wrap_up", "not_ready", "answered")},
        **{
            key: percent(row[key]) for key in ("abandon_rate", "service_level_30m", "service_level")
        },
    }
    return {key: SIGNS[_level(row, key)] + text for key, text in values.items()}


def _level(row: Row, key: str) -> Level:
    return Level(row["levels"].get(key, Level.OK))


def _table(rows: Sequence[Row], layout: Layout, words: Words) -> list[Text]:
    """Return the heads, a line for each row, and the last one set off."""
    fitted, gap = layout
    heads = {column.key: column.head for column, _ in fitted}
    found = [_cells(fitted, heads, gap, dict.fromkeys(heads, "bold"), " " * _SIGN_WIDTH)]
    for row in rows:
        level = worst(row["levels"])
        last = row is rows[-1]
        base = "bold" if last else "dim" if row.get("closed") == "hours" else ""
        styles = {key: _STYLES[_level(row, key)] or base for key in heads}
        line = _cells(fitted, _texts(row, words), gap, styles, f"{SIGNS[level]:<{_SIGN_WIDTH}}")
        line.stylize(_STYLES[level], 0, len(SIGNS[level]))
        found.append(line)
    return found


def _fitted(texts: Sequence[Mapping[str, str]], width: int, words: Words) -> Layout:
    """Return the columns with their widths, and the gap between them."""
    fitted: list[tuple[Column, int]] = []
    gap = 1
    for kind, gap in _WAYS:
        columns = [
            Column(
                key=key,
                head=words.heads[key].long if kind == "long" else words.heads[key].short,
                right=key != "title",
                shrinks=key == "title",
                drops=_DROPS[key],
            )
            for key in _ORDER
        ]
        fitted = fit(columns, texts, width, gap)
        if len(fitted) == len(columns) and fitted[0][1] >= min(_TITLE_MIN, _widest(texts)):
            break
    return fitted, gap


def _widest(texts: Sequence[Mapping[str, str]]) -> int:
    from rich.cells import cell_len

    return max(cell_len(text["title"]) for text in texts)


def _cells(
    fitted: Sequence[tuple[Column, int]],
    texts: Mapping[str, str],
    gap: int,
    styles: Mapping[str, str],
    before: str,
) -> Text:
    from rich.text import Text

    line = Text(before)
    shown = cells([column for column, _ in fitted], texts)
    for place, ((column, size), text) in enumerate(zip(fitted, shown, strict=True)):
        cell = Text(text, style=styles[column.key])
        cell.truncate(size, overflow="ellipsis")
        blank = " " * (size - cell.cell_len)
        line.append(" " * gap if place else "")
        line = line.append(blank).append_text(cell) if column.right else line.append_text(cell)
        line.append("" if column.right else blank)
    return line


def _line(text: str, width: int, style: str = "") -> Text:
    from rich.text import Text

    line = Text("".join(ch if ch.isprintable() else "\ufffd" for ch in text), style=style)
    line.truncate(width, overflow="ellipsis")
    return line
