"""Alerts over a live state that the test says: rows, quiet times, restarts, acknowledgements."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.views import Closing
from gkc_engine.alerts.box import Box
from gkc_engine.alerts.evaluator import Key
from gkc_engine.alerts.sampling import OfEngine, Sampler
from gkc_engine.alerts.service import Alerts
from gkc_engine.alerts.window import Window
from gkc_engine.alerts.words import amount
from gkc_engine.config.alert_model import AlertModel, Measure
from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.control.views import queue_rows
from gkc_engine.ids import SECOND, Instant
from gkc_engine.metrics import Metrics
from gkc_engine.statistics.counting import Ended
from tests.channels.world import CITY
from tests.control.fake import NOW, PASSPORT, FakeBackend, after

ALWAYS = {"week": {"mon-sun": ["00:00-24:00"]}}


def config_with(*alerts: dict[str, Any], quiet: bool = False) -> Config:
    """Return the test city with alerts; calendar ``night`` is open always, or never."""
    config = load_config(CITY)
    week = ALWAYS if quiet else {"week": {"mon-sun": ["00:00-24:00"]}, "dates": {"2026-11-18": []}}
    return config.model_copy(
        update={
            "alerts": tuple(AlertModel.model_validate_json(json.dumps(a)) for a in alerts),
            "calendars": {"night": CalendarModel.model_validate_json(json.dumps(week))},
        }
    )


def line(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"name": "line", "when": "waiting", "queue": "passport", "above": 0, "for": "3s", **more}


class Post:
    """A mailer that keeps what it gets."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.keys: list[str] = []

    def send(self, key: str, to: str, subject: str, text: str) -> None:
        assert subject.endswith(text)
        self.keys.append(key)
        self.sent.append((to, text))


class Hall:
    """The alerts of one engine after another, over one table."""

    def __init__(self, config: Config) -> None:
        self.live = FakeBackend()
        self.waiting = self.live.in_progress
        self.table: dict[int, dict[str, Any]] = {}
        self.broken = False
        self.up = True
        self.post = Post()
        self.box = Box(Path("/nowhere"))  # Not open: no webhook of these tests gets anything.
        self.start(config)

    def start(self, config: Config) -> None:
        self.metrics = Metrics()
        self.window = Window()
        self.of_engine = OfEngine(ami_up=lambda: self.up, behind=lambda: 0.0, disk_free=0.5)
        sampler = Sampler(self.live, self.of_engine, self.window)
        self.alerts = Alerts(
            *(sampler, self.window, self.metrics, self._save, lambda ref: ref, self.box),
            now=self.live.now,
        )
        self.alerts.mailer = self.post
        self.alerts.restore(self.table.values())
        self.alerts.apply(config)

    def _save(self, row: Mapping[str, Any]) -> asyncio.Future[None]:
        saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.broken:
            saved.set_exception(OSError("database is locked"))
        else:
            self.table[row["alert_id"]] = dict(row)
            saved.set_result(None)
        return saved

    async def look(self, seconds: int) -> None:
        for _ in range(seconds):
            self.live.clock = Instant(self.live.clock + SECOND)
            self.alerts.look()
            await asyncio.sleep(0)

    def active(self, queue: str = "passport", name: str = "line") -> float | None:
        labels = {"alert": name, "queue": queue}
        return self.metrics.registry.get_sample_value("gkc_alert_active", labels)


async def test_raised_told_and_cleared_once_and_on_record() -> None:
    hall = Hall(config_with(line(to=["log", "duty@example.org"])))
    with capture_logs() as logs:
        await hall.look(2)
        assert hall.table == {}
        await hall.look(2)
        assert hall.active() == 1.0
        await hall.look(30)
        hall.live.in_progress = []
        await hall.look(10)
    assert hall.active() == 0.0
    # A webhook's thread of another test may still have a word to say.
    told = [entry["event"] for entry in logs if entry["event"].startswith("alert_")]
    assert told == ["alert_raised", "alert_cleared"]
    limit = "ожидают ответа 1 (порог: больше 0)"
    assert hall.post.sent == [
        ("duty@example.org", f"ТРЕВОГА: «Паспорта»: {limit}"),
        ("duty@example.org", "Снято: «Паспорта»: ожидают ответа 0 (порог: больше 0)"),
    ]
    assert hall.post.keys == [
        f"1.{what}.{after(NOW, 4) // SECOND} duty@example.org" for what in ("raised", "cleared")
    ]
    (row,) = hall.table.values()
    assert (row["raised_us"], row["cleared_us"]) == (after(NOW, 4), after(NOW, 38))
    assert (row["since_us"], row["value"], row["cleared_value"]) == (after(NOW, 1), 1.0, 0.0)
    sent = hall.metrics.registry.get_sample_value(
        "gkc_alerts_sent_total", {"way": "mail", "outcome": "sent"}
    )
    assert sent == 2.0


async def test_a_restart_neither_raises_again_nor_forgets() -> None:
    config = config_with(line())
    hall = Hall(config)
    await hall.look(5)
    hall.start(config)
    assert hall.active() == 1.0
    with capture_logs() as logs:
        await hall.look(20)
        assert logs == []
        hall.live.in_progress = []
        await hall.look(5)
    assert [entry["event"] for entry in logs] == ["alert_cleared"]
    hall.live.in_progress = hall.waiting
    await hall.look(5)
    assert sorted(hall.table) == [1, 2], "the next has the next number"


async def test_quiet_is_on_record_and_is_told_when_it_is_over() -> None:
    quiet, loud = (config_with(line(quiet=["night"]), quiet=q) for q in (True, False))
    hall = Hall(quiet)
    with capture_logs() as logs:
        await hall.look(10)
        assert logs == []
        assert hall.table[1]["told_us"] is None
        hall.alerts.apply(loud)
        await hall.look(1)
        assert [entry["event"] for entry in logs] == ["alert_raised"]
        assert hall.table[1]["told_us"] == after(NOW, 11)
        await hall.look(10)
        assert len(logs) == 1
    hall.live.in_progress = []
    hall.start(quiet)
    await hall.look(9)
    hall.live.in_progress = hall.waiting
    with capture_logs() as logs:
        await hall.look(9)
        hall.live.in_progress = []
        await hall.look(9)
        assert logs == [], "raised and over again in a quiet time: nobody is told of either"
    assert hall.table[2]["cleared_us"] is not None


async def test_a_table_that_cannot_be_written_holds_nothing_up() -> None:
    hall = Hall(config_with(line()))
    hall.broken = True
    with capture_logs() as logs:
        await hall.look(6)
    assert "alert_raised" in [entry["event"] for entry in logs]
    assert hall.table == {}
    hall.broken = False
    await hall.look(3)
    assert list(hall.table) == [1]


async def test_without_the_alert_in_the_config_it_is_cleared() -> None:
    hall = Hall(config_with(line()))
    await hall.look(5)
    with capture_logs() as logs:
        hall.alerts.apply(config_with())
    # A webhook's thread of another test may still have a word to say.
    told = [entry for entry in logs if entry["event"].startswith("alert_")]
    assert [entry["event"] for entry in told] == ["alert_cleared"]
    assert "больше нет в настройках" in told[0]["text"]
    await hall.look(5)
    assert hall.table[1]["cleared_us"] == after(NOW, 5)


async def test_somebody_sees_to_it() -> None:
    hall = Hall(config_with(line()))
    await hall.look(5)
    raised = hall.alerts.ack(1, "sidorov", "вызвала смену")
    assert raised is not None
    await asyncio.sleep(0)
    row = hall.table[1]
    assert (row["acked_us"], row["acked_by"], row["note"]) == (
        after(NOW, 5),
        "sidorov",
        "вызвала смену",
    )
    assert hall.alerts.ack(2, "sidorov", "") is None


async def test_each_measure_is_what_the_queue_s_row_says() -> None:
    """FakeBackend: one waits for 45 s; today 1 of 5 is abandoned long; two are at work."""
    hall = Hall(
        config_with(
            {"name": "wait", "when": "longest_wait", "above": "40s", "for": "1s"},
            {"name": "staff", "when": "no_staff", "queue": "passport", "below": 3, "for": "1s"},
            {"name": "ami", "when": "ami_down", "for": "1s"},
            {"name": "disk", "when": "disk_free", "below": 0.1, "for": "1s"},
            {"name": "lost", "when": "abandon_rate", "above": 0.1, "least": 1, "for": "1s"},
        )
    )
    values = hall.alerts._sampler.values(hall.alerts._alerts, NOW)
    assert {(k.name, k.queue): v for k, v in values.items()} == {
        ("wait", "passport"): 45_000_000.0,
        ("wait", "housing"): 0.0,
        ("staff", "passport"): 2.0,
        ("ami", ""): 0.0,
        ("disk", ""): 0.5,
        # Of those of the last 15 minutes only the talk in progress is known: none was lost.
        ("lost", "passport"): 0.0,
        ("lost", "housing"): None,
    }
    (row,) = queue_rows(hall.live, "passport")
    assert values[Key("wait", "passport")] == row["longest_wait_s"] * 1e6
    assert values[Key("staff", "passport")] == row["ready"] + row["busy"] + row["not_ready"]
    hall.up, hall.of_engine.disk_free = False, 0.01
    await hall.look(3)
    names = {row["name"] for row in hall.table.values()}
    assert names == {"wait", "staff", "ami", "disk"}


async def test_shares_of_the_last_minutes_by_hand() -> None:
    """In the window: 2 answered in time, 1 late, 1 lost, 1 lost at once; one talks, in 20 s."""
    share = {"queue": "passport", "for": "1s", "over": "10m"}
    hall = Hall(
        config_with(
            {"name": "level", "when": "service_level", "below": 0.9, "least": 6, **share},
            {"name": "lost", "when": "abandon_rate", "above": 0.1, "least": 6, **share},
            {"name": "few", "when": "abandon_rate", "above": 0.1, "least": 7, **share},
        )
    )
    hall.window.add(
        [
            (Ended(queue=PASSPORT, disposition=how, first_queued=at, wait_us=wait * SECOND), target)
            for how, wait in (
                (Disposition.ANSWERED, 5),
                (Disposition.ANSWERED, 20),
                (Disposition.ANSWERED, 21),
                (Disposition.ABANDONED, 60),
                (Disposition.ABANDONED_SHORT, 3),
            )
            for at, target in ((after(NOW, -200), 20 * SECOND),)
        ],
        NOW,
    )
    values = hall.alerts._sampler.values(hall.alerts._alerts, NOW)
    # In time 3 of 4 answered + 2 abandoned - 1 short; lost 1 of 6 offered.
    assert {key.name: value for key, value in values.items()} == {
        "level": pytest.approx(3 / 5),
        "lost": pytest.approx(1 / 6),
        "few": None,
    }


async def test_nobody_need_be_at_work_in_a_closed_queue() -> None:
    hall = Hall(config_with({"name": "staff", "when": "no_staff", "below": 9, "for": "1s"}))
    hall.live.closed[PASSPORT] = Closing(emergency=False, reason="")
    values = hall.alerts._sampler.values(hall.alerts._alerts, NOW)
    assert {key.queue: value for key, value in values.items()} == {"passport": None, "housing": 1.0}


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        (Measure.LONGEST_WAIT, 185e6, "3 мин 5 с"),
        (Measure.LONGEST_WAIT, 45e6, "45 с"),
        (Measure.SERVICE_LEVEL, 0.756, "75,6 %"),
        (Measure.WAITING, 25.0, "25"),
        (Measure.LEDGER_BEHIND, float("inf"), "журнал недоступен"),
        (Measure.SERVICE_LEVEL, None, "нет данных"),
    ],
)
def test_values_as_people_read_them(measure: Measure, value: float | None, text: str) -> None:
    assert amount(measure, value) == text
