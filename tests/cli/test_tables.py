"""Tables on a terminal of any width, and in a pipe."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from gkc_engine.cli import _tables
from gkc_engine.control.pictures import snapshot
from gkc_engine.control.views import agent_rows, queue_rows
from tests.control.fake import ZONE, FakeBackend


def drawn(renderable: RenderableType, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(renderable)
    return out.getvalue()


def queues_at(width: int, rows: list[dict[str, Any]]) -> str:
    return drawn(_tables.rich_table(_tables.QUEUES, rows, width), width)


@pytest.mark.parametrize("width", [64, 80, 100, 200])
def test_numbers_are_never_cut_off_on_a_narrow_terminal(width: int) -> None:
    rows = queue_rows(FakeBackend())
    rows[0]["abandoned"], rows[0]["answered"] = 1_234_567, 7_654_321
    text = queues_at(width, rows)
    assert "1234567" in text
    assert "7654321" in text
    assert "33%" in text
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert len(text.splitlines()) == 3


def test_a_title_gives_way_first_then_columns() -> None:
    rows = queue_rows(FakeBackend())
    wide, narrow, small = (queues_at(width, rows) for width in (120, 90, 60))
    assert "Паспорта и регистрация" in wide
    assert "…" in narrow
    assert "Offered" in narrow
    assert "Offered" not in small
    assert "Longest" in small


def test_square_brackets_in_a_title_are_text() -> None:
    assert "ЖКХ [все]" in queues_at(200, queue_rows(FakeBackend()))


def test_a_hostile_title_cannot_steer_the_terminal() -> None:
    rows = queue_rows(FakeBackend())
    rows[0]["title"] = "\x1b[2J\x07evil\nline"
    plain = _tables.plain_table(_tables.QUEUES, rows)
    assert "\x1b" not in plain
    assert len(plain.splitlines()) == 1 + len(rows)
    assert "\x1b[2J" not in queues_at(200, rows)


def test_plain_columns_stand_under_one_another_also_with_wide_letters() -> None:
    rows = queue_rows(FakeBackend())
    rows[1]["title"] = "税務課"
    from rich.cells import cell_len

    lines = _tables.plain_table(_tables.QUEUES, rows).splitlines()
    assert len({cell_len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("share", "shown"), [(None, "-"), (0.0, "0%"), (0.999, "99%"), (1.0, "100%"), (0.29, "29%")]
)
def test_per_cents_are_cut_off_never_rounded_up(share: float | None, shown: str) -> None:
    assert _tables.percent(share) == shown


def test_the_live_view_shows_queues_operators_and_contacts() -> None:
    text = drawn(_tables.snapshot_view(snapshot(FakeBackend()), ZONE, 220), 220)
    assert "centr  2026-11-18 14:06:40" in text
    assert "Паспорта и регистрация" in text
    assert "Иванова А. П." in text
    assert "2026-ЦАО-000002" in text


def test_the_live_view_is_bounded() -> None:
    shot = snapshot(FakeBackend())
    shot["contacts"] = shot["contacts"] * 50
    text = drawn(_tables.snapshot_view(shot, ZONE, 220, contacts_max=5), 220)
    assert "and 95 more in progress" in text


def test_an_agent_whose_phone_is_away_is_shown_as_such() -> None:
    backend = FakeBackend()
    backend.agents()[0].registered = False
    rows = agent_rows(backend)
    lines = _tables.plain_table(_tables.agents(ZONE), rows).splitlines()
    assert " no " in next(line for line in lines if "ivanova" in line)
    assert " yes " in next(line for line in lines if "petrov" in line)
