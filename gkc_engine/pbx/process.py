"""One Asterisk as a child process: started, waited for, asked, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gkc_engine.child import Child
from gkc_engine.errors import PeerError

if TYPE_CHECKING:
    from gkc_engine.pbx.install import Install

FILES_WANTED: Final = 20_000
"""Open files: 6 for each waiting caller, about 6 more for each talk (telephony.md)."""


def raise_file_limit() -> int:
    """Raise this process's limit of open files (children inherit it); return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class AsteriskProcess(Child):
    """``async with AsteriskProcess(...) as pbx:`` runs the ``etc`` under ``run_dir`` till the end.

    It may be started again after `stop` or `kill`, with the same state.
    """

    NAME = "Asterisk"
    LATE = "did not boot"

    def __init__(self, *, install: Install, run_dir: Path, boot_timeout_s: float = 30) -> None:
        super().__init__(boot_timeout_s)
        self._install = install
        self._run_dir = run_dir.resolve()

    @property
    def config(self) -> Path:
        """The ``asterisk.conf`` it runs by; ``asterisk -C`` of it talks to this Asterisk."""
        return self._run_dir / "etc" / "asterisk.conf"

    @property
    def log(self) -> Path:
        """Its messages: notices, warnings and errors."""
        return self._run_dir / "log" / "messages"

    @property
    def output(self) -> Path:
        """What it wrote on stdout and stderr: all there is when it dies before logging."""
        return self._run_dir / "log" / "output"

    @property
    def queue_log(self) -> Path:
        """The native queue_log."""
        return self._run_dir / "log" / "queue_log"

    @property
    def legs_csv(self) -> Path:
        """CEL: one row for each CHAN_START, ANSWER and HANGUP."""
        return self._run_dir / "log" / "cel-custom" / "legs.csv"

    @property
    def calls_csv(self) -> Path:
        """CDR: one row a call."""
        return self._run_dir / "log" / "cdr-custom" / "calls.csv"

    @property
    def logs(self) -> Sequence[Path]:
        """What it wrote before it logged, and its log."""
        return self.output, self.log

    def prepare(self) -> Sequence[str]:
        """Raise the limit of open files; return the command line."""
        raise_file_limit()
        return *self._install.command, "-f", "-C", str(self.config)

    async def is_ready(self) -> bool:
        """Return whether it is fully booted."""
        try:
            return "fully booted" in await self.cli("core waitfullybooted")
        except PeerError:
            return False

    async def cli(self, command: str, timeout_s: float = 10) -> str:
        """Return what ``asterisk -rx COMMAND`` prints.

        Raises:
            PeerError: it cannot be reached, or does not reply in ``timeout_s``.
        """
        process = await asyncio.create_subprocess_exec(
            *self._install.command,
            *("-C", str(self.config), "-rx", command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(timeout_s):
                output, _ = await process.communicate()
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise PeerError(f"asterisk -rx {command!r}: no reply in {timeout_s} s") from None
            raise
        text = output.decode("utf-8", "replace")
        if process.returncode != 0:
            raise PeerError(f"asterisk -rx {command!r}: {text.strip()}")
        return text

    async def stop(self, grace_s: float = 2.5) -> None:
        """End it with SIGTERM, after ``grace_s`` with SIGKILL. Nothing happens if it is over."""
        await super().stop(grace_s)
