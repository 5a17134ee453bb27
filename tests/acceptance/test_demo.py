"""``gkc demo`` as a user runs it: to its end, broken off at any instant, killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gkc_engine.config.loader import load_config
from gkc_engine.demo.books import Books
from gkc_engine.ids import Instant, Micros, QueueId
from gkc_engine.pbx.install import Install
from tests.acceptance import everything, reconciled, recorded, simulated
from tests.acceptance.home import Home, until
from tests.acceptance.phone import answers
from tests.acceptance.softphone import SoftPhone

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]


@pytest.fixture
def home(tmp_path: Path, install: Install) -> Iterator[Home]:
    home = Home(tmp_path, install)
    yield home
    home.leave()


@pytest.fixture(scope="module")
def ran(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A run of 15 s that has ended, its records left."""
    home = Home(tmp_path_factory.mktemp("ran"), install)
    try:
        _unattended(home, seconds=15, rate=4, seed=1)
        yield home
    finally:
        home.leave()


def test_an_unattended_run_accounts_for_every_call(ran: Home) -> None:
    assert ran.store.is_file()


def test_its_record_replays_without_a_difference(ran: Home) -> None:
    recorded.replays(ran)


def test_what_is_planted_in_its_records_or_in_asterisks_lists_is_named(ran: Home) -> None:
    reconciled.names_what_is_planted(ran)


def test_its_record_plans_worse_with_one_able_operator_alone(ran: Home) -> None:
    recorded.plans(ran)


def test_simulate_gives_each_operator_the_citizens_that_he_had(
    home: Home, install: Install
) -> None:
    simulated.run(home, install, seconds=12, rate=4, seed=1)
    simulated.agrees(home)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_issues_minute(home: Home, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    row = _unattended(home, seconds=60, rate=2, seed=seed)
    recorded.replays(home)
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(row)}\n")


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_quarter_of_an_hour_reconciles(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    row = _unattended(home, seconds=900, rate=2.5, seed=4)
    recorded.replays(home)
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(row)}\n")


def _unattended(home: Home, seconds: int, rate: float, seed: int) -> dict[str, Any]:
    calls = ("--seconds", str(seconds), "--rate", str(rate), "--seed", str(seed))
    demo = home.start(*calls, "--json")
    until(home.note.exists)
    note = json.loads(home.note.read_text())
    assert {row["queue"] for row in home.gkc("queue", "show")} == set(
        load_config(home.config).queues
    )
    assert home.gkc("report", "interval", "--every", "60")[-1]["offered"] <= seconds * rate
    assert home.gkc("records", "rebuild", "--check") == [], "while the engine writes"
    assert home.object("records", "verify")["differences"] == 0, "while the engine writes"
    out, err = demo.communicate()
    assert demo.returncode == 0, err
    row: dict[str, Any] = json.loads(out)
    assert out.count("\n") == 1
    assert row["offered"] == seconds * rate
    assert (row["lost"], row["doubled"]) == (0, 0)
    for kind in ("answered", "abandoned", "self_served", "missed_then_answered"):
        assert row[kind] >= 1, kind
    parts = ("answered", "abandoned", "self_served", "refused", "failed_open", "lost")
    assert row["offered"] == sum(row[part] for part in parts)
    assert 0 < row["wait_p50_s"] <= row["wait_p90_s"] <= row["wait_max_s"] < 60
    assert not home.note.exists()
    everything.of_every_kind(home, row)
    listed = {
        way: home.gkc("contact", "list", "--limit", "10000", "--direction", way)
        for way in ("in", "out")
    }
    assert len(listed["in"]) == seconds * rate
    assert len(listed["out"]) == row["outbound"]
    _reported(home, row)
    everything.offered_is_its_parts(home, each_queue=seconds >= 900)
    assert home.gkc("records", "rebuild", "--check") == []
    verified = home.object("records", "verify")
    assert verified["differences"] == 0, verified["listed"]
    assert verified["counts"]["contacts"] == row["offered"] + row["outbound"]
    _plant(note, row)
    return row


def _reported(home: Home, row: dict[str, Any]) -> None:
    """The reports of the records say what the outside world's own count said."""
    ends = row["by_disposition"]
    parts = {
        "answered": row["answered"],
        "abandoned": ends["abandoned"] + ends["abandoned_short"],
        "waiting": 0,
    }
    for of in (["queues"], ["services"], ["numbers"], ["interval", "--every", "15"]):
        *_, of_all = home.gkc("report", *of, "--from", "1h")
        assert {part: of_all[part] for part in parts} == parts, of
        assert of_all["service_level"] == row["service_level"]
        assert of_all["wait_p90_s"] == pytest.approx(row["wait_p90_s"], abs=0.001)
    *_, of_all = home.gkc("report", "operators", "--from", "1h")
    ((handled,),) = recorded.asked(home.store, everything.HANDLED)
    assert of_all["handled"] == handled >= row["answered"] + row["outbound_answered"]
    called = row["outbound"] - row["outbound_by_disposition"]["barred"]
    for work in ("handled", "transfers", "offers", "outbound"):
        listed = home.gkc("report", "operators", "--from", "1h", "--drill", work)
        assert len(listed) == of_all[work], work
    assert (of_all["outbound"], of_all["outbound_answered"]) == (called, row["outbound_answered"])
    listed = home.gkc("report", "queues", "--drill", "abandoned_short")
    assert {one["disposition"] for one in listed} == {"abandoned_short"}
    assert len(listed) == ends["abandoned_short"]


def _plant(note: dict[str, Any], row: dict[str, Any]) -> None:
    """Delete, double and ascribe to another a record, in copies of the real store: all found."""
    state = Path(note["state"])
    config = load_config(state / "config")
    targets = {QueueId(name): Micros(queue.servicelevel) for name, queue in config.queues.items()}
    phones = {name: one.interface.split("/")[1] for name, one in config.operators.items()}

    def balance(name: str, *statements: str) -> tuple[int, int, int]:
        copy = state / name
        shutil.copy(note["store"], copy)
        connection = sqlite3.connect(copy)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        account = Books(
            run=note["run"],
            since=Instant(0),
            outside_csv=Path(note["calls"]),
            center_csv=state / "asterisk" / "log" / "cdr-custom" / "calls.csv",
            store=f"sqlite:///{copy}",
            phones=phones,
        ).balance([], targets)
        assert account.offered == row["offered"]
        return len(account.lost), len(account.doubled), len(account.other_hands)

    assert balance("same.sqlite") == (0, 0, 0)
    first = "(select min(contact_id) from contact where direction = 'in')"
    assert balance("loss.sqlite", f"delete from contact where contact_id = {first}") == (1, 0, 0)
    talk = "(select min(segment_id) from segment where transfer_kind = 'attended')"
    assert balance(
        "other.sqlite", f"update segment set agent_id = 'demo_caller' where segment_id = {talk}"
    ) == (0, 0, 1)
    assert balance(
        "double.sqlite",
        f"create temp table t as select * from contact where contact_id = {first}",
        "update t set contact_id = contact_id || '-2'",
        "insert into contact select * from t",
    ) == (0, 1, 0)


@pytest.mark.parametrize("sent", ["asterisk boots", "engine boots", "calls", "twice", "SIGTERM"])
def test_ctrl_c_ends_all_of_it_within_5_s(home: Home, sent: str) -> None:
    demo = home.start("--rate", "3")
    assert demo.stderr is not None
    wanted = {"asterisk boots": "starting Asterisk", "engine boots": "starting the engine"}
    text = wanted.get(sent, " on the line")
    seen = []
    while text not in (line := demo.stderr.readline()):
        seen.append(line)
        assert line, "".join(seen)
    until(lambda: len(home.processes()) > 1)  # Not the demo's own process alone.
    began = time.monotonic()
    demo.send_signal(signal.SIGTERM if sent == "SIGTERM" else signal.SIGINT)
    if sent == "twice":
        running = len(home.processes())
        until(lambda: len(home.processes()) < running)  # It has begun to stop.
        demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert demo.returncode == 0, err
    assert "Traceback" not in err
    assert out == ""
    assert not home.note.exists()
    assert home.processes() == {}


def test_a_second_demo_is_refused_and_what_a_killed_one_leaves_is_ended_by_the_next(
    home: Home,
) -> None:
    demo = home.start("--rate", "1")
    until(home.note.exists)
    second = home.start("--rate", "1")
    _, err = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "already running" in err
    assert demo.poll() is None
    demo.kill()
    demo.communicate()
    left = home.processes()
    assert len(left) >= 3
    again = home.start("--rate", "4")
    assert again.stderr is not None
    seen = []
    while " on the line" not in (line := again.stderr.readline()):
        seen.append(line)
        assert line, "".join(seen)
    assert any("ended what a killed demo had left running" in line for line in seen)
    assert not left.keys() & home.processes().keys()
    until(lambda: len(home.gkc("contact", "list")) >= 2)
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=20)
    assert again.returncode == 0


def test_records_are_fresh_each_time_unless_kept(home: Home) -> None:
    def contacts() -> set[str]:
        return {row["contact_id"] for row in home.gkc("contact", "list", "--limit", "1000")}

    def run(*more: str) -> set[str]:
        """Let somebody call, break off; return who is on record then."""
        demo = home.start("--rate", "4", *more)
        assert demo.stderr is not None
        seen: list[str] = []
        while " on the line" not in (line := demo.stderr.readline()):
            seen.append(line)
            assert line, "".join(seen)
        before = contacts()
        until(lambda: len(contacts() - before) >= 2)
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=20)
        assert demo.returncode == 0, err
        return contacts()

    first = run()
    kept = run("--keep")
    assert first < kept
    fresh = run()
    assert fresh
    assert not fresh & kept


def test_no_restart_leaves_a_killed_engine_dead_and_the_demo_goes_on(home: Home) -> None:
    demo = home.start("--rate", "2", "--no-restart")
    assert demo.stderr is not None
    until(home.note.exists)
    pids = json.loads(home.note.read_text())["pids"]
    seen: list[str] = []
    while " on the line" not in (line := demo.stderr.readline()):
        seen.append(line)
        assert line, "".join(seen)

    def engines() -> set[int]:
        return {pid for pid, command in home.processes().items() if "gkc_engine run" in command}

    assert pids["engine"] in engines()
    os.kill(pids["engine"], signal.SIGKILL)
    while "--no-restart leaves it so" not in (line := demo.stderr.readline()):
        assert line
    # A watchdog would have had another after 1 s.
    until_s = time.monotonic() + 4
    while time.monotonic() < until_s:
        assert engines() == set()
        time.sleep(0.1)
    assert json.loads(home.note.read_text())["pids"] == pids
    assert demo.poll() is None
    assert {pids["asterisk"], pids["outside"]} <= home.processes().keys()
    demo.send_signal(signal.SIGINT)
    _, err = demo.communicate(timeout=20)
    assert demo.returncode == 0, err


async def test_the_login_in_the_note_registers_and_is_given_a_call(home: Home) -> None:
    demo = home.start("--rate", "4")
    await asyncio.to_thread(until, home.note.exists)
    login = json.loads(home.note.read_text())["operator"]
    host, _, port = login["server"].partition(":")
    server = (host, int(port))
    phone = SoftPhone(login["user"], server, login["password"])
    stranger = SoftPhone(login["user"], server, "wrong")
    phone.on_call = answers
    await phone.start()
    await stranger.start()
    try:
        assert await stranger.register() in (401, 403)
        assert await phone.register() == 200
        code = await phone.dial("*45")
        async with asyncio.timeout(20):
            await code.ended.wait()
        assert code.how == "BYE"
        call = await phone.next_call(90)
        async with asyncio.timeout(20):
            await call.answered.wait()

        def on_record() -> bool:
            rows = home.gkc("contact", "list", "--limit", "1000")
            return login["agent_id"] in {row["agent_id"] for row in rows}

        await asyncio.to_thread(until, on_record)
    finally:
        await phone.stop()
        await stranger.stop()
    demo.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(demo.communicate, timeout=20)
    assert demo.returncode == 0, err


@pytest.mark.long  # 45 s; test_kill.py has the same of shorter runs, the demo its kill
def test_the_engine_killed_in_the_middle_loses_nobody(home: Home) -> None:
    demo = home.start("--seconds", "20", "--rate", "2", "--json")
    until(home.note.exists)
    first = json.loads(home.note.read_text())["pids"]["engine"]
    until(lambda: len(home.gkc("contact", "list", "--limit", "99")) >= 12)
    os.kill(first, signal.SIGKILL)
    until(lambda: json.loads(home.note.read_text())["pids"]["engine"] != first)
    out, err = demo.communicate()
    assert demo.returncode == 0, err
    assert (json.loads(out)["lost"], json.loads(out)["doubled"]) == (0, 0)
