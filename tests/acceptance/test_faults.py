"""Faults between citizen, Asterisk, engine and disk: rows of the fault model, really made."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio

from gkc_engine.clock import SystemClock
from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from gkc_engine.recorder.writer import COMMIT_MAX_S
from tests.acceptance.disk import Disk
from tests.acceptance.harness import Row, first_of, until
from tests.acceptance.phone import Leg, Phone, answers
from tests.acceptance.relay import Relay
from tests.acceptance.stage import Stage, open_stage, outcomes, sounds

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

CLOCK = SystemClock()


@dataclasses.dataclass(slots=True)
class Faulty:
    """The stage with a relay before AMI."""

    stage: Stage
    relay: Relay

    async def health(self) -> Row:
        return (await self.stage.city.ask("engine.show"))[0]

    async def ami(self, *, up: bool, within_s: float) -> None:
        async def look() -> bool | None:
            return True if (await self.health())["ami_up"] is up else None

        await until(look, f"AMI is {'up' if up else 'down'}", within_s)

    async def agent_is(self, agent: str, state: str) -> None:
        await self.stage.city.agent_is(agent, state)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def faulty(
    install: Install, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Faulty]:
    relay = Relay()
    await relay.start()

    def tune(document: Document) -> None:
        pbx = document.get("pbx")
        if pbx is not None:
            relay.target = pbx["ami"]["port"]
            pbx["ami"]["port"] = relay.port
        queues = document.get("queues")
        if queues is not None:
            queues["passport"]["timeout"] = "3s"

    def options(base: CityOptions) -> CityOptions:
        return dataclasses.replace(
            base,
            tune=tune,
            adjust=lambda plan: dataclasses.replace(
                plan, ami=dataclasses.replace(plan.ami, port=relay.target)
            ),
        )

    async with open_stage(tmp_path_factory.mktemp("faults"), install, options) as stage:
        yield Faulty(stage, relay)
    await relay.stop()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(faulty: Faulty) -> AsyncIterator[None]:
    async with faulty.stage.case():
        yield
        faulty.relay.mend()
        await faulty.ami(up=True, within_s=20)


def seconds(stamp: str) -> float:
    """Return an ISO time of the control socket as seconds since the epoch."""
    return datetime.fromisoformat(stamp).timestamp()


def now() -> float:
    return CLOCK.now() / 1e6


# --- hostile callers ---------------------------------------------------------------------------

NAMES = {
    "quotes": '\\"\\\\\\" , | ; & $(id)',
    "expansion": "${SHELL(touch /tmp/gkc-pwned)}${GLOBAL(X)}$[1+1]",
    "kibibyte": "x" * 1024,
    "no-utf8": "Ив\udcff\udcfeан",
    "encoded-crlf": "a%0d%0aAction: Logoff",
    "escapes": "\x1b[31mred\x1b[0m\x07",
    "sql": "'); DROP TABLE contact;--",
    "event": "Event: VarSet",
    "response": "Response: Success\tEvent: Hangup",
    "agi": 'x\\" 1\\nHANGUP\\n',
}
USERS = {
    "percent-crlf": "+7900%0d%0aHANGUP",
    "dollar": "%24%7BSHELL(id)%7D",
    "empty": "anonymous",
    "long": "7" * 300,
    "sip-tricks": "a;b=c",
}


async def _answered(faulty: Faulty, phone: Phone) -> Row:
    """Let the citizen be answered, talk and hang up; return his record."""
    stage = faulty.stage
    operator = stage.phone(101, answers)
    await stage.comes("anna")
    leg = await _dial_raw(phone)
    await faulty.agent_is("anna", "talk")
    (ring,) = operator.calls
    assert not ring.ended.is_set()
    await leg.bye()
    return await stage.last()


async def _left(faulty: Faulty, phone: Phone) -> None:
    """Let the citizen wait and give up: until then every event of his bears his own name."""
    stage = faulty.stage
    leg = await _dial_raw(phone)
    await stage.waits("waiting")
    left = now()
    await leg.bye()
    gone = now()
    story = await stage.last()
    assert (story["disposition"], story["end_party"]) == ("abandoned_short", "citizen")
    assert left - 2 < seconds(story["ended"]) < gone + 2
    stage.past.add(story["contact_id"])


async def _dial_raw(phone: Phone) -> Leg:
    """Dial with a name whose bytes reach the wire as they are, also when they are no UTF-8."""
    transport = phone._transport
    assert transport is not None
    phone.send = lambda text: transport.sendto(  # type: ignore[method-assign]
        text.encode("utf-8", "surrogateescape"), phone.server
    )
    return await phone.dial("+74951112233")


def _clean(value: object) -> bool:
    return not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", str(value))


@pytest.mark.parametrize("case", [*NAMES, *USERS])
async def test_a_hostile_caller_breaks_nothing(faulty: Faulty, case: str) -> None:
    city = faulty.stage.city.city
    logged = city.log.stat().st_size
    with Disk(city.state) as disk:
        steps = (await faulty.health())["steps"]
        phone = await faulty.stage.desk.citizen(
            user=USERS.get(case, "+79001234567"), name=NAMES.get(case, "Citizen")
        )
        await _left(faulty, phone)
        story = await _answered(faulty, phone)
        assert (story["disposition"], story["agent_id"]) == ("answered", "anna")
        health = await faulty.health()
        assert health["ami_up"]
        assert health["steps"] > steps
    with city.log.open("rb") as file:
        file.seek(logged)
        for line in file.read().decode("utf-8").splitlines():
            entry = json.loads(line)
            # The host's disk may stand still; that no caller did it, a file beside it must show.
            if entry["event"] != "ledger_behind" or disk.longest_s < COMMIT_MAX_S / 2:
                assert entry["level"] in ("info", "warning"), (entry, disk.longest_s)
            assert _clean(line), line
    connection = sqlite3.connect(f"file:{city.state / 'gkc.sqlite'}?mode=ro", uri=True)
    try:
        for row in connection.execute("SELECT * FROM contact"):
            assert all(_clean(value) for value in row if isinstance(value, str)), row
    finally:
        connection.close()


FORGED = {
    "agi-uniqueid": ("+7900%0aagi_uniqueid%3a%20{leg}", "+74951112233"),
    "agi-path": ("+7900%0aagi_network_script%3a%20feature%2flogin", "+74951112233"),
    "ami-uniqueid": ("+7900%0d%0aUniqueid%3a%20{leg}", "+74951112233"),
    "ami-channel": ("+7900%0d%0aChannel%3a%20X%0d%0aDestUniqueid%3a%20{leg}", "+74951112233"),
    "dialled": ("+79001234567", "+74951112233%0aagi_uniqueid%3a%20{leg}"),
}
"""Numbers, the caller's and the one he dials, that name another citizen's line."""


async def _on_record(stage: Stage) -> Row:
    """Wait for the record of the case's one contact: the core knows of him a little earlier."""

    async def look() -> list[Row] | None:
        return await stage.new() or None

    (row,) = await until(look, "he is on record", 20)
    return row


@pytest.mark.parametrize("case", FORGED)
async def test_who_claims_to_be_another_citizens_line_does_not_touch_him(
    faulty: Faulty, case: str
) -> None:
    stage = faulty.stage
    operator = stage.phone(101, answers)
    _, waiting = await stage.call()
    await stage.waits("waiting")
    row = await _on_record(stage)
    leg = (await stage.city.story(row["contact_id"]))["linkedid"]
    user, number = (text.format(leg=leg) for text in FORGED[case])
    hostile = await (await stage.desk.citizen(user=user)).dial(number)
    async with asyncio.timeout(10):
        await first_of(10, hostile.answered, hostile.ended)
    await sounds(waiting, 0.5)
    await hostile.bye()
    await sounds(waiting, 1.0)
    assert not waiting.ended.is_set()
    stage.past |= {r["contact_id"] for r in await stage.new()} - {row["contact_id"]}
    assert (await stage.new())[0]["state"] == "waiting"
    await stage.comes("anna")
    await stage.waits("talk")
    (ring,) = operator.calls
    assert "+79001234567@" in ring.caller
    await waiting.bye()
    story = await stage.last()
    assert (story["disposition"], story["agent_id"]) == ("answered", "anna")
    assert outcomes(story) == [("anna", "accepted")]


@pytest.mark.parametrize("name", ["A\r\n Action: Hangup\r\n Channel: all", 'x" HANGUP "'])
async def test_a_name_that_breaks_sip_itself_comes_no_further_than_asterisk(
    faulty: Faulty, name: str
) -> None:
    dropped = await _dial_raw(await faulty.stage.desk.citizen(name=name))
    story = await _answered(faulty, await faulty.stage.desk.citizen())
    assert story["disposition"] == "answered"
    assert len(await faulty.stage.new()) == 1
    dropped.close()


# --- AMI -----------------------------------------------------------------------------------------


async def test_calls_go_on_while_ami_is_cut_and_are_right_afterwards(faulty: Faulty) -> None:
    stage = faulty.stage
    picked_up: list[float] = []

    async def picks_up(leg: Leg) -> None:
        await answers(leg)
        picked_up.append(now())

    stage.phone(101, picks_up)

    async def anna_is_there() -> bool | None:
        return (await stage.city.ask("agent.show", agent="anna"))[0]["registered"] or None

    _, leg = await stage.call()
    await stage.comes("dina")  # cannot serve him
    await stage.waits("waiting")
    await until(anna_is_there, "anna's phone is there", 20)
    faulty.relay.cut()
    await faulty.ami(up=False, within_s=10)
    await stage.comes("anna")
    await faulty.agent_is("anna", "talk")  # who tells is Dial's timeout, and CEL when
    faulty.relay.mend()
    await faulty.ami(up=True, within_s=20)
    await faulty.agent_is("anna", "talk")
    left = now()
    await leg.bye()
    gone = now()
    story = await stage.last()
    assert (story["disposition"], story["via"], story["agent_id"]) == (
        "answered",
        "engine",
        "anna",
    )
    assert [abs(seconds(story["answered"]) - at) < 2 for at in picked_up] == [True]
    assert left - 2 < seconds(story["ended"]) < gone + 2
    await faulty.agent_is("anna", "ready")


async def test_a_frozen_link_is_found_and_what_it_hid_is_repaired(faulty: Faulty) -> None:
    stage = faulty.stage
    stage.phone(101, answers)
    await stage.comes("anna")
    _, talking = await stage.call()
    await faulty.agent_is("anna", "talk")
    frozen = now()
    faulty.relay.freeze()
    await talking.bye()  # nobody is told
    gone = now()
    await faulty.ami(up=False, within_s=15)
    assert now() - frozen < 15
    faulty.relay.cut()
    faulty.relay.mend()
    await faulty.ami(up=True, within_s=20)
    story = await stage.last()
    ended = seconds(story["ended"])
    assert frozen - 2 < ended < gone + 2, "the import knows better than the resync"
    assert story["disposition"] == "answered"
    await faulty.agent_is("anna", "ready")


# --- the ledger ----------------------------------------------------------------------------------


async def _calls_while_locked(faulty: Faulty, locked_s: float) -> None:
    """One talks before, during and after the lock; others come, are answered or leave in it."""
    stage = faulty.stage
    for user in (101, 102):
        stage.phone(user, answers)
    await stage.city.login("anna")
    _, before = await stage.call(user="+79000000001")
    await faulty.agent_is("anna", "talk")
    await stage.city.login("boris")
    store = stage.city.city.state / "gkc.sqlite"
    lock = sqlite3.connect(store, isolation_level=None, timeout=5)
    lock.execute("BEGIN EXCLUSIVE")
    calls = 1
    try:
        begun = now()
        while True:
            calls += 2
            _, served = await stage.call(user=f"+7900000{calls:04d}")
            asked = now()
            await faulty.agent_is("boris", "talk")
            assert now() - asked < 4, "routing waits for no database"
            assert (await faulty.health())["record_mode"] == "journal"
            _, leaves = await stage.call(user=f"+7901000{calls:04d}")
            await stage.waits("waiting")
            await leaves.bye()
            await sounds(served, 0.5)
            await served.bye()
            await faulty.agent_is("boris", "ready")
            if now() - begun > locked_s:
                break
        assert not before.ended.is_set()
    finally:
        lock.execute("ROLLBACK")
        lock.close()

    async def drained() -> bool | None:
        return True if (await faulty.health())["record_mode"] == "ledger" else None

    await until(drained, "the ledger has caught up", 20)
    await before.bye()
    stories = await stage.over(calls)
    assert sorted(s["disposition"] for s in stories) == sorted(
        ["answered"] * (1 + calls // 2) + ["abandoned_short"] * (calls // 2)
    )
    served_by = [s["agent_id"] for s in stories if s["disposition"] == "answered"]
    assert sorted(served_by) == ["anna"] + ["boris"] * (calls // 2)
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        instants = [r[0] for r in connection.execute("SELECT ts_us FROM event ORDER BY seq")]
    finally:
        connection.close()
    assert instants == sorted(instants), "drained out of order"


async def test_calls_go_on_while_the_ledger_is_locked(faulty: Faulty) -> None:
    await _calls_while_locked(faulty, 5)


@pytest.mark.long
async def test_calls_go_on_while_the_ledger_is_locked_for_a_minute(faulty: Faulty) -> None:
    await _calls_while_locked(faulty, 60)


# --- Asterisk (last: it ends every call) ---------------------------------------------------------


async def test_after_a_crash_of_asterisk_rows_are_closed_and_calls_come_again(
    faulty: Faulty,
) -> None:
    stage = faulty.stage
    stage.phone(101, answers)
    await stage.comes("anna")
    await stage.call()
    await faulty.agent_is("anna", "talk")
    await stage.call()
    await stage.waits("waiting")
    asterisk = stage.city.city.asterisk
    crashed = now()
    await asterisk.kill()
    await faulty.ami(up=False, within_s=10)
    await asterisk.start()
    await faulty.ami(up=True, within_s=20)
    talked, waited = await stage.over(2)
    assert (talked["disposition"], waited["disposition"]) == ("answered", "system_failed")
    assert {talked["reason"], waited["reason"]} == {"asterisk restarted"}
    assert all(abs(seconds(s["ended"]) - crashed) < 10 for s in (talked, waited))
    stage.past |= {talked["contact_id"], waited["contact_id"]}
    for phone in (*stage.desk.phones.values(), *stage.desk._all):
        for dead in phone.calls:
            dead.close()
        phone.calls.clear()
    await faulty.agent_is("anna", "ready")
    _, leg = await stage.call()
    await faulty.agent_is("anna", "talk")
    await leg.bye()
    assert (await stage.last())["disposition"] == "answered"
