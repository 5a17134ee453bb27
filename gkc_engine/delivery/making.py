"""A report is made by a process of its own, so that no call ever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gkc_engine.config.report_model import ReportModel
from gkc_engine.control.protocol import RUN_DIRECTORY_VARIABLE
from gkc_engine.delivery.schedule import Due
from gkc_engine.errors import GkcError
from gkc_engine.watchdog import ENV_PIPE, ENV_SPARE

BYTES_MAX: Final = 2 * 1024 * 1024
"""Of one report. Regular expressions over the whole mail hold the interpreter, for the engine's
thread too: 35 ms with 2 MB, 140 ms with 8 MB (ADR 0031)."""

MAKING_S: Final = 600.0
NICE: Final = 10
_ERROR_BYTES: Final = 4096


class MakingError(GkcError):
    """The report could not be made; ``str()`` is what its command said."""


@dataclass(frozen=True, slots=True)
class Made:
    """A report, and its figures in short."""

    content: bytes
    summary: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Runs ``gkc report``."""

    run_dir: Path
    """Where the engine's control socket lies: the child reads the records of this engine."""
    command: Sequence[str] = field(
        default_factory=lambda: (sys.executable, "-m", "gkc_engine", "report")
    )
    timeout_s: float = MAKING_S
    bytes_max: int = BYTES_MAX

    async def make(self, report: ReportModel, due: Due) -> Made:
        """Return the report of a period.

        Raises:
            MakingError: It failed, took too long, or is too big to be sent.
        """
        of = [*_of(report, due)]
        summary = await self._run(["queues", *of, "--format", "json"])
        # On stdout, whatever the format: nothing is left behind when either of us is killed.
        words = [report.what, *of, "--format", report.format, *_language(report)]
        content = await self._run(words)
        rows = json.loads(summary)
        return Made(content, rows[-1] if rows else None)

    async def _run(self, words: Sequence[str]) -> bytes:
        environment = {k: v for k, v in os.environ.items() if k not in (ENV_PIPE, ENV_SPARE)}
        environment |= {RUN_DIRECTORY_VARIABLE: str(self.run_dir), "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        try:
            async with asyncio.timeout(self.timeout_s):
                assert process.stdout is not None
                assert process.stderr is not None
                content, said = await asyncio.gather(
                    _read(process.stdout, self.bytes_max), _read(process.stderr, 2**20)
                )
                code = await process.wait()
        except TimeoutError:
            raise MakingError(f"it was not made within {self.timeout_s:g} s") from None
        except _TooMuchError:
            size = self.bytes_max // 2**20
            raise MakingError(f"more than {size} MiB: ask for less, or another format") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code != 0:
            words_said = said[-_ERROR_BYTES:].decode("utf-8", "replace").strip()
            raise MakingError(f"gkc report {' '.join(words)}: exit code {code}: {words_said}")
        return content


class _TooMuchError(Exception):
    pass


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(65_536):
        size += len(part)
        if size > most:
            raise _TooMuchError
        parts.append(part)
    return b"".join(parts)


def _of(report: ReportModel, due: Due) -> list[str]:
    words = ["--from", due.first.isoformat(), "--to", due.after.isoformat()]
    for option, value in (
        ("--recipient", report.recipient),
        ("--service", report.service),
        ("--queue", report.queue),
    ):
        words += [option, value] if value is not None else []
    return words


def _language(report: ReportModel) -> list[str]:
    """Only where a text for people is made; the others are the same in each language."""
    return ["--language", report.language] if report.format in ("pdf", "xlsx", "html") else []
