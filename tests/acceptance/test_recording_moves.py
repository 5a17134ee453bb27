"""A recording follows the talk: a file for each operator, and a new engine knows what runs."""

from __future__ import annotations

import asyncio
import re
import wave
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gkc_engine.ivr.audio import decode_alaw
from gkc_engine.pbx.install import Install
from tests.acceptance.phone import Leg, answers
from tests.acceptance.stage import PASSPORT, Stage, hears, sounds
from tests.acceptance.test_recording import HOUSING, files, kept, loud, recording_stage
from tests.acceptance.transfer_cases import has_him, hears_each_other, talks

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with recording_stage(tmp_path_factory.mktemp("moves"), install) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        for user in (101, 103):
            stage.phone(user).first_packet = 20_000
        for user in (102, 104):
            stage.phone(user).first_packet = 100  # the second speaker, the harder way round
        yield
    for path in files(stage):
        path.unlink()


def speaks(path: Path, leg: Leg) -> float:
    """Return for how many seconds the file holds this operator's phone beside the citizen's."""
    with wave.open(str(path)) as sound:
        data = sound.readframes(sound.getnframes())
    found = Counter(memoryview(data).cast("h"))
    wanted = decode_alaw(bytes([leg.phone.signature]))[0]
    return sum(n for sample, n in found.items() if abs(sample - wanted) <= 40) / 8000


async def recorded_talk(stage: Stage, number: str = HOUSING) -> tuple[Leg, Leg]:
    user, agent = (103, "vera") if number == HOUSING else (101, "anna")
    phone = stage.phone(user, answers)
    await stage.city.login(agent)
    _, leg = await stage.call(number)
    operator = await phone.next_call(15)
    await stage.waits("talk")
    return leg, operator


async def asked(stage: Stage, mine: Leg, user: int) -> tuple[Leg, Leg]:
    """Put the citizen on hold and ring a colleague, who does nothing yet."""
    colleague = stage.phone(user)
    await mine.hold()
    second = await mine.phone.dial(str(user))
    his = await colleague.next_call()
    his.ring()
    return second, his


async def taken_over(stage: Stage, mine: Leg, user: int, agent: str) -> Leg:
    """Hand the citizen to a colleague, after a word with him."""
    second, his = await asked(stage, mine, user)
    await his.answer()
    await hears_each_other(second, his)
    assert await mine.refer(str(user), second) == 202
    await has_him(stage, agent)
    return his


@pytest.mark.parametrize("when", ["answered", "ringing", "after a restart"])
async def test_the_colleagues_talk_has_a_file_of_its_own(stage: Stage, when: str) -> None:
    leg, vera = await recorded_talk(stage)
    await stage.city.login("gleb")
    await sounds(leg, 1.0)
    if when == "after a restart":
        stage.city.city.kill_engine()
        await stage.city.city.start_engine()
        await has_him(stage, "vera")
    second, gleb = await asked(stage, vera, 104)
    if when != "ringing":
        await gleb.answer()
        await hears_each_other(second, gleb)
    else:
        await asyncio.sleep(0.3)
    assert await vera.refer("104", second) == 202
    if when == "ringing":
        await stage.city.agent_is("gleb", "ringing")
        await gleb.answer()
    await has_him(stage, "gleb")
    await hears_each_other(leg, gleb)
    await sounds(leg, 1.5)
    await leg.bye()
    story = await stage.last()
    assert talks(story) == ["vera", "gleb"]
    names = [reference["path"] for reference in story["recordings"]]
    assert [name.rpartition("/")[2] for name in names] == [
        f"{story['contact_id']}-{story['offers_list'][0]['offer_id']}.wav",
        (
            f"{story['contact_id']}-{story['offers_list'][0]['offer_id']}-2.wav"
            if when != "ringing"
            else f"{story['contact_id']}-{story['offers_list'][1]['offer_id']}.wav"
        ),
    ]
    first, later = await kept(stage, story)
    assert speaks(first, vera) > 0.7
    assert speaks(first, gleb) < 0.3, "of the talk after her only what came before the cut"
    assert speaks(later, gleb) > 1.0
    assert speaks(later, vera) == 0


async def test_the_colleague_pauses_his_own_file(stage: Stage) -> None:
    leg, vera = await recorded_talk(stage)
    await stage.city.login("gleb")
    gleb = await taken_over(stage, vera, 104, "gleb")
    await sounds(leg, 0.8)
    await gleb.press("*1")
    await hears(gleb, "agent-paused")
    await sounds(leg, 1.5)
    await leg.bye()
    story = await stage.last()
    _, later = await kept(stage, story)
    heard = "".join("x" if t else "." for t in loud(later))
    assert re.search(r"x{3,}.*\.{10}", heard), heard


async def test_what_was_not_asked_for_is_not_recorded_after_a_transfer(stage: Stage) -> None:
    leg, anna = await recorded_talk(stage, PASSPORT)
    await stage.city.login("boris")
    boris = await taken_over(stage, anna, 102, "boris")
    await sounds(leg, 0.5)
    assert files(stage) == [], "hers was never asked for"
    await boris.press("*1")
    await hears(boris, "agent-stored")
    await sounds(leg, 0.8)
    await leg.bye()
    story = await stage.last()
    (path,) = await kept(stage, story)
    assert speaks(path, boris) > 0.4


async def test_a_new_engine_pauses_what_the_last_one_recorded(stage: Stage) -> None:
    leg, vera = await recorded_talk(stage)
    await sounds(leg, 0.8)
    stage.city.city.kill_engine()
    await stage.city.city.start_engine()
    await has_him(stage, "vera")
    await vera.press("*1")
    await hears(vera, "agent-paused")
    await sounds(leg, 1.5)
    stage.city.city.kill_engine()
    await stage.city.city.start_engine()
    await has_him(stage, "vera")
    await vera.press("*1")
    await hears(vera, "agent-stored")
    await sounds(leg, 0.8)
    await leg.bye()
    story = await stage.last()
    (path,) = await kept(stage, story)
    assert files(stage) == [path]
    heard = "".join("x" if t else "." for t in loud(path))
    assert re.search(r"x{3,}.*\.{10}.*x{4,}", heard), heard
    kinds = [e["kind"] for e in story["events"] if e["kind"].startswith("gkc.recording")]
    assert kinds == ["gkc.recording.started"] + ["gkc.recording.paused"] * 2


@pytest.mark.parametrize("case", ["at once", "silent", "after a restart", "to a queue"])
async def test_one_who_is_handed_over_blindly_is_recorded_with_each_operator(
    stage: Stage, case: str
) -> None:
    leg, vera = await recorded_talk(stage)
    await sounds(leg, 0.8)
    if case == "after a restart":
        stage.city.city.kill_engine()
        await stage.city.city.start_engine()
        await has_him(stage, "vera")
    gleb = stage.phone(104, answers)
    await stage.city.login("gleb")
    leg.speak(on=case != "silent")
    assert await vera.refer(HOUSING if case == "to a queue" else "104") == 202
    his = await gleb.next_call()
    await has_him(stage, "gleb")
    leg.speak(on=True)
    await hears_each_other(leg, his)
    await sounds(leg, 1.0)
    await leg.bye()
    story = await stage.last()
    assert talks(story) == ["vera", "gleb"]
    first, later = await kept(stage, story)
    assert speaks(first, vera) > 0.5
    assert speaks(first, his) == 0
    assert speaks(later, his) > 0.8
    assert speaks(later, vera) == 0
