from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console, ConsoleDimensions
from typer.testing import CliRunner

from gkc_engine.__main__ import app
from gkc_engine.cli._demo_screen import Lines, picture, summary

ZONE = ZoneInfo("Europe/Moscow")


def queue(name: str, **values: int) -> dict[str, Any]:
    none = dict.fromkeys(("waiting", "ringing", "talking", "ready", "busy", "not_ready"), 0)
    none |= dict.fromkeys(("offline", "offered", "answered", "abandoned"), 0)
    return {
        "queue": name,
        "title": name,
        "longest_wait_s": None,
        **none,
        "service_level": None,
    } | values


SNAPSHOT: dict[str, Any] = {
    "now": "2026-11-24T00:00:00.000000Z",
    "center": "centr",
    "queues": [queue("tax", waiting=2, answered=3, abandoned=1), queue("quiet", answered=1)],
    "agents": [
        {"agent_id": f"agent{n}", "state": "ready" if n else "offline", "state_s": 5.0}
        for n in range(26)
    ],
    "contacts": [{}, {}],
}
CONTACTS = [
    {"number": f"2026-ЦАО-{n:06d}", "started": "2026-11-24T00:00:00.000000Z", "queue": "tax"}
    for n in range(8)
]


def drawn(width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, highlight=False)
    size = ConsoleDimensions(width, height)
    with console.capture() as seen:
        console.print(picture(SNAPSHOT, CONTACTS, 7, zone=ZONE, size=size))
    return seen.get().splitlines()


def test_the_summary_counts_what_it_says() -> None:
    assert summary(SNAPSHOT, 7) == (
        "7 dialled, 2 on the line: 2 waiting, 0 talking; 4 answered, 1 abandoned;"
        " 25 of 25 operators ready"
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (150, 50), (60, 15), (200, 12)])
def test_the_table_fits_into_the_terminal(width: int, height: int) -> None:
    lines = drawn(width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert any(line.startswith("tax") for line in lines)


def test_a_low_terminal_drops_queues_without_a_call_and_a_high_one_shows_all() -> None:
    assert not any(line.startswith("quiet") for line in drawn(80, 24))
    everything = "\n".join(drawn(150, 50))
    for text in ("quiet", "agent25", "2026-ЦАО-000007"):
        assert text in everything


def test_progress_goes_to_stderr_only_and_not_each_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Lines() as screen:
        screen.show(SNAPSHOT, CONTACTS, 7)
        screen.show(SNAPSHOT, CONTACTS, 8)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("dialled") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--json"], "--json needs --seconds"),
        (["--centers", "2"], "--centers: found 2, expected 1 or 3"),
        (["--centers", "3", "--store", "env:X"], "--store is of one center"),
    ],
)
def test_what_cannot_be_is_refused(options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["demo", *options])
    assert done.exit_code == 2
    assert said in done.stderr
