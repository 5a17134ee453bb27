"""The destruction of personal data as the running engine does it: each night, and on a command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.engine import Engine

from gkc_engine.config.models import Config
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.retention.acts import Act
from gkc_engine.retention.run import Places, Retention, Rules, Writing

log = structlog.get_logger(__name__)

_T = TypeVar("_T")
_W = TypeVar("_W")

LOOK_AGAIN_S: Final = 60.0
"""A clock that is stepped, and a night with an hour twice or not at all, need no rule of theirs."""

ACTOR: Final = "gkc, nightly run"


def retention_of(
    config: Config,
    folder: Path,
    state: Path,
    engine: Engine,
    citizens: Citizens,
    write: Writing = lambda work: work(),
) -> Retention:
    """Return what destroys by the rules of ``config``, which lies in ``folder``."""
    kept, zone = config.retention, ZoneInfo(config.center.timezone)
    places = Places(
        recordings=state.resolve() / config.recording.path,
        legs=tuple(folder / path for path in (config.pbx.cel, config.pbx.cdr) if path),
        acts=state / "acts",
    )
    rules = Rules(
        citizens=kept.citizens, recordings=kept.recordings, legs=kept.legs, files=kept.files
    )
    return Retention(engine, citizens, places, rules, (config.center.title, zone), write)


class Nights:
    """Says once a day that the time has come; pure but for what it remembers."""

    def __init__(self, now: Instant, minute: int, zone: ZoneInfo) -> None:
        """A time of day that has passed already today is not made up for: tomorrow's will do."""
        self._done = _day(now, zone) if _minute(now, zone) >= minute else None

    def begun(self, now: Instant, minute: int, zone: ZoneInfo) -> bool:
        """Whether today's run is due; said once."""
        today = _day(now, zone)
        if today == self._done or _minute(now, zone) < minute:
            return False
        self._done = today
        return True


def _local(now: Instant, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(now / SECOND, UTC).astimezone(zone)


def _day(now: Instant, zone: ZoneInfo) -> date:
    return _local(now, zone).date()


def _minute(now: Instant, zone: ZoneInfo) -> int:
    local = _local(now, zone)
    return local.hour * 60 + local.minute


class Destruction:
    """One at a time, in a thread of its own; the loop waits for nothing."""

    def __init__(
        self, config: Callable[[], Config], make: Callable[[Writing], Retention], ledger: Ledger
    ) -> None:
        """``make`` builds the destroyer of the config in force around what writes the store."""
        self._config = config
        self._make = make
        self._ledger = ledger
        self._one = asyncio.Lock()

    async def of(self, work: Callable[[Retention], _T]) -> _T:
        """Run ``work`` with the rules in force, after what is being destroyed already."""
        loop = asyncio.get_running_loop()

        def write(change: Callable[[], _W]) -> _W:
            return asyncio.run_coroutine_threadsafe(self._ledger.call(change), loop).result()

        async with self._one:
            return await asyncio.to_thread(work, self._make(write))

    async def follow(self, now: Callable[[], Instant]) -> None:
        """Run each night until cancelled."""
        config = self._config()
        nights = Nights(now(), config.retention.at, ZoneInfo(config.center.timezone))
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            config = self._config()
            if nights.begun(now(), config.retention.at, ZoneInfo(config.center.timezone)):
                await self.run(now())

    async def run(self, now: Instant) -> None:
        """Do the nightly run; a failure is logged, and tried again the next night."""
        try:
            act: Act = await self.of(lambda retention: retention.run(now, ACTOR))
        except Exception:
            log.exception("retention_failed")
        else:
            log.info("retention_done", left=len(act.left), **act.destroyed)
