"""The words of a supervisor's commands: what is asked of the engine, what is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from gkc_engine.alerts.methods import Ack, History
from gkc_engine.cli import agent, alert, contact, queue
from gkc_engine.control.audit import Change
from gkc_engine.control.methods import Methods, Nothing
from gkc_engine.control.reactions import (
    Announce,
    Move,
    Priority,
    ResetSkills,
    SetSkill,
    StopAnnouncing,
)
from gkc_engine.control.server import Call, ControlServer
from tests.cli.conftest import ServerThread
from tests.control.fake import NOW, AuditLog, FakeBackend, after

ALERT: dict[str, Any] = {
    "alert_id": 12,
    "alert": "crowd",
    "when": "waiting",
    "queue": "passport",
    "threshold": 20.0,
    "value": 25.0,
    "raised": "2026-11-18T11:05:50.000000Z",
    "cleared": None,
    "acked_by": None,
    "note": None,
}
ROWS: dict[str, dict[str, Any]] = {
    "agent": {
        "agent_id": "petrov",
        "title": "Петров",
        "state": "ready",
        "reason": None,
        "state_s": 1.0,
        "until": None,
        "interface": "PJSIP/102",
        "registered": True,
        "queues": ["housing", "passport"],
        "overrides": [
            {"skill": "passport", "level": 3, "until": "2026-11-18T11:30:00.000000Z"},
            {"skill": "housing", "level": 0, "until": None},
        ],
    },
    "alert": ALERT,
    "contact": {
        "position": 1,
        "number": "2026-ЦАО-000002",
        "queue": "housing",
        "state": "waiting",
        "started": "2026-11-18T11:05:50.000000Z",
        "wait_s": 45.0,
        "agent_id": None,
        "class": "normal",
        "head_start_s": -120.0,
    },
    "queue": {
        "queue": "passport",
        "told": 7,
        "broadcasts": [
            {
                "prompt": None,
                "text": "Отключена вода",
                "until": "2026-11-18T11:30:00.000000Z",
                "every_s": 120.0,
                "newcomers": True,
            },
            {
                "prompt": "outage",
                "text": None,
                "until": "2026-11-18T11:16:40.000000Z",
                "every_s": None,
                "newcomers": False,
            },
        ],
    },
}


@pytest.fixture
def asked(run: Path) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What the engine was asked for; it answers with a row."""
    server = ControlServer(run / "engine.sock", AuditLog())
    Methods(FakeBackend(), "0.1.0").register(server)
    calls: list[tuple[str, dict[str, Any]]] = []

    def answer(name: str, params: type[Any]) -> None:
        async def handle(given: msgspec.Struct, _call: Call) -> Change:
            fields = {k: v for k, v in msgspec.structs.asdict(given).items() if v is not None}
            calls.append((name, fields))
            row = ROWS[name.partition(".")[0]]
            return Change(object=name, before=None, after=None, result=[row])

        server.method(name, params, handle, changes=True)

    def tell(name: str, params: type[Any]) -> None:
        async def handle(given: msgspec.Struct, _call: Call) -> list[dict[str, Any]]:
            calls.append((name, msgspec.structs.asdict(given)))
            return [ALERT]

        server.method(name, params, handle)

    tell("alert.list", Nothing)
    tell("alert.history", History)
    for name, params in (
        ("alert.ack", Ack),
        ("agent.skill", SetSkill),
        ("agent.skill_reset", ResetSkills),
        ("contact.move", Move),
        ("contact.priority", Priority),
        ("queue.announce", Announce),
        ("queue.silence", StopAnnouncing),
    ):
        answer(name, params)
    serving = ServerThread(server)
    serving.start()
    yield calls
    serving.stop()


def test_skills(asked: list[tuple[str, dict[str, Any]]], gkc: CliRunner) -> None:
    until = ["--until", "14:30"]  # 14:06:40 in Moscow is now
    result = gkc.invoke(agent.app, ["skill", "add", "petrov", "passport", *until])
    assert result.exit_code == 0, result.output
    assert "petrov: passport=3 until 2026-11-18 14:30:00" in result.stdout
    assert "petrov: without housing until he logs out" in result.stdout
    gkc.invoke(agent.app, ["skill", "add", "petrov", "passport=7"])
    gkc.invoke(agent.app, ["skill", "remove", "petrov", "housing", "--json"])
    gkc.invoke(agent.app, ["skill", "reset", "petrov"])
    petrov = {"agent": "petrov"}
    end = after(NOW, 1400)
    assert asked == [
        ("agent.skill", {**petrov, "skill": "passport", "until_us": end}),
        ("agent.skill", {**petrov, "skill": "passport", "level": 7}),
        ("agent.skill", {**petrov, "skill": "housing", "level": 0}),
        ("agent.skill_reset", petrov),
    ]


def test_contacts(asked: list[tuple[str, dict[str, Any]]], gkc: CliRunner) -> None:
    result = gkc.invoke(contact.app, ["move", "2026-ЦАО-000002", "housing"])
    assert result.exit_code == 0, result.output
    assert "2026-ЦАО-000002: class normal, head start -2:00" in result.stdout
    for change in ("emergency", "+1.5m", "-2m"):
        assert gkc.invoke(contact.app, ["priority", "c1", change]).exit_code == 0
    assert asked[1:] == [
        ("contact.priority", {"contact": "c1", "contact_class": "emergency"}),
        ("contact.priority", {"contact": "c1", "head_start_s": 90.0}),
        ("contact.priority", {"contact": "c1", "head_start_s": -120.0}),
    ]


def test_alerts(asked: list[tuple[str, dict[str, Any]]], gkc: CliRunner) -> None:
    result = gkc.invoke(alert.app, ["list"])
    assert result.exit_code == 0, result.output
    columns = result.stdout.splitlines()[1].split()
    assert columns[:6] == ["12", "crowd", "passport", "waiting", "25.0", "20.0"]
    assert columns[6:9] == ["2026-11-18", "14:05:50", "-"]
    assert json.loads(gkc.invoke(alert.app, ["history", "--limit", "3", "--json"]).stdout) == [
        ALERT
    ]
    gkc.invoke(alert.app, ["ack", "12", "--note", "вызвана смена"])
    assert asked == [
        ("alert.list", {}),
        ("alert.history", {"limit": 3}),
        ("alert.ack", {"alert_id": 12, "note": "вызвана смена"}),
    ]
    assert gkc.invoke(alert.app, ["history", "--limit", "0"]).exit_code == 2


def test_announcements(asked: list[tuple[str, dict[str, Any]]], gkc: CliRunner) -> None:
    result = gkc.invoke(queue.app, ["announce", "passport", "outage"])
    assert result.exit_code == 0, result.output
    assert "7 wait there and hear it" in result.stdout
    assert (
        "passport: announcing “Отключена вода” until 2026-11-18 14:30:00, every 2:00"
        in result.stdout
    )
    assert "passport: announcing outage until 2026-11-18 14:16:40, to those who waited" in (
        result.stdout
    )
    words = ["announce", "passport", "--text", "Отключена вода", "--every", "2m", "--until", "1h"]
    result = gkc.invoke(queue.app, [*words, "--json"])
    assert json.loads(result.stdout)[0]["told"] == 7
    gkc.invoke(queue.app, ["announce", "passport", "--stop"])
    assert asked == [
        ("queue.announce", {"queue": "passport", "prompt": "outage"}),
        (
            "queue.announce",
            {
                "queue": "passport",
                "text": "Отключена вода",
                "every_s": 120.0,
                "until_us": after(NOW, 3600),
            },
        ),
        ("queue.silence", {"queue": "passport"}),
    ]


WRONG: list[tuple[typer.Typer, list[str], str]] = [
    (agent.app, ["skill", "add", "petrov", "passport=11"], "expected 1 to 10"),
    (agent.app, ["skill", "add", "petrov", "passport="], "expected 1 to 10"),
    (agent.app, ["skill", "remove", "petrov", "x", "--until", "soon"], "--until: found 'soon'"),
    (contact.app, ["priority", "c1", "urgent"], "expected emergency, normal, background"),
    (contact.app, ["priority", "c1", "+5"], "a head start such as +5m or -2m"),
    (contact.app, ["priority", "c1", "5m"], "a head start such as +5m or -2m"),
    (queue.app, ["announce", "passport"], "either a prompt or --text"),
    (queue.app, ["announce", "passport", "outage", "--every", "2"], "a duration such as 2m"),
    (queue.app, ["announce", "passport", "outage", "--once", "--until", "1h"], "--once goes"),
    (queue.app, ["announce", "passport", "outage", "--stop"], "--stop stands alone"),
]


def test_wrong_words_are_a_mistake_of_usage(
    asked: list[tuple[str, dict[str, Any]]], gkc: CliRunner
) -> None:
    for app, words, said in WRONG:
        result = gkc.invoke(app, words)
        assert result.exit_code == 2, result.output
        assert said in result.stderr.replace("\n", " "), words
    assert asked == []
