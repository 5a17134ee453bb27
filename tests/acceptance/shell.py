"""The administrator's shell: runs ``gkc`` on the engine of a scene."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.acceptance.harness import Scene


class Shell:
    """Runs ``gkc``."""

    def __init__(self, city: Scene) -> None:
        self._env = city.city.cli_environment()

    async def run(self, *argv: str) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gkc_engine", *argv),
            env=self._env | {"COLUMNS": "200"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert "Traceback" not in err.decode()
        return process.returncode or 0, out.decode(), err.decode()

    async def rows(self, *argv: str) -> list[dict[str, Any]]:
        """Return what a command prints with ``--json``."""
        code, out, err = await self.run(*argv, "--json")
        assert (code, err) == (0, ""), err
        rows = json.loads(out)
        assert isinstance(rows, list)
        return rows

    async def table(self, *argv: str) -> str:
        code, out, err = await self.run(*argv)
        assert (code, err) == (0, ""), err
        return out
