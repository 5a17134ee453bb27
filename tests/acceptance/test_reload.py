"""Reloads under load: the administrator changes files, no citizen notices."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Scene, all_answer, scene, until

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]

RELOADS = 20
CALLS = 40


async def _reload_again_and_again(city: Scene) -> list[int]:
    """Change something each time and reload; return how many lines each diff had."""
    file = city.city.folder / "city.yaml"
    whole = file.read_text(encoding="utf-8")
    changes = []
    for n in range(RELOADS):
        text = whole.replace("timeout: 5s", f"timeout: {6 + n}s")
        if n % 2:
            text = text.replace("passport: 5}", "passport: 7}").replace("title: ЖКХ", "title: Дом")
        file.write_text(text, encoding="utf-8")
        (row,) = await city.ask("core.reload")
        changes.append(len(row["diff"]))
        await asyncio.sleep(0)
    return changes


async def test_twenty_reloads_disturb_no_contact(tmp_path: Path, install: Install) -> None:
    phones = partial(all_answer, talk_ms=700)
    async with scene(tmp_path, install, phones=phones) as city:
        await city.login("anna", "boris", "vera", "gleb", "dina", "egor")
        ids = [f"r{n}" for n in range(CALLS)]
        calls = [
            await city.bench.citizens("+74951112233", ids[:20], rate=5),
            await city.bench.citizens("+74951112255", ids[20:], rate=5, caller="+7901{:07d}"),
        ]
        await city.in_state("talk", 2)
        changes = await _reload_again_and_again(city)
        still = await city.ask("queue.waiting")
        codes = [await call.finished(60) for call in calls]
        rows = await city.ended(CALLS, 10)
        events = await until(lambda: _asked(city), "the engine answers", 15)
    assert all(changes), changes
    assert still, "no call was in progress when the last reload was done"
    assert codes == [0, 0], "a citizen's call did not go as written"
    assert [row["disposition"] for row in rows] == ["answered"] * CALLS
    assert events["accepting"]


async def _asked(city: Scene) -> dict[str, object] | None:
    rows = await city.ask("engine.show")
    return rows[0] if rows else None


async def test_a_broken_file_changes_nothing(tmp_path: Path, install: Install) -> None:
    async with scene(tmp_path, install, phones=all_answer) as city:
        (before,) = await city.ask("engine.show")
        file = city.city.folder / "city.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text[: len(text) // 2], encoding="utf-8")
        with pytest.raises(Exception, match=r"city\.yaml:\d+:\d+"):
            await city.ask("core.reload")
        (after,) = await city.ask("engine.show")
    assert after["config_version"] == before["config_version"]
