"""AMI actions that nobody waits for, sent one after another in each of two lanes.

Order matters (QueueAdd before QueuePause), a slow Asterisk must not stop the loop, and nothing is
kept over a lost link: after it everything is read anew and what is wrong is put right. Leases and
hang-ups have a lane of their own: a shift that logs in, or an action without a reply, must not
let a lease run out.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from gkc_engine.channels.phone.ami import AmiLink
from gkc_engine.endings import end_tasks
from gkc_engine.errors import PeerError

log = structlog.get_logger(__name__)

JOBS_MAX = 20_000
"""Actions that may wait: a thousand operators logging in to ten queues each, twice."""

URGENT: Final = frozenset({"Setvar", "Hangup"})
"""Actions that a citizen or an operator notices when they are late."""

URGENT_MAX: Final = 4_000
"""Of these: a lease of each session, a heartbeat, as many hang-ups."""

ACTION_S = 5.0
"""How long one action may take before the next is sent."""


_Lane = asyncio.Queue[tuple[str, dict[str, str]]]


class AmiJobs:
    """Two bounded lines of actions, each with one sender."""

    def __init__(self, ami: AmiLink) -> None:
        self._ami = ami
        self._jobs: _Lane = asyncio.Queue(JOBS_MAX)
        self._urgent: _Lane = asyncio.Queue(URGENT_MAX)
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped_total = 0
        self.failed_total = 0

    def start(self) -> None:
        """Begin sending."""
        loop = asyncio.get_running_loop()
        lanes = {"ami-jobs": self._jobs, "ami-urgent": self._urgent}
        self._tasks = [loop.create_task(self._run(lane), name=name) for name, lane in lanes.items()]

    async def stop(self) -> None:
        """Drop what is unsent: the next engine reads everything anew."""
        await end_tasks(self._tasks)

    def put(self, action: str, **fields: str) -> None:
        """Send soon. A full line drops the action and counts it; resync puts it right."""
        try:
            (self._urgent if action in URGENT else self._jobs).put_nowait((action, fields))
        except asyncio.QueueFull:
            self.dropped_total += 1
            log.critical("ami_job_dropped", action=action)

    async def _run(self, lane: _Lane) -> None:
        while True:
            action, fields = await lane.get()
            if not self._ami.up:
                continue
            try:
                await self._ami.action(action, timeout=ACTION_S, **fields)
            except PeerError as error:
                # "No such channel": he hung up meanwhile. "Already there": resync was faster.
                self.failed_total += 1
                log.info("ami_job_refused", action=action, reason=str(error))
