"""The commands over the control socket: what they print, and how they end."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gkc_engine.acd.events import AgentLoggedOut, AgentPaused, EmergencyClosed, WrapUpCoded
from gkc_engine.cli import agent, contact, queue
from gkc_engine.cli.reload import reload
from gkc_engine.config.reload import NEXT_START
from gkc_engine.errors import ConfigError, GkcError
from gkc_engine.ids import SECOND, Instant
from tests.cli.conftest import Running
from tests.control.fake import DONE, HOUSING, NOW, PASSPORT

reload_app = typer.Typer()
reload_app.command()(reload)


PLAIN_QUEUES = """\
Queue     Title                   W  Longest   EWT  Ring  Talk  Ready  Busy  Pause  Off  Offered  C  A   SL
passport  Паспорта и регистрация  1     0:45  1:30     0     1      1     1      0    0        5  2  2  33%
housing   ЖКХ [все]               0        -     -     0     0      1     0      0    0        0  0  0    -
"""  # noqa: E501


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert isinstance(value, list)
    assert all(isinstance(row, dict) for row in value)
    return value


def times_of(value: object) -> list[str]:
    """Every text in ``value`` that is a time, however deep."""
    if isinstance(value, dict):
        return [t for one in value.values() for t in times_of(one)]
    if isinstance(value, list):
        return [t for one in value for t in times_of(one)]
    is_time = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value)
    return [value] if isinstance(value, str) and is_time else []


# --- queue -----------------------------------------------------------------------------------


def test_queue_show_json_is_a_list_of_objects_longest_wait_first(
    engine: Running, gkc: CliRunner
) -> None:
    passport, housing = rows(gkc.invoke(queue.app, ["show", "--json"]))
    assert passport == {
        "queue": "passport",
        "title": "Паспорта и регистрация",
        "closed": None,
        "closed_reason": None,
        "waiting": 1,
        "longest_wait_s": 45.0,
        "expected_wait_s": 90.5,
        "ringing": 0,
        "talking": 1,
        "ready": 1,
        "busy": 1,
        "not_ready": 0,
        "offline": 0,
        # One answered and two abandoned have ended; one talks (answered after 20 s), one waits.
        "offered": 5,
        "answered": 2,
        "abandoned": 2,
        "abandoned_short": 1,
        "abandon_rate": 0.2,
        "asa_s": 26.5,
        "servicelevel_s": 20.0,
        # Of 2 answered + 2 abandoned - 1 short one was answered within 20 s, the one that talks.
        "service_level": 0.3333,
        "broadcasts": [],
        "answered_in_target": 1,
        "wrap_up": 0,
        # The one that ended: 60 s of talk and 10 s of wrap-up.
        "handled": 1,
        "aht_s": 70.0,
        # Whose wait ended in the last half hour: the same without the one that waits.
        "offered_30m": 4,
        "answered_30m": 2,
        "answered_in_target_30m": 1,
        "abandoned_30m": 2,
        "abandoned_short_30m": 1,
        "abandon_rate_30m": 0.25,
        "service_level_30m": 0.3333,
        "levels": {},
    }
    assert housing["queue"] == "housing"
    assert housing["longest_wait_s"] is None
    assert housing["service_level"] is None
    assert engine.audit == []


@pytest.mark.usefixtures("engine")
def test_queue_show_in_a_pipe_is_aligned_plain_text(gkc: CliRunner) -> None:
    lines = gkc.invoke(queue.app, ["show"]).stdout.splitlines()
    assert lines == PLAIN_QUEUES.splitlines()


@pytest.mark.usefixtures("engine")
def test_queue_show_of_one_queue_tells_who_waits_and_who_serves(gkc: CliRunner) -> None:
    text = gkc.invoke(queue.app, ["show", "passport"]).stdout
    waiting = next(line for line in text.splitlines() if "2026-ЦАО-000002" in line)
    assert waiting.split() == [
        "1",
        "2026-ЦАО-000002",
        "passport",
        "waiting",
        "14:05:50",
        "0:45",
        "-",
    ]
    assert "Иванова А. П." in text
    text = gkc.invoke(queue.app, ["show", "housing"]).stdout
    assert "Nobody waits or talks in housing." in text
    assert "Иванова" not in text


@pytest.mark.usefixtures("engine")
def test_an_unknown_queue_is_refused_with_those_that_there_are(gkc: CliRunner) -> None:
    result = gkc.invoke(queue.app, ["show", "pasport"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no queue 'pasport'; there are: housing, passport" in result.stderr


def test_live_streams_until_the_engine_is_gone(engine: Running, gkc: CliRunner) -> None:
    # The stream ends when the backend breaks, as it would when the engine is stopped.
    calls = 0
    queues = engine.backend.directory

    def contacts() -> list[Any]:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise GkcError("going down")
        return []

    engine.backend.contacts = contacts  # type: ignore[method-assign]
    result = gkc.invoke(queue.app, ["show", "--live", "--json"])
    first = json.loads(result.stdout.splitlines()[0])
    assert {row["queue"] for row in first} == set(queues.queues)
    assert result.exit_code == 1
    assert "going down" in result.stderr


def test_a_queue_is_closed_and_opened_and_said_to_be(engine: Running, gkc: CliRunner) -> None:
    result = gkc.invoke(queue.app, ["close", "passport", "--reason", "дым", "--to", "housing"])
    assert result.exit_code == 0, result.output
    assert "passport: closed in an emergency (дым)" in result.stdout
    assert engine.backend.submitted == [
        EmergencyClosed(queue=PASSPORT, say="emergency-moved", then_queue=HOUSING, reason="дым")
    ]
    shown = gkc.invoke(queue.app, ["show"])
    assert "passport: closed in an emergency (дым)" in shown.stdout
    (row,) = rows(gkc.invoke(queue.app, ["open", "passport", "--json"]))
    assert row["closed"] is None
    assert [entry[1] for entry in engine.audit] == ["queue.close", "queue.open"]
    assert "closed" not in gkc.invoke(queue.app, ["show"]).stdout


def test_the_whole_center_is_closed_by_its_own_word_only(engine: Running, gkc: CliRunner) -> None:
    for words in (["close"], ["close", "passport", "--all"], ["open"]):
        assert gkc.invoke(queue.app, words).exit_code == 2, words
    assert engine.backend.submitted == []
    assert len(rows(gkc.invoke(queue.app, ["close", "--all", "--json"]))) == 2
    assert engine.backend.submitted == [EmergencyClosed(say="emergency-closed")]


# --- agent -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("engine")
def test_agent_show_json(gkc: CliRunner) -> None:
    ivanova, petrov = rows(gkc.invoke(agent.app, ["show", "--json"]))
    assert ivanova["state"] == "talk"
    assert ivanova["state_s"] == 100.0
    assert ivanova["contact_id"]
    assert petrov["queues"] == ["passport", "housing"]
    assert rows(gkc.invoke(agent.app, ["show", "petrov", "--json"])) == [petrov]


def test_pause_for_a_while_reaches_the_core_and_the_audit(engine: Running, gkc: CliRunner) -> None:
    [row] = rows(
        gkc.invoke(agent.app, ["pause", "petrov", "--reason", "обед", "--for", "1.5m", "--json"])
    )
    assert engine.backend.submitted == [
        AgentPaused(agent_id=row["agent_id"], reason="обед", until=Instant(NOW + 90 * SECOND))
    ]
    assert (row["state"], row["reason"]) == ("not_ready", "обед")
    assert row["until"] == "2026-11-18T11:08:10.000000Z"
    [(actor, action, subject, before, now)] = engine.audit
    assert (action, subject) == ("agent.pause", "agent petrov")
    assert f"uid {os.geteuid()}" in actor
    assert before["state"] == "ready"
    assert now["state"] == "not_ready"


def test_pause_until_a_time_of_day_is_in_the_center_s_zone(engine: Running, gkc: CliRunner) -> None:
    [row] = rows(gkc.invoke(agent.app, ["pause", "petrov", "--until", "14:30", "--json"]))
    assert row["until"] == "2026-11-18T11:30:00.000000Z"
    text = gkc.invoke(agent.app, ["show", "petrov"]).stdout
    assert "14:30:00" in text
    assert engine.backend.submitted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--for", "10"], "expected a duration such as 15m"),
        (["--for", "0s"], "expected a duration such as 15m"),
        (["--until", "soon"], "expected a duration such as 15m or 2h, a time of day"),
        (["--until", "2020-01-01"], "in the past"),
        (["--for", "5m", "--until", "15:00"], "not both"),
        (["--for", "400d"], "agent.pause"),
    ],
)
def test_a_wrong_pause_is_a_mistake_of_usage(
    engine: Running, gkc: CliRunner, arguments: list[str], said: str
) -> None:
    result = gkc.invoke(agent.app, ["pause", "petrov", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert engine.backend.submitted == []


def test_login_logout_and_ready(engine: Running, gkc: CliRunner) -> None:
    out = rows(gkc.invoke(agent.app, ["logout", "petrov", "--reason", "домой", "--json"]))
    assert out[0]["state"] == "offline"
    assert engine.backend.submitted[-1] == AgentLoggedOut(
        agent_id=out[0]["agent_id"], reason="домой"
    )
    assert rows(gkc.invoke(agent.app, ["login", "petrov", "--json"]))[0]["state"] == "ready"
    assert rows(gkc.invoke(agent.app, ["ready", "petrov", "--json"]))[0]["state"] == "ready"
    assert [row[1] for row in engine.audit] == ["agent.logout", "agent.login", "agent.ready"]


def test_result_passes_its_code_on(engine: Running, gkc: CliRunner) -> None:
    [row] = rows(gkc.invoke(agent.app, ["result", "petrov", "12", "--json"]))
    assert row["agent_id"] == "petrov"
    assert engine.backend.submitted[-1] == WrapUpCoded(agent_id=row["agent_id"], code="12")
    assert gkc.invoke(agent.app, ["result", "petrov"]).exit_code == 2
    assert gkc.invoke(agent.app, ["result", "petrov", ""]).exit_code == 2


def test_what_is_refused_ends_with_1(engine: Running, gkc: CliRunner) -> None:
    gkc.invoke(agent.app, ["logout", "petrov"])
    result = gkc.invoke(agent.app, ["pause", "petrov"])
    assert result.exit_code == 1
    assert result.stderr == "petrov is not logged in; `gkc agent login petrov` comes first\n"
    assert engine.audit[-1][4] == {"refused": "not_logged_in"}


# --- contact ---------------------------------------------------------------------------------


def test_contact_list_passes_its_filters_on(engine: Running, gkc: CliRunner) -> None:
    listed = rows(
        gkc.invoke(
            contact.app,
            ["list", "--since", "14:00", "--queue", "passport", "--limit", "7", "--json"],
        )
    )
    assert engine.backend.lists == [{"since": NOW - 400 * SECOND, "queue": "passport", "limit": 7}]
    waiting, done = listed
    assert waiting["state"] == "waiting"
    assert waiting["wait_s"] == 45.0, "of a contact in progress, at this instant"
    assert done["wait_s"] == 33.0
    assert done["disposition"] == "answered"


@pytest.mark.usefixtures("engine")
def test_contact_list_for_people(gkc: CliRunner) -> None:
    lines = gkc.invoke(contact.app, ["list"]).stdout.splitlines()
    assert lines[0].split()[:2] == ["Contact", "Started"]
    assert lines[2].split()[:6] == [
        "2026-ЦАО-000001",
        "2026-11-18",
        "13:56:40",
        "passport",
        "0:33",
        "1:00",
    ]


def test_a_list_of_nothing_says_so(
    engine: Running, gkc: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(**_filters: object) -> list[Any]:
        return []

    monkeypatch.setattr(engine.backend, "list_contacts", nothing)
    assert gkc.invoke(contact.app, ["list"]).stdout == "No contacts.\n"
    assert rows(gkc.invoke(contact.app, ["list", "--json"])) == []


@pytest.mark.usefixtures("engine")
def test_contact_show_tells_the_story(gkc: CliRunner) -> None:
    text = gkc.invoke(contact.app, ["show", "2026-ЦАО-000001"]).stdout
    assert "13:57:10     +0:30  petrov does not answer" in text
    assert "from citizen abcdefgh" in text
    [row] = rows(gkc.invoke(contact.app, ["show", DONE, "--json"]))
    assert [segment["kind"] for segment in row["segments"]][:2] == ["menu", "queue"]


def test_a_number_is_shown_only_when_asked_and_audited(engine: Running, gkc: CliRunner) -> None:
    assert "+79001234567" not in gkc.invoke(contact.app, ["show", DONE, "--json"]).stdout
    assert engine.audit == []
    revealed = gkc.invoke(contact.app, ["show", DONE, "--reveal"]).stdout
    assert "from +79001234567 (Сидоров)" in revealed
    assert [(row[1], row[2]) for row in engine.audit] == [("contact.show", f"contact {DONE}")]


@pytest.mark.usefixtures("engine")
def test_an_unknown_contact_ends_with_1(gkc: CliRunner) -> None:
    result = gkc.invoke(contact.app, ["show", "2026-ЦАО-999999"])
    assert result.exit_code == 1
    assert "no contact '2026-ЦАО-999999'" in result.stderr


@pytest.mark.usefixtures("engine")
def test_all_times_of_every_json_are_utc_with_microseconds(gkc: CliRunner) -> None:
    for app, arguments in (
        (queue.app, ["show"]),
        (agent.app, ["show"]),
        (contact.app, ["list"]),
        (contact.app, ["show", DONE]),
    ):
        found = times_of(rows(gkc.invoke(app, [*arguments, "--json"])))
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", t) for t in found)


# --- reload ----------------------------------------------------------------------------------


def test_reload_prints_the_difference(engine: Running, gkc: CliRunner) -> None:
    result = gkc.invoke(reload_app, [])
    assert result.stdout == "passport.timeout 15s → 20s\n1 change applied, version v2.\n"
    assert rows(gkc.invoke(reload_app, ["--json"]))[0]["diff"] == ["passport.timeout 15s → 20s"]
    assert engine.audit[0][1] == "core.reload"


def test_reload_tells_apart_what_waits_for_the_next_start(engine: Running, gkc: CliRunner) -> None:
    port = f"metrics.port 9469→9470{NEXT_START}"
    engine.backend.reload_diff = ("passport.timeout 15s→20s", port)
    said = gkc.invoke(reload_app, []).stdout.splitlines()
    assert said[-1] == "1 change applied, 1 from the next start on, version v2."
    engine.backend.reload_diff = (port,)
    said = gkc.invoke(reload_app, []).stdout.splitlines()
    assert said == [port, "1 from the next start on, version v2."]
    engine.backend.reload_diff = ()
    assert gkc.invoke(reload_app, []).stdout == "Nothing changed.\n"


def test_a_broken_config_ends_with_2_and_all_problems(engine: Running, gkc: CliRunner) -> None:
    problems = "queues.yaml:14:14: queues.tax.timeout: found x, expected y\n1 problems"
    engine.backend.reload_error = ConfigError(problems)
    result = gkc.invoke(reload_app, [])
    assert result.exit_code == 2
    assert result.stderr == problems + "\n"
    assert result.stdout == ""


def test_a_tree_that_shrinks_too_much_asks_for_force(engine: Running, gkc: CliRunner) -> None:
    engine.backend.reload_error = GkcError("40 % of the operators would go; --force")
    assert gkc.invoke(reload_app, []).exit_code == 1
    assert gkc.invoke(reload_app, ["--force"]).exit_code == 0
    assert [row[4] for row in engine.audit] == [
        {"refused": "refused"},
        {"version": "v2", "changes": 1, "force": True},
    ]


# --- finding the engine ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "arguments"),
    [
        (queue.app, ["show"]),
        (queue.app, ["show", "--live"]),
        (agent.app, ["show"]),
        (agent.app, ["login", "petrov"]),
        (contact.app, ["list"]),
        (contact.app, ["show", "x"]),
        (reload_app, []),
    ],
)
@pytest.mark.parametrize("stale", [False, True])
def test_without_an_engine_one_sentence_says_what_to_do(
    run: Path, gkc: CliRunner, app: typer.Typer, arguments: list[str], stale: bool
) -> None:
    if stale:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(run / "engine.sock"))
        dead.close()
    result = gkc.invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("No engine is running")
    assert "gkc run --config DIR" in result.stderr
    assert result.stderr.count("\n") == 1


def test_config_picks_the_engine_of_that_config(engine: Running, gkc: CliRunner) -> None:
    assert rows(gkc.invoke(queue.app, ["show", "--config", str(engine.config), "--json"]))
    other = engine.config.parent / "other"
    result = gkc.invoke(queue.app, ["show", "--config", str(other)])
    assert result.exit_code == 1
    assert f"uses {engine.config}, not {other}" in result.stderr


def test_an_engine_that_hangs_is_said_to_hang(
    run: Path, gkc: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(run / "engine.sock"))
    deaf.listen()
    monkeypatch.setattr("gkc_engine.cli._client.connect.__defaults__", (0.05,))
    began = time.monotonic()
    result = gkc.invoke(queue.app, ["show"])
    deaf.close()
    assert time.monotonic() - began < 10
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_ctrl_c_is_the_ordinary_end_of_a_live_view(
    engine: Running, gkc: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("gkc_engine.cli._tables.plain_table", interrupted)
    result = gkc.invoke(queue.app, ["show", "--live"])
    assert result.exit_code == 0
    assert result.stderr == ""
    assert engine.backend.submitted == []
