"""``gkc report outbox|send|retry`` against a control socket, and without an engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import _outbox, report
from gkc_engine.control.deliveries import DeliveryMethods
from gkc_engine.control.methods import Methods
from gkc_engine.control.server import ControlServer
from gkc_engine.delivery.outbox import FILE, NewMail, Outbox
from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from tests.cli.conftest import ServerThread
from tests.cli.test_contact_offline import make_store
from tests.control.fake import AuditLog, FakeBackend, directory
from tests.delivery.support import moment

DUE = moment("2026-11-28T07:30+03:00")


def row(state: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    to = [{"address": "p@police.example", "state": "queued", "reply": None}]
    made = {"mail_id": 12, "name": "day-mvd", "period": "2026-11-27", "copy": 0, "to": to}
    made |= {"state": state, "attempts": 0, "last_error": None, "message_id": None, "bytes": None}
    made |= {"sha256": None, "due": "2026-11-28T04:30:00.000000Z", "next_try": None}
    return made | {"give_up": None, "sent": None} | more


@dataclass
class Deliveries:
    """Answers with what it is given; each look at the outbox brings the next."""

    looks: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def outbox(self, limit: int, mail_id: int | None = None) -> list[dict[str, Any]]:
        self.asked.append(("outbox", limit, mail_id))
        return [self.looks[0] if len(self.looks) == 1 else self.looks.pop(0)]

    async def send(self, name: str, *, again: bool) -> dict[str, Any]:
        self.asked.append(("send", name, again))
        if name == "day":
            raise GkcError("no report 'day'; there are: day-mvd")
        return row("due")

    async def retry(self, mail_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        self.asked.append(("retry", mail_id))
        return row("failed"), row("due")

    async def send_all(self) -> int:
        self.asked.append(("send_all",))
        return 3


@dataclass
class Running:
    deliveries: Deliveries
    audit: AuditLog


@pytest.fixture
def engine(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(_outbox, "LOOK_S", 0.01)
    deliveries, audit = Deliveries(), AuditLog()
    server = ControlServer(run / "engine.sock", audit)
    Methods(FakeBackend(directory=directory(str(tmp_path))), "0.1.0").register(server)
    DeliveryMethods(deliveries).register(server)
    serving = ServerThread(server)
    serving.start()
    yield Running(deliveries, audit)
    serving.stop()


def test_send_waits_until_it_is_sent(engine: Running, gkc: CliRunner) -> None:
    engine.deliveries.looks = [row("queued"), row("sending"), row("sent", attempts=1)]
    result = gkc.invoke(report.app, ["send", "day-mvd"])
    assert (result.exit_code, result.stdout) == (0, "sent to p@police.example\n")
    assert result.stderr == "gkc: day-mvd of 2026-11-27: mail 12\n"
    assert engine.deliveries.asked[:2] == [("send", "day-mvd", False), ("outbox", 50, 12)]
    (audited,) = engine.audit
    assert audited[1:3] == ("report.send", "report day-mvd")
    assert audited[4] == {"mail": 12, "period": "2026-11-27", "copy": 0}


def test_what_is_put_off_is_told_with_its_reason(engine: Running, gkc: CliRunner) -> None:
    engine.deliveries.looks = [row("queued", attempts=1, last_error="mail.example.org:25: away")]
    result = gkc.invoke(report.app, ["retry", "12"])
    assert result.exit_code == 1
    assert result.stdout == "queued: mail.example.org:25: away; see gkc report outbox\n"
    assert engine.audit[0][1:5] == (
        "report.retry",
        "mail 12",
        {"state": "failed"},
        {"state": "due"},
    )
    printed = gkc.invoke(report.app, ["retry", "12", "--json"])
    assert json.loads(printed.stdout)[0]["attempts"] == 1


def test_all_that_waits(engine: Running, gkc: CliRunner) -> None:
    result = gkc.invoke(report.app, ["send", "--now"])
    assert (result.exit_code, result.stdout) == (
        0,
        "3 mails are tried now: see gkc report outbox\n",
    )
    assert engine.deliveries.asked == [("send_all",)]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["send", "day"], 1, "no report 'day'; there are: day-mvd"),
        (["send"], 2, "give the NAME of a report, or --now"),
        (["send", "day-mvd", "--now"], 2, "give the NAME of a report, or --now"),
        (["retry", "first"], 2, "retry"),
        (["outbox", "--limit", "0"], 2, "outbox"),
    ],
)
def test_refusals(gkc: CliRunner, words: list[str], code: int, said: str) -> None:
    result = gkc.invoke(report.app, words)
    assert result.exit_code == code
    assert said in result.stderr


def test_the_outbox_of_the_running_engine(engine: Running, gkc: CliRunner) -> None:
    engine.deliveries.looks = [row("sent", sent="2026-11-28T04:30:02.000000Z", attempts=1)]
    head, line = gkc.invoke(report.app, ["outbox"]).stdout.splitlines()
    assert head.split("  ")[0] == "Id"
    assert head.split()[1:6] == ["Report", "Period", "State", "Tries", "Sent"]
    told = ["12", "day-mvd", "2026-11-27", "sent", "1", "2026-11-28", "07:30:02"]
    assert line.split()[:7] == told
    engine.deliveries.looks[0]["to"].append({"address": "q@x.example", "state": "failed"})
    (_, line) = gkc.invoke(report.app, ["outbox"]).stdout.splitlines()
    assert "p@police.example (queued), q@x.example (failed)" in line
    listed = gkc.invoke(report.app, ["outbox", "--json"]).stdout
    assert json.loads(listed) == engine.deliveries.looks


def test_without_an_engine_what_the_last_one_left(run: Path, gkc: CliRunner) -> None:
    make_store(run.parent / "gkc.sqlite")
    assert gkc.invoke(report.app, ["outbox"]).stdout == "No report was due yet.\n"
    left = Outbox(run.parent / FILE)
    left.open()
    new = NewMail(
        name="day", first="2026-11-27", after="2026-11-28", period="2026-11-27",
        due=DUE, give_up=Instant(DUE + 1), to=["a@city.example"],
    )  # fmt: skip
    assert left.add(new) == 1
    assert left.add(new) is None
    left.close()
    (found,) = json.loads(gkc.invoke(report.app, ["outbox", "--json"]).stdout)
    assert (found["state"], found["next_try"]) == ("due", "2026-11-28T04:30:00.000000Z")
    refused = gkc.invoke(report.app, ["send", "day"])
    assert refused.exit_code == 1
    assert "No engine is running" in refused.stderr
