"""AMI actions that nobody waits for, sent one after another.

Order matters (QueueAdd before QueuePause), a slow Asterisk must not stop the loop, and nothing is
kept over a lost link: after it everything is read anew and what is wrong is put right.
"""

from __future__ import annotations

import asyncio

import structlog

from gkc_engine.channels.phone.ami import AmiLink
from gkc_engine.errors import PeerError

log = structlog.get_logger(__name__)

JOBS_MAX = 20_000
"""Actions that may wait: a thousand operators logging in to ten queues each, twice."""

ACTION_S = 5.0
"""How long one action may take before the next is sent."""


class AmiJobs:
    """A bounded line of actions with one sender."""

    def __init__(self, ami: AmiLink) -> None:
        self._ami = ami
        self._jobs: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue(JOBS_MAX)
        self._task: asyncio.Task[None] | None = None
        self.dropped_total = 0
        self.failed_total = 0

    def start(self) -> None:
        """Begin sending."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ami-jobs")

    async def stop(self) -> None:
        """Drop what is unsent: the next engine reads everything anew."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def put(self, action: str, **fields: str) -> None:
        """Send soon. A full line drops the action and counts it; resync puts it right."""
        try:
            self._jobs.put_nowait((action, fields))
        except asyncio.QueueFull:
            self.dropped_total += 1
            log.critical("ami_job_dropped", action=action)

    async def _run(self) -> None:
        while True:
            action, fields = await self._jobs.get()
            if not self._ami.up:
                continue
            try:
                await self._ami.action(action, timeout=ACTION_S, **fields)
            except PeerError as error:
                # "No such channel": he hung up meanwhile. "Already there": resync was faster.
                self.failed_total += 1
                log.info("ami_job_refused", action=action, reason=str(error))
