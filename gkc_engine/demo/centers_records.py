"""The city's records in a demo of several centers: the collector's process, and what it has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gkc_engine.control.protocol import RUN_DIRECTORY_VARIABLE
from gkc_engine.errors import PeerError

RESTART_S: Final = 1.0
STOP_S: Final = 0.8
CAUGHT_UP_S: Final = 30.0
"""For the city to have what the centers have, after the last call."""

LOOK_EVERY_S: Final = 0.5


class CityRecords:
    """``gkc city collect`` beside the hub, started again when it dies; and ``records verify``."""

    def __init__(self, config: Path, state: Path, sockets: Path) -> None:
        """Collect by the ``collector`` of ``config`` into ``state``.

        ``sockets``: where the commands look for engines; its parent, for the collector's note.
        """
        self._config, self.state = config, state
        self._environment = {**os.environ, RUN_DIRECTORY_VARIABLE: str(sockets)}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self.state / "collector.log"

    @property
    def pid(self) -> int | None:
        """The process id, ``None`` when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the collector; it waits for hub and centers by itself."""
        self.state.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._gkc("city", "collect"),
                *("--config", str(self._config), "--state", str(self.state)),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _gkc(self, *command: str) -> list[str]:
        return [sys.executable, "-m", "gkc_engine", *command]

    async def revive(self, say: Callable[[str], None]) -> None:
        """Start it again whenever it ends by itself. Never returns."""
        while self._process is not None:
            code = await self._process.wait()
            say(f"the collector ended (status {code}); started again in {RESTART_S:g} s")
            await asyncio.sleep(RESTART_S)
            await self.start()

    async def compared(self) -> list[dict[str, Any]]:
        """Return how the city's records compare with each center's, when it has caught up.

        Or, in `CAUGHT_UP_S`, as far as it has come. As ``gkc records verify --city --json``.

        Raises:
            PeerError: they cannot be compared.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CAUGHT_UP_S
        while True:
            rows = await self._verify()
            if loop.time() > until or not any(wrong_of(row) for row in rows):
                return rows
            await asyncio.sleep(LOOK_EVERY_S)

    async def _verify(self) -> list[dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            *self._gkc("records", "verify", "--city", "--json"),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        try:
            rows: list[dict[str, Any]] = json.loads(out)
        except ValueError:
            said = err.decode(errors="replace").strip()
            raise PeerError(f"the city's records cannot be compared: {said}") from None
        return rows

    async def stop(self) -> None:
        """End it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def wrong_of(row: Mapping[str, Any]) -> str:
    """Return what is wrong with the city's records of a center, in words; empty: nothing."""
    center = row["center"]
    if not row["answered"]:
        return f"{center} does not answer for its records: {row['problem']}"
    if row["behind_rows"]:
        return f"the city lacks {row['behind_rows']} rows of {center}"
    if row["differences"]:
        return f"the city's records of {center} differ: {row['differences']}"
    return str(row["problem"] or "")


def city_records(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return ``city_records`` of the report: what the city has, and of whom."""
    centers = {
        row["center"]: {
            "rows": (row["center_counts"] or {}).get("rows"),
            "city_rows": row["counts"].get("rows", 0),
            "contacts": _begun(row["center_counts"]),
            "city_contacts": _begun(row["counts"]),
            "differences": len(row["differences"]),
            "behind": row["behind_rows"],
        }
        for row in rows
    }
    return {
        "rows": sum(one["city_rows"] for one in centers.values()),
        "contacts": sum(one["city_contacts"] or 0 for one in centers.values()),
        "differences": sum(one["differences"] for one in centers.values()),
        "centers": centers,
    }


def _begun(counts: Mapping[str, int] | None) -> int | None:
    """Return the contacts of a center, guests left out: they are others' contacts."""
    if counts is None:
        return None
    return sum(
        n for name, n in counts.items() if name.startswith("begun ") and name != "begun guest"
    )
