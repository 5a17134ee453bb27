"""Operators' feature codes, dialled from real SIP phones."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import Leg, answers
from tests.acceptance.stage import PROMPTS, Stage, open_stage

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

PIN = "4711"


def _tune(document: Document) -> None:
    operators = document.get("operators")
    if operators is not None:
        operators["anna"]["pin"] = "env:GKC_TEST_PIN"
        operators["egor"]["login"] = "always"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    def options(base: CityOptions) -> CityOptions:
        return dataclasses.replace(base, tune=_tune)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GKC_TEST_PIN", PIN)
        async with open_stage(tmp_path_factory.mktemp("operators"), install, options) as stage:
            yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    async with stage.case():
        yield


async def dial(stage: Stage, user: int, code: str) -> str:
    """Dial a code; return the prompt that was heard before Asterisk hung up."""
    leg = await stage.desk.phones[str(user)].dial(code)
    async with asyncio.timeout(20):
        await leg.ended.wait()
    assert leg.how == "BYE", leg.how
    said = [p.stem for p in sorted(PROMPTS.glob("agent-*.alaw")) if leg.heard(p, for_s=0.2)]
    assert len(said) == 1, said
    return said[0]


async def agent(stage: Stage, name: str) -> Row:
    return (await stage.city.ask("agent.show", agent=name))[0]


async def test_45_comes_and_goes(stage: Stage) -> None:
    assert await dial(stage, 101, "*45") == "agent-logged-in"
    await stage.city.agent_is("anna", "ready")
    assert await dial(stage, 101, "*45") == "agent-logged-out"
    await stage.city.agent_is("anna", "offline")


@pytest.mark.usefixtures("sipp")
async def test_45_from_sipp(stage: Stage) -> None:
    phone = await stage.city.bench.citizens("*45", ["code"], caller="102", host="127.0.0.1")
    assert await phone.finished(30) == 0
    await stage.city.agent_is("boris", "ready")


@pytest.mark.usefixtures("sipp")
@pytest.mark.parametrize(
    ("code", "state"), [("*4612", "not_ready"), ("*47", "ready"), ("*487", "ready")]
)
async def test_the_other_codes_from_sipp(stage: Stage, code: str, state: str) -> None:
    await stage.city.login("boris")
    phone = await stage.city.bench.citizens(code, ["code"], caller="102", host="127.0.0.1")
    assert await phone.finished(30) == 0
    row = await stage.city.agent_is("boris", state)
    assert row["reason"] == ("12" if state == "not_ready" else None)


async def test_who_is_always_at_work_does_not_go(stage: Stage) -> None:
    assert await dial(stage, 106, "*45") == "agent-logged-in"
    assert await dial(stage, 106, "*45") == "agent-logged-in"
    await stage.city.agent_is("egor", "ready")


async def test_46_pauses_with_a_reason_and_comes_back(stage: Stage) -> None:
    assert await dial(stage, 101, "*46") == "agent-refused"
    await stage.city.login("anna")
    assert await dial(stage, 101, "*4612") == "agent-paused"
    row = await stage.city.agent_is("anna", "not_ready")
    assert row["reason"] == "12"
    assert await dial(stage, 101, "*46") == "agent-ready"
    await stage.city.agent_is("anna", "ready")
    assert await dial(stage, 101, "*46") == "agent-paused"


async def test_47_counts_who_waits_in_the_own_queues(stage: Stage) -> None:
    async def hear(user: int) -> Leg:
        leg = await stage.desk.phones[str(user)].dial("*47")
        async with asyncio.timeout(20):
            await leg.ended.wait()
        return leg

    assert (await hear(101)).heard(PROMPTS / "waiting-nobody.alaw")
    _, waiting = await stage.call()
    await stage.waits("waiting")
    leg = await hear(101)
    assert leg.heard(PROMPTS / "waiting-count.alaw")
    assert leg.heard(PROMPTS / "numbers" / "people-1.alaw")
    assert (await hear(103)).heard(PROMPTS / "waiting-nobody.alaw"), "another queue's"
    await waiting.bye()


async def test_48_puts_the_result_on_record(stage: Stage) -> None:
    assert await dial(stage, 102, "*487") == "agent-refused"  # not at work
    stage.phone(102, answers)
    await stage.city.login("boris")
    assert await dial(stage, 102, "*487") == "agent-refused"  # about which contact?
    _, leg = await stage.call()
    await stage.waits("talk")
    await leg.bye()
    story = await stage.last()
    assert story["wrap_up_code"] is None
    assert await dial(stage, 102, "*48") == "agent-refused"
    assert await dial(stage, 102, "*487") == "agent-stored"
    story = await stage.last()
    assert story["wrap_up_code"] == "7"


async def test_hot_desking_moves_the_calls_with_the_operator(stage: Stage) -> None:
    dina = stage.phone(105, answers)
    assert await dial(stage, 105, "*459999") == "agent-refused"
    assert await dial(stage, 105, f"*45{PIN}") == "agent-logged-in"
    await stage.city.agent_is("anna", "ready")
    shown = await agent(stage, "dina")
    _, leg = await stage.call()
    await stage.waits("talk")
    assert [c.outgoing for c in dina.calls].count(False) == 1
    await leg.bye()
    story = await stage.last()
    assert (story["agent_id"], story["disposition"]) == ("anna", "answered")
    assert shown["state"] == "offline"
    await stage.city.agent_is("anna", "ready")
    assert await dial(stage, 105, "*45") == "agent-logged-out"
    await stage.city.agent_is("anna", "offline")
    assert await dial(stage, 105, "*45") == "agent-logged-in"
    await stage.city.agent_is("dina", "ready")
    assert await dial(stage, 105, f"*45{PIN}") == "agent-refused", "somebody works here"


async def test_a_seat_outlives_the_engine(stage: Stage) -> None:
    dina = stage.phone(105, answers)
    assert await dial(stage, 105, f"*45{PIN}") == "agent-logged-in"
    stage.city.city.kill_engine()
    await stage.city.city.start_engine()
    await stage.city.agent_is("anna", "ready")
    _, leg = await stage.call()
    await stage.waits("talk")
    assert [c.outgoing for c in dina.calls].count(False) == 1
    await leg.bye()
    assert (await stage.last())["agent_id"] == "anna"


async def test_pins_can_not_be_tried_out(stage: Stage) -> None:
    for wrong in range(5):
        assert await dial(stage, 104, f"*45000{wrong}") == "agent-refused"
    assert await dial(stage, 104, f"*45{PIN}") == "agent-refused"

    async def nobody() -> bool:
        return bool((await agent(stage, "anna"))["state"] == "offline")

    await until(nobody, "anna did not come", 2)
