"""The administrator's commands on the real engine while real calls go on; and its orderly end."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import Scene, scene, until
from tests.acceptance.phone import Leg, answers, only_rings
from tests.acceptance.shell import Shell

pytestmark = pytest.mark.accept

PASSPORT = "+74951112233"
STOP_S = 3.0


REFUSED = [
    ("queue", "show", "nosuch"),
    ("agent", "login", "nobody"),
    ("contact", "show", "00000000"),
    ("agent", "pause", "anna", "--for", "never"),
    ("contact", "list", "--since", "someday"),
    ("queue", "show", "--nosuch"),
    ("queue", "show", "--config", "/nowhere/at/all"),
]


def _patient(options: CityOptions) -> CityOptions:
    """Let phones ring while a command of the shell starts, or the engine ends."""

    def tune(document: Document) -> None:
        for queue in document.get("queues", {}).values():
            queue["timeout"] = "30s"

    return dataclasses.replace(options, tune=tune)


async def _one_talk(city: Scene, desk: Desk) -> None:
    desk.phones["101"].on_call = answers
    leg = await (await desk.citizen()).dial(PASSPORT)
    await city.in_state("talk", 1)
    await leg.bye()
    await city.ended(1)


async def test_the_commands_tell_and_change_the_running_engine_and_miss_a_stopped_one(
    tmp_path: Path, install: Install
) -> None:
    desk = Desk()
    async with scene(tmp_path, install, phones=desk.start, options=_patient) as city:
        gkc = Shell(city)
        await gkc.rows("agent", "login", "anna")
        await city.agent_is("anna", "ready")  # Asterisk has found her phone
        (anna,) = await gkc.rows("agent", "show", "anna")
        await _one_talk(city, desk)
        (contact,) = await gkc.rows("contact", "list", "--queue", "passport", "--since", "1h")
        (story,), told = await asyncio.gather(
            gkc.rows("contact", "show", contact["number"]),
            gkc.table("contact", "show", contact["contact_id"]),
        )
        (paused,) = await gkc.rows("agent", "pause", "anna", "--reason", "обед", "--for", "15m")
        assert (paused["state"], paused["reason"]) == ("not_ready", "обед")
        waits = await (await desk.citizen("+79005556677")).dial(PASSPORT)
        await city.in_state("waiting", 1)
        (queue,), line, everything = await asyncio.gather(
            gkc.rows("queue", "show", "passport"),
            gkc.table("queue", "show", "passport"),
            gkc.table("queue", "show"),
        )
        desk.phones["101"].on_call = only_rings
        await gkc.rows("agent", "ready", "anna")
        ring = await desk.phones["101"].next_call()  # the one of the talk before
        ring = await desk.phones["101"].next_call()
        (ringing,) = await gkc.rows("agent", "show", "anna")
        await waits.bye()
        (gone,) = await gkc.rows("agent", "logout", "anna")
        refused = dict(
            zip(REFUSED, await asyncio.gather(*(gkc.run(*a) for a in REFUSED)), strict=True)
        )
        await city.city.stop_engine()
        without_engine = await gkc.run("queue", "show")
        await desk.stop()
    assert (anna["agent_id"], anna["interface"]) == ("anna", "PJSIP/101")
    assert ring.caller
    assert (contact["disposition"], contact["agent_id"]) == ("answered", "anna")
    assert contact["talk_s"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)", contact["started"])
    assert datetime.fromisoformat(contact["started"]) < datetime.fromisoformat(contact["ended"])
    assert [o["outcome"] for o in story["offers_list"]] == ["accepted"]
    assert contact["number"] in told
    assert "Анна" in told or "anna" in told
    assert "79001234567" not in told + json.dumps(story), "a citizen's number is shown unmasked"
    assert (queue["queue"], queue["waiting"]) == ("passport", 1)
    assert "79005556677" not in line
    assert all(title in everything for title in ("passport", "housing", "operator"))
    assert ringing["state"] in ("reserved", "ringing")
    assert gone["agent_id"] == "anna"
    codes = {argv: code for argv, (code, _, _) in refused.items()}
    assert codes.pop(("agent", "pause", "anna", "--for", "never")) == 2
    assert codes.pop(("contact", "list", "--since", "someday")) == 2
    assert codes.pop(("queue", "show", "--nosuch")) == 2
    assert set(codes.values()) <= {1, 2}, codes
    assert all(err.strip() and not out for _, out, err in refused.values())
    code, out, err = without_engine
    assert (code, out) == (1, "")
    assert "gkc run" in err or "gkc demo" in err, err


async def test_sigterm_leaves_everybody_to_asterisk_at_once(
    tmp_path: Path, install: Install
) -> None:
    """The talk goes on, the ring rings on, who waits or listens is in the native queue."""
    desk = Desk()
    async with scene(tmp_path, install, phones=desk.start, options=_patient) as city:
        desk.phones["101"].on_call = answers
        desk.phones["103"].on_call = only_rings
        await city.login("anna", "vera")
        talks = await (await desk.citizen("+79000000001")).dial(PASSPORT)
        await city.in_state("talk", 1)
        rings = await (await desk.citizen("+79000000002")).dial("+74951112244")
        ring = await desk.phones["103"].next_call()
        waits = await (await desk.citizen("+79000000003")).dial(PASSPORT)
        await city.in_state("waiting", 1)
        menu = await (await desk.citizen("+79000000004")).dial("+74957777777")
        await menu.answered.wait()
        engine = city.city.engine
        assert engine is not None
        begun = time.monotonic()
        engine.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(engine.wait(), 10)
        took = time.monotonic() - begun

        async def queued() -> bool:
            shown = await city.city.asterisk.cli("core show channels concise")
            return sum("!Queue!" in line for line in shown.splitlines()) >= 2

        await until(queued, "both who had nobody are in the native queue", 15)
        legs: list[Leg] = [talks, rings, waits, menu, ring]
        assert not [leg.how for leg in legs if leg.ended.is_set()]
        await ring.answer()

        async def talk() -> bool:
            return rings.hears()[0x23] > 5 and talks.hears()[0x21] > 5

        await until(talk, "the ring that outlived the engine becomes a talk", 15)
        for leg in (talks, rings, waits, menu):
            await leg.bye()
        await desk.stop()
    assert code == 0
    assert took < STOP_S
