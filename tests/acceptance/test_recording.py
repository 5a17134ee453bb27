"""Talks are recorded as the queue says, after a notice, in pieces that the operator may pause."""

from __future__ import annotations

import dataclasses
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import Leg, answers, only_rings
from tests.acceptance.stage import PASSPORT, PROMPTS, Stage, hears, open_stage, sounds

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

HOUSING = "+74951112244"
"""``record: always``, with a notice."""


def _tune(document: Document) -> None:
    queues = document.get("queues")
    if queues is not None:
        queues["passport"] |= {"record": "on-demand", "timeout": "4s"}
        queues["housing"] |= {"wrapuptime": "0s", "timeout": "4s"}
        queues["housing"] |= {"same_agent_after": "1s", "no_answer_delay": "1s"}


@asynccontextmanager
async def recording_stage(folder: Path, install: Install) -> AsyncIterator[Stage]:
    """A city whose queues record, and come to the next try soon."""

    def options(base: CityOptions) -> CityOptions:
        return dataclasses.replace(base, tune=_tune)

    async with open_stage(folder, install, options) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with recording_stage(tmp_path_factory.mktemp("recording"), install) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        yield


def files(stage: Stage) -> list[Path]:
    return sorted(p for p in (stage.city.city.state / "recordings").rglob("*") if p.is_file())


async def kept(stage: Stage, story: Row) -> list[Path]:
    """Return the story's recordings once Asterisk has closed each (a header is written last)."""
    paths = [stage.city.city.state / "recordings" / r["path"] for r in story["recordings"]]

    async def closed() -> bool:
        sizes = []
        for path in paths:
            with wave.open(str(path)) as sound:
                # Begun, a file is a header that tells of no sound, and is no longer than that.
                frames = sound.getnframes()
                sizes.append(frames > 0 and frames * 2 + 44 == path.stat().st_size)
        return all(sizes)

    await until(closed, "Asterisk has closed the files", 20)
    return paths


def loud(path: Path) -> list[bool]:
    """Return for each tenth of a second whether there is anything but silence."""
    with wave.open(str(path)) as sound:
        data = sound.readframes(sound.getnframes())
    tenths = [data[at : at + 1600] for at in range(0, len(data) - 1599, 1600)]
    return [
        max(abs(int.from_bytes(t[i : i + 2], "little", signed=True)) for i in range(0, len(t), 2))
        > 300
        for t in tenths
    ]


async def _recorded_talk(stage: Stage) -> tuple[Leg, Leg]:
    vera = stage.phone(103, answers)
    await stage.city.login("vera")
    _, leg = await stage.call(HOUSING)
    operator = await vera.next_call(15)
    assert leg.heard(PROMPTS / "recording-notice.alaw", from_s=1.0, for_s=1.0), "told too late"
    await stage.waits("talk")
    return leg, operator


async def test_a_talk_is_recorded_after_the_notice_and_bound_to_its_record(stage: Stage) -> None:
    leg, _ = await _recorded_talk(stage)
    await sounds(leg, 1.0)
    await leg.bye()
    story = await stage.last()
    (path,) = await kept(stage, story)
    assert files(stage) == [path]
    offer = story["offers_list"][0]["offer_id"]
    assert path.name == f"{story['contact_id']}-{offer}.wav"
    assert sum(loud(path)) > 5
    (reference,) = story["recordings"]
    assert not reference["missing"]
    assert str(path).endswith("/recordings/" + reference["path"])
    path.unlink()
    (reference,) = (await stage.last())["recordings"]
    assert reference["missing"], "a lost file is shown"


async def test_the_operator_pauses_the_recording(stage: Stage) -> None:
    leg, operator = await _recorded_talk(stage)
    await sounds(leg, 0.8)
    await operator.press("*1")
    await hears(operator, "agent-paused")
    await sounds(leg, 1.5)
    await operator.press("*1")
    await hears(operator, "agent-stored")
    await sounds(leg, 0.8)
    await leg.bye()
    story = await stage.last()
    (path,) = await kept(stage, story)
    assert files(stage) == [path]
    heard = "".join("x" if t else "." for t in loud(path))
    before, silence, after = heard.partition("." * 10)
    assert silence, f"no second of silence: {heard}"
    assert before.count("x") >= 3, heard
    assert after.count("x") >= 4, heard
    kinds = [e["kind"] for e in story["events"] if e["kind"].startswith("gkc.recording")]
    assert kinds == ["gkc.recording.started"] + ["gkc.recording.paused"] * 2
    path.unlink()


async def _on_demand(stage: Stage, *, ask: bool) -> Row:
    anna = stage.phone(101, answers)
    await stage.city.login("anna")
    await stage.call(PASSPORT)
    operator = await anna.next_call()
    await stage.waits("talk")
    if ask:
        await operator.press("*1")
        await hears(operator, "agent-stored")
    await sounds(operator, 0.5)
    await operator.bye()
    return await stage.last()


async def test_on_demand_records_what_is_asked_for(stage: Stage) -> None:
    story = await _on_demand(stage, ask=True)
    (path,) = await kept(stage, story)
    assert files(stage) == [path]
    assert any(loud(path))
    path.unlink()


async def test_on_demand_keeps_nothing_unasked(stage: Stage) -> None:
    story = await _on_demand(stage, ask=False)
    assert story["recordings"] == []
    assert files(stage) == []


async def test_a_ring_without_an_answer_leaves_no_file(stage: Stage) -> None:
    vera = stage.phone(103, only_rings)
    await stage.city.login("vera")
    _, leg = await stage.call(HOUSING)
    await vera.next_call()
    await stage.city.agent_is("vera", "not_ready", 60)
    await leg.bye()
    story = await stage.last()
    assert [o["outcome"] for o in story["offers_list"]] == ["no_answer"] * 2
    assert story["recordings"] == []
    assert files(stage) == []


async def test_the_digits_of_the_menu_are_on_record(stage: Stage) -> None:
    _, leg = await stage.call("+74957777777")
    await hears(leg, "hold-please")
    await leg.press("2")
    await stage.waits("waiting")
    await leg.bye()
    story = await stage.last()
    pressed = [e["data"] for e in story["events"] if e["kind"] == "gkc.contact.menu_answered"]
    assert [(p["menu"], p["digit"]) for p in pressed] == [("main", "2")]
