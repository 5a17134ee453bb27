"""Reloads: one at a time, whole or not at all, also when the core is too busy."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gkc_engine import engine as module
from gkc_engine.acd.core import Acd
from gkc_engine.acd.events import SettingsApplied
from gkc_engine.config.models import Config
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine
from gkc_engine.errors import GkcError
from gkc_engine.reloading import Reloader, Swap
from tests.channels.world import HandClock, Memory
from tests.config.cities import tiny_config


class Running:
    """An engine that runs one config and can be asked to take what lies in its folder now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = tiny_config(folder)
        self.memory = Memory()
        self.engine = Engine(Acd(), HandClock(), self.memory)
        self.reloader = Reloader(folder, self.engine, lambda: self.config, self._prepare)
        self.prepared = 0

    def _prepare(self, new: Config) -> Swap:
        self.prepared += 1

        def swap() -> None:
            self.config = new

        return swap

    def write(self, timeout: str) -> str:
        """Change the files; return the version that they have now."""
        return tiny_config(self.folder, ("timeout: 15s", f"timeout: {timeout}")).version

    def versions(self) -> list[str]:
        """What the core was told, in order."""
        events = [s.event for s in self.memory.steps if isinstance(s.event, SettingsApplied)]
        hashes = [hashlib.sha256(e.tree.encode()).hexdigest()[:16] for e in events]
        assert hashes == [e.settings.version for e in events], "not the whole config is on record"
        return hashes


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    run = Running(tmp_path)
    task = asyncio.get_running_loop().create_task(run.engine.run())
    yield run
    await end_tasks([task])


async def test_two_reloads_at_once_go_one_after_the_other(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def in_turn(work: Callable[[Path], Config], folder: Path) -> Config:
        """Read without a thread, whose end could come at any time."""
        await asyncio.sleep(0)
        return work(folder)

    monkeypatch.setattr(asyncio, "to_thread", in_turn)
    first = running.config.version
    version = running.write("20s")
    one, two = await asyncio.gather(
        running.reloader.reload(False, "root"), running.reloader.reload(False, "root")
    )
    assert (one.previous, one.version, one.diff) == (first, version, ("passport.timeout 15s→20s",))
    assert (two.previous, two.version, two.diff) == (version, version, ())
    assert running.versions() == [version, version]


async def test_a_core_that_is_too_busy_leaves_everything_as_it_was(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = running.config
    version = running.write("20s")
    with monkeypatch.context() as patch:
        patch.setattr(module, "INBOX_MAX", 0)
        with pytest.raises(GkcError, match="nothing was changed; try again"):
            await running.reloader.reload(False, "root")
    assert running.prepared == 1
    assert running.config is old
    assert (await running.reloader.reload(False, "root")).version == version
    assert running.config.version == version


async def test_a_refused_config_is_not_told_to_the_core(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_new: Config) -> Swap:
        raise GkcError("no such folder")

    old = running.config
    running.write("20s")
    monkeypatch.setattr(running.reloader, "_prepare", refuses)
    with pytest.raises(GkcError, match="no such folder"):
        await running.reloader.reload(False, "root")
    assert (running.config, running.versions()) == (old, [])
