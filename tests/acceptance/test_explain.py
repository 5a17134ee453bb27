"""Who is overtaken by an emergency is told so: three citizens and one operator make it certain."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import Scene, scene, until
from tests.acceptance.phone import answers
from tests.acceptance.shell import Shell

pytestmark = pytest.mark.accept

HOUSING, EMERGENCY = "+74951112244", "+74951112233"


def _tune(document: Document) -> None:
    """One operator serves both queues, and one of them comes before the other."""
    queues = document.get("queues")
    if queues is not None:
        queues["passport"]["class"] = "emergency"
        queues["housing"] = {"title": "ЖКХ", "require": {"passport": 3}, "wrapuptime": "0s"}


def _options(options: CityOptions) -> CityOptions:
    return dataclasses.replace(options, tune=_tune)


async def _talks(city: Scene, queue: str) -> None:
    """Wait until the one who talks came for this queue."""

    async def look() -> bool:
        return [r["queue"] for r in await city.in_state("talk", 1)] == [queue]

    await until(look, f"the citizen of {queue} talks", 20)


async def test_who_is_overtaken_by_an_emergency_is_told_so(
    tmp_path: Path, install: Install
) -> None:
    desk = Desk()
    async with scene(tmp_path, install, phones=desk.start, options=_options) as city:
        desk.phones["101"].on_call = answers
        await city.login("anna")
        talks = await (await desk.citizen()).dial(HOUSING)
        await city.in_state("talk", 1)
        slow = await (await desk.citizen("+79005556677")).dial(HOUSING)
        await city.in_state("waiting", 1)
        fast = await (await desk.citizen("+79005556688")).dial(EMERGENCY)
        await city.in_state("waiting", 2)
        await talks.bye()
        await _talks(city, "passport")
        await fast.bye()
        await _talks(city, "housing")
        await slow.bye()
        rows = {row["queue"]: row for row in await city.ended(3)}
        gkc = Shell(city)
        overtaken, emergency = rows["housing"]["number"], rows["passport"]["number"]
        code, told, _ = await gkc.run("explain", overtaken)
        to_him, answer, _ = await gkc.run("explain", overtaken, "--citizen")
        await desk.stop()
    assert (code, to_him) == (0, 0)
    assert (
        f"overtaken by an emergency contact: {emergency} is offered to anna, by class  [P2(1)]"
    ) in told
    assert "recorded steps, none differs" in told
    assert "Раньше Вашего оператору передано обращение, поступившее позже." in answer
    assert (
        "оно относится к экстренным, а они принимаются раньше всех остальных (правило P2(1))"
    ) in answer
    for secret in (emergency, "anna", "Анна"):
        assert secret not in answer
