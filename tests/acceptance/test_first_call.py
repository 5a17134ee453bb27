"""A citizen dials, presses a digit, waits with music, and the right operator answers."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance.desk import citizen_of
from tests.acceptance.harness import all_answer, scene
from tests.acceptance.stage import hears
from tests.acceptance.traces import dialogues

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]


async def test_the_operator_with_the_skill_answers_while_another_sits_idle(
    tmp_path: Path, install: Install
) -> None:
    async with scene(tmp_path, install, phones=partial(all_answer, talk_ms=2000)) as city:
        await city.login("dina", "vera")  # neither has `passport`
        async with citizen_of(city.bench) as citizen:
            leg = await citizen.dial("+74957777777")
            await hears(leg, "hold-please")
            await leg.press("1")
            await city.in_state("waiting", 1)
            await city.login("anna")
            async with asyncio.timeout(30):
                await leg.ended.wait()
            assert leg.how == "BYE"
        (row,) = await city.ended(1)
        story = await city.story(row["contact_id"])
        dina = await city.agent_is("dina", "ready")
        talk = next(d for d in dialogues(city.bench.running) if d.called == "101")
    assert (row["queue"], row["disposition"], row["agent_id"]) == ("passport", "answered", "anna")
    assert row["menu_s"] > 0.5
    assert row["wait_s"] > 0.1
    assert talk.answered is not None
    assert talk.ended is not None
    assert row["talk_s"] == pytest.approx(talk.ended - talk.answered, abs=1.0)
    assert dina["contact_id"] is None
    assert [s["kind"] for s in story["segments"]][:4] == ["menu", "queue", "ring", "talk"]
    assert [o["outcome"] for o in story["offers_list"]] == ["accepted"]
