"""A supervisor's reactions on a real Asterisk: who waits hears a broadcast, is moved, is served."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import answers
from tests.acceptance.shell import Shell
from tests.acceptance.stage import PASSPORT, Stage, hears, kinds, open_stage

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("react"), install, lambda o: o) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        yield


async def broadcasts_heard(stage: Stage, contact: str, count: int) -> Row:
    """Wait until the ledger says that the contact heard so many broadcasts to their end."""

    async def look() -> Row | None:
        story = await stage.city.story(contact)
        heard = [e for e in story["events"] if e["kind"] == "gkc.contact.broadcast_heard"]
        return story if len(heard) == count else None

    return await until(look, f"{count} broadcasts are heard", 20)


async def numbered(stage: Stage) -> Row:
    """Wait until the one who waits has his number: it is given when he is put on record."""

    async def look() -> Row | None:
        rows = await stage.city.ask("queue.waiting")
        return next((row for row in rows if row["state"] == "waiting" and row["number"]), None)

    return await until(look, "he waits and has a number", 20)


async def test_a_broadcast_is_heard_in_the_line_and_the_wait_goes_on(stage: Stage) -> None:
    shell = Shell(stage.city)
    _, waiting = await stage.call()
    await stage.waits("waiting")
    (before,) = await stage.city.ask("queue.waiting")
    (row,) = await shell.rows("queue", "announce", "passport", "any_operator")
    assert row["told"] == 1
    await hears(waiting, "any_operator")
    await broadcasts_heard(stage, before["contact_id"], 1)
    (after,) = await stage.city.ask("queue.waiting")
    same = ("contact_id", "state", "first_queued", "position", "queue")
    assert {k: after[k] for k in same} == {k: before[k] for k in same}
    # One that is offered meanwhile is connected, not held: the phone rings into the words.
    stage.phone(101, answers)
    await shell.rows("queue", "announce", "passport", "duty_operator")
    await hears(waiting, "duty_operator")
    await stage.comes("anna")
    await stage.city.agent_is("anna", "talk")
    await waiting.bye()
    story = await stage.last()
    assert kinds(story) == ["menu", "queue", "ring", "talk"]
    assert story["disposition"] == "answered"


async def test_a_standing_broadcast_is_heard_by_who_comes_also_after_a_crash(
    stage: Stage,
) -> None:
    shell = Shell(stage.city)
    words = ("queue", "announce", "passport", "emergency-refused")
    (row,) = await shell.rows(*words, "--every", "15s", "--until", "10m")
    assert row["told"] == 0
    stage.city.city.kill_engine()
    await stage.city.city.start_engine()
    shown = await shell.table("queue", "show")
    assert "passport: announcing emergency-refused until" in shown
    _, late = await stage.call()
    await hears(late, "emergency-refused")
    await shell.rows("queue", "announce", "passport", "--stop")
    await late.bye()
    await stage.last()


async def test_who_waits_is_moved_and_served_by_a_lent_skill(stage: Stage) -> None:
    shell = Shell(stage.city)
    stage.phone(105, answers)
    _, first = await stage.call(PASSPORT)
    await stage.waits("waiting")
    await stage.comes("dina")  # has no skill
    await stage.city.agent_is("dina", "ready")
    (row,) = await shell.rows("agent", "skill", "add", "dina", "passport", "--until", "1h")
    assert row["skills"] == {"passport": 3}
    await stage.city.agent_is("dina", "talk")
    await first.bye()
    (story,) = await stage.over()
    assert (story["disposition"], story["agent_id"]) == ("answered", "dina")
    await shell.rows("agent", "skill", "reset", "dina")
    await stage.city.agent_is("dina", "ready")
    _, second = await stage.call(PASSPORT)
    row = await numbered(stage)
    (moved,) = await shell.rows("contact", "move", row["number"], "operator")
    assert (moved["queue"], moved["first_queued"]) == ("operator", row["first_queued"])
    await stage.city.agent_is("dina", "talk")
    await second.bye()
    stories = await stage.over(2)
    assert stories[1]["queue"] == "operator"
    code, text, _ = await shell.run("explain", row["number"])
    assert code == 0
    assert "moved by a supervisor" in text
