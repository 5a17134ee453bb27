"""A reload: parse, check, compare, swap; an invalid tree changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.config.reload import diff, shrink
from gkc_engine.config.settings import applied
from gkc_engine.control.live import Reloaded
from gkc_engine.engine import Engine
from gkc_engine.errors import GkcError

Swap = Callable[[], None]
"""Puts what was prepared from a new config in the place of the old. Does not fail."""


class Reloader:
    """One reload at a time: a second one compares with what the first has put in force."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        running: Callable[[], Config],
        prepare: Callable[[Config], Swap],
    ) -> None:
        """``prepare`` builds what a new config needs and may refuse it; nothing is swapped yet."""
        self._folder = folder
        self._engine = engine
        self._running = running
        self._prepare = prepare
        self._lock = asyncio.Lock()

    async def reload(self, force: bool, author: str) -> Reloaded:
        """Put the files as they are now in force; ``force``: also a tree that lost a third.

        ``author`` is who asked, for the record.

        Raises:
            GkcError: Why not; nothing was changed then.
        """
        async with self._lock:
            new = await asyncio.to_thread(load_config, self._folder)
            old = self._running()
            changes = diff(old, new)
            lost = [] if force else shrink(old, new)
            if lost:
                raise GkcError("\n".join([*lost, "nothing was changed; if it is meant: --force"]))
            swap = self._prepare(new)
            # The core first: it may be too busy to take it, and then all stays as it is.
            await self._engine.ask(applied(new, author=author, diff=changes), source="cli")
            swap()
            return Reloaded(version=new.version, previous=old.version, diff=tuple(changes))
